/**
 * Held-out contexts: drawn evenly over all documents of a held-out part, and of the training part for a reading set. No files and no clock.
 *
 *     documents in order:   d0 d0 d0 d0 d0 EOS, d1 EOS, d2 d2 d2 d2 EOS, ...
 *     rows (context = 5):   BOS d0 d0 d0 d0 / BOS d0 EOS -- -- / BOS d1 EOS -- -- / BOS d2 d2 d2 d2 / ...
 *
 * Other than in training, a row has tokens of one document only and is filled up behind its end, so that a token's figures do not depend
 * on which document happens to stand before its own, a document's figures are its own, and each token counts exactly once. What fills
 * up comes last in its row, where no token sees it, and never counts. Long documents cost half a row more than they would packed.
 *
 * Where there are more tokens than asked for, every document gives one row, or where there are more documents than rows some do, and
 * what is left is shared in proportion to their lengths; the rows of a document are evenly spaced. So nothing is random.
 *
 * Of a text that is streamed, the first blocks of every volume are read, {@link LEAST_BLOCKS} or one for {@link BLOCK_TOKENS} tokens in
 * all, shared among the volumes in the same way; a later block can only be found by reading all before it. All documents of those blocks
 * are then drawn from as if they were the whole part, and lie in memory meanwhile: a fortieth of what is read. Of the training documents
 * only every so many do.
 * @module
 */
import { type BlockStart, VOLUME_START } from "./blocks.ts";
import { emptyBatch, NO_DOCUMENT, sliceBatch, START, type TokenBatch } from "./contexts.ts";
import type { Block, BlockSource, Corpus, NumberedDocument } from "./corpus.ts";
import { type LeftOut, NOTHING_LEFT_OUT } from "./no_text.ts";
import type { ContextRun } from "./stream.ts";

/** What is drawn from. Equal options give equal contexts. */
export interface HeldOutOptions {
  /** The documents of a part, in blocks. */
  source: BlockSource & Pick<Corpus, "blocks">;
  /** The token ids of a text without special tokens. */
  encode: (text: string) => Uint32Array;
  /** Tokens per context, BOS included: at least 2. */
  context: number;
  /** Put in front of each context. */
  bosId: number;
  /** Put behind each document, and where a row is filled up. */
  eosId: number;
  /** How many tokens to draw, EOS included and BOS not: rounded up to whole rows, fewer where there are no more. */
  tokens: number;
  /** Of a streamed text, which of a block's documents are drawn from: the first of so many, and so on; each if left out. */
  every?: number;
}

/** Blocks of a streamed text that are read at least, as far as it has them: of eight gigabytes and more one in 500 MB. */
const LEAST_BLOCKS = 16;
/** Tokens that a block has in each held-out part, or more: 33 million characters of English have 200,000. */
const BLOCK_TOKENS = 2 ** 16;

/** A row: tokens of one document. */
interface Row {
  readonly number: number;
  /** Tokens of the document before it. */
  readonly first: number;
  readonly ids: Uint32Array;
}

/** Held-out contexts, once, in the order of the documents. */
export class HeldOutStream {
  readonly #options: HeldOutOptions;
  readonly #rows: AsyncGenerator<Row>;
  #leftOut = NOTHING_LEFT_OUT;

  /**
   * Reads nothing yet.
   *
   * @param options What is drawn from.
   */
  constructor(options: HeldOutOptions) {
    this.#options = options;
    this.#rows = drawnRows(options, (leftOut) => this.#leftOut = leftOut);
  }

  /** Records without text between the documents that were drawn from, as far as these were read. */
  get leftOut(): LeftOut {
    return this.#leftOut;
  }

  /**
   * The next contexts.
   *
   * @throws {UserError} when a block cannot be read.
   */
  async next(contexts: number): Promise<ContextRun> {
    const batch = emptyBatch(contexts, this.#options.context);
    let row = 0;
    while (row < contexts) {
      const { done, value } = await this.#rows.next();
      if (done) break;
      this.#write(batch, row++, value);
    }
    return { batch: sliceBatch(batch, 0, row), positions: Array.from({ length: row }, () => START) };
  }

  #write({ ids, document, position, context }: TokenBatch, row: number, { number, first, ids: tokens }: Row): void {
    const at = row * context, end = at + context, { bosId, eosId } = this.#options;
    ids.fill(eosId, at, end);
    document.fill(NO_DOCUMENT, at, end);
    ids[at] = bosId;
    ids.set(tokens, at + 1);
    document.fill(number, at + 1, at + 1 + tokens.length);
    for (let i = 0; i < tokens.length; i++) position[at + 1 + i] = first + i;
  }
}

