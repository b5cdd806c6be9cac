/**
 * THE loop: text through the frozen model, and what analyses take in along it.
 *
 *     source ──► contexts ──► forward ──► piece ──► record ──► submit ──► read ──► take
 *                             once per batch        once per piece, for each analysis
 *
 * A batch of contexts is what the model takes at once; a piece is what an analysis takes at once of its counted tokens, whatever room the
 * others have: where float sums are cut must not depend on who rides along. While the GPU works on a piece, the one before is taken in on
 * the host and the next one's tokens are prepared.
 *
 * Where norms decide which tokens count, the model runs ahead by itself: its norms are read back before its tokens are counted, and the
 * pieces that follow find its activations in place.
 *
 * A new analysis is one object: where it taps the model, what it records behind the forward in the same GPU pass, what it reads back
 * and what it makes of that. Tokens, BOS, pieces, waits, progress and interrupts are the loop's.
 * @module
 */

import { createTensor, downloadAll, type Gpu, upload } from "../gpu/device.ts";
import { overlapped } from "../gpu/overlap.ts";
import { oneBlock, recordGather, recordNorms, recordPreparedBeside } from "../gpu/row_blocks.ts";
import { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import type { Activations, Decoder, ForwardOptions } from "../model/forward.ts";
import { type Tap, tapIndex, tapName } from "../model/sites.ts";
import { countedRows, emptyBatch, START, type StreamPosition, type TokenBatch } from "../text/contexts.ts";
import type { TokenSource } from "../text/source.ts";
import { type NormLimit, withinLimits } from "./norm_limits.ts";

/** Where contexts come from: a token source, or {@link contextsAtHand}. */
export type ContextSource = Pick<TokenSource, "next">;

/** The counted tokens of a batch, as flat indices context * batch.context + column, ascending. */
export interface CountedTokens {
  /** On the host. */
  readonly places: Uint32Array;
  /** u32, on the GPU; it may be read until the next batch's first piece is recorded. */
  readonly rows: Tensor;
}

/** Some counted tokens of one forward pass. */
export interface Piece {
  /** The contexts that the model ran on. */
  readonly batch: TokenBatch;
  /** How many contexts of the text came before them. */
  readonly contextsBefore: number;
  /** What the model computed for the whole batch; it may be read until the next piece is recorded. */
  readonly activations: readonly Activations[];
  /** The piece's tokens as flat indices context * batch.context + column, ascending. */
  readonly places: Uint32Array;
  /** Where in the batch's counted tokens the first of them stands: 0 in exactly one piece of each forward pass that an analysis takes. */
  readonly first: number;
  /** u32: the batch's counted tokens, as in `places`. */
  readonly rows: Tensor;
}

/** What is asked of the model along a text. Several can ride along one {@link overText}; none sees the others. */
export interface Analysis<Result = unknown> {
  /** The sites that it reads. */
  readonly taps: readonly Tap[];
  /**
   * How the model is to run for it, the same for each batch or by what is counted of it. Analyses without this share one forward pass per
   * batch, which comes first; those with the same object or function share another. All of a batch's come before the next batch, in the
   * order of the analyses.
   */
  readonly forward?: ForwardOptions | ((counted: CountedTokens) => ForwardOptions);
  /**
   * The most tokens that it takes at once. Those that take as many share their pieces; Infinity is for one that takes each forward pass
   * whole, from `batch` and `activations`.
   */
  readonly tokensAtOnce: number;
  /** Records what it wants of a piece, into tensors of its own. The work before it in the pass, the forward included, is seen. */
  record(pass: Pass, piece: Piece): void;
  /** Waits for what was recorded and fetches it; the next piece is not submitted before. */
  read(piece: Piece): Promise<Result>;
  /** Takes in what was fetched, on the host, while the GPU works on the next piece. */
  take(piece: Piece, result: Result): void;
}

/** How far the text has been taken in. */
export interface TextProgress {
  /** Contexts of which every token was taken in. */
  readonly contexts: number;
  /** Counted tokens. */
  readonly tokens: number;
}

/** A text, and the model that it goes through. */
export interface TextOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, loaded with the analyses' taps; it takes as many contexts at once as it was loaded for. */
  readonly decoder: Decoder;
  /** Where contexts come from. */
  readonly source: ContextSource;
  /** The most contexts to take; fewer where the text ends. */
  readonly contexts: number;
  /** Whether a text that starts over ends there. The source must stand at its beginning. */
  readonly isReadOnce?: boolean;
  /** Whether BOS, the first token of each context, counts. */
  readonly includeBos: boolean;
  /** Ids of tokens that do not count wherever else they stand; none if left out. */
  readonly excluded?: readonly number[];
  /** Norms above which tokens do not count, at taps of the model as it is, without edits; none if left out. */
  readonly limits?: readonly NormLimit[];
  /** Called after each piece. */
  readonly onProgress?: (done: TextProgress) => void;
  /** Ends the work before the next piece, or behind the last one, by throwing its reason. */
  readonly signal?: AbortSignal;
}

