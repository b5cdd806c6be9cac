/**
 * What the explorer's parts are made of: what a run holds of a transcoder, and what its record and its weights say.
 * @module
 */

import { join } from "node:path";
import { columnsOf } from "../../core/analysis/record.ts";
import { UserError } from "../../core/errors.ts";
import { exists } from "../../core/files/exists.ts";
import { ATTRIBUTION_FILE, readAttribution } from "../../core/runs/attribution.ts";
import { COHERENCE_FILE, readCoherence } from "../../core/runs/coherence.ts";
import type { ChosenTranscoder } from "../../core/runs/discovery.ts";
import { EVALUATION_FILE, readEvaluation } from "../../core/runs/evaluation.ts";
import { FEATURES_FILE, readFeatures } from "../../core/runs/features.ts";
import { IMPORTANCE_FILE, readImportance } from "../../core/runs/importance.ts";
import { readRecord, RECORD_FILE } from "../../core/runs/record.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { HERE } from "../../reports/browser/data.ts";
import type { Recorded } from "../../reports/browser/examples.ts";
import type { Compared, DictionaryShape, Held, Overviewed } from "../../reports/browser/explored.ts";
import { visibly } from "../analyze/recorded.ts";
import { Progress } from "../progress.ts";
import { MOST_BY_LOOP, type Multiplier } from "../report/dictionary.ts";

/**
 * Says what is being done, where it cannot be said how far it is.
 *
 * @param label What.
 * @param work Does it.
 * @returns Its outcome.
 */
export async function staged<T>(label: string, work: () => T | Promise<T>): Promise<T> {
  const progress = new Progress(label);
  progress.show(0, 1, "", null);
  try {
    return await work();
  } finally {
    progress.stop();
  }
}

/** What is not there, with what makes it. */
type Missing = { what: string; command: string }[];

const analyze = (analysis: string) => `mtc analyze ${analysis} --run ${HERE}`;

/** Reads what may be missing: what is, or cannot be read, is said in its place. */
function reader(path: string, missing: Missing) {
  return async <T>(
    what: string,
    command: string,
    file: string,
    reader: () => Promise<T | null | undefined>,
  ): Promise<T | null> => {
    try {
      const found = await exists(join(path, file)) ? await reader() : null;
      if (found === null || found === undefined) missing.push({ what, command });
      return found ?? null;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      missing.push({ what: `${what} (${error.message})`, command });
      return null;
    }
  };
}

/**
 * Reads the record of a transcoder.
 *
 * @param chosen The transcoder.
 * @param transcoder Its weights.
 * @param missing Hears what is not there.
 * @returns It, with its columns; null where there is none.
 */
export async function readRecorded(
  { path, config: { groups } }: ChosenTranscoder,
  transcoder: Transcoder,
  missing: Missing,
): Promise<Held["recorded"]> {
  const record = await reader(path, missing)(
    "Its record: tokens tinted by activation, tree, neighbours by firing, error removed at each prefix",
    analyze("features"),
    RECORD_FILE,
    () => readRecord(path, transcoder),
  );
  return record && { record, columns: columnsOf(record, featureCount(groups)) };
}

/**
 * Reads what else a run has of a transcoder. For a large dictionary that takes as much memory as the arithmetic on its record, which is to
 * have ended before.
 *
 * @param chosen The transcoder.
 * @param recorded Its record.
 * @param missing What was found missing before, and hears of more.
 * @returns All of it.
 */
