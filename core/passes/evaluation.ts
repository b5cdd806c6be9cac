/**
 * Drives an evaluation: held-out text through the model once, every transcoder on the activations it asks for.
 * @module
 */

import { type Evaluation, EvaluationSums } from "../analysis/evaluation.ts";
import { UserError } from "../errors.ts";
import type { Activations, Decoder } from "../model/forward.ts";
import { type Tap, tapName } from "../model/sites.ts";
import { createTensor, downloadAll, type Gpu, upload } from "../gpu/device.ts";
import { overlapped } from "../gpu/overlap.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { TokenBatch } from "../text/contexts.ts";
import type { TokenSource } from "../text/source.ts";
import { Encoder } from "../transcoder/encode.ts";
import { prefixEnds } from "../transcoder/shape.ts";
import { Reconstructor } from "../transcoder/reconstruct.ts";
import { oneBlock, recordGather } from "../gpu/row_blocks.ts";
import type { Transcoder } from "../transcoder/weights.ts";

/** A transcoder and what it is to predict. */
export interface EvaluatedTranscoder extends Transcoder {
  /** Where its input is read. */
  readonly source: Tap;
  /** Where its output is held against the model's own. */
  readonly target: Tap;
  /** Features kept per token in training. */
  readonly k: number;
}

/** What is evaluated on what. */
export interface EvaluationOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, loaded with every source and target among its taps. */
  readonly decoder: Decoder;
  /** Held-out text, at its beginning. */
  readonly source: TokenSource;
  /** Tokens per context of that source, BOS included. */
  readonly context: number;
  /** Contexts per forward pass, at most what the model was loaded for. */
  readonly contextsPerForward: number;
  /** The transcoders, evaluated on the same tokens. */
  readonly transcoders: readonly EvaluatedTranscoder[];
  /** Tokens to count: rounded up to whole contexts; fewer where the text ends before. */
  readonly tokens: number;
  /** Whether BOS tokens are counted. */
  readonly includeBos: boolean;
  /** Called now and then with the tokens counted so far. */
  readonly onProgress?: (tokens: number) => void;
}

/**
 * Evaluates transcoders on held-out text with threshold inference.
 *
 * @param options What on what.
 * @returns One evaluation per transcoder, in their order.
 * @throws {UserError} When there is no text or the device fails.
 */
export async function evaluateTranscoders(options: EvaluationOptions): Promise<Evaluation[]> {
  const measurer = new Measurer(options);
  await overlapped(measurer.pieces(), {
    submit: (piece) => measurer.submit(piece),
    read: ({ context }) => measurer.read(context.length),
    take(piece, bytes) {
      measurer.take(piece, bytes);
      options.onProgress?.(piece.tokensAfter);
    },
  });
  return measurer.results();
}

/**
 * The rows of a batch's activations that count.
 *
 * @param batch The contexts.
 * @param includeBos Whether BOS, the first token of each context, counts.
 * @returns Flat indices context * batch.context + column, ascending.
 */
export function countedRows({ contexts, context }: TokenBatch, includeBos: boolean): Uint32Array<ArrayBuffer> {
  const skip = includeBos ? 0 : 1, columns = context - skip;
  return Uint32Array.from(
    { length: contexts * columns },
    (_, r) => Math.floor(r / columns) * context + skip + r % columns,
  );
}

/** One transcoder's tensors and sums. */
interface Lane {
  readonly transcoder: EvaluatedTranscoder;
  readonly encoder: Encoder;
  readonly reconstructor: Reconstructor;
  readonly x: Tensor;
  readonly y: Tensor;
  readonly sums: EvaluationSums;
}

/** As many tokens of a forward pass as are measured at once. */
interface Piece {
  /** Where its work is recorded; the first piece of a forward pass has that in front. */
  readonly pass: Pass;
  /** The model's activations, overwritten by the next forward pass. */
  readonly activations: readonly Activations[];
  /** The number of each token's context. */
  readonly context: Uint32Array;
  /** Where in the forward pass's counted tokens the first of them stands. */
  readonly first: number;
  /** Tokens counted with this piece. */
  readonly tokensAfter: number;
}

/** Measures piece after piece, all transcoders with one wait. */
class Measurer {
  readonly #options: EvaluationOptions;
  readonly #lanes: readonly Lane[];
  /** Tokens measured at once: what the encoder with the least room takes. */
  readonly #tokens: number;
  readonly #rows: Tensor;

