/**
 * Text to token ids and back, exactly as the Hugging Face tokenizers library does it.
 * @module
 */
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { UserError } from "../errors.ts";
import { checkedSpec } from "./tokenizer_check.ts";
import { type AddedToken, ASCII, asciiBorders, splitsAtSpaces, type TokenizerSpec } from "./tokenizer_spec.ts";

/** The contents of a model's two tokenizer files. */
export interface TokenizerFiles {
  /** tokenizer.json: vocabulary, merges, normaliser, added tokens. */
  tokenizerJson: Uint8Array;
  /** tokenizer_config.json: which tokens begin and end a text. */
  tokenizerConfig: Uint8Array;
  /** chat_template.jinja, which writes chats; absent where there is none. */
  chatTemplate?: Uint8Array;
  /**
   * How many tokens the model embeds. Special tokens beyond, such as those that stand for images, are then no part of the tokenizer, and text that
   * spells one is text. All tokens are if left out.
   */
  vocabSize?: number;
}

/** A loaded tokenizer. Ids are those of tokenizer.json. */
export interface Tokenizer {
  /** The token put in front of each context. */
  readonly bosId: number;
  /** The token put behind each document. */
  readonly eosId: number;
  /** The special tokens that stand for no text: BOS, EOS and, where there is one, padding. */
  readonly specialIds: readonly number[];
  /** The largest id plus one. */
  readonly vocabSize: number;
  /** The ids of a text, without the special tokens that begin or end one. An empty text has none. */
  encode(text: string): Uint32Array<ArrayBuffer>;
  /**
   * The text of a run of ids, special tokens spelled out. Bytes that are no whole character become U+FFFD, and the whole
   * characters beside them stay (the Rust library gives up all bytes of such a run). A byte-order mark that is spelled in
   * byte tokens is lost.
   */
  decode(ids: ArrayLike<number>): string;
  /**
   * The text of one token: `▁` is a space, a byte token its character where that is ASCII and else its spelling `<0xE2>`.
   * @throws {RangeError} for an id without token.
   */
  tokenText(id: number): string;
  /** The id of a token as the vocabulary or a report spells it, `▁the` or ` the`; undefined where there is none. */
  idOf(token: string): number | undefined;
  /**
   * Checks that the model can embed every id and begins its texts with the same token.
   * @throws {UserError} when it cannot or does not.
   */
  checkFitsModel(vocabSize: number, bosTokenId: number): void;
}

/** At 2^18 distinct words the memory of their ids (about 50 MB) is given up and gathered anew. */
const MAX_CACHED_WORDS = 2 ** 18;
/** Longer words are too rare to be worth remembering. */
const MAX_CACHED_CHARACTERS = 48;
const SPACE = 0x20;
const SPACE_SYMBOL = 0x2581; // ▁

/**
 * Loads a tokenizer.
 * @throws {UserError} when a file is malformed, of an unknown kind, or names no begin-of-text or end-of-text token.
 */
export function loadTokenizer(files: TokenizerFiles): Tokenizer {
  const json = parseJson(files.tokenizerJson, "tokenizer.json");
  const spec = embeddable(checkedSpec(json, files.vocabSize), files.vocabSize);
  const config = parseJson(files.tokenizerConfig, "tokenizer_config.json");
  const library = openLibrary(spec);
  const ids = [...library.get_vocab(true).values()];
  const vocabSize = ids.reduce((largest, id) => Math.max(largest, id), -1) + 1;
  const bosId = specialId(library, config, "bos_token");
  const eosId = specialId(library, config, "eos_token");
  const encodeWhole = (text: string) => library.encode(text, { add_special_tokens: false }).ids;
  const encode = splitsAtSpaces(spec)
    ? wordByWord(encodeWhole, asciiBorders(spec))
    : (text: string) => Uint32Array.from(encodeWhole(text));

  return {
    bosId,
    eosId,
    specialIds: [...new Set([bosId, eosId, optionalId(library, config, "pad_token")].filter((id) => id !== undefined))],
    vocabSize,
    encode,
    decode: (ids) => {
      if (ids.length === 0) return ""; // which the library refuses
      return library.decode(Array.from(ids), { skip_special_tokens: false, clean_up_tokenization_spaces: false });
    },
    tokenText: (id) => {
      const token = library.id_to_token(id);
      if (token === undefined) throw new RangeError(`Cannot show token ${id}: ids go from 0 to ${vocabSize - 1}`);
      const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
      if (byte === null) return token.replaceAll("▁", " ");
      const code = parseInt(byte[1], 16);
      return code < 0x80 ? String.fromCharCode(code) : token;
    },
    idOf: (token) => library.token_to_id(token) ?? library.token_to_id(token.replaceAll(" ", "▁")),
    checkFitsModel: (modelVocabSize, modelBosId) => {
      const action = "use this tokenizer with the model";
      const remedy = "take tokenizer.json and tokenizer_config.json from the model's own directory";
      if (vocabSize > modelVocabSize) {
        const requirement = `ids must be below the model's vocab_size ${modelVocabSize}`;
        throw new UserError({ action, requirement, found: `they go up to ${vocabSize - 1}`, remedy });
      }
      if (bosId !== modelBosId) {
        const requirement = `its bos_token must have the model's bos_token_id ${modelBosId}`;
        throw new UserError({ action, requirement, found: `it has id ${bosId}`, remedy });
      }
    },
  };
}

