/**
 * Edited forward passes that begin at what the clean one has left at its taps: what they give is what the whole ones give. That they give the very
 * bits where the clean one ran with the edits that keep is tested with the features that are changed.
 */

import assert from "node:assert/strict";
import { createTensor, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { Pass } from "../../core/gpu/run.ts";
import type { Edit } from "../../core/model/edits.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { cutAt } from "../../core/model/reach.ts";
import { SITES, type Tap, tapName, widthOf } from "../../core/model/sites.ts";
import { KeptBelow } from "../../core/passes/kept_below.ts";
import { relativeL2 } from "../compare.ts";
import { gaussians } from "../random.ts";
import { randomText } from "./random_text.ts";

const CONTEXT = 12, text = randomText(3, CONTEXT, 5), tokens = text.ids.length;
const gpu = await openGpu(), files = await openModel("builtin");
const LAST: Tap = { layer: 5, site: "resid_post" };
const load = (taps: readonly Tap[]) => loadDecoder(gpu, files, { taps, maxTokens: tokens, context: CONTEXT });

for (const site of SITES) {
  for (const layer of [0, 3]) {
    const target: Tap = { layer, site };
    Deno.test(`${tapName(target)} changed: begun there, the pass gives what a whole one does`, async () => {
      using scope = openScope(gpu);
      // A deeper tap is computed anew; a lower one is read by the edit though the pass does not come by it.
      const lower: Tap = { layer: 0, site: "resid_pre" }, deeper: Tap = { layer: 4, site: "mlp_in" };
      const decoder = await load([lower, ...cutAt(target), ...cutAt({ layer: 2, site: "mlp_out" }), deeper, LAST]);
      const width = widthOf(decoder.config, site),
        pass = new Pass(gpu),
        copy = createTensor(scope, "read", [tokens, 128]);
      // Another change that begins elsewhere is at hand, too.
      const kept = new KeptBelow(scope, decoder, [target, { layer: 2, site: "mlp_out" }]);
      const given = tensorFrom(scope, "given", [tokens, width], gaussians(tokens * width, 1));
      const rewrite: Edit = {
        kind: "rewrite",
        tap: target,
        record: (pass, activations, at) => {
          pass.copy(at(lower), 0, copy, 0, tokens * 128);
          // The first token of the first context keeps its own.
          pass.copy(given, width, activations, width, (tokens - 1) * width);
        },
      };
      const read = (at: typeof taken) => at.map(({ tensor }) => downloadF32(gpu, tensor));
      const taken = decoder.forward(pass, text, { edits: [rewrite] });
      pass.submit();
      const whole = await Promise.all(read(taken));
      kept.record(pass, decoder.forward(pass, text));
      pass.submit();
      // Another change in between must not be seen.
      decoder.forward(pass, text, { edits: [{ kind: "add", tap: target, tensor: given }] });
      pass.submit();
      decoder.forward(pass, text, { edits: [...kept.begin([target, deeper]), rewrite] });
      pass.submit();
      const begun = await Promise.all(read(taken));
      for (const [i, { tap }] of taken.entries()) {
        const error = relativeL2(begun[i], whole[i]);
        assert.ok(error <= 1e-6, `${tapName(tap)} differs by ${error.toExponential(2)}`);
      }
      const plain = decoder.forward(pass, text);
      pass.submit();
      const embedded = await downloadF32(gpu, plain[0].tensor);
      if (depthIsAboveEmbedding(target)) assert.deepEqual(await downloadF32(gpu, copy), embedded);
    });
  }
}

function depthIsAboveEmbedding({ layer, site }: Tap): boolean {
  return layer > 0 || site !== "resid_pre";
}

Deno.test("what is kept must be among the taps", async () => {
  using scope = openScope(gpu);
  const decoder = await load([LAST]), pass = new Pass(gpu);
  const kept = new KeptBelow(scope, decoder, [{ layer: 3, site: "mlp_out" }]);
  assert.throws(
    () => kept.record(pass, decoder.forward(pass, text)),
    /Cannot keep layer3\.resid_mid: it must be among the taps, they are layer5\.resid_post/,
  );
});
