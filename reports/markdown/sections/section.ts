/**
 * What a section of a transcoder's feature analysis is. Each has its own file here, with its words; ../feature_analysis.ts puts them together.
 * @module
 */
import type { TranscoderAnalysis } from "../../../core/runs/analysed.ts";
import type { RecordedAnalysis } from "../../../core/runs/recorded.ts";
import { nameOf } from "../../feature_names.ts";
import type { Spec } from "../../plots/theme.ts";
import { recordContext } from "../../record_context.ts";
import { tokenCode } from "../../tokens.ts";

/** A transcoder with what was computed from its record. */
export type RecordedTranscoder = TranscoderAnalysis & { readonly recorded: RecordedAnalysis };

/** Its coherence; undefined where it was not measured on the tokens of this record. */
export function coherenceOf({ coherence, recorded }: RecordedTranscoder): TranscoderAnalysis["coherence"] {
  return coherence?.tokens === recorded.tokens.place.length ? coherence : undefined;
}

/** A figure of a section. */
export interface Figure {
  /** The name of its file. */
  readonly file: string;
  /** What is to be seen. */
  readonly shows: string;
  /** How it is drawn. */
  readonly spec: Spec;
}

/** A section: what it says, and the figures that it shows. */
export interface Section {
  /** Its heading. */
  readonly title: string;
  /** Its paragraphs, tables and figures, in Markdown. */
  readonly parts: readonly string[];
  /** The figures that are shown in them. */
  readonly figures: readonly Figure[];
}

/** A figure where it is to be seen. */
export function image({ file, shows }: Figure): string {
  return `![${shows}](${file})`;
}

/** What things are called in a section. */
export interface Words {
  /** The tokens that a feature is known by. */
  readonly name: (feature: number) => string;
  /** The text of a token, as it is. */
  readonly token: (id: number) => string;
  /** A token of the record among those around it. */
  readonly context: (token: number) => string;
}

/** The words of a transcoder's features, safe in a cell of a table. */
export function wordsOf({ recorded: { tokens, knownBy } }: Pick<RecordedTranscoder, "recorded">): Words {
  const token = (id: number) => tokens.tokenTexts.get(id)!;
  return {
    token,
    name: (feature) => nameOf(knownBy[feature], token, tokenCode),
    context: (at) => tokenCode(recordContext(tokens, at)),
  };
}
