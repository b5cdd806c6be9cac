/**
 * Where the time of the embedded default goes: every kernel of a forward pass and of a training step, by the GPU's own clock.
 *
 *     deno task bench [FEATURES]        features of the dictionary, default 512
 */

import { BUILTIN, openModel } from "../core/gemma2/files.ts";
import { loadGemma2 } from "../core/gemma2/forward.ts";
import { openGpu, settle, tensorFrom } from "../core/gpu/device.ts";
import { Pass } from "../core/gpu/run.ts";
import { randomGenerator } from "../core/random.ts";
import { createTrainingState } from "../core/transcoder/state.ts";
import { Stepper } from "../core/transcoder/step.ts";
import { EMBEDDED } from "../commands/train_settings.ts";

const features = Number(Deno.args[0] ?? 512), repeats = 10, width = 128;
const times = new Map<string, number>();
const gpu = await openGpu(({ kernel, milliseconds }) => times.set(kernel, (times.get(kernel) ?? 0) + milliseconds));
const random = randomGenerator(1);
const gaussians = (count: number) => Float32Array.from({ length: count }, () => random.gaussian());

async function measure(what: string, perPass: string, record: (pass: Pass, n: number) => void): Promise<void> {
  const pass = new Pass(gpu);
  record(pass, 0);
  pass.submit();
  await settle(gpu);
  await gpu.trace?.drain();
  times.clear();
  const started = performance.now();
  for (let n = 1; n <= repeats; n++) {
    record(pass, n);
    pass.submit();
  }
  await settle(gpu);
  const wall = (performance.now() - started) / repeats;
  await gpu.trace?.drain();
  const rows = [...times].map(([kernel, sum]) => [kernel, sum / repeats] as const).toSorted((a, b) => b[1] - a[1]);
  const total = rows.reduce((sum, [, ms]) => sum + ms, 0);
  console.log(
    `\n${what} on ${gpu.adapter}: ${wall.toFixed(1)} ms by the wall clock, ${
      total.toFixed(1)
    } ms in kernels, per ${perPass}`,
  );
  for (const [kernel, ms] of rows) {
    console.log(`${ms.toFixed(2).padStart(9)} ms ${(100 * ms / total).toFixed(1).padStart(5)} %  ${kernel}`);
  }
}

const { batch_tokens: tokens, context, k } = EMBEDDED;
const model = await openModel(BUILTIN);
const taps = [{ layer: 4, site: "resid_mid" as const }, { layer: 4, site: "mlp_out" as const }];
const gemma2 = await loadGemma2(gpu, model, { taps, maxTokens: 2048, context });
const ids = Uint32Array.from({ length: 2048 }, () => 4 + random.below(4092));
await measure("Forward pass to layer 4 of tiny-gemma2", "2,048 tokens", (pass) => {
  gemma2.forward(pass, { contexts: 2048 / context, context, ids });
});

const groups = [features / 4, features / 2, features / 4], shape = { d_in: width, d_out: width, groups };
const recipe = { ...EMBEDDED, groups };
const state = createTrainingState(gpu, shape, {
  encoder: gaussians(features * width).map((w) => w / Math.sqrt(width)),
  encoderBias: new Float32Array(features),
  decoder: gaussians(features * width).map((w) => w / Math.sqrt(width)),
  decoderBias: new Float32Array(width),
});
const stepper = new Stepper(gpu, recipe, shape, state);
const x = tensorFrom(gpu, "x", [tokens, width], gaussians(tokens * width));
const y = tensorFrom(gpu, "y", [tokens, width], gaussians(tokens * width));
const title = `Training step, ${tokens} x ${width} -> ${features} features, k ${k}`;
await measure(title, "step", (pass, n) => stepper.record(pass, x, y, n + 1, null));
Deno.exit(0);
