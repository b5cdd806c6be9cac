/**
 * Comparing two transcoders by their records and weights.
 * @module
 */

import type { Matching } from "../../core/analysis/matching.ts";
import type { ComparedHierarchy, HierarchyContrast } from "../../core/analysis/portrait.ts";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import { UserError } from "../../core/errors.ts";
import type { EvolvedSide } from "../../core/analysis/evolution.ts";
import type { EqualSparsity } from "../../core/runs/equal_sparsity.ts";
import type { ComparedSide, EqualReconstructions, ToldComparison } from "../../reports/compared.ts";
import { openModelVisibly } from "../open_model.ts";
import { Progress } from "../progress.ts";
import { type Recorded, visibly } from "./recorded.ts";
import type { Moved } from "./reading.ts";
import { makeRecords } from "./records.ts";

type Stored = Recorded["transcoder"];

/** What is compared, and with what. */
export interface ComparisonOptions {
  /** The first transcoder with its record. */
  readonly a: Recorded;
  /** The second one. */
  readonly b: Recorded;
  /** The hierarchies of both, where they are known. */
  readonly hierarchies?: readonly [ComparedHierarchy | null, ComparedHierarchy | null];
  /** Their features matched, where that is known. */
  readonly matching?: Matching;
  /**
   * What the model may be taken for: nothing, the gain of a norm that the later transcoder reads behind, or that and, with the text, the
   * reconstructions at as many active features of any two, or of two that predict the same, where these were not measured yet.
   */
  readonly model: "nothing" | "gain" | "equal L0" | "equal L0 of one target";
  /** Where model and text are to be looked for. */
  readonly moved: Moved;
  /** How tokens that features are known by are written; visibly if left out. */
  readonly written?: (token: string) => string;
  /** Hears of what is left out, and why. */
  readonly leaveOut: (what: LeftOut, error: UserError) => void;
}

/** What a comparison may have to do without. */
export type LeftOut = "FVU at equal L0" | "how features go on";

/**
 * Compares two transcoders.
 *
 * @param options Which.
 * @returns All that is told of them.
 * @throws {UserError} When they were recorded on different tokens, or a file that is needed cannot be read.
 */
export async function compareRecorded(options: ComparisonOptions): Promise<ToldComparison> {
  const { a, b, hierarchies } = options;
  const { compareReconstructions } = await import("../../core/analysis/equal_sparsity.ts");
  const { evolvedSide } = await import("../../core/analysis/evolution.ts");
  const { matchFeatures, sameTokens } = await import("../../core/analysis/matching.ts");
  const { comparePortraits } = await import("../../core/analysis/portrait.ts");
  const { comparisonExamples, featureViewer } = await import("../../reports/comparison_examples.ts");
  const shared = sameTokens(a.record, b.record), title = titleOf(a.transcoder, b.transcoder);
  if (shared === null) throw differentTokens(a.transcoder, b.transcoder);
  const [first, second] = shared, sides = [evolvedSide(first), evolvedSide(second)] as const;
  const matching = options.matching ??
    visibly(`${title}: matching features`, (onProgress) => matchFeatures(...shared, onProgress));
  const placed = [{ ...sides[0], one: a.transcoder }, { ...sides[1], one: b.transcoder }] as const;
  const evolution = await evolutionOf(placed, matching, title, options);
  return {
    sides: [await sideOf(a.transcoder), await sideOf(b.transcoder)],
    same_target: haveSameTarget(a.transcoder, b.transcoder),
    reconstructions: compareReconstructions(first, second),
    at_equal_l0: await atEqualSparsity(shared, options),
    matching,
    portraits: comparePortraits(...sides),
    hierarchy: await contrastOf(hierarchies ?? await hierarchiesOf(title, [a.transcoder, b.transcoder], shared)),
    evolution,
    examples: comparisonExamples(
      [featureViewer(first, options.written), featureViewer(second, options.written)],
      matching,
      typeof evolution === "string" ? null : evolution,
    ),
  };
}

function titleOf(a: Stored, b: Stored): string {
  return a.name.title === b.name.title ? a.name.title : `${a.name.title} and ${b.name.phrase}`;
}

