/**
 * What tools show of a run's features: their cards, the logits that they raise and lower, and what they are called.
 * @module
 */

import { directionsOf } from "../../core/analysis/directions.ts";
import type { FeatureCard } from "../../core/analysis/feature_card.ts";
import type { Parent } from "../../core/analysis/parents.ts";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import type { WrittenTokens } from "../../core/passes/logits_written.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import { groupOf, prefixEnds } from "../../core/transcoder/shape.ts";
import { visibleToken } from "../../reports/tokens.ts";
import type { Moved } from "../analyze/reading.ts";
import { Progress } from "../progress.ts";

/** Tokens told at either end of the logits. */
const LOGITS = 10;

/** A token and by how much a feature raises it. */
export interface ToldLogit {
  /** Its text. */
  readonly token: string;
  /** Logits per unit of activation, less the mean over the vocabulary. */
  readonly value: number;
}

/** A feature as tools show it. */
export interface ShownFeature extends FeatureCard {
  /** The tokens that it is known by, the prefix that it is of and its parent: `␣peace ␣war, prefix 384, under 17 ␣nation`. */
  readonly label: string;
  /** The logits that it raises, the most first; empty where its target is not added to the residual stream as it is. */
  readonly raised: readonly ToldLogit[];
  /** Those that it lowers. */
  readonly lowered: readonly ToldLogit[];
}

/** A transcoder's features. */
export interface ShownTranscoder {
  /** Its record. */
  readonly record: FeatureRecord;
  /** The text of a token of the record. */
  readonly textOf: (token: number) => string;
  /** Goes through the first features. */
  readonly show: (features: number) => Generator<ShownFeature>;
}

/**
 * Gathers what is shown of the features of a run. Records that are missing are made, which reads the reading set; the logits take the model.
 *
 * @param transcoders Of one run, each with a single target.
 * @param moved Where model and text are to be looked for.
 * @returns One for each.
 * @throws {UserError} When a record is damaged, or model or text cannot be read or are not those that the run was trained on.
 */
export async function showFeatures(
  transcoders: readonly FinishedTranscoder[],
  moved: Moved,
): Promise<ShownTranscoder[]> {
  const { recordsOf } = await import("../analyze/records.ts");
  const { featureCards } = await import("../../core/analysis/feature_card.ts");
  const { hierarchy } = await import("../../core/analysis/hierarchy.ts");
  const records = await recordsOf(transcoders, moved), { logits, tokenText } = await logitsOf(transcoders, moved);
  return transcoders.map(({ name: { title }, transcoder: { weights, shape } }, i) => {
    const record = records[i], { id, tokenTexts } = record, ends = prefixEnds(shape.groups);
    const parents = shape.groups.length < 2 ? [] : visibly(
      `${title}: looking for parents`,
      (onProgress) => hierarchy(record, directionsOf(weights.decoder, shape.d_out), onProgress).parents,
    );
    const told = (tokens: WrittenTokens["raised"]) => tokens.map(({ id, value }) => ({ token: tokenText(id), value }));
    return {
      record,
      textOf: (token) => tokenTexts.get(id[token])!,
      *show(features) {
        const names: string[] = [];
        for (const card of featureCards(record, features)) {
          const { feature, knownBy } = card, known = knownBy.map((id) => visibleToken(tokenTexts.get(id)!)).join(" ");
          names.push(known);
          yield {
            ...card,
            label: labelOf(known, ends[groupOf(shape.groups, feature)], parents[feature] ?? null, names),
            raised: told(logits[i]?.[feature].raised ?? []),
            lowered: told(logits[i]?.[feature].lowered ?? []),
          };
        }
      },
    };
  });
}

/** A parent is of an earlier group, so it has its name already. */
function labelOf(known: string, end: number, parent: Parent | null, names: readonly string[]): string {
  const under = parent ? `, under ${parent.parent} ${names[parent.parent]}`.trimEnd() : "";
  return `${known === "" ? "never fires" : known}, prefix ${end}${under}`;
}

async function logitsOf(transcoders: readonly FinishedTranscoder[], { model }: Moved) {
  const { onModel } = await import("../analyze/on_model.ts");
  const { configOf } = await import("../../core/model/config.ts");
  const { isAdded } = await import("../../core/model/residual.ts");
  const { logitsWritten } = await import("../../core/passes/logits_written.ts");
  const { requireSameModel } = await import("../../core/runs/same_model.ts");
  const { loadTokenizer } = await import("../../core/text/tokenizer.ts");
  return await onModel(transcoders, model, async (gpu, files) => {
    const [{ directory, config: { model: trained } }] = transcoders, config = configOf(files);
    await requireSameModel(trained, files, `use the model ${files.path ?? files.name} with ${directory}`);
    const logits: (WrittenTokens[] | null)[] = [];
    for (
      const { name: { title }, config: { targets: [{ site }] }, transcoder: { weights: { decoder } } } of transcoders
    ) {
      if (!isAdded(site)) {
        logits.push(null);
        continue;
      }
      const progress = new Progress(`${title}: logits`);
      const onProgress = (done: number, total: number) => progress.advance({ done, total });
      try {
        logits.push(
          await logitsWritten({ gpu, weights: files.weights, config, writes: decoder, most: LOGITS, onProgress }),
        );
      } finally {
        progress.stop();
      }
    }
    return { logits, tokenText: loadTokenizer(files).tokenText };
  });
}

function visibly<T>(label: string, work: (onProgress: (done: number, total: number) => void) => T): T {
  const progress = new Progress(label);
  try {
    return work((done, total) => progress.advance({ done, total }));
  } finally {
    progress.stop();
  }
}
