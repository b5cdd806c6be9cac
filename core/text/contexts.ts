/**
 * Contexts: the rows of equal length that the model reads, cut from the documents' tokens. Pure, no files and no clock.
 *
 *     documents in order:   d0 d0 d0 EOS d1 EOS d2 d2 d2 d2 EOS ...          one endless sequence of tokens
 *     cut (context = 5):   [d0 d0 d0 EOS][d1 EOS d2 d2][d2 d2 EOS ...
 *     rows:            BOS d0 d0 d0 EOS / BOS d1 EOS d2 d2 / BOS d2 d2 EOS ...
 *
 * So no token is lost, repeated or padded; a row may hold the end of one document and the beginning of the next.
 *
 * A training stream shuffles its documents, long ones in sections of about equal size: otherwise a shuffle buffer would hold
 * a handful of long documents and drift with their subjects.
 * @module
 */
import { UserError } from "../errors.ts";
import { permutation, randomGenerator } from "../random.ts";

/** `TokenBatch.document` where the token belongs to no document: at BOS. */
export const NO_DOCUMENT = 0xffffffff;

/** Some contexts, row after row, with the origin of each token. */
export interface TokenBatch {
  /** Rows. */
  contexts: number;
  /** Tokens per row, BOS included. */
  context: number;
  /** (contexts, context): token ids; column 0 is BOS. */
  ids: Uint32Array<ArrayBuffer>;
  /** (contexts, context): index in the source's list of documents; NO_DOCUMENT at BOS. */
  document: Uint32Array<ArrayBuffer>;
  /** (contexts, context): the token's offset in that document, its EOS being the last; 0 at BOS. */
  position: Uint32Array<ArrayBuffer>;
}

/** A place between two tokens of a stream, from which the stream can be continued. */
export interface StreamPosition {
  /** Passes over all documents that are finished. */
  epoch: number;
  /** Sections of this epoch that are finished: a rank in the epoch's order. */
  section: number;
  /** Tokens of the next section, EOS included where it ends its document, that are taken. */
  token: number;
}

/** The beginning of every stream. */
export const START: StreamPosition = { epoch: 0, section: 0, token: 0 };

/** What a stream gives at once. */
export interface ContextBatch {
  /** The contexts: as many as asked for, fewer only where the stream ends. */
  batch: TokenBatch;
  /** Where the stream stands after them. */
  position: StreamPosition;
  /** Whether the stream has ended: the batch holds fewer contexts than asked for, perhaps none. */
  done: boolean;
}

/** What a stream is made of. Equal options give equal streams. */
export interface ContextStreamOptions {
  /** Number of documents, at least 1. */
  documents: number;
  /** The token ids of a document without special tokens; called when the stream comes to it, once for each of its sections. */
  tokens: (document: number) => Uint32Array;
  /** In how many sections a document is shuffled, at least 1; each whole if left out. */
  sections?: (document: number) => number;
  /** Tokens per context, BOS included: at least 2. */
  context: number;
  /** Put in front of each context. */
  bosId: number;
  /** Put behind each document. */
  eosId: number;
  /** Names the order of the sections, a fresh one in each epoch; null keeps the documents' own order. */
  seed: number | null;
  /** Whether the stream begins anew after each pass. If not, an incomplete context at its end is dropped. */
  endless: boolean;
  /** Where to begin; the beginning if left out. */
  start?: StreamPosition;
}

/** A part of a document: part number `part` of `parts` of about equal length. */
interface Section {
  readonly document: number;
  readonly part: number;
  readonly parts: number;
}

/** Separates the orders of sections from other uses of one seed. */
const ORDER_STREAM = 0x6f726465;

/** A stream of contexts over documents. */
export class ContextStream {
  #options: ContextStreamOptions;
  #epoch = 0;
  #rank = 0;
  #token = 0;
  #order: Uint32Array | null = null;
  readonly #sections: readonly Section[];
  /** The section at #rank, its tokens' place in the document and EOS where it is the last. Undefined until it is needed. */
  #current: { document: number; first: number; ids: Uint32Array } | undefined;