function differentTokens(a: Stored, b: Stored): UserError {
  return new UserError({
    action: `compare ${a.directory} with ${b.directory}`,
    requirement: "both must have been recorded on the same tokens",
    found: "their reading sets have others",
    remedy: "compare runs on the same text with the same tokenizer and --context",
  });
}

async function sideOf({ directory, config: { groups } }: Stored): Promise<ComparedSide> {
  const { EVALUATION_FILE, readEvaluation } = await import("../../core/runs/evaluation.ts");
  const { exists } = await import("../../core/files/exists.ts");
  const { join } = await import("node:path");
  const evaluation = await exists(join(directory, EVALUATION_FILE)) ? await readEvaluation(directory) : undefined;
  return {
    ...{ run: directory, groups },
    cosine: evaluation?.cosine ?? null,
    loss_recovered: evaluation?.loss?.per_prefix.at(-1)?.recovered_zero ?? null,
  };
}

/** Whether both belong to the same model, as far as their runs say. */
function haveSameModel({ config: { model: a } }: Stored, { config: { model: b } }: Stored) {
  const isKnown = a.fingerprint !== undefined && b.fingerprint !== undefined;
  if (isKnown) return a.fingerprint === b.fingerprint;
  return a.name === b.name && a.d_model === b.d_model && a.layers === b.layers;
}

function haveSameTarget(a: Stored, b: Stored): boolean {
  const targets = ({ config }: Stored) => JSON.stringify(config.targets);
  return targets(a) === targets(b) && haveSameModel(a, b);
}

async function hierarchiesOf(
  title: string,
  transcoders: readonly [Stored, Stored],
  records: readonly [FeatureRecord, FeatureRecord],
): Promise<[ComparedHierarchy | null, ComparedHierarchy | null]> {
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { onMatrix } = await import("../../core/transcoder/weights.ts");
  const { nestedHierarchy } = await import("../../core/analysis/hierarchy.ts");
  if (transcoders.some(({ config: { groups } }) => groups.length < 2)) return [null, null];
  const found = async ({ transcoder }: Stored, record: FeatureRecord) =>
    await onMatrix(transcoder, "decoder", (rows) => {
      const directions = directionsOf(rows, transcoder.shape.d_out, rows);
      return visibly(
        `${title}: looking for parents`,
        (onProgress) => nestedHierarchy(record, directions, onProgress),
      );
    });
  return [await found(transcoders[0], records[0]), await found(transcoders[1], records[1])];
}

async function contrastOf(
  [a, b]: readonly [ComparedHierarchy | null, ComparedHierarchy | null],
): Promise<HierarchyContrast | null> {
  const { compareHierarchies } = await import("../../core/analysis/portrait.ts");
  return a && b && compareHierarchies(a, b);
}

type Side = EvolvedSide & { readonly one: Stored };

