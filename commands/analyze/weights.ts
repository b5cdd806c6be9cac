/**
 * `mtc analyze weights`: what the weights of a transcoder look like.
 * @module
 */

import { Command } from "commander";
import type { WeightsOfFeature } from "../../core/analysis/weight_groups.ts";
import type { Gpu } from "../../core/gpu/device.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import type { StoredTranscoder, Transcoder } from "../../core/transcoder/weights.ts";
import type { ToldWeights } from "../../reports/weights_table.ts";
import { runOption } from "../options.ts";
import { Progress } from "../progress.ts";
import { compareVisibly } from "./cosines.ts";
import { type Analysed, type OutputOptions, outputOptions, print } from "./output.ts";

interface WeightsOptions extends OutputOptions {
  run: string;
  pairs: boolean;
}

type Stored = FinishedTranscoder<StoredTranscoder>;

async function analyze(
  gpu: Gpu,
  { transcoder, name: { title } }: Stored,
  hasPairs: boolean,
): Promise<{ told: ToldWeights; features: readonly WeightsOfFeature[] }> {
  const { analyzeWeights, weightsOfFeatures } = await import("../../core/analysis/weight_groups.ts");
  const { onMatrix } = await import("../../core/transcoder/weights.ts");
  const { secondMoment } = await import("../../core/passes/cosines.ts");
  const { toldWeights } = await import("../../reports/weights_table.ts");
  const { weights: vectors, shape: { groups } } = transcoder, total = 2 * (1 + groups.length);
  const multiplied = async (weights: Transcoder["weights"]) => {
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
  const { analysed, features } = await onMatrix(
    transcoder,
    "encoder",
    (encoder) =>
      onMatrix(transcoder, "decoder", async (decoder) => {
        const weights = { ...vectors, encoder, decoder };
        return { analysed: await multiplied(weights), features: weightsOfFeatures(weights, groups) };
      }),
  );
  return { told: toldWeights(analysed, hasPairs ? await similar(gpu, title, transcoder) : undefined), features };
}

async function similar(
  gpu: Gpu,
  title: string,
  stored: StoredTranscoder,
): Promise<ToldWeights["similar"]> {
  const { similarRows } = await import("../../core/analysis/similar_rows.ts");
  const { onMatrix } = await import("../../core/transcoder/weights.ts");
  const { groups, d_in, d_out } = stored.shape;
  const compared = async (kind: "decoder" | "encoder", width: number) => {
    const label = `${title}: ${kind} cosines`;
    const found = await onMatrix(stored, kind, (matrix) => compareVisibly(gpu, { label, matrix, width, groups }));
    return await onMatrix(stored, kind, (rows) => similarRows(rows, width, found));
  };
  return { decoder: await compared("decoder", d_out), encoder: await compared("encoder", d_in) };
}

async function weights(options: WeightsOptions): Promise<void> {
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { openStoredRun } = await import("../../core/runs/finished.ts");
  const { weightsText } = await import("../../reports/weights_table.ts");
  const analysed: Analysed<ToldWeights>[] = [], transcoders = await openStoredRun(options.run);
  const rows = new Map<Analysed<ToldWeights>["transcoder"], readonly WeightsOfFeature[]>();
  using gpu = await openGpu();
  for (const transcoder of transcoders) {
    const { told, features } = await analyze(gpu, transcoder, options.pairs);
    analysed.push({ transcoder, result: told });
    rows.set(transcoder, features);
  }
  const text = ({ transcoder: { name, config }, result }: Analysed<ToldWeights>) =>
    `${name.title}: groups of ${config.groups.join(" + ")} features.\n\n${weightsText(result)}`;
  await print(options.run, options, analysed, text, ({ transcoder }) => {
    return rows.get(transcoder)!.map((row) => ({ ...row }));
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