export async function readHeld(
  { path, config, name }: ChosenTranscoder,
  recorded: Held["recorded"],
  missing: Missing,
): Promise<Held> {
  const read = reader(path, missing);
  const attribution = await read(
    "What features read and write, and where their pre-activation comes from",
    analyze("attribution"),
    ATTRIBUTION_FILE,
    () => readAttribution(path, config),
  );
  const importance = await read(
    "What the model's predictions lose without a feature",
    analyze("importance"),
    IMPORTANCE_FILE,
    () => readImportance(path, config),
  );
  const coherence = await read(
    "Semantic coherence",
    analyze("coherence"),
    COHERENCE_FILE,
    () => readCoherence(path, config),
  );
  const evaluation = await read(
    "Held-out figures",
    `mtc evaluate --run ${HERE}`,
    EVALUATION_FILE,
    () => readEvaluation(path),
  );
  // Those of a reading set say more, and an imported transcoder never had others.
  const features = recorded !== null && !await exists(join(path, FEATURES_FILE)) ? null : await read(
    "Figures of the final pass",
    recorded === null ? analyze("features") : `mtc train --resume ${HERE}/..`,
    FEATURES_FILE,
    () => readFeatures(path, config.groups),
  );
  return { directory: path, name, config, recorded, missing, attribution, importance, coherence, evaluation, features };
}

/**
 * Computes what the table and the tree are made of.
 *
 * @param title What the transcoder is called.
 * @param recorded Its record.
 * @param transcoder Its weights.
 * @returns It.
 */
export async function overviewOf(
  title: string,
  { record, columns }: Recorded,
  { weights, shape }: Transcoder,
): Promise<Overviewed> {
  const { clusterFeatures } = await import("../../core/analysis/clusters.ts");
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { featuresOverview } = await import("../../core/analysis/feature_overview.ts");
  const { hierarchy } = await import("../../core/analysis/hierarchy.ts");
  const { characteristicTokens } = await import("../../core/analysis/token_profile.ts");
  const features = featureCount(shape.groups);
  const [overview, known] = await staged(`${title}: counting tokens`, () => {
    return [featuresOverview(record), characteristicTokens(columns, record)] as const;
  });
  return {
    ...{ overview, known },
    hierarchy: shape.groups.length < 2
      ? null
      : visibly(`${title}: looking for parents`, (onProgress) =>
        hierarchy(record, directionsOf(weights.decoder, shape.d_out), onProgress)),
    clusters: visibly(`${title}: clusters`, (onProgress) => clusterFeatures(record, features, onProgress)),
  };
}

/**
 * Computes what else the pages of single features are made of.
 *
 * @param title What the transcoder is called.
 * @param recorded Its record.
 * @param transcoder Its weights.
 * @returns It.
 */
export async function comparedOf(
  title: string,
  { record }: Recorded,
  { weights, shape }: Transcoder,
): Promise<Compared> {
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { featurePatterns } = await import("../../core/analysis/feature_patterns.ts");
  const { firingSimilarities } = await import("../../core/analysis/similarity.ts");
  const decoder = directionsOf(weights.decoder, shape.d_out);
  return {
    firing: visibly(`${title}: comparing features`, (onProgress) => firingSimilarities(record, decoder, onProgress)),
    patterns: visibly(
      `${title}: patterns`,
      (onProgress) => featurePatterns(record, featureCount(shape.groups), onProgress),
    ),
  };
}

/**
 * Compares all pairs of a dictionary's rows, where that takes no longer than a reader waits.
 *
 * @param chosen The transcoder.
 * @param weights Its weights.
 * @param multiplier Opens what compares them; it is called for large ones alone to ask how much it takes.
 * @returns What they say; null where it would take too long.
 */
export async function shapeOf(
  { name: { title }, config: { features } }: ChosenTranscoder,
  { weights: { decoder }, shape: { d_out, groups } }: Transcoder,
  multiplier: () => Promise<Multiplier>,
): Promise<DictionaryShape | null> {
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { featureMap } = await import("../../core/analysis/feature_map.ts");
  const work = features ** 2 * d_out;
  if (work > MOST_BY_LOOP && work > (await multiplier()).most) return null;
  const { cosines, moment } = await multiplier(), written = directionsOf(decoder, d_out);
  const progress = new Progress(`${title}: decoder cosines`);
  try {
    const compared = await cosines(written, groups, (done, total) => progress.advance({ done, total }));
    return { neighbours: compared.cosines.neighbours, map: featureMap(written, await moment(written.rows, d_out)) };
  } finally {
    progress.stop();
  }
}