  /**
   * Opens the stream at its start; reads no document unless the start lies inside one.
   * @throws {UserError} for a context shorter than 2 and for a start in a document that does not exist.
   */
  constructor(options: ContextStreamOptions) {
    this.#options = options;
    if (!Number.isSafeInteger(options.context) || options.context < 2) {
      throw new UserError(`Cannot make contexts: --context must be at least 2, BOS included; it is ${options.context}`);
    }
    if (options.documents < 1) throw new RangeError("Cannot make contexts: there must be a document, there is none");
    const { documents, sections = () => 1 } = options;
    this.#sections = Array.from({ length: documents }, (_, document) => {
      const parts = sections(document);
      return Array.from({ length: parts }, (_, part) => ({ document, part, parts }));
    }).flat();
    this.seek(options.start ?? START);
  }

  /** Where the stream stands. */
  get position(): StreamPosition {
    return { epoch: this.#epoch, section: this.#rank, token: this.#token };
  }

  /**
   * Continues from another place.
   * @throws {UserError} when there is no such section or token.
   */
  seek({ epoch, section, token }: StreamPosition): void {
    this.#beginEpoch(epoch);
    this.#rank = section;
    this.#current = undefined;
    this.#token = token;
    if (section >= this.#sections.length || (token > 0 && token >= this.#section().ids.length)) {
      throw new UserError(
        `Cannot continue the text at section ${section}, token ${token}: the text must be the one that the run began ` +
          `with, it has no such token; give the same data`,
      );
    }
  }

  /** The next contexts. */
  next(contexts: number): ContextBatch {
    const { context } = this.#options;
    const size = contexts * context;
    const batch: TokenBatch = {
      contexts,
      context,
      ids: new Uint32Array(size),
      document: new Uint32Array(size),
      position: new Uint32Array(size),
    };
    for (let row = 0; row < contexts; row++) {
      if (!this.#fillRow(batch, row)) return { batch: firstRows(batch, row), position: this.position, done: true };
    }
    return { batch, position: this.position, done: false };
  }

  /** Writes one row; false when the stream ends before it is full. */
  #fillRow(batch: TokenBatch, row: number): boolean {
    const { context, bosId } = this.#options;
    const end = (row + 1) * context;
    let at = row * context;
    batch.ids[at] = bosId;
    batch.document[at++] = NO_DOCUMENT;
    while (at < end) {
      if (this.#epoch > 0 && !this.#options.endless) return false;
      const { document, first, ids } = this.#section();
      const taken = Math.min(end - at, ids.length - this.#token);
      for (let i = 0; i < taken; i++, at++, this.#token++) {
        batch.ids[at] = ids[this.#token];
        batch.document[at] = document;
        batch.position[at] = first + this.#token;
      }
      if (this.#token === ids.length) this.#nextSection();
    }
    return true;
  }

  /** The section at #rank. */
  #section(): { document: number; first: number; ids: Uint32Array } {
    if (this.#current) return this.#current;
    const { document, part, parts } = this.#sections[this.#order === null ? this.#rank : this.#order[this.#rank]];
    const tokens = this.#options.tokens(document);
    const boundary = (n: number) => Math.floor((tokens.length + 1) * n / parts);
    const first = boundary(part), ids = new Uint32Array(boundary(part + 1) - first);
    ids.set(tokens.subarray(first, first + ids.length));
    if (part === parts - 1) ids[ids.length - 1] = this.#options.eosId;
    return this.#current = { document, first, ids };
  }

  #nextSection(): void {
    this.#current = undefined;
    this.#token = 0;
    this.#rank++;
    if (this.#rank < this.#sections.length) return;
    this.#rank = 0;
    this.#beginEpoch(this.#epoch + 1);
  }

  #beginEpoch(epoch: number): void {
    const { seed } = this.#options;
    this.#epoch = epoch;
    this.#order = seed === null ? null : permutation(this.#sections.length, randomGenerator(seed, ORDER_STREAM, epoch));
  }
}

/** How many tokens a pass over the documents gives, EOS included; counting stops once there are `enough`. */
export function countTokens(options: Pick<ContextStreamOptions, "documents" | "tokens">, enough: number): number {
  let count = 0;
  for (let document = 0; document < options.documents && count < enough; document++) {
    count += options.tokens(document).length + 1;
  }
  return count;
}

function firstRows(batch: TokenBatch, contexts: number): TokenBatch {
  const size = contexts * batch.context;
  return {
    contexts,
    context: batch.context,
    ids: batch.ids.slice(0, size),
    document: batch.document.slice(0, size),
    position: batch.position.slice(0, size),
  };
}
