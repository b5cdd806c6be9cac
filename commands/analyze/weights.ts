/**
 * `mtc analyze weights`: what the weights of a transcoder look like.
 * @module
 */

import { Command } from "commander";
import type { Gpu } from "../../core/gpu/device.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import type { ToldWeights } from "../../reports/weights_table.ts";
import { runOption } from "../options.ts";
import { Progress } from "../progress.ts";
import { compareVisibly } from "./cosines.ts";
import { type Analysed, type OutputOptions, outputOptions, print } from "./output.ts";

interface WeightsOptions extends OutputOptions {
  run: string;
  pairs: boolean;
}

async function analyze(
  gpu: Gpu,
  { transcoder, name: { title } }: FinishedTranscoder,
  hasPairs: boolean,
): Promise<ToldWeights> {
  const { analyzeWeights } = await import("../../core/analysis/weight_groups.ts");
  const { secondMoment } = await import("../../core/passes/cosines.ts");
  const { toldWeights } = await import("../../reports/weights_table.ts");
  const { weights, shape: { groups } } = transcoder, total = 2 * (1 + groups.length);
  const multiplied = async () => {
    const progress = new Progress(`${title}: multiplying weights`);
    let done = 0;
    try {
      return await analyzeWeights(weights, groups, async (rows, width) => {
        const moment = await secondMoment(gpu, rows, width);
        progress.advance({ done: ++done, total });
        return moment;
      });
    } finally {
      progress.stop();
    }
  };
  return toldWeights(await multiplied(), hasPairs ? await similar(gpu, title, transcoder) : undefined);
}

async function similar(
  gpu: Gpu,
  title: string,
  { weights, shape: { groups, d_in, d_out } }: FinishedTranscoder["transcoder"],
): Promise<ToldWeights["similar"]> {
  const { similarRows } = await import("../../core/analysis/similar_rows.ts");
  const compared = async (kind: "decoder" | "encoder", width: number) => {
    const matrix = weights[kind], label = `${title}: ${kind} cosines`;
    return similarRows(matrix, width, await compareVisibly(gpu, { label, matrix, width, groups }));
  };
  return { decoder: await compared("decoder", d_out), encoder: await compared("encoder", d_in) };
}

async function weights(options: WeightsOptions): Promise<void> {
  const { weightsOfFeatures } = await import("../../core/analysis/weight_groups.ts");
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { openFinishedRun } = await import("../../core/runs/finished.ts");
  const { weightsText } = await import("../../reports/weights_table.ts");
  const analysed: Analysed<ToldWeights>[] = [], transcoders = await openFinishedRun(options.run);
  using gpu = await openGpu();
  for (const transcoder of transcoders) {
    analysed.push({ transcoder, result: await analyze(gpu, transcoder, options.pairs) });
  }
  const text = ({ transcoder: { name, config }, result }: Analysed<ToldWeights>) =>
    `${name.title}: groups of ${config.groups.join(" + ")} features.\n\n${weightsText(result)}`;
  await print(options.run, options, analysed, text, ({ transcoder: { transcoder } }) => {
    return weightsOfFeatures(transcoder.weights, transcoder.shape.groups).map((row) => ({ ...row }));
  });
}

/** The command `mtc analyze weights`. */
export function weightsCommand(): Command {
  const [json, csv] = outputOptions("a row per feature");
  return new Command("weights")
    .description(
      "Measures the weights of each group: lengths, biases, how far a feature writes what it reads, how many dimensions its rows use, and " +
        "which rows are alike, beside what chance gives. It takes no text and no model.",
    )
    .addOption(runOption())
    .option(
      "--no-pairs",
      "leave out which rows are alike: that all pairs are compared costs the square of the features",
    )
    .addOption(json)
    .addOption(csv)
    .addHelpText(
      "after",
      "\nExamples:\n  mtc analyze weights --run runs/first\n  mtc analyze weights --run runs/first/layer2 --csv > weights.csv",
    )
    .action(weights);
}
