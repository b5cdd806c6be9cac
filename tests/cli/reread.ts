/**
 * The text that a part of a run read, read once more, with the model's activations on it; and what a transcoder makes
 * of them in float64. Text and model are the program's own, which have tests of their own; all that comes behind them
 * is not.
 * @module
 */

import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { type Site, type Tap, tapName } from "../../core/model/sites.ts";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { NO_DOCUMENT } from "../../core/text/contexts.ts";
import { openTokenSource } from "../../core/text/source.ts";
import type { HeldOutSplit } from "../../core/text/split.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { CONTEXT, WIDTH } from "./whole_run.ts";

/** The order of a text: so many tokens of a held-out part have one, training text one per seed. */
export type TextOrder = { split: HeldOutSplit; tokens: number } | { split: "train"; seed: number };

/** Text and activations. A token's row is context * CONTEXT + column; column 0 is BOS. */
export interface Reread {
  /** Rows, BOS included. */
  readonly rows: number;
  /** Rows of tokens of documents, ascending. */
  readonly tokens: readonly number[];
  /** [rows] token ids. */
  readonly ids: Uint32Array;
  /** [rows] token offset in the document. */
  readonly position: Uint32Array;
  /** The name of a row's document. */
  document(row: number): string;
  /** [rows, WIDTH] a tap's raw activations. */
  activations(layer: number, site: Site): Float32Array;
  /** The ids of at most `radius` tokens before and after a row, in its context and without BOS. */
  around(row: number, radius: number): { before: Uint32Array; after: Uint32Array };
}

/** The most contexts in one forward pass. */
const AT_ONCE = 32;

const model = await openModel(BUILTIN);

/** The model's tokenizer. */
export const tokenizer = loadTokenizer(model);

/**
 * Reads the beginning of a text and runs the model on it.
 *
 * @param order Which text.
 * @param contexts How many contexts; fewer where a held-out part ends.
 * @param taps The activations wanted.
 * @returns The text and the activations.
 */
export async function reread(order: TextOrder, contexts: number, taps: readonly Tap[]): Promise<Reread> {
  using gpu = await openGpu();
  const decoder = await loadDecoder(gpu, model, { taps, maxTokens: AT_ONCE * CONTEXT, context: CONTEXT });
  const source = await openTokenSource({ tokenizer: model, data: "builtin", context: CONTEXT, seed: null, ...order });
  const [ids, position, document] = [0, 1, 2].map(() => new Uint32Array(contexts * CONTEXT));
  const activations = new Map(taps.map((tap) => [tapName(tap), new Float32Array(contexts * CONTEXT * WIDTH)]));
  let done = 0;
  for (let isEnd = false; done < contexts && !isEnd;) {
    const { batch, done: isLast } = await source.next(Math.min(AT_ONCE, contexts - done));
    isEnd = isLast;
    if (batch.contexts === 0) break;
    const at = done * CONTEXT, size = batch.contexts * CONTEXT * WIDTH;
    ids.set(batch.ids, at);
    position.set(batch.position, at);
    document.set(batch.document, at);
    const pass = new Pass(gpu);
    const tapped = decoder.forward(pass, batch);
    pass.submit();
    for (const { tap, tensor } of tapped) {
      activations.get(tapName(tap))!.set((await downloadF32(gpu, tensor)).subarray(0, size), at * WIDTH);
    }
    done += batch.contexts;
  }
  await source.close();
  const rows = done * CONTEXT;
  return {
    ...{ rows, ids, position, tokens: rowsOf(document.subarray(0, rows)) },
    document: (row) => source.documentName(document[row]),
    activations: (layer, site) => activations.get(tapName({ layer, site }))!.subarray(0, rows * WIDTH),
    around(row, radius) {
      const start = row - row % CONTEXT;
      return {
        before: ids.subarray(Math.max(start + 1, row - radius), row),
        after: ids.subarray(row + 1, Math.min(start + CONTEXT, row + radius + 1)),
      };
    },
  };
}

const rowsOf = (document: Uint32Array) => [...document.keys()].filter((row) => document[row] !== NO_DOCUMENT);

/** A weight matrix of features, [width, features], and its bias. */
export interface FeatureReader {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** What features make of some activations, in float64. */
export interface Read {
  /** [rows, features] relu(x weight + bias). */
  readonly value: Float64Array;
  /** How far a feature's value on a row can be off in float32: its sum, and those that made x. */
  slack(row: number, feature: number): number;
}

/**
 * Float32 sums as long as WIDTH are right to 130 roundings of |x| |w| (8e-6); the sums that made x are about as good.
 */
const RELATIVE_SLACK = 1e-5;

/**
 * Reads features.
 *
 * @param x [rows, WIDTH] activations.
 * @param reader The encoder.
 * @returns Their values.
 */
export function readFeatures(x: Float32Array, { weight, bias }: FeatureReader): Read {
  const features = bias.length, rows = x.length / WIDTH;
  const value = new Float64Array(rows * features), squares = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const values = value.subarray(row * features, (row + 1) * features);
    values.set(bias);
    for (let d = 0; d < WIDTH; d++) {
      const input = x[row * WIDTH + d], first = d * features;
      squares[row] += input * input;
      for (let i = 0; i < features; i++) values[i] += input * weight[first + i];
    }
    for (let i = 0; i < features; i++) if (values[i] < 0) values[i] = 0;
  }
  const lengths = norms(weight, features);
  return { value, slack: (row, feature) => RELATIVE_SLACK * Math.sqrt(squares[row]) * lengths[feature] };
}

/** The lengths of the columns of a matrix [rows, columns], in float64. */
export function norms(matrix: Float32Array, columns: number): Float64Array {
  const squares = new Float64Array(columns);
  matrix.forEach((entry, at) => squares[at % columns] += entry * entry);
  return squares.map(Math.sqrt);
}

/** A matrix [rows, columns] as [columns, rows]. */
export function turned(matrix: Float32Array, columns: number): Float32Array {
  const rows = matrix.length / columns;
  return Float32Array.from(matrix, (_, at) => matrix[at % rows * columns + Math.floor(at / rows)]);
}
