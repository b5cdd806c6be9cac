/**
 * An evaluation: held-out text through the model once, every transcoder on the activations it asks for.
 * @module
 */

import type { EvaluatedText, Evaluation } from "../analysis/evaluation.ts";
import { UserError } from "../errors.ts";
import { downloadAll, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import type { Tap } from "../model/sites.ts";
import { countedPerContext } from "../text/contexts.ts";
import { Encoder } from "../transcoder/encode.ts";
import type { PlacedTranscoder, TranscodersOnText } from "./features.ts";
import { EvaluatedTranscoder } from "./evaluated_transcoder.ts";
import { normLimits } from "./norm_limits.ts";
import { type Analysis, type ContextSource, overText, type Piece, recordTaken } from "./over_text.ts";

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
  const evaluator = new Evaluator(scratch, transcoders, decoder.contextsAtOnce * perContext);
  const taken = await overText({
    ...options,
    contexts: Infinity,
    includeBos,
    excluded,
    limits,
    onProgress: (done) => onProgress?.(Math.min(done.tokens, tokens), tokens),
  }, [evaluator]);
  if (taken.tokens > 0) {
    const outliers = limits.length > 0 ? taken.outliers : undefined;
    return evaluator.results({ ...text, excluded: taken.excluded, outliers });
  }
  throw new UserError({
    action: "evaluate",
    requirement: `the text for ${text.split} must hold a token that is not left out`,
    found: "it has none",
    remedy: "give more text",
  });
}

/** Measures piece after piece, all transcoders with one wait. */
class Evaluator implements Analysis<readonly ArrayBuffer[]> {
  readonly taps: readonly Tap[];
  /** What the encoder with the least room takes. */
  readonly tokensAtOnce: number;
  readonly #gpu: Gpu;
  readonly #lanes: readonly EvaluatedTranscoder[];

  constructor(gpu: Gpu, transcoders: readonly PlacedTranscoder[], maxTokens: number) {
    const encoders = transcoders.map(({ transcoder }) => new Encoder(gpu, transcoder, maxTokens));
    const tokens = Math.min(...encoders.map(({ batchTokens }) => batchTokens));
    this.taps = transcoders.flatMap(({ config: { source, target } }) => [source, target]);
    this.tokensAtOnce = tokens;
    this.#gpu = gpu;
    this.#lanes = transcoders.map((placed, i) => new EvaluatedTranscoder(gpu, placed, encoders[i], tokens));
  }

  record(pass: Pass, piece: Piece): void {
    for (const lane of this.#lanes) {
      recordTaken(pass, piece, lane.config.source, lane.x);
      recordTaken(pass, piece, lane.config.target, lane.y);
      lane.record(pass, piece.places.length);
    }
  }

  /** What the lanes measured, one after the other. */
  read({ places: { length: tokens } }: Piece): Promise<ArrayBuffer[]> {
    return downloadAll(this.#gpu, this.#lanes.flatMap((lane) => lane.measured(tokens)));
  }

  /** Adds up what was read. */
  take({ places, batch, contextsBefore }: Piece, bytes: readonly ArrayBuffer[]): void {
    const rows = places.map((place) => Math.floor(place / batch.context));
    const context = rows.map((row) => contextsBefore + row);
    // BOS is of no document; what stands behind it is.
    const document = rows.map((row) => batch.document[row * batch.context + 1]);
    let first = 0;
    for (const lane of this.#lanes) {
      const end = first + lane.measured(places.length).length;
      lane.add(context, document, bytes.slice(first, end));
      first = end;
    }
  }

  results(text: EvaluatedText): Evaluation[] {
    return this.#lanes.map((lane) => lane.result(text));
  }
}
