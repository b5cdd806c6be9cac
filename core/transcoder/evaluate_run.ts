/**
 * Drives an evaluation: held-out text through the model once, every transcoder on the activations it asks for.
 * @module
 */

import { EvaluationSums } from "../analysis/evaluation.ts";
import type { Evaluation } from "../analysis/run_schema.ts";
import { UserError } from "../errors.ts";
import type { Activations, Gemma2 } from "../gemma2/forward.ts";
import { type Tap, tapName } from "../gemma2/sites.ts";
import { createTensor, downloadAll, type Gpu, upload } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { TokenBatch } from "../text/contexts.ts";
import type { TokenSource } from "../text/source.ts";
import { Encoder } from "./encode.ts";
import { prefixEnds } from "./recipe.ts";
import { Reconstructor } from "./reconstruct.ts";
import { oneBlock, recordGather } from "./row_blocks.ts";
import type { Transcoder } from "./weights.ts";

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
  readonly gemma2: Gemma2;
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
  /** Called after each forward pass with the tokens counted so far. */
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
  const { gpu, gemma2, source, context, contextsPerForward, includeBos } = options;
  const perContext = context - (includeBos ? 0 : 1), wanted = Math.ceil(options.tokens / perContext);
  const measurer = new Measurer(gpu, options.transcoders, contextsPerForward * perContext);
  let contexts = 0;
  while (contexts < wanted) {
    const { batch, done } = await source.next(Math.min(contextsPerForward, wanted - contexts));
    if (batch.contexts > 0) await measurer.measure(gemma2, batch, contexts, includeBos);
    contexts += batch.contexts;
    options.onProgress?.(contexts * perContext);
    if (done) break;
  }
  if (contexts === 0) {
    throw new UserError(
      `Cannot evaluate: there must be a held-out context of ${context} tokens, there is none; give more text or --tokens`,
    );
  }
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

/** Measures batch after batch, all transcoders with one wait. */
class Measurer {
  readonly #gpu: Gpu;
  readonly #lanes: readonly Lane[];
  /** Tokens measured at once: what the encoder with the least room takes. */
  readonly #tokens: number;
  readonly #rows: Tensor;

  constructor(gpu: Gpu, transcoders: readonly EvaluatedTranscoder[], maxTokens: number) {
    const encoders = transcoders.map((transcoder) => new Encoder(gpu, transcoder, maxTokens));
    const tokens = Math.min(...encoders.map((encoder) => encoder.batchTokens));
    this.#gpu = gpu;
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

  /** Adds a batch whose first context has number `firstContext`. */
  async measure(gemma2: Gemma2, batch: TokenBatch, firstContext: number, includeBos: boolean): Promise<void> {
    const rows = countedRows(batch, includeBos);
    upload(this.#gpu, this.#rows, rows);
    const contexts = rows.map((row) => firstContext + Math.floor(row / batch.context));
    let pass = new Pass(this.#gpu);
    const activations = gemma2.forward(pass, batch);
    for (let first = 0; first < rows.length; first += this.#tokens) {
      const tokens = Math.min(this.#tokens, rows.length - first);
      for (const lane of this.#lanes) this.#record(pass, lane, activations, tokens, first);
      pass.submit();
      await this.#add(contexts.subarray(first, first + tokens));
      pass = new Pass(this.#gpu);
    }
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

  /** Reads what was recorded last and adds it up. */
  async #add(context: Uint32Array): Promise<void> {
    const tokens = context.length;
    const measured = this.#lanes.map(({ transcoder: { shape }, encoder, reconstructor, y }) => [
      { ...y, shape: [tokens, shape.d_out] },
      { ...reconstructor.residual, shape: [tokens, shape.d_out] },
      { ...reconstructor.squares, shape: [tokens, shape.groups.length] },
      { ...encoder.kept.rowStart, shape: [tokens + 1] },
      encoder.fires,
    ]);
    const bytes = await downloadAll(this.#gpu, measured.flat());
    this.#lanes.forEach(({ sums }, i) => {
      const [target, residual, squares, rowStart, fires] = bytes.slice(i * measured[i].length);
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