/** What went through the model. */
export interface TextTaken extends TextProgress {
  /** Tokens that did not count for their ids. */
  readonly excluded: number;
  /** Tokens that did not count for their norms. */
  readonly outliers: number;
  /** Where the source stands behind it; null when it had no context at all. */
  readonly position: StreamPosition | null;
}

/**
 * Runs the model over a text, once for all analyses.
 *
 * @param text The text and the model.
 * @param analyses What is taken in along it.
 * @returns How much text there was.
 * @throws {UserError} When the text or the device fails.
 * @throws {RangeError} When the model was not loaded with an analysis' taps.
 * @throws The signal's reason once it is aborted.
 */
export async function overText(text: TextOptions, analyses: readonly Analysis[]): Promise<TextTaken> {
  const { gpu, decoder, limits = [], signal, onProgress } = text;
  for (const tap of analyses.flatMap(({ taps }) => taps)) tapIndex(decoder.taps, tap);
  using scratch = openScope(gpu);
  const rows = createTensor(scratch, "counted rows", [decoder.maxTokens], "u32");
  const norms = limits.map(({ tap }) => createTensor(scratch, `norms at ${tapName(tap)}`, [decoder.maxTokens]));
  const taken: { -readonly [K in keyof TextTaken]: TextTaken[K] } = {
    contexts: 0,
    tokens: 0,
    excluded: 0,
    outliers: 0,
    position: null,
  };
  await overlapped(workOver(text, analyses, rows, norms, taken), {
    submit({ pass, riding, piece }) {
      signal?.throwIfAborted();
      for (const analysis of riding) analysis.record(pass, piece);
      pass.submit();
    },
    async read({ riding, piece }) {
      const results: unknown[] = [];
      for (const analysis of riding) results.push(await analysis.read(piece));
      return results;
    },
    take({ riding, piece, done }, results) {
      riding.forEach((analysis, i) => analysis.take(piece, results[i]));
      onProgress?.(done);
    },
  });
  signal?.throwIfAborted();
  return taken;
}

/** A piece with the pass that it is recorded in and the analyses that take it. */
interface Work {
  /** The forward pass is in front where the piece is the first of its batch. */
  readonly pass: Pass;
  readonly riding: readonly Analysis[];
  readonly piece: Piece;
  /** What is taken in with this piece. */
  readonly done: TextProgress;
}

async function* workOver(
  { gpu, decoder, source, contexts, isReadOnce, includeBos, excluded, limits = [] }: TextOptions,
  analyses: readonly Analysis[],
  rows: Tensor,
  norms: readonly Tensor[],
  taken: { -readonly [K in keyof TextTaken]: TextTaken[K] },
): AsyncGenerator<Work> {
  const runs = runsOf(analyses);
  for (let isEnd = false; taken.contexts < contexts && !isEnd;) {
    const { batch, position, done } = await source.next(Math.min(decoder.contextsAtOnce, contexts - taken.contexts));
    isEnd = done || (isReadOnce === true && position.epoch > 0);
    if (batch.contexts === 0) continue;
    const named = countedRows(batch, includeBos, excluded), { contexts: contextsBefore, tokens: tokensBefore } = taken;
    let counted = named, ahead: readonly Activations[] | null = null;
    if (limits.length > 0) {
      const pass = new Pass(gpu), tokens = batch.ids.length, done = { contexts: contextsBefore, tokens: tokensBefore };
      ahead = decoder.forward(pass, batch);
      const piece = { batch, contextsBefore, activations: ahead, places: named.subarray(0, 0), first: 0, rows };
      for (const [i, { tap }] of limits.entries()) {
        recordNorms(gpu, pass, oneBlock(activationsAt(piece, tap).tensor), norms[i], tokens);
      }
      // It is submitted once the piece before has been read, and what that left may be overwritten.
      yield { pass, riding: [], piece, done };
      const bytes = await downloadAll(gpu, norms.map((tensor) => front(tensor, tokens)));
      counted = withinLimits(named, bytes.map((read) => new Float32Array(read)), limits);
    }
    upload(gpu, rows, counted);
    taken.contexts += batch.contexts;
    taken.tokens += counted.length;
    taken.position = position;
    if (excluded !== undefined) taken.excluded += countedRows(batch, includeBos).length - named.length;
    taken.outliers += named.length - counted.length;
    if (counted.length === 0) continue;
    for (const { forward, parties } of runs) {
      let pass = new Pass(gpu);
      const options = typeof forward === "function" ? forward({ places: counted, rows }) : forward;
      // The model has run for these already where it ran ahead.
      const activations = forward === undefined && ahead ? ahead : decoder.forward(pass, batch, options);
      for (const { riding, tokensAtOnce } of parties) {
        const isLast = riding === runs.at(-1)!.parties.at(-1)!.riding;
        for (let first = 0; first < counted.length; first += tokensAtOnce) {
          const places = counted.subarray(first, first + tokensAtOnce);
          const behind = isLast ? first + places.length : 0, isWhole = behind === counted.length;
          const done = { contexts: contextsBefore + (isWhole ? batch.contexts : 0), tokens: tokensBefore + behind };
          yield { pass, riding, piece: { batch, contextsBefore, activations, places, first, rows }, done };
          pass = new Pass(gpu);
        }
      }
    }
  }
}

