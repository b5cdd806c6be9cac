/**
 * The parts of what is browsed, made one by one as they are asked for: reports/browser/data.ts lists them.
 * @module
 */

import { dirname, join } from "node:path";
import { columnsOf } from "../../core/analysis/record.ts";
import type { FeatureSamples } from "../../core/analysis/sample_statistics.ts";
import { printable, UserError } from "../../core/errors.ts";
import { exists } from "../../core/files/exists.ts";
import { ATTRIBUTION_FILE, readAttribution } from "../../core/runs/attribution.ts";
import { COHERENCE_FILE, readCoherence } from "../../core/runs/coherence.ts";
import type { ChosenTranscoder } from "../../core/runs/discovery.ts";
import { EVALUATION_FILE, readEvaluation } from "../../core/runs/evaluation.ts";
import { FEATURES_FILE, readFeatures } from "../../core/runs/features.ts";
import { IMPORTANCE_FILE, readImportance } from "../../core/runs/importance.ts";
import { readRecord, RECORD_FILE } from "../../core/runs/record.ts";
import { readSamples, SAMPLES_FILE } from "../../core/runs/samples.ts";
import { readTranscoder } from "../../core/runs/transcoder.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { type BrowserIndex, FEATURES_PER_PART, type TranscoderEntry } from "../../reports/browser/data.ts";
import { detailMaker } from "../../reports/browser/details.ts";
import { entryOf } from "../../reports/browser/entry.ts";
import { STRONGEST } from "../../reports/browser/examples.ts";
import type { Compared, DictionaryShape, Held, Overviewed } from "../../reports/browser/explored.ts";
import { mapPart, matchPart } from "../../reports/browser/matches.ts";
import { tableOf } from "../../reports/browser/table.ts";
import { tokenStream } from "../../reports/browser/tokens.ts";
import { visibly } from "../analyze/recorded.ts";
import { MOST_BY_LOOP, type Multiplier } from "../report/dictionary.ts";

/** What is browsed, as parts. */
export interface Explored {
  /**
   * Makes a part.
   *
   * @param name Its name.
   * @returns Plain values for JSON; null where there is none of that name.
   * @throws {UserError} When a file that it is made of cannot be read.
   */
  part(name: string): Promise<object | null>;
  /** The names of all parts, those that a reader needs first in front. */
  names(): Promise<string[]>;
}

/** What else is wanted. */
export interface ExploreOptions {
  /** The version of mtc. */
  readonly version: string;
  /** Whether a server is behind the page. */
  readonly served: boolean;
  /** What was passed over, a sentence each. */
  readonly notes: readonly string[];
  /** Opens what compares rows; it is called when they are compared for the first time. */
  readonly multiplier: () => Promise<Multiplier>;
  /** How much of each feature there is; all where it is left out. */
  readonly limits?: (features: number) => Limits;
}

/** How much of a transcoder's features there is. */
export interface Limits {
  /** The features whose details are there: so many of those that the reconstruction needs most; all if left out. */
  readonly detailed?: number;
  /** The most of a feature's strongest firings. */
  readonly strongest: number;
}

/**
 * Prepares transcoders to be browsed; nothing is read yet.
 *
 * @param transcoders Which, in the order of the reports.
 * @param options What else is wanted.
 * @returns Their parts.
 */
export function explore(transcoders: readonly ChosenTranscoder[], options: ExploreOptions): Explored {
  const keys = transcoders.map(({ name: { file } }) => file), explored = new Map<string, ExploredOne>();
  const entries = new Map<string, TranscoderEntry>(), damaged = new Map<string, string>();
  /** What was made of the others is forgotten, and made again when they are asked for. */
  const open = (key: string): ExploredOne | null => {
    const chosen = transcoders[keys.indexOf(key)];
    if (!chosen) return null;
    const one = explored.get(key) ?? exploreOne(chosen, options);
    explored.delete(key);
    explored.set(key, one);
    for (const oldest of [...explored.keys()].slice(0, -KEPT)) explored.delete(oldest);
    return one;
  };
  const pairs = once(() =>
    matchable(transcoders.filter(({ name: { file } }) => !damaged.has(file)), (key) => open(key)!)
  );
  const index = async (): Promise<BrowserIndex> => {
    const { version, served, notes } = options;
    for (const key of keys.filter((key) => !entries.has(key) && !damaged.has(key))) {
      try {
        entries.set(key, await open(key)!.entry());
      } catch (error) {
        // A file is asked for of certain transcoders, a server has what there is.
        if (!served || !(error instanceof UserError)) throw error;
        damaged.set(key, error.message);
      }
    }
    const readable = keys.flatMap((key) => entries.get(key) ?? []);
    return { version, served, notes: [...notes, ...damaged.values()], pairs: await pairs(), transcoders: readable };
  };
  return {
    async part(name) {
      const [first, second, third, ...more] = name.split("/");
      if (more.length > 0) return null;
      if (first === "index" && second === undefined) return await index();
      if (first === "match") {
        const isPair = (await pairs()).some(([a, b]) => a === second && b === third);
        return isPair ? await matchOf(open(second)!, open(third)!) : null;
      }
      const one = open(first);
      if (!one) return null;
      if (second === "features") return await one.features(third);
      if (third !== undefined) return null;
      return second === "table"
        ? await one.table()
        : second === "tokens"
        ? await one.tokens()
        : second === "map"
        ? await one.map()
        : null;
    },
    async names() {
      const { transcoders, pairs } = await index();
      const named = transcoders.flatMap(({ key, has, groups }) => [
        ...[`${key}/table`, ...has.tokens ? [`${key}/tokens`] : []],
        ...Array.from(
          { length: Math.ceil(featureCount(groups) / FEATURES_PER_PART) },
          (_, n) => `${key}/features/${n}`,
        ),
        ...has.map ? [`${key}/map`] : [],
      ]);
      return ["index", ...named, ...pairs.map((pair) => `match/${pair.join("/")}`)];
    },
  };
}

