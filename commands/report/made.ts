/**
 * What a report makes before it is written: what takes the model, where a run lacks it, and what is computed from records.
 * @module
 */

import { dirname, resolve } from "node:path";
import type { LayerInput } from "../../core/analysis/layer.ts";
import type { LossEvaluation } from "../../core/analysis/loss.ts";
import type { Matching } from "../../core/analysis/matching.ts";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import { UserError } from "../../core/errors.ts";
import { residualSum } from "../../core/model/residual.ts";
import {
  analysesOf,
  type MadeAnalyses,
  type ModelAnalysis,
  type Reasons,
  standingForSweeps,
} from "../../core/runs/analysed.ts";
import { type StoredAttribution, writeAttribution } from "../../core/runs/attribution.ts";
import { writeCoherence } from "../../core/runs/coherence.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import type { ChosenTranscoder } from "../../core/runs/discovery.ts";
import { readEvaluation, writeEvaluation } from "../../core/runs/evaluation.ts";
import { type FinishedTranscoder, isOfOneRun, wholeOf } from "../../core/runs/finished.ts";
import { regroupingsFor } from "../../core/runs/flat.ts";
import { writeImportance } from "../../core/runs/importance.ts";
import { analyzeRecord, type DictionaryAnalysis } from "../../core/runs/recorded.ts";
import { readingTokens, readRecord } from "../../core/runs/record.ts";
import { openTranscoder } from "../../core/runs/transcoder.ts";
import { onMatrix, type StoredTranscoder } from "../../core/transcoder/weights.ts";
import { list } from "../../reports/format.ts";
import { onModel } from "../analyze/on_model.ts";
import { type Analysed, keep, type LeaveOut } from "../analyze/output.ts";
import type { Moved } from "../analyze/reading.ts";
import { type Recorded, visibly } from "../analyze/recorded.ts";
import { recordAnew } from "../analyze/records.ts";
import { type Analysing, openAnalysing } from "./analysing.ts";
import { dictionaryOf, type Multiplier, openMultiplier } from "./dictionary.ts";

/** How much is made. */
export interface MakeOptions extends Moved {
  /** Whether what takes the model is left out. */
  readonly quick?: true;
  /** Takes the matchings of those that are compared later, so that they are made once. */
  readonly matchings: Matchings;
}

/** The features of transcoders matched, by the directories of both. */
export class Matchings {
  readonly #known = new Map<string, Matching>();

  /** Keeps a matching. */
  keep(a: string, b: string, matching: Matching): void {
    this.#known.set(JSON.stringify([a, b]), matching);
  }

  /** What is kept of a pair, in this order. */
  of(a: string, b: string): Matching | undefined {
    return this.#known.get(JSON.stringify([a, b]));
  }
}

/**
 * How importance is measured for a report: seconds for a transcoder of the embedded model, where `mtc analyze importance` takes half a minute
 * unless it is told otherwise.
 */
const IMPORTANCE = { tokens: 1024, top: 25, random: 25, seed: 0 };

/** How attribution is, as `mtc analyze attribution` does. */
const ATTRIBUTION = { tokens: 2048, top: 100 };

/** Host memory that the weights and records of transcoders may take that are opened at once, in bytes. */
const AT_ONCE = 2 ** 29;

/** What each analysis is called in a message. */
const NAMES: Readonly<Record<ModelAnalysis, string>> = {
  record: "record",
  attribution: "attribution",
  loss: "loss recovered",
  importance: "importance",
  coherence: "coherence",
};

const ALL = Object.keys(NAMES) as ModelAnalysis[];

type Stored = FinishedTranscoder<StoredTranscoder>;

/** A transcoder with what was made of it. */
export type Made = readonly [transcoder: ChosenTranscoder, made: MadeAnalyses];

/**
 * Makes what transcoders lack. What fails is said and left out, so that the others can be reported on. Of a sweep, whose members differ in a
 * setting only, what takes the model but for records is made of the first alone.
 *
 * @param chosen Those that a report is about.
 * @param options How much.
 * @returns Each with what was made of it, as soon as it is; those that read the same together.
 */