/** The runs of the model for each batch: the shared one first, then each that an analysis asks for; with those who take it in like pieces. */
function runsOf(analyses: readonly Analysis[]) {
  const ways = [...new Set([undefined, ...analyses.map(({ forward }) => forward)])];
  const runs = ways.map((way) => {
    const takers = analyses.filter(({ forward }) => forward === way);
    const sizes = [...new Set(takers.map(({ tokensAtOnce }) => tokensAtOnce))];
    const party = (size: number) => takers.filter(({ tokensAtOnce }) => tokensAtOnce === size);
    return { forward: way, parties: sizes.map((tokensAtOnce) => ({ tokensAtOnce, riding: party(tokensAtOnce) })) };
  });
  return runs.filter(({ parties }) => parties.length > 0);
}

/**
 * The model's activations at a tap, for the piece's whole batch.
 *
 * @param piece The piece.
 * @param tap One of the model's taps.
 * @returns f32 [contexts * context, width]
 * @throws {RangeError} When the model has no such tap.
 */
export function activationsAt({ activations }: Pick<Piece, "activations">, tap: Tap): Activations {
  return activations[tapIndex(activations.map((taken) => taken.tap), tap)];
}

/**
 * Records gathering a piece's tokens at a tap.
 *
 * @param pass Where to record.
 * @param piece The piece.
 * @param tap One of the model's taps.
 * @param y [piece.places.length, width], overwritten.
 * @throws {RangeError} When the model has no such tap.
 */
export function recordTaken(pass: Pass, piece: Piece, tap: Tap, y: Tensor): void {
  const { tensor, width } = activationsAt(piece, tap), { places: { length: rows }, first } = piece;
  recordGather(pass, oneBlock(tensor), piece.rows, y, { rows, width, first });
}

/**
 * Records gathering a piece's tokens at several taps, prepared, side by side.
 *
 * @param pass Where to record.
 * @param piece The piece.
 * @param taps Some of the model's taps, from left to right.
 * @param columns [2, width] what is taken from each column, and what the rest is multiplied by; the width is the sum of the taps'.
 * @param y [piece.places.length, width], overwritten.
 * @throws {RangeError} When the model lacks one of the taps.
 */
export function recordTakenBeside(pass: Pass, piece: Piece, taps: readonly Tap[], columns: Tensor, y: Tensor): void {
  const matrices = taps.map((tap) => oneBlock(activationsAt(piece, tap).tensor));
  recordPreparedBeside(pass, matrices, piece.rows, columns, y, { rows: piece.places.length, first: piece.first });
}

/**
 * Contexts that are there already, as a source.
 *
 * @param batches Handed out one at a time, each whole, however many contexts are asked for.
 * @returns The source.
 */
export function contextsAtHand(batches: readonly TokenBatch[]): ContextSource {
  const left = batches.values();
  return {
    next() {
      const { value: batch } = left.next();
      return Promise.resolve({ batch: batch ?? emptyBatch(0, 0), position: START, done: batch === undefined });
    },
  };
}

/**
 * Reads a text to its end, for what goes through the model more than once.
 *
 * @param text Where contexts come from, and the model.
 * @returns All of it on the host, in batches that the model takes at once.
 * @throws {UserError} When the text cannot be read.
 */
export async function batchesOf({ decoder, source }: Pick<TextOptions, "decoder" | "source">): Promise<TokenBatch[]> {
  const batches: TokenBatch[] = [];
  for (let isEnd = false; !isEnd;) {
    const { batch, done } = await source.next(decoder.contextsAtOnce);
    isEnd = done;
    if (batch.contexts > 0) batches.push(batch);
  }
  return batches;
}