/**
 * Encodes each word on its own and remembers it; exact only where `splitsAtSpaces` holds. A word begins at spaces, or where the
 * borders let it.
 */
function wordByWord(
  encodeWhole: (text: string) => number[],
  borders: Uint8Array,
): (text: string) => Uint32Array<ArrayBuffer> {
  const cache = new Map<string, number[]>();

  function encodeWord(word: string): number[] {
    const known = cache.get(word);
    if (known !== undefined) return known;
    const ids = encodeWhole(word);
    if (word.length <= MAX_CACHED_CHARACTERS) {
      if (cache.size === MAX_CACHED_WORDS) cache.clear();
      cache.set(word, ids);
    }
    return ids;
  }

  return (text) => {
    let ids = new Uint32Array(Math.ceil(text.length / 3) + 16), count = 0, start = 0, before = SPACE;
    for (let i = 0; i <= text.length; i++) {
      let code = text.charCodeAt(i); // NaN at the end
      if (code === SPACE_SYMBOL) code = SPACE;
      const isBorder = code === SPACE && before !== SPACE ||
        before < ASCII && code < ASCII && borders[before * ASCII + code] === 1;
      if (i === text.length || isBorder) {
        const word = encodeWord(text.slice(start, i));
        if (count + word.length > ids.length) ids = enlarged(ids, count + word.length);
        for (let t = 0; t < word.length; t++) ids[count++] = word[t];
        start = i;
      }
      before = code;
    }
    return ids.slice(0, count);
  };
}

function enlarged(ids: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(length, 2 * ids.length));
  larger.set(ids);
  return larger;
}

/**
 * Reads one of the tokenizer's files.
 *
 * @param bytes Its content.
 * @param name What it is called, for messages.
 * @returns Its object.
 * @throws {UserError} when it is something else.
 */
export function parseJson(bytes: Uint8Array, name: string): Record<string, unknown> {
  const fail = (requirement: string, found: string) =>
    new UserError({ action: `read ${name}`, requirement, found, remedy: "download it again" });
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw fail("it must be JSON", (error as Error).message);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw fail("it must hold a JSON object", "it holds something else");
}

/** A tokenizer without the special tokens that the model does not embed. */
function embeddable(spec: TokenizerSpec, modelVocabSize = Infinity): TokenizerSpec {
  const isKept = ({ id, special }: AddedToken) => !special || id === undefined || id < modelVocabSize;
  return { ...spec, ...spec.added_tokens && { added_tokens: spec.added_tokens.filter(isKept) } };
}

/** A tokenizer file that is whole and not what a Gemma model has. */
function unfit(name: string, requirement: string, found: string): UserError {
  const remedy = "take the one that belongs to a Gemma model";
  return new UserError({ action: `read ${name}`, requirement, found, remedy });
}

function openLibrary(spec: TokenizerSpec): LibraryTokenizer {
  try {
    // The config's own switches (lower case, joined spaces) are left out: the Rust library does not know them either.
    return new LibraryTokenizer(spec, {});
  } catch (error) {
    throw unfit("tokenizer.json", "it must have Gemma's layout", (error as Error).message);
  }
}

/** The id of the token that the config names, as a string or as an object with "content". */
function specialId(library: LibraryTokenizer, config: Record<string, unknown>, key: string): number {
  const token = contentOf(config, key);
  if (typeof token !== "string") {
    throw unfit("tokenizer_config.json", `it must name the ${key}`, "it has none");
  }
  const id = library.token_to_id(token);
  if (id !== undefined) return id;
  throw unfit("tokenizer.json", `it must hold the ${key} "${token}"`, "it does not");
}

/** The id of a token that the config may name, and the tokenizer may have. */
function optionalId(library: LibraryTokenizer, config: Record<string, unknown>, key: string): number | undefined {
  const token = contentOf(config, key);
  return typeof token === "string" ? library.token_to_id(token) : undefined;
}

/**
 * The spelling of a token that the config may name.
 *
 * @param config tokenizer_config.json.
 * @param key Such as `bos_token`.
 * @returns The spelling, undefined where there is none.
 */
export function contentOf(config: Record<string, unknown>, key: string): string | undefined {
  const entry = config[key] as { content?: unknown } | string | null | undefined;
  const token = typeof entry === "string" ? entry : entry?.content;
  return typeof token === "string" ? token : undefined;
}
