/**
 * What harvesting two layers costs beside one: both come out of one forward pass to the deeper layer.
 *
 *     deno task two-layers [--model 2b] [--repeats 9]
 *
 * The embedded model's layer 4 against its layers 2 and 4, or layer 17 of random weights of Gemma-2-2B's shape against 8 and 17; `resid_mid`
 * and `mlp_out` of each, stored in the shuffle buffer as training does; in turns, medians.
 */

import { Command, Option } from "commander";
import { wholeNumberOption } from "../commands/options.ts";
import { median } from "../core/analysis/statistics.ts";
import { contextsPerForward } from "../core/model/capacity.ts";
import { GEMMA2_2B, randomModel } from "../core/bench/random_model.ts";
import { BUILTIN, openModel } from "../core/model/files.ts";
import { loadDecoder } from "../core/model/forward.ts";
import { configOf } from "../core/model/config.ts";
import { type Gpu, openGpu } from "../core/gpu/device.ts";
import { Pass } from "../core/gpu/run.ts";
import { WallClock } from "../core/gpu/wall_clock.ts";
import { randomGenerator } from "../core/random.ts";
import { createRowBlocks, recordStore } from "../core/gpu/row_blocks.ts";
import { PUBLISHED } from "../commands/train/settings.ts";
import { preferVulkan } from "../main.ts";
import { decimal, significant } from "../reports/format.ts";
import { describeMachine } from "./machine.ts";

/** Forward passes of one sample. */
const PASSES = 2;

/** What can be harvested: a model and two of its layers. */
const MODELS = {
  builtin: { open: () => openModel(BUILTIN), layers: [2, 4] },
  "2b": { open: () => randomModel(GEMMA2_2B), layers: [8, 17] },
} as const;

interface Options {
  readonly model: keyof typeof MODELS;
  readonly repeats: number;
}

/** Harvests `layers`: returns what submits one pass and stores its taps. */
async function harvester(gpu: Gpu, model: Options["model"], layers: readonly number[]): Promise<() => void> {
  const files = await MODELS[model].open(), { context } = PUBLISHED;
  const contexts = contextsPerForward(gpu, configOf(files), context), tokens = contexts * context;
  const taps = layers.flatMap((layer) => (["resid_mid", "mlp_out"] as const).map((site) => ({ layer, site })));
  const decoder = await loadDecoder(gpu, files, { taps, maxTokens: tokens, context });
  const random = randomGenerator(1), { vocabSize, dModel } = decoder.config;
  const ids = Uint32Array.from({ length: tokens }, () => random.below(vocabSize));
  const buffers = taps.map((_, t) => createRowBlocks(gpu, `buffer of tap ${t}`, tokens, dModel));
  const pass = new Pass(gpu);
  return () => {
    decoder.forward(pass, { contexts, context, ids }).forEach(({ tensor }, t) =>
      recordStore(pass, tensor, buffers[t], 0, tokens)
    );
    pass.submit();
  };
}

async function twoLayers({ model, repeats }: Options): Promise<void> {
  const gpu = await openGpu(null), clock = await WallClock.start(gpu);
  const { layers } = MODELS[model], [shallow, deep] = layers;
  const one = await harvester(gpu, model, [deep]), two = await harvester(gpu, model, layers);
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
      `Layer ${deep}: ${significant(median(ones))} ms per pass; layers ${shallow} and ${deep}: ${
        significant(median(twos))
      } ms; ` +
      `ratio ${decimal(median(twos) / median(ones), 3)} (medians of ${repeats} in turns; at most 1.15 is wanted).`,
  );
}

preferVulkan();
await new Command("two-layers")
  .description("What harvesting two layers costs beside one.")
  .addOption(new Option("--model <name>", "whose layers").choices(Object.keys(MODELS)).default("builtin"))
  .addOption(wholeNumberOption("-r, --repeats <n>", "samples of each", { value: 9 }))
  .action(twoLayers)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit(0);
