/**
 * The reading set: contexts that analyses look at, which depend on the text, the tokenizer and the context's length alone. So transcoders of
 * any layer, size or seed can be laid side by side on it, token by token.
 *
 * They are drawn evenly over all documents as held_out.ts says, each context of one document: first those for training, then those for
 * validation, then those for the test, each part with its share of the text. Which part a document is of stays known.
 * @module
 */

import { type ContextBatch, emptyBatch, NO_DOCUMENT, START, type TokenBatch } from "./contexts.ts";
import { openTokenSource, type TokenSource } from "./source.ts";
import type { Split } from "./split.ts";
import type { TextSummary } from "./summary.ts";
import type { TokenSourceOptions } from "./worker.ts";

/** A document that tokens of the reading set are of. */
export interface ReadDocument {
  /** Its name. */
  readonly name: string;
  /** The part that it belongs to. */
  readonly split: Split;
}

/** The contexts of a reading set, in their order, once. */
export interface ReadingSet {
  /** What is recorded of the text. */
  readonly summary: TextSummary;
  /** The documents read so far. `TokenBatch.document` counts through them, whatever part they are of. */
  readonly documents: readonly ReadDocument[];
  /**
   * The next contexts: as many as asked for, or fewer where a part ends; none behind the last one.
   * @throws {UserError} when the text cannot be read or tokenised.
   */
  next(contexts: number): Promise<ContextBatch>;
  /** Ends the reading. Calls of `next` that are under way fail. */
  close(): Promise<void>;
}

/** What a reading set is drawn from. */
export type ReadingSetOptions = Pick<TokenSourceOptions, "tokenizer" | "data" | "reading" | "context"> & {
  /** How many tokens to draw, BOS not counted; each part has a few more, to whole contexts. */
  readonly tokens: number;
};

/** The parts in their order, with the share of the documents that each has by the rule of split.ts. */
const SHARES: readonly (readonly [Split, number])[] = [["train", 38 / 40], ["validation", 1 / 40], ["test", 1 / 40]];

/**
 * Opens a reading set.
 *
 * @param options What it is drawn from. Equal options give equal contexts.
 * @returns The reading set, before its first context.
 * @throws {UserError} When the text or the tokenizer cannot be read, or the text is too short.
 */
export async function openReadingSet({ tokens, ...text }: ReadingSetOptions): Promise<ReadingSet> {
  const open = ([split, share]: typeof SHARES[number]) =>
    openTokenSource({ ...text, split, seed: null, tokens: Math.ceil(share * tokens) });
  return new PartByPart(await open(SHARES[0]), open, text.context);
}

class PartByPart implements ReadingSet {
  readonly summary: TextSummary;
  readonly documents: ReadDocument[] = [];
  readonly #open: (part: typeof SHARES[number]) => Promise<TokenSource>;
  readonly #context: number;
  /** The part that is read, and its source; null behind the last one. */
  #part = 0;
  #source: TokenSource | null;
  /** The places in `documents` of those of this part, by their numbers in it. */
  #places = new Map<number, number>();

  constructor(first: TokenSource, open: (part: typeof SHARES[number]) => Promise<TokenSource>, context: number) {
    this.summary = first.summary;
    this.#source = first;
    this.#open = open;
    this.#context = context;
  }

  async next(contexts: number): Promise<ContextBatch> {
    while (this.#source !== null) {
      const { batch, done } = await this.#source.next(contexts);
      this.#number(batch, this.#source);
      if (done) await this.#nextPart();
      if (batch.contexts > 0) return { batch, position: START, done: this.#source === null };
    }
    return { batch: emptyBatch(0, this.#context), position: START, done: true };
  }

  async close(): Promise<void> {
    const source = this.#source;
    this.#source = null;
    await source?.close();
  }

  async #nextPart(): Promise<void> {
    await this.close();
    this.#places = new Map();
    const next = SHARES.at(++this.#part);
    if (next) this.#source = await this.#open(next);
  }

  /** Replaces the part's own numbers. */
  #number({ document }: TokenBatch, source: TokenSource): void {
    const [split] = SHARES[this.#part];
    for (let i = 0; i < document.length; i++) {
      const number = document[i];
      if (number === NO_DOCUMENT) continue;
      let place = this.#places.get(number);
      if (place === undefined) {
        place = this.documents.push({ name: source.documentName(number), split }) - 1;
        this.#places.set(number, place);
      }
      document[i] = place;
    }
  }
}