  constructor(options: EvaluationOptions) {
    const { gpu, transcoders, contextsPerForward, context, includeBos } = options;
    const maxTokens = contextsPerForward * (context - (includeBos ? 0 : 1));
    const encoders = transcoders.map((transcoder) => new Encoder(gpu, transcoder, maxTokens));
    const tokens = Math.min(...encoders.map((encoder) => encoder.batchTokens));
    this.#options = options;
    this.#tokens = tokens;
    this.#rows = createTensor(gpu, "counted rows", [maxTokens], "u32");
    this.#lanes = transcoders.map((transcoder, i) => ({
      transcoder,
      encoder: encoders[i],
      reconstructor: new Reconstructor(gpu, transcoder, tokens),
      x: createTensor(gpu, "evaluated source", [tokens, transcoder.shape.d_in]),
      y: createTensor(gpu, "evaluated target", [tokens, transcoder.shape.d_out]),
      sums: new EvaluationSums(prefixEnds(transcoder.shape.groups), transcoder.shape.d_out),
    }));
  }

  async *pieces(): AsyncGenerator<Piece> {
    const { gpu, decoder, source, context, contextsPerForward, includeBos } = this.#options;
    const wanted = Math.ceil(this.#options.tokens / (context - (includeBos ? 0 : 1)));
    let contexts = 0, tokens = 0;
    for (let isEnd = false; contexts < wanted && !isEnd;) {
      const { batch, done } = await source.next(Math.min(contextsPerForward, wanted - contexts));
      isEnd = done;
      if (batch.contexts === 0) continue;
      const rows = countedRows(batch, includeBos);
      upload(gpu, this.#rows, rows);
      let pass = new Pass(gpu);
      const activations = decoder.forward(pass, batch);
      for (let first = 0; first < rows.length; first += this.#tokens) {
        const taken = rows.subarray(first, first + this.#tokens);
        tokens += taken.length;
        const context = taken.map((row) => contexts + Math.floor(row / batch.context));
        yield { pass, activations, context, first, tokensAfter: tokens };
        pass = new Pass(gpu);
      }
      contexts += batch.contexts;
    }
    if (contexts > 0) return;
    throw new UserError(
      `Cannot evaluate: there must be a held-out context of ${context} tokens, there is none; give more text or --tokens`,
    );
  }

  submit({ pass, activations, context, first }: Piece): void {
    for (const lane of this.#lanes) this.#record(pass, lane, activations, context.length, first);
    pass.submit();
  }

  #record(pass: Pass, lane: Lane, activations: readonly Activations[], tokens: number, first: number): void {
    const { transcoder, encoder, reconstructor, x, y } = lane;
    const gather = (tap: Tap, into: Tensor, width: number) =>
      recordGather(pass, oneBlock(activationsAt(activations, tap)), this.#rows, into, {
        rows: tokens,
        width,
        first,
        scale: 1,
      });
    gather(transcoder.source, x, transcoder.shape.d_in);
    gather(transcoder.target, y, transcoder.shape.d_out);
    encoder.recordEncode(pass, x, tokens);
    encoder.recordFires(pass, tokens);
    reconstructor.record(pass, encoder.kept, y, tokens);
  }

  /** What the lanes measured of so many tokens: target, residual, squares, row starts and fires of each. */
  read(tokens: number): Promise<ArrayBuffer[]> {
    const measured = this.#lanes.map(({ transcoder: { shape }, encoder, reconstructor, y }) => [
      { ...y, shape: [tokens, shape.d_out] },
      { ...reconstructor.residual, shape: [tokens, shape.d_out] },
      { ...reconstructor.squares, shape: [tokens, shape.groups.length] },
      { ...encoder.kept.rowStart, shape: [tokens + 1] },
      encoder.fires,
    ]);
    return downloadAll(this.#options.gpu, measured.flat());
  }

  /** Adds up what was read. */
  take({ context }: Piece, bytes: readonly ArrayBuffer[]): void {
    const perLane = bytes.length / this.#lanes.length;
    this.#lanes.forEach(({ sums }, i) => {
      const [target, residual, squares, rowStart, fires] = bytes.slice(i * perLane, (i + 1) * perLane);
      sums.add({
        context,
        target: new Float32Array(target),
        residual: new Float32Array(residual),
        squares: new Float32Array(squares),
        rowStart: new Uint32Array(rowStart),
        fires: new Uint32Array(fires),
      });
    });
  }

  results(): Evaluation[] {
    return this.#lanes.map(({ sums, transcoder }) => sums.result(transcoder));
  }
}

function activationsAt(activations: readonly Activations[], tap: Tap): Tensor {
  const found = activations.find((taken) => tapName(taken.tap) === tapName(tap));
  if (found) return found.tensor;
  throw new RangeError(`Cannot evaluate: the model must be loaded with ${tapName(tap)} among its taps, it is not`);
}