export async function* makeAnalyses(
  chosen: readonly ChosenTranscoder[],
  options: MakeOptions,
): AsyncGenerator<Made> {
  using multiplier = new LateMultiplier();
  for (const together of openedAtOnce(chosen)) {
    const opened = new Map<Stored, ChosenTranscoder>();
    for (const one of together) {
      const { path: directory, name, config } = one;
      try {
        opened.set({ directory, name, config, transcoder: await openTranscoder(directory, config) }, one);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        yield [one, { reasons: ofAll(error.message) }];
      }
    }
    yield* makeTogether(opened, chosen, multiplier, options);
  }
}

/**
 * Transcoders that read the same of the same model and text, of one run or of several, as many together as the memory for them takes: one pass
 * serves all, and layers of different runs are held against each other.
 */
function openedAtOnce(chosen: readonly ChosenTranscoder[]): ChosenTranscoder[][] {
  const groups: { readonly members: ChosenTranscoder[]; bytes: number }[] = [];
  for (const one of chosen) {
    const { config: { d_in, d_out, features, k }, config } = one;
    const own = 4 * features * (d_in + d_out) + 8 * k * readingTokens(config);
    const fitting = groups.findLast(({ members: [first] }) => readTogether(first.config, config));
    const group = fitting && fitting.bytes + own <= AT_ONCE ? fitting : { members: [], bytes: 0 };
    if (group !== fitting) groups.push(group);
    group.members.push(one);
    group.bytes += own;
  }
  return groups.map(({ members }) => members);
}

function readTogether(a: TranscoderConfig, b: TranscoderConfig): boolean {
  return isOfOneRun(a, b) && a.precision === b.precision && readingTokens(a) === readingTokens(b);
}

function ofAll(reason: string): Reasons {
  return { record: reason, attribution: reason, loss: reason, importance: reason, coherence: reason };
}

/** Those that share a model and a text, with what is made of them. */
async function* makeTogether(
  opened: ReadonlyMap<Stored, ChosenTranscoder>,
  chosen: readonly ChosenTranscoder[],
  multiplier: LateMultiplier,
  { quick, model, data, matchings }: MakeOptions,
): AsyncGenerator<Made> {
  const standing = new Set(standingForSweeps(chosen));
  const all = [...opened.keys()], states = new Map(all.map((one) => [one, new MakingState(one)]));
  for (const state of states.values()) await state.look();
  const lacking = (analysis: ModelAnalysis) => all.filter((one) => states.get(one)!.lacks(analysis));
  const isMade = (one: Stored, analysis: ModelAnalysis) => analysis === "record" || standing.has(opened.get(one)!);
  for (const analysis of ["attribution", "loss", "importance", "coherence"] as const) {
    const others = lacking(analysis).filter((one) => !isMade(one, analysis));
    for (const one of others) {
      states.get(one)!.leaveOut(analysis, "of a sweep it is made for the first transcoder alone");
    }
  }
  const names = ALL.filter((analysis) => lacking(analysis).length > 0);
  if (quick) {
    for (const analysis of names) {
      for (const one of lacking(analysis)) states.get(one)!.leaveOut(analysis, "--quick leaves it out");
    }
  } else if (names.length > 0) {
    const those = list(all.map(({ name: { phrase } }) => phrase));
    console.error(
      `mtc: making what ${those} ${all.length === 1 ? "lacks" : "lack"} (${list(names.map((name) => NAMES[name]))}); ` +
        "--quick does without",
    );
    await makeWithModel(states, lacking, { model, data });
  }
  const others = await othersOf([...states.values()].flatMap((state) => state.recorded ?? []), matchings);
  // Alone, one is analysed here: large ones are, and a Worker would hold them twice.
  await using analysing = states.size > 1 ? openAnalysing() : null;
  const making: { readonly one: Stored; readonly made: Promise<MadeAnalyses> }[] = [];
  for (const [one, state] of states) {
    const regroupings = regroupingsFor(opened.get(one)!, chosen), dictionary = await state.dictionary(multiplier);
    const made = state.made(dictionary, regroupings, others.get(one) ?? [], analysing);
    // It is waited for in its turn.
    made.catch(() => {});
    making.push({ one, made });
  }
  for (const { one, made } of making) yield [opened.get(one)!, await made];
}

