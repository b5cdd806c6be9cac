/**
 * `mtc analyze similarity`: which features are alike.
 * @module
 */

import type { Command } from "commander";
import type { Gpu } from "../../core/gpu/device.ts";
import type { ToldCosines, ToldSimilarity } from "../../reports/similarity_table.ts";
import { type ComparedRows, compareVisibly } from "./cosines.ts";
import { type Analysed, type CsvRow, print } from "./output.ts";
import { openRecorded, type Recorded, recordedCommand, type RecordedOptions, visibly } from "./recorded.ts";

async function cosinesOf(gpu: Gpu, rows: ComparedRows): Promise<ToldCosines> {
  const { cosines, by_chance: { neighbours: _, ...by_chance } } = await compareVisibly(gpu, rows);
  return { cosines, by_chance };
}

async function analyze(gpu: Gpu, { transcoder: { transcoder, name }, record }: Recorded): Promise<ToldSimilarity> {
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { firingSimilarities } = await import("../../core/analysis/similarity.ts");
  const { read, shape: { d_in, d_out, groups } } = transcoder;
  // Each matrix is read when it is compared, and again for the next thing: a large one is not to be held twice.
  const cosines = async (kind: "decoder" | "encoder", width: number) => {
    const label = `${name.title}: ${kind} cosines`, matrix = await read(kind);
    try {
      return await cosinesOf(gpu, { label, matrix, width, groups });
    } finally {
      matrix.buffer.transfer(0);
    }
  };
  const compared = { decoder: await cosines("decoder", d_out), encoder: await cosines("encoder", d_in) };
  const decoder = await read("decoder"), directions = directionsOf(decoder, d_out, decoder);
  return {
    ...compared,
    firing: visibly(
      `${name.title}: comparing features`,
      (onProgress) => firingSimilarities(record, directions, onProgress),
    ),
  };
}

function csvRows({ result: { decoder, encoder, firing } }: Analysed<ToldSimilarity>): CsvRow[] {
  const measures = {
    decoder_cosine: decoder.cosines,
    encoder_cosine: encoder.cosines,
    correlation: firing.correlation,
    jaccard: firing.jaccard,
  };
  return Object.entries(measures).flatMap(([measure, { neighbours }]) =>
    neighbours.flatMap((near, feature) =>
      near.map(({ feature: other, value }, i) => ({ feature, measure, rank: i + 1, other, value }))
    )
  );
}

async function similarity(options: RecordedOptions): Promise<void> {
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { similarityText } = await import("../../reports/similarity_table.ts");
  const { featureNames } = await import("../../reports/feature_names.ts");
  const recorded = await openRecorded(options), analysed: Analysed<ToldSimilarity>[] = [];
  using gpu = await openGpu();
  for (const one of recorded) analysed.push({ transcoder: one.transcoder, result: await analyze(gpu, one) });
  const text = ({ transcoder, result }: Analysed<ToldSimilarity>) => {
    const { record } = recorded.find((one) => one.transcoder === transcoder)!;
    return `${transcoder.name.title}: ${similarityText(result, featureNames(record))}`;
  };
  await print(options.run, options, analysed, text, csvRows);
}

/** The command `mtc analyze similarity`. */
export function similarityCommand(): Command {
  return recordedCommand(
    "similarity",
    "Compares all pairs of features: by what they write and read (cosines) and by when they fire (correlation, Jaccard index), beside what " +
      "chance gives; lists duplicates, and features that fire only where another does.",
    "a row per feature and each of its ten nearest, by each measure,",
  )
    .addHelpText(
      "after",
      "\nAll pairs are compared, so cosines cost the square of the features: 4,608 of width 2,304 take a minute of one core with a software " +
        "driver, 65,536 two hundred times that, which wants a GPU. Firing costs what the tokens have pairs of active features.\n" +
        "\nExamples:\n  mtc analyze similarity --run runs/first/layer2\n" +
        "  mtc analyze similarity --run runs/first --csv > neighbours.csv",
    )
    .action(similarity);
}