async function* drawnRows(options: HeldOutOptions, onLeftOut: (leftOut: LeftOut) => void): AsyncGenerator<Row> {
  const { encode, context, eosId, tokens } = options, perRow = context - 1;
  const { documents, leftOut } = await readDocuments(options);
  onLeftOut(leftOut);
  const encoded = documents.map(({ text }) => {
    const tokens = encode(text), ids = new Uint32Array(tokens.length + 1);
    ids.set(tokens);
    ids[tokens.length] = eosId;
    return ids;
  });
  const drawn = drawRows(encoded.map(({ length }) => length), perRow, tokens);
  for (const [d, { number }] of documents.entries()) {
    for (const row of drawn[d]) {
      const first = row * perRow;
      yield { number, first, ids: encoded[d].subarray(first, first + perRow) };
    }
  }
}

/** The documents of all blocks, or of the first of each volume where that is more than are needed. */
async function readDocuments(
  { source, tokens, every = 1 }: HeldOutOptions,
): Promise<{ documents: NumberedDocument[]; leftOut: LeftOut }> {
  const { blocks } = source, wanted = Math.max(LEAST_BLOCKS, Math.ceil(tokens / BLOCK_TOKENS));
  const count = blocks.reduce((sum, count) => sum + count, 0), isAll = wanted >= count;
  const step = count > 1 ? every : 1;
  const shares = isAll ? blocks.map(() => Infinity) : shareDraws(blocks, wanted);
  const documents: NumberedDocument[] = [];
  let { records, first } = NOTHING_LEFT_OUT;
  for (const [volume, share] of shares.entries()) {
    let start: BlockStart | null = VOLUME_START;
    for (let n = 0; n < share && start !== null; n++) {
      const block: Block = await source.read(volume, start);
      block.documents.forEach((document, i) => i % step === 0 && documents.push(document));
      start = block.next;
      records += block.leftOut?.records ?? 0;
      first ??= block.leftOut?.first ?? null;
    }
  }
  return { documents, leftOut: { records, first } };
}

/**
 * Draws rows evenly over documents.
 *
 * @param lengths [documents] the tokens of each, at least 1.
 * @param perRow Tokens of a row.
 * @param tokens How many are wanted.
 * @returns [documents] which of its rows are drawn, ascending: the fewest that hold as many tokens, or all.
 */
export function drawRows(lengths: readonly number[], perRow: number, tokens: number): number[][] {
  const rows = lengths.map((length) => Math.ceil(length / perRow)), all = rows.reduce((sum, count) => sum + count, 0);
  for (let draws = Math.min(all, Math.ceil(tokens / perRow));;) {
    const drawn = shareDraws(rows, draws).map((share, d) =>
      Array.from({ length: share }, (_, n) => Math.floor((n + 0.5) * rows[d] / share))
    );
    const held = drawn.reduce(
      (sum, places, d) => sum + places.reduce((sum, place) => sum + Math.min(perRow, lengths[d] - place * perRow), 0),
      0,
    );
    if (held >= tokens || draws === all) return drawn;
    // Some end a document and are short.
    draws = Math.min(all, draws + Math.ceil((tokens - held) / perRow));
  }
}

/**
 * Shares draws among items: one for each where there are enough, the rest in proportion to their sizes, evenly spaced in their order.
 *
 * @param sizes [items] the most draws of each, at least 1.
 * @param draws How many there are, at most the sum of the sizes.
 * @returns [items] the draws of each.
 */
export function shareDraws(sizes: readonly number[], draws: number): number[] {
  const each = draws < sizes.length ? 0 : 1;
  const free = sizes.reduce((sum, size) => sum + size - each, 0), left = draws - each * sizes.length;
  let before = 0, given = 0;
  return sizes.map((size) => {
    before += size - each;
    const upTo = free === 0 ? 0 : Math.round(left * (before / free)), share = each + upTo - given;
    given = upTo;
    return share;
  });
}
