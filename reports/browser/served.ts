/**
 * What the server of `mtc browse` answers with, and what it is asked to compute: shared by both ends.
 * @module
 */

import type { ChangedTextFigures, Continuations } from "../change_figures.ts";
import type { Check, Verdict } from "../checks.ts";
import type { EncodedToken } from "../encoding_table.ts";
import type { PageNode } from "./report_page.ts";

/** How far a transcoder is. */
export type RunState = "training" | "unfinished" | "finished" | "broken";

/** What became of a finished transcoder. */
export interface ServedVerdict {
  /** The checks' sum, */
  readonly level: Verdict["level"];
  /** its sentence, in plain words, */
  readonly sentence: string;
  /** and each of them. */
  readonly checks: readonly Pick<Check, "id" | "passed" | "requirement" | "found">[];
  /** Held-out FVU, null where it is no number, */
  readonly fvu: number | null;
  /** and that of the best linear map; null where none was fitted. */
  readonly linearMapFvu: number | null;
  /** Held-out L0. */
  readonly l0: number | null;
  /** Features that held-out text never woke. */
  readonly deadFeatures: number;
  /** The share of what zeros in its place cost that it gets back; null where that was not measured. */
  readonly lossRecovered: number | null;
}

/** A transcoder in the list of runs. */
export interface ServedTranscoder {
  /** What it is asked for by: `layer17`. */
  readonly key: string;
  /** Its directory, as it was found. */
  readonly path: string;
  /** Its run's directory; what is of one run stands together. */
  readonly run: string;
  /** How far it is. */
  readonly state: RunState;
  /** Why it is unfinished or broken, by whom it is trained; empty for a finished one. */
  readonly detail: string;
  /** Its settings; null where config.json cannot be read. */
  readonly settings: ServedSettings | null;
  /** The verdict on a finished one; null until it is known. */
  readonly verdict: ServedVerdict | null;
  /** The report about it; null where none was found. */
  readonly report: { readonly report: string; readonly file: string } | null;
}

/** Settings that a reader looks for. */
export interface ServedSettings {
  /** What it is called among those of its run: `Layer 17`. */
  readonly title: string;
  /** What is predicted from what. */
  readonly mapping: string;
  /** The model's name. */
  readonly model: string;
  /** When the run began, ISO 8601. */
  readonly created: string;
  /** Features per Matryoshka group. */
  readonly groups: readonly number[];
  /** Features kept per token. */
  readonly k: number;
  /** Optimiser steps of its training. */
  readonly steps: number;
  /** Tokens in a context, BOS included. */
  readonly context: number;
  /** Seed of the first weights. */
  readonly seed: number;
}

/** A directory of reports. */
export interface ServedReports {
  /** What it is asked for by. */
  readonly key: string;
  /** Where it is. */
  readonly path: string;
  /** Its pages, index.md first; empty where it is missing. */
  readonly pages: readonly { readonly file: string; readonly title: string }[];
  /** Why there are none; null where there are some. */
  readonly problem: string | null;
}

/** All that there is to look at. */
export interface ServedRuns {
  /** The version of mtc. */
  readonly version: string;
  /** Directories that were named and cannot be looked into, each with why. */
  readonly problems: readonly string[];
  /** The transcoders, those of one run together. */
  readonly transcoders: readonly ServedTranscoder[];
  /** The reports. */
  readonly reports: readonly ServedReports[];
}

/** What a run has logged. */
export interface ServedMetrics {
  /** Rows of another generation are not to be mixed with these. */
  readonly generation: number;
  /** The rows that there are; what is asked for next time. */
  readonly rows: number;
  /** Whether rows were left out between those that are given, so that a curve looks as before. */
  readonly isThinned: boolean;
  /** Numbers of each column, by its name in metrics.csv; null for what is no number. */
  readonly columns: Readonly<Record<string, readonly (number | null)[]>>;
  /** How far the run is. */
  readonly progress: ServedProgress;
}

/** How far a run is. */
export interface ServedProgress {
  /** How far it is. */
  readonly state: RunState;
  /** See {@link ServedTranscoder.detail}. */
  readonly detail: string;
  /** The last step logged; 0 before the first. */
  readonly step: number;
  /** Steps of its training. */
  readonly steps: number;
  /** Seconds until the last step, at the pace of late; null where that is not known, or there is nothing left. */
  readonly secondsLeft: number | null;
  /** When a row was written last, in milliseconds since 1970; null before the first. */
  readonly written: number | null;
}

/** A page of a report. */
export interface ServedPage {
  /** Its title. */
  readonly title: string;
  /** What it holds. */
  readonly nodes: readonly PageNode[];
}

/** A text that is to be encoded. */
export interface EncodeRequest {
  /** The transcoder's key. */
  readonly transcoder: string;
  /** The text. */
  readonly text: string;
}

/** Features that are to be changed. */
export interface ChangeRequest {
  /** The transcoder's key. */
  readonly transcoder: string;
  /** The text. */
  readonly text: string;
  /** Which features: some, whole groups, or all beyond a prefix. */
  readonly which:
    | { readonly features: readonly number[] }
    | { readonly group: readonly number[] }
    | { readonly prefix: number };
  /** What becomes of each: times a factor, another value, or that much more. */
  readonly change: { readonly kind: "scale" | "set" | "add"; readonly value: number };
  /** Tokens that the text is continued by; 0 for none. */
  readonly generate: number;
}

/** Tokens of the reading set on whose predictions a change is to be measured. */
export interface EffectsRequest {
  /** The transcoder's key. */
  readonly transcoder: string;
  /** Which features are switched off: one, or all beyond a prefix. */
  readonly which: { readonly features: readonly number[] } | { readonly prefix: number };
  /** Indices of tokens; each is measured with those around it. */
  readonly tokens: readonly number[];
}

/** What it does. */
export interface MeasuredEffects {
  /** For each token that was asked for, in its order; null where the record has not all of what the model read before it. */
  readonly windows: readonly (MeasuredWindow | null)[];
}

/** Neighbouring tokens, and what the model makes of what follows each. */
export interface MeasuredWindow {
  /** The first one, an index of the reading set. */
  readonly first: number;
  /** The loss of the token behind each as the model is; null behind the last one. */
  readonly before: readonly (number | null)[];
  /** The same without what is switched off. */
  readonly after: readonly (number | null)[];
}

/** An encoded text. */
export interface EncodedText {
  /** Its tokens; of a text longer than a context, those of each context in turn. */
  readonly tokens: readonly EncodedToken[];
  /** Contexts that it took. */
  readonly contexts: number;
}

/** What a change does. */
export interface ChangedAnswer {
  /** What was changed, in words. */
  readonly what: string;
  /** The change's effect on the text, */
  readonly text: ChangedTextFigures;
  /** and on how it goes on. */
  readonly generation?: Continuations;
}

/** A line of the answer to work that takes a while: how it stands, or how it ended. */
export type WorkLine<Answer> =
  | { readonly kind: "waiting"; readonly before: number }
  | { readonly kind: "working"; readonly label: string; readonly done: number; readonly total: number }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "done"; readonly answer: Answer };
