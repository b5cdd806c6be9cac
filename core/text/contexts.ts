/**
 * Contexts: the rows of equal length that the model reads, cut from the documents' tokens. No files and no clock.
 *
 *     documents in order:   d0 d0 d0 EOS d1 EOS d2 d2 d2 d2 EOS ...          one endless sequence of tokens
 *     cut (context = 5):   [d0 d0 d0 EOS][d1 EOS d2 d2][d2 d2 EOS ...
 *     rows:            BOS d0 d0 d0 EOS / BOS d1 EOS d2 d2 / BOS d2 d2 EOS ...
 *
 * So no token is lost, repeated or padded; a row may hold the end of one document and the beginning of the next. Held-out text is cut
 * otherwise, see held_out.ts.
 *
 * A training stream shuffles the documents of each block, long ones in sections of about equal size: otherwise a shuffle buffer
 * would hold a handful of long documents and drift with their subjects. It also shuffles the volumes that the blocks come from.
 * @module
 */
import { VOLUME_START } from "./blocks.ts";

/** `TokenBatch.document` where the token belongs to no document: at BOS, and where a row is filled up. */
export const NO_DOCUMENT = 0xffffffff;

/** Some contexts, row after row, with the origin of each token. */
export interface TokenBatch {
  /** Rows. */
  contexts: number;
  /** Tokens per row, BOS included. */
  context: number;
  /** (contexts, context): token ids; column 0 is BOS. */
  ids: Uint32Array<ArrayBuffer>;
  /** (contexts, context): the document's number, see `TokenSource.documentName`; NO_DOCUMENT at BOS and where a row is filled up. */
  document: Uint32Array<ArrayBuffer>;
  /** (contexts, context): the token's offset in that document, its EOS being the last; 0 at BOS and where a row is filled up. */
  position: Uint32Array<ArrayBuffer>;
}

/**
 * A place between two tokens of a stream, from which the stream can be continued. A text that fits into one block is one volume
 * with that block.
 */
export interface StreamPosition {
  /** Readings of all documents that are finished. */
  epoch: number;
  /** Volumes of this epoch that are finished: a rank in the epoch's order. */
  volume: number;
  /** Where the block begins: files of its volume before it, */
  file: number;
  /** records of that file before it, */
  record: number;
  /** and bytes of that file before it, decompressed; 0 in a parquet file. */
  byte: number;
  /** Sections of this block that are finished: a rank in the block's order. */
  section: number;
  /** Tokens of the next section, EOS included where it ends its document, that are taken. */
  token: number;
  /** Records without text that were left out in the first epoch; absent for none. */
  bad?: number;
}

/** The beginning of every stream. */
export const START: StreamPosition = { epoch: 0, volume: 0, ...VOLUME_START, section: 0, token: 0 };

/** Some contexts and where the stream stands after them. */
export interface ContextBatch {
  /** The contexts: as many as asked for, fewer only where the stream ends. */
  batch: TokenBatch;
  /** Where the stream stands after them. */
  position: StreamPosition;
  /** Whether the stream has ended: the batch holds fewer contexts than asked for, perhaps none. */
  done: boolean;
}

/** Contexts that are all zero. */
export function emptyBatch(contexts: number, context: number): TokenBatch {
  const array = () => new Uint32Array(contexts * context);
  return { contexts, context, ids: array(), document: array(), position: array() };
}

/**
 * Overwrites contexts of a batch.
 *
 * @param from The new ones.
 * @param to Where to; contexts of the same length.
 * @param row The first context to overwrite.
 */
export function copyContexts(from: TokenBatch, to: TokenBatch, row: number): void {
  const at = row * to.context;
  to.ids.set(from.ids, at);
  to.document.set(from.document, at);
  to.position.set(from.position, at);
}

/** A copy of the contexts from `begin` to before `end`; the batch itself where that is all. */
export function sliceBatch(batch: TokenBatch, begin: number, end: number): TokenBatch {
  if (begin === 0 && end === batch.contexts) return batch;
  const { context, ids, document, position } = batch, from = begin * context, to = end * context;
  return {
    contexts: end - begin,
    context,
    ids: ids.slice(from, to),
    document: document.slice(from, to),
    position: position.slice(from, to),
  };
}

/**
 * The rows of a batch's activations that count: those of tokens, without what fills up a row that a document ends in.
 *
 * @param batch The contexts.
 * @param includeBos Whether BOS, the first token of each context, counts.
 * @param excluded Ids of tokens that do not count wherever else they stand; none if left out.
 * @returns Flat indices context * batch.context + column, ascending.
 */
export function countedRows(
  { contexts, context, ids, document }: Omit<TokenBatch, "position">,
  includeBos: boolean,
  excluded: readonly number[] = [],
): Uint32Array<ArrayBuffer> {
  const isExcluded = new Set(excluded);
  const rows = new Uint32Array(contexts * context);
  let count = 0;
  for (let row = 0; row < rows.length; row++) {
    const isCounted = row % context === 0 ? includeBos : document[row] !== NO_DOCUMENT && !isExcluded.has(ids[row]);
    if (isCounted) rows[count++] = row;
  }
  return rows.slice(0, count);
}

/**
 * The most of a context's tokens that count.
 *
 * @param context Tokens per context, BOS included.
 * @param includeBos Whether BOS counts.
 * @returns All of them, or all but one.
 */
export function countedPerContext(context: number, includeBos: boolean): number {
  return includeBos ? context : context - 1;
}