/** So many transcoders stay in memory: a pair, and those beside it. */
const KEPT = 4;

/** One transcoder: whatever is made of it is made once, when it is first asked for. */
type ExploredOne = ReturnType<typeof exploreOne>;

function exploreOne(
  chosen: ChosenTranscoder,
  { multiplier, limits = () => ({ strongest: STRONGEST }) }: ExploreOptions,
) {
  const { path, config, name: { title } } = chosen, count = featureCount(config.groups), limit = limits(count);
  const transcoder = once(() => readTranscoder(path, config, true));
  const held = once(async () => await readHeld(chosen, await transcoder()));
  const overviewed = once(async () => overviewOf(await held(), await transcoder()));
  const compared = once(async () => comparedOf(await held(), await transcoder()));
  const shape = once(() => shapeOf(chosen, transcoder, multiplier));
  const details = once(async () =>
    detailMaker({
      held: await held(),
      overviewed: await overviewed(),
      compared: await compared(),
      shape: await shape(),
    })
  );
  const table = once(async () => tableOf(await held(), await overviewed()));
  const detailed = once(async () => {
    if (limit.detailed === undefined || limit.detailed >= count) return null;
    const { fvu_rise, strength } = await table();
    const value = (i: number) => fvu_rise[i] ?? strength[i] ?? -Infinity;
    return Array.from({ length: count }, (_, i) => i).sort((a, b) => value(b) - value(a) || a - b)
      .slice(0, limit.detailed).sort((a, b) => a - b);
  });
  const samples = samplesReader(chosen);
  return {
    ...{ chosen, title, held, table },
    entry: async () => entryOf(await held(), await hasMap(chosen, multiplier), await detailed()),
    async tokens() {
      const { recorded } = await held();
      return recorded && tokenStream(recorded.record);
    },
    async map() {
      const found = await shape();
      return found && mapPart(found);
    },
    async features(part: string | undefined) {
      const first = Number(part) * FEATURES_PER_PART, kept = await detailed();
      if (!/^\d+$/.test(part ?? "") || first >= count) return null;
      const all = Array.from({ length: Math.min(FEATURES_PER_PART, count - first) }, (_, i) => first + i);
      const wanted = kept === null ? all : all.filter((feature) => kept.includes(feature));
      const sampled = (await held()).recorded === null ? await samples(wanted) : new Map();
      return (await details())(wanted, sampled, limit.strongest);
    },
  };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => made ??= make();
}

/** What a run has; what it lacks, or what cannot be read, is said in its place. */
async function readHeld({ path, config, name }: ChosenTranscoder, transcoder: Transcoder): Promise<Held> {
  const missing: { what: string; command: string }[] = [];
  const read = async <T>(
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
  const analyze = (analysis: string) => `mtc analyze ${analysis} --run ${printable(path)}`;
  const record = await read(
    "Its record: tokens tinted by activation, tree, neighbours by firing, error removed at each prefix",
    analyze("features"),
    RECORD_FILE,
    () => readRecord(path, transcoder),
  );
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
    `mtc evaluate --run ${printable(path)}`,
    EVALUATION_FILE,
    () => readEvaluation(path),
  );
  // Those of a reading set say more, and an imported transcoder never had others.
  const features = record !== null && !await exists(join(path, FEATURES_FILE)) ? null : await read(
    "Figures of the final pass",
    record === null ? analyze("features") : `mtc train --resume ${printable(dirname(path))}`,
    FEATURES_FILE,
    () => readFeatures(path, config.groups),
  );
  return {
    ...{ directory: path, name, config, missing, attribution, importance, coherence, evaluation, features },
    recorded: record && { record, columns: columnsOf(record, featureCount(config.groups)) },
  };
}

