/**
 * An evaluation: held-out text through the model once, every transcoder on the activations it asks for.
 * @module
 */

import { type EvaluatedText, type Evaluation, EvaluationSums } from "../analysis/evaluation.ts";
import { UserError } from "../errors.ts";
import { createTensor, downloadAll, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import type { Tap } from "../model/sites.ts";
import { countedPerContext } from "../text/contexts.ts";
import { Encoder } from "../transcoder/encode.ts";
import { Reconstructor } from "../transcoder/reconstruct.ts";
import { prefixEnds } from "../transcoder/shape.ts";
import type { PlacedTranscoder, TranscodersOnText } from "./features.ts";
import { type Analysis, type ContextSource, overText, type Piece, recordTaken } from "./over_text.ts";

/** Which transcoders on what. */
export interface EvaluationOptions extends TranscodersOnText {
  /** Contexts of one document each, which are read to their end. */
  readonly source: ContextSource;
  /** How many tokens the source was asked for. */
  readonly tokens: number;
  /** What is known of the source's text. */
  readonly text: Omit<EvaluatedText, "excluded">;
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
  const perContext = countedPerContext(context, includeBos);
  using scratch = openScope(gpu);
  const evaluator = new Evaluator(scratch, transcoders, decoder.contextsAtOnce * perContext);
  const taken = await overText({
    ...options,
    contexts: Infinity,
    includeBos,
    excluded,
    onProgress: (done) => onProgress?.(Math.min(done.tokens, tokens), tokens),
  }, [evaluator]);
  if (taken.tokens > 0) return evaluator.results({ ...text, excluded: taken.excluded });
  throw new UserError({
    action: "evaluate",
    requirement: `the text for ${text.split} must hold a token that is not left out`,
    found: "it has none",
    remedy: "give more text",
  });
}

/** One transcoder's tensors and sums. */
interface Lane {
  readonly placed: PlacedTranscoder;
  readonly encoder: Encoder;
  readonly reconstructor: Reconstructor;
  readonly x: Tensor;
  readonly y: Tensor;
  readonly sums: EvaluationSums;
}

/** Measures piece after piece, all transcoders with one wait. */
class Evaluator implements Analysis<readonly ArrayBuffer[]> {
  readonly taps: readonly Tap[];
  /** What the encoder with the least room takes. */
  readonly tokensAtOnce: number;
  readonly #gpu: Gpu;
  readonly #lanes: readonly Lane[];

  constructor(gpu: Gpu, transcoders: readonly PlacedTranscoder[], maxTokens: number) {
    const encoders = transcoders.map(({ transcoder }) => new Encoder(gpu, transcoder, maxTokens));
    const tokens = Math.min(...encoders.map(({ batchTokens }) => batchTokens));
    this.taps = transcoders.flatMap(({ config: { source, target } }) => [source, target]);
    this.tokensAtOnce = tokens;
    this.#gpu = gpu;
    this.#lanes = transcoders.map((placed, i) => {
      const { transcoder, transcoder: { shape } } = placed;
      return {
        placed,
        encoder: encoders[i],
        reconstructor: new Reconstructor(gpu, transcoder, tokens),
        x: createTensor(gpu, "evaluated source", [tokens, shape.d_in]),
        y: createTensor(gpu, "evaluated target", [tokens, shape.d_out]),
        sums: new EvaluationSums(prefixEnds(shape.groups), shape.d_out),
      };
    });
  }

  record(pass: Pass, piece: Piece): void {
    const tokens = piece.places.length;
    for (const { placed: { config }, encoder, reconstructor, x, y } of this.#lanes) {
      recordTaken(pass, piece, config.source, x);
      recordTaken(pass, piece, config.target, y);
      encoder.recordEncode(pass, x, tokens);
      encoder.recordFires(pass, tokens);
      reconstructor.record(pass, encoder.kept, y, tokens);
    }
  }

  /** What the lanes measured: target, residual, squares, row starts and fires of each. */
  read({ places: { length: tokens } }: Piece): Promise<ArrayBuffer[]> {
    const measured = this.#lanes.map(({ encoder, reconstructor, y }) => [
      front(y, tokens),
      front(reconstructor.residual, tokens),
      front(reconstructor.squares, tokens),
      front(encoder.kept.rowStart, tokens + 1),
      encoder.fires,
    ]);
    return downloadAll(this.#gpu, measured.flat());
  }

  /** Adds up what was read. */
  take({ places, batch, contextsBefore }: Piece, bytes: readonly ArrayBuffer[]): void {
    const rows = places.map((place) => Math.floor(place / batch.context));
    const context = rows.map((row) => contextsBefore + row);
    // BOS is of no document; what stands behind it is.
    const document = rows.map((row) => batch.document[row * batch.context + 1]);
    const perLane = bytes.length / this.#lanes.length;
    this.#lanes.forEach(({ sums }, i) => {
      const [target, residual, squares, rowStart, fires] = bytes.slice(i * perLane, (i + 1) * perLane);
      sums.add({
        context,
        document,
        target: new Float32Array(target),
        residual: new Float32Array(residual),
        squares: new Float32Array(squares),
        rowStart: new Uint32Array(rowStart),
        fires: new Uint32Array(fires),
      });
    });
  }

  results(text: EvaluatedText): Evaluation[] {
    return this.#lanes.map(({ sums, placed: { transcoder: { thresholds }, config: { k } } }) =>
      sums.result({ thresholds, k, text })
    );
  }
}
