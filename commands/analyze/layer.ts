/**
 * `mtc analyze layer`: what is particular about a layer.
 * @module
 */

import type { Command } from "commander";
import type { BestMatches, Matching } from "../../core/analysis/matching.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import type { StoredTranscoder } from "../../core/transcoder/weights.ts";
import type { StoredAttribution } from "../../core/runs/attribution.ts";
import type { ToldLayer } from "../../reports/layer_table.ts";
import { type Analysed, type CsvRow, keep, print } from "./output.ts";
import { openRecorded, type Recorded, recordedCommand, type RecordedOptions, visibly } from "./recorded.ts";

/** Held-out tokens that features are attributed on, where that was not done yet. */
const TOKENS = 2048;
/** Features whose tokens are told with it. */
const TOLD = 100;

/** What features are made of: read where it was measured, measured and kept where it was not. */
async function attributions(
  transcoders: readonly FinishedTranscoder<StoredTranscoder>[],
  options: RecordedOptions,
): Promise<Map<FinishedTranscoder<StoredTranscoder>, StoredAttribution>> {
  const { residualSum } = await import("../../core/model/residual.ts");
  const { readAttribution, writeAttribution } = await import("../../core/runs/attribution.ts");
  const { wholeOf } = await import("../../core/runs/finished.ts");
  const found = new Map<FinishedTranscoder<StoredTranscoder>, StoredAttribution>(),
    lacking: typeof transcoders[number][] = [];
  for (const one of transcoders) {
    const stored = await readAttribution(one.directory, one.config);
    if (stored) found.set(one, stored);
    else if (residualSum(one.config.source) !== null) lacking.push(one);
  }
  if (lacking.length === 0) return found;
  const { measureAll } = await import("./attribution_measures.ts");
  const whole = await Promise.all(lacking.map(wholeOf));
  const measured = await measureAll(whole, { ...options, tokens: TOKENS, top: TOLD });
  measured.forEach(({ result }, n) => found.set(lacking[n], result));
  await keep(measured, (directory, { result }) => writeAttribution(directory, result));
  return found;
}

/**
 * Finds the features of transcoders in those of other layers; each pair is looked at once.
 *
 * @param recorded The transcoders with their records.
 * @param keep Hears of all that there is of each pair, if it is wanted.
 * @returns For each the others that it is held against, and how they have its features.
 */
export async function matchesOf(
  recorded: readonly Recorded[],
  keep?: (here: Recorded["transcoder"], other: Recorded["transcoder"], matching: Matching) => void,
): Promise<ReadonlyMap<Recorded, ReadonlyMap<Recorded, BestMatches>>> {
  const { bestMatches, matchWithBest, sameTokens } = await import("../../core/analysis/matching.ts");
  const { otherLayers } = await import("../../core/runs/other_layers.ts");
  const found = new Map<Recorded, Map<Recorded, BestMatches>>(recorded.map((one) => [one, new Map()]));
  const all = recorded.map((one) => ({ one, config: one.transcoder.config }));
  for (const here of all) {
    for (const { one: other } of otherLayers(here, all)) {
      if (found.get(here.one)!.has(other)) continue;
      const shared = sameTokens(here.one.record, other.record);
      if (shared === null) continue;
      const { name: { title } } = here.one.transcoder, { name: { phrase } } = other.transcoder;
      const [there, back] = visibly(
        `${title}: looking in ${phrase}`,
        (onProgress) => {
          if (!keep) return bestMatches(...shared, onProgress);
          const { matching, best } = matchWithBest(...shared, onProgress);
          keep(here.one.transcoder, other.transcoder, matching);
          return best;
        },
      );
      found.get(here.one)!.set(other, there);
      if (otherLayers(all.find(({ one }) => one === other)!, all).includes(here)) found.get(other)!.set(here.one, back);
    }
  }
  return found;
}

function csvRows({ result: { features } }: Analysed<ToldLayer>): CsvRow[] {
  return features.map(({ feature, group, fires, mass, explained, kind, is_close, shares, best_elsewhere, is_own }) => ({
    ...{ feature, group, fires, mass, kind, is_close },
    ...Object.fromEntries(
      Object.entries(explained).flatMap(([predictor, { r2, error }]) => [
        [`${predictor}_r2`, r2],
        [`${predictor}_r2_error`, error],
      ]),
    ),
    share_embedding: shares && shares.embedding,
    share_earlier_attention: shares && shares.earlier_attention,
    share_earlier_mlps: shares && shares.earlier_mlps,
    share_own_attention: shares && shares.own_attention,
    share_own_mlp: shares && shares.own_mlp,
    ...{ best_elsewhere, is_own },
  }));
}

async function layer(options: RecordedOptions): Promise<void> {
  const { analyseLayer, LAYER_DEFINITIONS } = await import("../../core/analysis/layer.ts");
  const { featureNames } = await import("../../reports/feature_names.ts");
  const { layerText } = await import("../../reports/layer_table.ts");
  const recorded = await openRecorded(options), matches = await matchesOf(recorded);
  const made = await attributions(recorded.map(({ transcoder }) => transcoder), options);
  const analysed = recorded.map((one): Analysed<ToldLayer> => {
    const { transcoder, record } = one, attribution = made.get(one.transcoder);
    const others = [...matches.get(one)!].map(([other, matches]) => ({ name: other.transcoder.name.phrase, matches }));
    const result = visibly(
      `${transcoder.name.title}: predicting activations`,
      (onProgress) => analyseLayer({ record, attribution, others, onProgress }),
    );
    return {
      transcoder,
      result: { ...result, attribution: attribution ?? null, definitions: { ...LAYER_DEFINITIONS } },
    };
  });
  const text = ({ transcoder, result }: Analysed<ToldLayer>) => {
    const { record } = recorded.find((one) => one.transcoder === transcoder)!;
    return `${transcoder.name.title}: ${layerText(result, featureNames(record))}`;
  };
  await print(options.run, options, analysed, text, csvRows);
}

/** The command `mtc analyze layer`. */
export function layerCommand(): Command {
  return recordedCommand(
    "layer",
    "Tells what is particular about a layer: which features are told by their token and which are made from context, whether embedding, attention or " +
      "earlier MLPs lift them, and which of them the other layers of the run lack. What features are made of is measured with the model where `mtc " +
      "analyze attribution` has not done so; all else is arithmetic on the record.",
    "a row per feature",
  )
    .addHelpText(
      "after",
      "\nGive a run to hold its layers against each other; each is held against the four nearest." +
        "\n\nExamples:\n  mtc analyze layer --run runs/first\n" +
        "  mtc analyze layer --run runs/first/layer2 --csv > layer.csv",
    )
    .action(layer);
}
