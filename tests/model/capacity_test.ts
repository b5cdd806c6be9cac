/** How many contexts go through a model at once: as many as the device likes, and never more than it can bind. */

import assert from "node:assert/strict";
import { contextsPerForward } from "../../core/model/capacity.ts";
import { contextsPerRead } from "../../core/passes/harvest.ts";
import { configOf, type DecoderConfig } from "../../core/model/config.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { type Gpu, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { Pass } from "../../core/gpu/run.ts";
import { bindingAtMost } from "../gpu/small_bindings.ts";

const gpu = await openGpu();
const MIB = 2 ** 20;
const files = await openModel(BUILTIN), tiny = configOf(files);
const gemma2_2b: DecoderConfig = {
  ...tiny,
  ...{ layers: 26, dModel: 2304, dMlp: 9216, heads: 8, keyValueHeads: 4, headDim: 256, vocabSize: 256_000 },
};

const cases: [what: string, isCpu: boolean, bytes: number, config: DecoderConfig, context: number, contexts: number][] =
  [
    ["a small model on a CPU", true, 128 * MIB, tiny, 64, 32],
    ["a small model on a GPU", false, 2048 * MIB - 1, tiny, 64, 256],
    ["Gemma-2-2B on a GPU", false, 2048 * MIB - 1, gemma2_2b, 64, 256],
    ["Gemma-2-2B on a CPU", true, 128 * MIB, gemma2_2b, 64, 4],
    ["Gemma-2-2B where the hidden layer of more tokens is too large", false, 64 * MIB, gemma2_2b, 64, 28],
    ["contexts longer than the device likes", true, 2048 * MIB - 1, gemma2_2b, 8192, 1],
    // Turned queries and keys take whole blocks of 16 positions, so 17 tokens as many as 32.
    ["short contexts of wide heads", false, MIB, { ...tiny, headDim: 1024, heads: 4, keyValueHeads: 1 }, 17, 1],
  ];
for (const [what, isCpu, bytes, config, context, contexts] of cases) {
  Deno.test(`contexts per forward pass: ${what}`, () => {
    const device: Gpu = Object.create(bindingAtMost(gpu, bytes), { isCpu: { value: isCpu } });
    assert.equal(contextsPerForward(device, config, context), contexts);
  });
}

Deno.test("a harvest reads back no more than 128 MiB at once, but always a context", () => {
  const device: Gpu = Object.create(bindingAtMost(gpu, 2048 * MIB - 1), { isCpu: { value: false } });
  const tap: Tap = { layer: 0, site: "mlp_out" };
  const contexts = (taps: number, context: number) =>
    contextsPerRead(device, gemma2_2b, new Array(taps).fill(tap), context);
  assert.deepEqual([contexts(1, 64), contexts(4, 64), contexts(14, 64)], [227, 56, 16]);
  assert.equal(contexts(4, 8192), 1);
  const wide: Tap[] = [tap, { layer: 0, site: "mlp_neurons" }];
  assert.equal(contextsPerRead(device, gemma2_2b, wide, 64), 45, "neurons are four times as wide");
  assert.equal(contextsPerRead(device, tiny, new Array(4).fill(tap), 64), 256, "what the device likes");
});

Deno.test("a context that cannot be bound is refused, with the longest that can", () => {
  assert.throws(
    () => contextsPerForward(bindingAtMost(gpu, 128 * MIB), gemma2_2b, 4096),
    /^UserError: Cannot run contexts of 4096 tokens: .* which hold 3640 tokens of this model; use --context 3640 or less$/,
  );
  const begun = performance.now();
  assert.throws(
    () => contextsPerForward(bindingAtMost(gpu, 128 * MIB), gemma2_2b, 1e15),
    /which hold 3640 tokens of this model/,
  );
  assert.ok(performance.now() - begun < 1000, "a config.json may ask for any number");
});

for (const context of [17, 64, 100]) {
  Deno.test(`the model is loaded and runs with what the rule says, contexts of ${context} tokens`, async () => {
    // Little more than the largest weight, so that the rule and not the device's liking decides.
    const small = bindingAtMost(gpu, 4 * tiny.dModel * 2 * tiny.dMlp);
    const contexts = contextsPerForward(small, tiny, context);
    assert.ok(contexts < contextsPerForward(gpu, tiny, context));
    const options = { taps: [{ layer: 1, site: "resid_post" }], maxTokens: contexts * context, context } as const;
    using scope = openScope(small);
    const model = await loadDecoder(scope, files, options);
    const pass = new Pass(gpu);
    model.forward(pass, { contexts, context, ids: new Uint32Array(contexts * context).fill(5) });
    pass.submit();
    await gpu.device.queue.onSubmittedWorkDone();
    assert.equal(gpu.shared.failure, null);
  });
}
