/**
 * What of tokenizer.json decides whether a text may be encoded word by word.
 * @module
 */

/** A token that is matched in the text before any other step. */
export interface AddedToken {
  /** Its index in the vocabulary. */
  id?: number;
  /** How it is spelled. */
  content: string;
  /** Whether it stands for something that is no text. */
  special?: boolean;
  /** Whether it takes the spaces before it, */
  lstrip?: boolean;
  /** and those behind it. */
  rstrip?: boolean;
  /** Whether it must not touch a letter. */
  single_word?: boolean;
}

/** The parts of tokenizer.json that are looked at; a file may lack any of them. */
export interface TokenizerSpec {
  /** Tokens matched in the text before any other step. */
  added_tokens?: AddedToken[];
  /** How the text is rewritten first. */
  normalizer?: { type: string; pattern?: { String?: string; Regex?: string }; content?: string } | null;
  /** How the rewritten text is split before merging. */
  pre_tokenizer?: {
    type: string;
    pattern?: { String?: string; Regex?: string };
    behavior?: string;
    invert?: boolean;
  } | null;
  /** How tokens become text. */
  decoder?: { type: string } | null;
  /** The vocabulary and its settings. */
  model?: {
    type?: string;
    vocab?: Record<string, number>;
    merges?: readonly (readonly [string, string])[];
    dropout?: number | null;
    continuing_subword_prefix?: string | null;
    end_of_word_suffix?: string | null;
    ignore_merges?: boolean;
  };
}

/** Each alternative takes `▁` only at its beginning, so that it always splits between a word and the `▁` behind it. */
const SPACE_FIRST_PATTERNS = ["▁*[^▁\\W]+|▁*[^\\w▁]|▁+"];

/**
 * Whether the ids of a text are always the ids of its words, one after the other, a word being `[ ▁]+[^ ▁]*` or, at the
 * beginning, `[^ ▁]+`. So it is for byte-pair encoding when nothing can join a `▁` to what stands before it: no token
 * contains the two, spaces become `▁` one by one, and no other step looks across that border.
 */
export function splitsAtSpaces(spec: TokenizerSpec): boolean {
  return hasPlainMerges(spec.model) && onlyMarksSpaces(spec.normalizer) && keepsBorders(spec.pre_tokenizer) &&
    (spec.added_tokens ?? []).every((token) =>
      !/[^ ▁][ ▁]/.test(token.content) && !token.lstrip && !token.rstrip && !token.single_word
    );
}

function hasPlainMerges(model: TokenizerSpec["model"]): boolean {
  if (model?.type !== "BPE" || model.dropout || model.ignore_merges) return false;
  if (model.continuing_subword_prefix || model.end_of_word_suffix) return false;
  const tokens = Object.keys(model.vocab ?? {});
  return tokens.includes("▁") && !tokens.some((token) => /[^▁]▁/.test(token));
}

function onlyMarksSpaces(normalizer: TokenizerSpec["normalizer"]): boolean {
  return normalizer?.type === "Replace" && normalizer.pattern?.String === " " && normalizer.content === "▁";
}

function keepsBorders(split: TokenizerSpec["pre_tokenizer"]): boolean {
  if (!split) return true;
  if (split.type !== "Split" || split.invert) return false;
  if (split.pattern?.String === " ") return true; // never matches: every space has become ▁
  return split.behavior === "Isolated" && SPACE_FIRST_PATTERNS.includes(split.pattern?.Regex ?? "");
}

/** Characters below this are looked up in {@link asciiBorders}. */
export const ASCII = 128;

/**
 * Between which ASCII characters a text may be cut without changing its ids, where it may be cut before spaces at all: those
 * that stand next to each other in no token, and each of which is a token. Nothing can join them then, and they are not
 * unknown characters, which some models join.
 *
 * @param spec A tokenizer for which {@link splitsAtSpaces} holds.
 * @returns [128 * 128] 1 where the text may be cut between character `i / 128` and character `i % 128`, a space being a `▁`.
 */
export function asciiBorders(spec: TokenizerSpec): Uint8Array {
  const borders = new Uint8Array(ASCII * ASCII), tokens = Object.keys(spec.model?.vocab ?? {});
  const code = (character: string) => character === "▁" ? SPACE : character.charCodeAt(0);
  const known = tokens.filter((token) => token.length === 1).map(code).filter((code) => code < ASCII);
  for (const a of known) for (const b of known) borders[a * ASCII + b] = 1;
  for (const token of [...tokens, ...(spec.added_tokens ?? []).map(({ content }) => content)]) {
    for (let i = 1; i < token.length; i++) {
      const a = code(token[i - 1]), b = code(token[i]);
      if (a < ASCII && b < ASCII) borders[a * ASCII + b] = 0;
    }
  }
  return borders;
}

const SPACE = 0x20;