/** How other layers have the features of each transcoder. */
async function othersOf(
  recorded: readonly Recorded[],
  matchings: Matchings,
): Promise<Map<Stored, LayerInput["others"]>> {
  const { matchesOf } = await import("../analyze/layer.ts");
  const matches = await matchesOf(recorded, (a, b, matching) => matchings.keep(a.directory, b.directory, matching));
  const found = [...matches].map(([{ transcoder }, matches]) => {
    const others = [...matches].map(([other, matches]) => ({ name: other.transcoder.name.phrase, matches }));
    return [transcoder, others] as const;
  });
  return new Map(found);
}

async function makeWithModel(
  states: ReadonlyMap<Stored, MakingState>,
  lacking: (analysis: ModelAnalysis) => Stored[],
  { model, data }: Moved,
): Promise<void> {
  const whole = new Map<Stored, FinishedTranscoder>();
  const stateOf = ({ directory }: Pick<Stored, "directory">) =>
    states.get([...states.keys()].find((one) => one.directory === directory)!)!;
  const attempt = async (
    analysis: ModelAnalysis,
    make: (those: FinishedTranscoder[], leaveOut: LeaveOut) => Promise<void>,
  ) => {
    const those = lacking(analysis);
    if (those.length === 0) return;
    try {
      for (const one of those) if (!whole.has(one)) whole.set(one, await wholeOf(one));
      await make(those.map((one) => whole.get(one)!), (one, { message }) => {
        console.error(`mtc: ${one.name.title} without ${NAMES[analysis]}: ${message}`);
        stateOf(one).leaveOut(analysis, message);
      });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      // Whatever else takes the model takes all that a record does.
      const given = analysis === "record" ? ALL.filter((other) => lacking(other).length > 0) : [analysis];
      console.error(`mtc: without ${list(given.map((one) => NAMES[one]))}: ${error.message}`);
      for (const other of given) for (const one of lacking(other)) states.get(one)!.leaveOut(other, error.message);
    }
  };
  const put = <Result>(analysed: readonly Analysed<Result>[], of: (result: Result) => Partial<MadeAnalyses>) => {
    for (const { transcoder, result } of analysed) stateOf(transcoder).put(of(result));
  };
  await attempt("record", async (those) => {
    const records = await recordAnew(those, { model, data });
    those.forEach((one, i) => stateOf(one).record = records[i]);
  });
  await attempt("attribution", async (those, leaveOut) => {
    const { measureAll } = await import("../analyze/attribution_measures.ts");
    const measured = await measureAll(those, { ...ATTRIBUTION, model, data }, leaveOut);
    put(measured, (attribution) => ({ attribution }));
    await keep(measured, (directory, { result }) => writeAttribution(directory, result));
  });
  await attempt("coherence", async (those) => {
    const { measureCoherences } = await import("../analyze/coherence.ts");
    const recorded = those.flatMap((transcoder) => {
      const { record } = stateOf(transcoder);
      return record === null ? [] : [{ transcoder, record }];
    });
    const measured = recorded.length === 0 ? [] : await measureCoherences(recorded, { model, data });
    put(measured, (coherence) => ({ coherence }));
    await keep(measured, (directory, { result }) => writeCoherence(directory, result));
  });
  await attempt("loss", async (those) => {
    const { measureLosses } = await import("../evaluate.ts");
    // Transcoders of one run are put in place together, too.
    const runs = Map.groupBy(those, ({ directory }) => dirname(resolve(directory))).values();
    const measured: Analysed<LossEvaluation>[] = [];
    for (const ofRun of runs) {
      const losses = await onModel(
        ofRun,
        model,
        (gpu, files) => measureLosses(gpu, files, ofRun, { data, split: "test" }),
      );
      ofRun.forEach((transcoder, i) => measured.push({ transcoder, result: losses[i] }));
    }
    put(measured, (loss) => ({ loss }));
    await keep(measured, async (directory, { result: loss }) => {
      await writeEvaluation(directory, { ...await readEvaluation(directory), loss });
    });
  });
  await attempt("importance", async (those, leaveOut) => {
    const { importanceOf } = await import("../analyze/importance.ts");
    const measured = await importanceOf(those, { ...IMPORTANCE, model, data }, leaveOut);
    put(measured, (importance) => ({ importance }));
    await keep(measured, (directory, { result }) => writeImportance(directory, result));
  });
}