async function overviewOf(
  { recorded, name: { title } }: Held,
  { weights, shape }: Transcoder,
): Promise<Overviewed | null> {
  if (recorded === null) return null;
  const { clusterFeatures } = await import("../../core/analysis/clusters.ts");
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { featuresOverview } = await import("../../core/analysis/feature_overview.ts");
  const { hierarchy } = await import("../../core/analysis/hierarchy.ts");
  const { characteristicTokens } = await import("../../core/analysis/token_profile.ts");
  const { record, columns } = recorded, features = featureCount(shape.groups);
  return {
    overview: featuresOverview(record),
    known: characteristicTokens(columns, record),
    hierarchy: shape.groups.length < 2
      ? null
      : visibly(`${title}: looking for parents`, (onProgress) =>
        hierarchy(record, directionsOf(weights.decoder, shape.d_out), onProgress)),
    clusters: visibly(`${title}: clusters`, (onProgress) => clusterFeatures(record, features, onProgress)),
  };
}

async function comparedOf(
  { recorded, name: { title } }: Held,
  { weights, shape }: Transcoder,
): Promise<Compared | null> {
  if (recorded === null) return null;
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { featurePatterns } = await import("../../core/analysis/feature_patterns.ts");
  const { firingSimilarities } = await import("../../core/analysis/similarity.ts");
  const { record } = recorded, decoder = directionsOf(weights.decoder, shape.d_out);
  return {
    firing: visibly(`${title}: comparing features`, (onProgress) => firingSimilarities(record, decoder, onProgress)),
    patterns: visibly(
      `${title}: patterns`,
      (onProgress) => featurePatterns(record, featureCount(shape.groups), onProgress),
    ),
  };
}

/** Whether all pairs of a dictionary's rows can be compared in the time that a reader waits. */
async function hasMap(
  { config: { features, d_out } }: ChosenTranscoder,
  multiplier: ExploreOptions["multiplier"],
): Promise<boolean> {
  const work = features ** 2 * d_out;
  return work <= MOST_BY_LOOP || work <= (await multiplier()).most;
}

async function shapeOf(
  chosen: ChosenTranscoder,
  transcoder: () => Promise<Transcoder>,
  multiplier: ExploreOptions["multiplier"],
): Promise<DictionaryShape | null> {
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { featureMap } = await import("../../core/analysis/feature_map.ts");
  const { Progress } = await import("../progress.ts");
  if (!await hasMap(chosen, multiplier)) return null;
  const { cosines, moment } = await multiplier(),
    { weights: { decoder }, shape: { d_out, groups } } = await transcoder();
  const written = directionsOf(decoder, d_out), progress = new Progress(`${chosen.name.title}: decoder cosines`);
  try {
    const compared = await cosines(written, groups, (done, total) => progress.advance({ done, total }));
    return { neighbours: compared.cosines.neighbours, map: featureMap(written, await moment(written.rows, d_out)) };
  } finally {
    progress.stop();
  }
}

/** The pairs of transcoders whose records are of the same tokens. */
async function matchable(
  transcoders: readonly ChosenTranscoder[],
  open: (key: string) => ExploredOne,
): Promise<[string, string][]> {
  const { sameTokens } = await import("../../core/analysis/matching.ts");
  const { pairsToCompare } = await import("../../core/runs/analysed.ts");
  const found: [string, string][] = [];
  for (const [a, b] of pairsToCompare(transcoders)) {
    const [first, second] = [(await open(a.name.file).held()).recorded, (await open(b.name.file).held()).recorded];
    if (first && second && sameTokens(first.record, second.record)) found.push([a.name.file, b.name.file]);
  }
  return found;
}

const matches = new WeakMap<ExploredOne, Map<ExploredOne, object>>();

async function matchOf(a: ExploredOne, b: ExploredOne): Promise<object> {
  const { matchFeatures, sameTokens } = await import("../../core/analysis/matching.ts");
  const known = matches.get(a)?.get(b);
  if (known) return known;
  const shared = sameTokens((await a.held()).recorded!.record, (await b.held()).recorded!.record)!;
  const found = matchPart(
    visibly(
      `${a.title} and ${b.chosen.name.phrase}: matching features`,
      (onProgress) => matchFeatures(...shared, onProgress),
    ),
  );
  matches.set(a, (matches.get(a) ?? new Map()).set(b, found));
  return found;
}

/** Reads samples of some features; the file is gone through once as long as they are asked for in their order. */
function samplesReader(
  { path, config }: ChosenTranscoder,
): (wanted: readonly number[]) => Promise<Map<number, FeatureSamples>> {
  let lines: AsyncGenerator<FeatureSamples> | null = null, next = 0;
  return async (wanted) => {
    const found = new Map<number, FeatureSamples>(), last = wanted[wanted.length - 1];
    if (wanted.length === 0 || !await exists(join(path, SAMPLES_FILE))) return found;
    if (lines === null || wanted[0] < next) [lines, next] = [readSamples(path, config.groups), 0];
    while (next <= last) {
      const { done, value } = await lines.next();
      if (done) break;
      if (wanted.includes(next++)) found.set(value.feature, value);
    }
    return found;
  };
}
