/**
 * An evaluation: held-out text through the model once, every transcoder on the activations it asks for.
 * @module
 */

import type { Evaluation } from "../analysis/evaluation.ts";
import type { EvaluatedText } from "../analysis/evaluation_sums.ts";
import { UserError } from "../errors.ts";
import { downloadAll, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { columnsOf, type Tap, type Widths } from "../model/sites.ts";
import { countedPerContext } from "../text/contexts.ts";
import { Encoder } from "../transcoder/encode.ts";
import type { PlacedTranscoder, TranscodersOnText } from "./features.ts";
import { EvaluatedTranscoder } from "./evaluated_transcoder.ts";
import { normLimits } from "./norm_limits.ts";
import {
  type Analysis,
  type ContextSource,
  overText,
  type Piece,
  recordTaken,
  recordTakenBeside,
} from "./over_text.ts";

/** Which transcoders on what. */
export interface EvaluationOptions extends TranscodersOnText {
  /** Contexts of one document each, which are read to their end. */
  readonly source: ContextSource;
  /** How many tokens the source was asked for. */
  readonly tokens: number;
  /** What is known of the source's text. */
  readonly text: Omit<EvaluatedText, "excluded" | "outliers">;
}

/**
 * Evaluates transcoders on held-out text with threshold inference.
 *
 * @param options Which on what.
 * @returns One evaluation per transcoder, in their order.
 * @throws {UserError} When there is no text or the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function evaluateTranscoders(options: EvaluationOptions): Promise<Evaluation[]> {
  const { gpu, decoder, transcoders, tokens, text, onProgress } = options;
  const { context, include_bos: includeBos, exclude_tokens: excluded } = options.settings;
  const perContext = countedPerContext(context, includeBos), limits = normLimits(options.settings);
  using scratch = openScope(gpu);
  const maxTokens = decoder.contextsAtOnce * perContext;
  const evaluators = transcoders.map((placed) => new Evaluator(scratch, placed, decoder.config, maxTokens, Infinity));
  const taken = await overText({
    ...options,
    contexts: Infinity,
    includeBos,
    excluded,
    limits,
    onProgress: (done) => onProgress?.(Math.min(done.tokens, tokens), tokens),
  }, evaluators);
  if (taken.tokens > 0) {
    const outliers = limits.length > 0 ? taken.outliers : undefined;
    return evaluators.map((evaluator) => evaluator.result({ ...text, excluded: taken.excluded, outliers }));
  }
  throw new UserError({
    action: "evaluate",
    requirement: `the text for ${text.split} must hold a token that is not left out`,
    found: "it has none",
    remedy: "give more text",
  });
}

/** Measures a transcoder piece after piece. Several ride along one text, each in pieces of its own size, so that none's sums hang on others. */
export class Evaluator implements Analysis<readonly ArrayBuffer[]> {
  readonly taps: readonly Tap[];
  /** As many as the encoder takes. */
  readonly tokensAtOnce: number;
  readonly #gpu: Gpu;
  readonly #lane: EvaluatedTranscoder;
  readonly #contexts: number;
  /** How many tokens were measured. */
  tokens = 0;

  /**
   * Allocates what the transcoder needs.
   *
   * @param gpu The device.
   * @param placed Whom to evaluate.
   * @param widths The model, which knows how wide a tap is.
   * @param maxTokens The most counted tokens of a batch.
   * @param contexts How many of the text's first contexts are measured; what comes behind them is passed over.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, placed: PlacedTranscoder, widths: Widths, maxTokens: number, contexts: number) {
    const encoder = new Encoder(gpu, placed.transcoder, maxTokens), { source, targets } = placed.config;
    this.taps = [source, ...targets];
    this.tokensAtOnce = encoder.batchTokens;
    this.#gpu = gpu;
    this.#contexts = contexts;
    this.#lane = new EvaluatedTranscoder(gpu, placed, columnsOf(widths, targets), encoder, this.tokensAtOnce);
  }

  record(pass: Pass, whole: Piece): void {
    const piece = this.#measured(whole), lane = this.#lane;
    if (piece === null) return;
    const { source, targets } = lane.config;
    recordTaken(pass, piece, source, lane.x);
    recordTakenBeside(pass, piece, targets, lane.columns, lane.y);
    lane.record(pass, piece.places.length);
  }

  async read(whole: Piece): Promise<ArrayBuffer[]> {
    const piece = this.#measured(whole);
    return piece === null ? [] : await downloadAll(this.#gpu, this.#lane.measured(piece.places.length));
  }

  /** Adds up what was read. */
  take(whole: Piece, bytes: readonly ArrayBuffer[]): void {
    const piece = this.#measured(whole);
    if (piece === null) return;
    const { places, batch, contextsBefore } = piece;
    this.tokens += places.length;
    const rows = places.map((place) => Math.floor(place / batch.context));
    const context = rows.map((row) => contextsBefore + row);
    // BOS is of no document; what stands behind it is.
    const document = rows.map((row) => batch.document[row * batch.context + 1]);
    this.#lane.add(context, document, bytes);
  }

  /**
   * The figures so far.
   *
   * @param text What they were read from.
   * @returns The evaluation.
   * @throws {RangeError} When no token was measured.
   */
  result(text: EvaluatedText): Evaluation {
    return this.#lane.result(text);
  }

  /** What of a piece lies in the contexts that are measured; null for nothing. */
  #measured(piece: Piece): Piece | null {
    const { places, contextsBefore, batch } = piece, end = (this.#contexts - contextsBefore) * batch.context;
    const beyond = places.findIndex((place) => place >= end);
    if (beyond < 0) return piece;
    return beyond === 0 ? null : { ...piece, places: places.subarray(0, beyond) };
  }
}