/** What multiplies, opened once it is needed, behind whatever takes the model. */
class LateMultiplier {
  #opened: Multiplier | null = null;

  /** Opens it, the first time. */
  async open(): Promise<Multiplier> {
    return this.#opened ??= await openMultiplier();
  }

  [Symbol.dispose](): void {
    this.#opened?.[Symbol.dispose]();
  }
}

/** What is there of one transcoder, what was made, and why the rest was not. */
class MakingState {
  /** What the transcoder does on its reading set. */
  record: FeatureRecord | null = null;
  readonly #one: Stored;
  readonly #lacking = new Set<ModelAnalysis>();
  #made: Partial<MadeAnalyses> = {};
  #reasons: Reasons = {};

  constructor(one: Stored) {
    this.#one = one;
  }

  /** Looks what the run has; what is damaged is not made, and said once it is read for the report. */
  async look(): Promise<void> {
    const { directory, transcoder, config } = this.#one, analyses = analysesOf({ path: directory, config }, 0);
    const lacks = {
      record: async () => (this.record = await readRecord(directory, transcoder)) === null,
      attribution: async () => residualSum(config.source) !== null && await analyses.attribution() === undefined,
      loss: async () => (await analyses.evaluation()).loss === undefined,
      importance: async () => await analyses.importance() === undefined,
      coherence: async () => await analyses.coherence() === undefined,
    };
    for (const analysis of Object.keys(lacks) as ModelAnalysis[]) {
      try {
        if (await lacks[analysis]()) this.#lacking.add(analysis);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        this.leaveOut(analysis, error.message);
      }
    }
  }

  /** Whether an analysis is still to be made. */
  lacks(analysis: ModelAnalysis): boolean {
    return this.#lacking.has(analysis);
  }

  /** Gives an analysis up. */
  leaveOut(analysis: ModelAnalysis, reason: string): void {
    this.#lacking.delete(analysis);
    this.#reasons = { ...this.#reasons, [analysis]: reason };
  }

  /** Takes in what was made. */
  put(made: Partial<MadeAnalyses>): void {
    this.#made = { ...this.#made, ...made };
  }

  /** The transcoder with its record; null where it has none. */
  get recorded(): Recorded | null {
    return this.record && { transcoder: this.#one, record: this.record };
  }

  /** What the weights say by themselves, or why that is not known; nothing where there is no record. */
  async dictionary(multiplier: LateMultiplier): Promise<DictionaryAnalysis | string | null> {
    return this.record && await dictionaryOf(await multiplier.open(), this.#one);
  }

  /** All that was made, what is computed from the record included; the record is let go. */
  async made(
    dictionary: DictionaryAnalysis | string | null,
    regroupings: readonly (readonly number[])[],
    others: LayerInput["others"],
    analysing: Analysing | null,
  ): Promise<MadeAnalyses> {
    const { record } = this, { transcoder: stored, name: { title } } = this.#one, { shape } = stored;
    this.record = null;
    if (record === null || dictionary === null) return { ...this.#made, reasons: this.#reasons };
    const attribution = this.#made.attribution ?? await this.#attributed();
    const besides = { dictionary, regroupings, attribution, others };
    const recorded = await onMatrix(stored, "decoder", (decoder) => {
      const transcoder = { shape, weights: { decoder } };
      if (analysing) return analysing.analyse(title, { record, transcoder, besides });
      return analyzeRecord(record, transcoder, besides, (label, analyze) => visibly(`${title}: ${label}`, analyze));
    });
    return { ...this.#made, recorded, reasons: this.#reasons };
  }

  /** What the run has of it; nothing where it is damaged, which is said once the report reads it. */
  async #attributed(): Promise<StoredAttribution | undefined> {
    const { directory, config } = this.#one;
    try {
      return await analysesOf({ path: directory, config }, 0).attribution();
    } catch (error) {
      if (error instanceof UserError) return undefined;
      throw error;
    }
  }
}