async function evolutionOf(
  [a, b]: readonly [Side, Side],
  { mutual }: Matching,
  title: string,
  { model, moved, leaveOut }: ComparisonOptions,
): Promise<ToldComparison["evolution"]> {
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { evolutionVerdict } = await import("../../core/analysis/evolution.ts");
  const { residualSum } = await import("../../core/model/residual.ts");
  const { onMatrix } = await import("../../core/transcoder/weights.ts");
  const { measureEvolution, reachOf } = await import("../../core/passes/responses.ts");
  if (!haveSameModel(a.one, b.one)) return "other model";
  if (a.judged.length === 0 || b.judged.length === 0) return "nothing fires";
  const forward = reachOf(a.one.config, b.one.config), isForward = forward === "reads";
  if (!isForward && reachOf(b.one.config, a.one.config) !== "reads") return forward;
  const [from, to] = isForward ? [a, b] : [b, a];
  if (model === "nothing" && residualSum(to.one.config.source)!.norm !== null) return "left out";
  const progress = new Progress(`${title}: responses`);
  try {
    using gpu = await openGpu();
    const gain = await gainOf(to.one, moved), { transcoder: writing } = from.one, { transcoder: reading } = to.one;
    const figures = await onMatrix(
      writing,
      "decoder",
      (decoder) =>
        onMatrix(reading, "encoder", (encoder) =>
          measureEvolution({
            ...{ gpu, gain },
            from: { ...from, decoder, d_out: writing.shape.d_out },
            to: { ...to, encoder, d_in: reading.shape.d_in },
            mutual: isForward ? mutual : mutual.map(({ a, b, correlation }) => ({ a: b, b: a, correlation })),
            onProgress: (done, total) => progress.advance({ done, total }),
          })),
    );
    return { from: isForward ? "a" : "b", figures, verdict: evolutionVerdict(figures) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    leaveOut("how features go on", error);
    return "left out";
  } finally {
    progress.stop();
  }
}

/** The gain of the norm that a transcoder's source lies behind; null where there is none. */
async function gainOf(one: Stored, { model }: Moved): Promise<Float32Array | null> {
  const { residualSum } = await import("../../core/model/residual.ts");
  const { readGain } = await import("../../core/model/weights.ts");
  const { modelOf } = await import("../../core/runs/finished.ts");
  const { requireSameModel } = await import("../../core/runs/same_model.ts");
  const norm = residualSum(one.config.source)!.norm;
  if (norm === null) return null;
  const files = await openModelVisibly(model ?? modelOf([one]));
  try {
    await requireSameModel(one.config.model, files, `compare ${one.directory}`);
    return await readGain(files.weights, norm, one.config.model.d_model);
  } finally {
    await files.weights.close();
  }
}

async function atEqualSparsity(
  shared: readonly [FeatureRecord, FeatureRecord],
  { a, b, model, moved, leaveOut }: ComparisonOptions,
): Promise<ToldComparison["at_equal_l0"]> {
  const { compareSparsity } = await import("../../core/analysis/equal_sparsity.ts");
  const { readEqualSparsity } = await import("../../core/runs/equal_sparsity.ts");
  const { denser } = compareSparsity(...shared);
  if (denser === null) return "equal";
  const [{ transcoder: one }, { transcoder: other }] = denser === "a" ? [a, b] : [b, a];
  const [own, sparser] = denser === "a" ? shared : shared.toReversed();
  const isMeasured = model === "equal L0" || (model === "equal L0 of one target" && haveSameTarget(one, other));
  try {
    const found = await readEqualSparsity(one.directory, one.transcoder, other.transcoder, own.place.length) ??
      (isMeasured ? await measureEqualSparsity([one, own], [other, sparser], moved) : undefined);
    return found === undefined ? null : oriented(found, denser);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    leaveOut("FVU at equal L0", error);
    return null;
  }
}

function oriented({ a, b, difference, difference_ci95: [low, high], ...rest }: EqualSparsity, raised: "a" | "b") {
  const told: EqualReconstructions = raised === "a"
    ? { ...rest, raised, a, b, difference, difference_ci95: [low, high] }
    : { ...rest, raised, a: b, b: a, difference: -difference, difference_ci95: [-high, -low] };
  return told;
}

async function measureEqualSparsity(
  [one, own]: readonly [Stored, FeatureRecord],
  [other, sparser]: readonly [Stored, FeatureRecord],
  moved: Moved,
): Promise<EqualSparsity> {
  const { compareReconstructions, raised, raisedThreshold } = await import("../../core/analysis/equal_sparsity.ts");
  const { sameTokens } = await import("../../core/analysis/matching.ts");
  const { writeEqualSparsity } = await import("../../core/runs/equal_sparsity.ts");
  const { wholeOf } = await import("../../core/runs/finished.ts");
  const threshold = raisedThreshold(own, sparser.index.length), { transcoder } = await wholeOf(one);
  const raisedOne = { ...one, transcoder: { ...transcoder, thresholds: raised(transcoder.thresholds, threshold) } };
  const [record] = await makeRecords([raisedOne], moved), both = sameTokens(record, sparser);
  if (both === null) throw differentTokens(one, other);
  const found = { ...compareReconstructions(...both), threshold };
  try {
    await writeEqualSparsity(one.directory, transcoder, other.transcoder, found);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(`mtc: this is not kept for the reports: ${error.message}`);
  }
  return found;
}
