/**
 * Whether a tokenizer.json can be what it says: everything that is read of it is checked before the library sees it, which takes what it
 * does not know for nothing, and ids for places of a list.
 * @module
 */

import * as v from "valibot";
import { UserError } from "../errors.ts";
import type { TokenizerSpec } from "./tokenizer_spec.ts";

/** Ids are below this where no model says how many tokens it has. */
const MOST_TOKENS = 2 ** 24;

const text = v.pipe(v.string(), v.nonEmpty());
const pattern = v.union(
  [v.strictObject({ String: text }), v.strictObject({ Regex: text })],
  'it must be a "String" or a "Regex"',
);
const flag = v.optional(v.boolean());

const rewriting = { type: v.literal("Replace"), pattern, content: v.string() };
const normalizers = [v.object(rewriting), v.object({ type: v.picklist(["NFC", "NFD", "NFKC", "NFKD"]) })] as const;
const normalizer = v.variant("type", [
  ...normalizers,
  v.object({ type: v.literal("Sequence"), normalizers: v.array(v.variant("type", [...normalizers])) }),
]);

const splitter = v.object({
  type: v.literal("Split"),
  pattern,
  behavior: v.picklist(["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]),
  invert: v.optional(v.literal(false)),
});

const decoders = [
  v.object(rewriting),
  v.object({ type: v.picklist(["ByteFallback", "Fuse"]) }),
  v.object({
    type: v.literal("Strip"),
    content: v.pipe(v.string(), v.length(1)),
    start: v.pipe(v.number(), v.integer(), v.minValue(0)),
    stop: v.pipe(v.number(), v.integer(), v.minValue(0)),
  }),
] as const;
const decoder = v.variant("type", [
  ...decoders,
  v.object({ type: v.literal("Sequence"), decoders: v.array(v.variant("type", [...decoders])) }),
]);

const steps = v.object({
  normalizer: v.nullish(normalizer),
  pre_tokenizer: v.nullish(splitter),
  decoder: v.nullish(decoder),
  model: v.object({
    type: v.literal("BPE"),
    // Ids must be the same each time that a text is read.
    dropout: v.nullish(v.literal(0)),
    unk_token: text,
    continuing_subword_prefix: v.nullish(v.literal("")),
    end_of_word_suffix: v.nullish(v.literal("")),
    fuse_unk: flag,
    byte_fallback: flag,
    ignore_merges: flag,
  }),
  added_tokens: v.optional(
    v.array(v.object({
      id: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
      content: text,
      single_word: flag,
      lstrip: flag,
      rstrip: flag,
      normalized: flag,
      special: flag,
    })),
    [],
  ),
});

/**
 * Checks all that is read of a tokenizer.json.
 *
 * @param json The file's value.
 * @param vocabSize How many tokens the model embeds; a sound limit if left out. Special tokens may lie beyond.
 * @returns It, for the library. What is done behind the ids is left out: it adds special tokens, which are not asked for.
 * @throws {UserError} Naming the first part that Gemma's files do not have, or that does not fit another.
 */
export function checkedSpec(
  json: Record<string, unknown>,
  vocabSize: number = MOST_TOKENS,
): TokenizerSpec & { post_processor: null } {
  const model = json.model as { vocab?: unknown; merges?: unknown } | null | undefined, vocab = vocabOf(model?.vocab);
  const parsed = v.safeParse(steps, json);
  if (!parsed.success) {
    const [{ path = [], message }] = parsed.issues;
    throw unfit("it must have Gemma's layout", `${path.map(({ key }) => key).join(".")}: ${message}`);
  }
  const { normalizer = null, pre_tokenizer = null, decoder = null, added_tokens, model: settings } = parsed.output;
  checkSplit(normalizer, pre_tokenizer);
  // The library finds such a token inside of words, too.
  const alone = added_tokens.find(({ single_word }) => single_word);
  if (alone) throw unfit("added tokens must not ask for single_word", `${quoted(alone.content)} does`);
  checkIds(vocab, added_tokens, vocabSize);
  if (!Object.hasOwn(vocab, settings.unk_token)) {
    throw unfit(`the unk_token ${quoted(settings.unk_token)} must be in the vocabulary`, "it is not");
  }
  const merges = checkMerges(model!.merges, vocab);
  return {
    ...{ normalizer, pre_tokenizer, decoder, added_tokens, post_processor: null },
    model: { ...settings, vocab, merges },
  };
}

function vocabOf(vocab: unknown): Record<string, number> {
  const isThere = typeof vocab === "object" && vocab !== null && !Array.isArray(vocab) && Object.keys(vocab).length > 0;
  if (!isThere) throw unfit("it must have a vocabulary under model.vocab", "it has none");
  return vocab as Record<string, number>;
}

type Steps = v.InferOutput<typeof steps>;

/** The library knows two ways to split; any will do where a pattern never matches, as in Gemma's own file. */
function checkSplit(normalizer: Steps["normalizer"], split: Steps["pre_tokenizer"]): void {
  if (!split || split.behavior === "Isolated" || split.behavior === "Removed") return;
  const isReplaced = normalizer?.type === "Replace" && "String" in normalizer.pattern &&
    "String" in split.pattern && normalizer.pattern.String === split.pattern.String &&
    !normalizer.content.includes(split.pattern.String);
  if (isReplaced) return;
  throw unfit('its pre_tokenizer must split with the behavior "Isolated" or "Removed"', `it is "${split.behavior}"`);
}

/** Every token must have an id of its own that the model embeds. There are hundreds of thousands, so nothing is made for each. */
function checkIds(
  vocab: Readonly<Record<string, number>>,
  added: NonNullable<Steps["added_tokens"]>,
  vocabSize: number,
): void {
  const taken: string[] = [];
  const take = (token: string, id: number, isSpecial: boolean) => {
    if (!Number.isSafeInteger(id) || id < 0) {
      throw unfit("ids must be whole numbers from 0", `that of ${quoted(token)} is ${JSON.stringify(id)}`);
    }
    if (id >= vocabSize) {
      if (isSpecial) return;
      throw new UserError({
        action: "use this tokenizer with the model",
        requirement: `ids must be below the model's vocab_size ${vocabSize}`,
        found: `that of ${quoted(token)} is ${id}`,
        remedy: "take tokenizer.json and tokenizer_config.json from the model's own directory",
      });
    }
    const other = taken[id] ?? token;
    if (other !== token) throw unfit("each token must have an id of its own", both(token, other, id));
    taken[id] = token;
  };
  for (const token in vocab) take(token, vocab[token], false);
  for (const { content, id, special = false } of added) {
    const known = Object.hasOwn(vocab, content) ? vocab[content] : id;
    if (known !== id) throw unfit("each token must have one id", `${quoted(content)} has ${known} and ${id}`);
    take(content, id, special);
  }
}

function both(token: string, other: string, id: number): string {
  return `${quoted(other)} and ${quoted(token)} share ${id}`;
}

/** A merge joins two pieces to a token; files of older libraries write it as text. */
function checkMerges(merges: unknown, vocab: Readonly<Record<string, number>>): (readonly [string, string])[] {
  if (!Array.isArray(merges)) throw unfit("it must list its merges under model.merges", "it does not");
  return merges.map((merge: unknown, i) => {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((piece) => typeof piece === "string")) {
      throw unfit("each merge must name two pieces", `merge ${i + 1} does not`);
    }
    if (Object.hasOwn(vocab, pair[0] + pair[1])) return pair as unknown as readonly [string, string];
    throw unfit("merges must make tokens", `merge ${i + 1} makes ${quoted(pair[0] + pair[1])}, which is none`);
  });
}

function quoted(token: string): string {
  return JSON.stringify(token.slice(0, 40));
}

/** A file that is whole and not what a Gemma model has. */
function unfit(requirement: string, found: string): UserError {
  const remedy = "take the one that belongs to a Gemma model";
  return new UserError({ action: "read tokenizer.json", requirement, found, remedy });
}
