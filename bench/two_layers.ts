/**
 * What harvesting two layers costs beside one: both come out of one forward pass to the deeper layer.
 *
 *     deno task two-layers [--repeats 9]
 *
 * The embedded model's layer 4 against its layers 2 and 4, `resid_mid` and `mlp_out` of each, stored in the shuffle buffer as training
 * does; in turns, medians.
 */

import { Command } from "commander";
import { median } from "../core/analysis/statistics.ts";
import { contextsPerForward } from "../core/gemma2/capacity.ts";
import { BUILTIN, openModel } from "../core/gemma2/files.ts";
import { loadGemma2 } from "../core/gemma2/forward.ts";
import { parseGemma2Config } from "../core/gemma2/config.ts";
import { type Gpu, openGpu } from "../core/gpu/device.ts";
import { Pass } from "../core/gpu/run.ts";
import { WallClock } from "../core/gpu/wall_clock.ts";
import { randomGenerator } from "../core/random.ts";
import { createRowBlocks, recordStore } from "../core/transcoder/row_blocks.ts";
import { PUBLISHED } from "../commands/train_settings.ts";
import { preferVulkan } from "../main.ts";
import { decimal, significant } from "../reports/format.ts";
import { describeMachine } from "./machine.ts";

/** Forward passes of one sample. */
const PASSES = 2;

/** Harvests `layers`: returns what submits one pass and stores its taps. */
async function harvester(gpu: Gpu, layers: readonly number[]): Promise<() => void> {
  const files = await openModel(BUILTIN), { context } = PUBLISHED;
  const contexts = contextsPerForward(gpu, parseGemma2Config(files.config, files.name), context),
    tokens = contexts * context;
  const taps = layers.flatMap((layer) => (["resid_mid", "mlp_out"] as const).map((site) => ({ layer, site })));
  const gemma2 = await loadGemma2(gpu, files, { taps, maxTokens: tokens, context });
  const random = randomGenerator(1), { vocabSize, dModel } = gemma2.config;
  const ids = Uint32Array.from({ length: tokens }, () => random.below(vocabSize));
  const buffers = taps.map((_, t) => createRowBlocks(gpu, `buffer of tap ${t}`, tokens, dModel));
  const pass = new Pass(gpu);
  return () => {
    gemma2.forward(pass, { contexts, context, ids }).forEach(({ tensor }, t) =>
      recordStore(pass, tensor, buffers[t], 0, tokens)
    );
    pass.submit();
  };
}

async function twoLayers({ repeats }: { repeats: number }): Promise<void> {
  const gpu = await openGpu(null), clock = await WallClock.start(gpu);
  const one = await harvester(gpu, [4]), two = await harvester(gpu, [2, 4]);
  const time = (submit: () => void) =>
    clock.seconds(() => {
      for (let i = 0; i < PASSES; i++) submit();
    });
  const ones: number[] = [], twos: number[] = [];
  // The first round compiles.
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const sample = [await time(one), await time(two)].map((seconds) => 1000 * seconds / PASSES);
    if (repeat === 0) continue;
    ones.push(sample[0]);
    twos.push(sample[1]);
  }
  console.log(
    `${await describeMachine(gpu.adapter)}\n\n` +
      `Layer 4: ${significant(median(ones))} ms per pass; layers 2 and 4: ${significant(median(twos))} ms; ` +
      `ratio ${decimal(median(twos) / median(ones), 3)} (medians of ${repeats} in turns; at most 1.15 is wanted).`,
  );
}

preferVulkan();
await new Command("two-layers")
  .description("What harvesting two layers costs beside one.")
  .option("-r, --repeats <n>", "samples of each", Number, 9)
  .action(twoLayers)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit(0);
