/**
 * The decoder's kernels as float64 loops that anyone can check.
 * @module
 */

import {
  type Bounded,
  difference,
  exact,
  exponential,
  hyperbolicTangent,
  logarithm,
  product,
  quotient,
  sum,
} from "./bounded.ts";

/** gain * x / sqrt(mean(x^2) + epsilon), row by row. */
export function rmsNorm(x: ArrayLike<number>, gain: ArrayLike<number>, width: number, epsilon: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += width) {
    let squares = 0;
    for (let c = 0; c < width; c++) squares += x[first + c] ** 2;
    const rms = Math.sqrt(squares / width + epsilon);
    for (let c = 0; c < width; c++) y[first + c] = gain[c] * x[first + c] / rms;
  }
  return y;
}

/** gelu(gate) * up with the tanh form of gelu; each row of gateUp holds `width` gates, then `width` ups. */
export function geglu(gateUp: ArrayLike<number>, rows: number, width: number): Float64Array {
  const hidden = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < width; c++) {
      const gate = gateUp[2 * r * width + c], up = gateUp[(2 * r + 1) * width + c];
      const tanh = Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3));
      hidden[r * width + c] = gate * (1 + tanh) / 2 * up;
    }
  }
  return hidden;
}

/** The shape of an attention problem. */
export interface AttentionShape {
  readonly contexts: number;
  readonly context: number;
  readonly heads: number;
  readonly key_value_heads: number;
  readonly head_dim: number;
}

/** One position's columns in qkv. */
export function qkvWidth({ heads, key_value_heads, head_dim }: AttentionShape): number {
  return (heads + 2 * key_value_heads) * head_dim;
}

/** The query and key heads turned by their positions: [contexts, context, heads + key_value_heads, head_dim]. */
export function rotary(qkv: ArrayLike<number>, turns: ArrayLike<number>, shape: AttentionShape): Float64Array {
  const { contexts, context, heads, key_value_heads, head_dim } = shape;
  const half = head_dim / 2, rotated = heads + key_value_heads;
  const out = new Float64Array(contexts * context * rotated * head_dim);
  for (let row = 0; row < contexts * context; row++) {
    for (let h = 0; h < rotated; h++) {
      for (let i = 0; i < half; i++) {
        const [cos, sin] = [0, 1].map((part) => turns[((row % context) * half + i) * 2 + part]);
        const at = row * qkvWidth(shape) + h * head_dim + i, to = (row * rotated + h) * head_dim + i;
        out[to] = qkv[at] * cos - qkv[at + half] * sin;
        out[to + half] = qkv[at + half] * cos + qkv[at] * sin;
      }
    }
  }
  return out;
}

/** Query and key heads of qkv normed, each by its own gain ([2, head_dim]: of queries, of keys); values as they are. */
export function headNorm(
  qkv: ArrayLike<number>,
  gain: ArrayLike<number>,
  shape: Omit<AttentionShape, "contexts" | "context">,
  epsilon: number,
): Float64Array {
  const { heads, key_value_heads, head_dim } = shape, all = heads + 2 * key_value_heads;
  const out = Float64Array.from(qkv), gains = Array.from(gain);
  for (let h = 0; h < out.length / head_dim; h++) {
    const kind = h % all < heads ? 0 : 1, first = h * head_dim;
    if (h % all >= heads + key_value_heads) continue;
    const own = gains.slice(kind * head_dim, (kind + 1) * head_dim);
    out.set(rmsNorm(out.subarray(first, first + head_dim), own, head_dim, epsilon), first);
  }
  return out;
}

/** Softmax attention over turned queries and keys, its scores scaled, capped (0 is no cap), causal and windowed. */
export function attention(
  turned: ArrayLike<number>,
  qkv: ArrayLike<number>,
  shape: AttentionShape,
  window: number,
  scale: number,
  cap: number,
): Float64Array {
  const { contexts, context, heads, key_value_heads, head_dim } = shape;
  const rotated = heads + key_value_heads;
  const out = new Float64Array(contexts * context * heads * head_dim);
  for (let c = 0; c < contexts; c++) {
    for (let h = 0; h < heads; h++) {
      const group = Math.floor(h / (heads / key_value_heads));
      for (let q = 0; q < context; q++) {
        const first = Math.max(0, q - window + 1);
        const scores = Array.from({ length: q + 1 - first }, (_, k) => {
          let dot = 0;
          for (let d = 0; d < head_dim; d++) {
            dot += turned[((c * context + q) * rotated + h) * head_dim + d] *
              turned[((c * context + first + k) * rotated + heads + group) * head_dim + d];
          }
          return cap === 0 ? dot * scale : cap * Math.tanh(dot * scale / cap);
        });
        const largest = Math.max(...scores), weights = scores.map((s) => Math.exp(s - largest));
        const total = weights.reduce((a, b) => a + b, 0);
        for (let d = 0; d < head_dim; d++) {
          const value = (heads + key_value_heads + group) * head_dim + d;
          out[((c * context + q) * heads + h) * head_dim + d] = weights.reduce(
            (sum, w, k) => sum + w / total * qkv[(c * context + first + k) * qkvWidth(shape) + value],
            0,
          );
        }
      }
    }
  }
  return out;
}

/** soft_cap.wgsl: cap tanh(logit / cap), or the logit itself where the cap is 0. */
export function softCapped(logit: number, cap: number): Bounded {
  if (cap === 0) return exact(logit);
  return product(exact(cap), hyperbolicTangent(quotient(exact(logit), exact(cap))));
}

/** next_token_loss.wgsl for one row: log sum exp of its logits less the target's, the sum taken block by block; 0 without a target. */
export function nextTokenLoss(logits: readonly Bounded[], blocks: readonly number[], target: number): Bounded {
  if (target >= logits.length) return exact(0);
  const { largest, total } = exponentials(logits, blocks);
  return sum([logarithm(total), difference(largest, logits[target])]);
}

/** compare_predictions.wgsl for one row: KL(softmax(reference) || softmax(logits)). */
export function divergence(
  logits: readonly Bounded[],
  reference: readonly Bounded[],
  blocks: readonly number[],
): Bounded {
  const here = exponentials(logits, blocks);
  const there = exponentials(reference, blocks, reference.map((logit, i) => difference(logit, logits[i])));
  const logs = difference(logarithm(here.total), logarithm(there.total));
  return sum([quotient(there.weighted, there.total), logs, difference(here.largest, there.largest)]);
}

/** The largest logit, sum exp(logit - largest), and the same sum with weights; taken in block by block. */
function exponentials(
  logits: readonly Bounded[],
  blocks: readonly number[],
  weights: readonly Bounded[] = logits,
): { largest: Bounded; total: Bounded; weighted: Bounded } {
  let first = 0, largest = exact(-Infinity), total = exact(0), weighted = exact(0);
  for (const columns of blocks) {
    const block = logits.slice(first, first + columns), top = maximum(block);
    const terms = block.map((logit) => exponential(difference(logit, top)));
    const own = sum(terms), ownWeighted = sum(terms.map((term, i) => product(term, weights[first + i])));
    if (first === 0) [largest, total, weighted] = [top, own, ownWeighted];
    else {
      const both = maximum([largest, top]), before = largest;
      const scaled = (part: Bounded, from: Bounded) => product(part, exponential(difference(from, both)));
      total = sum([scaled(total, before), scaled(own, top)]);
      weighted = sum([scaled(weighted, before), scaled(ownWeighted, top)]);
      largest = both;
    }
    first += columns;
  }
  return { largest, total, weighted };
}

/** The largest of some numbers, each of which may be off by its bound. */
function maximum(all: readonly Bounded[]): Bounded {
  return { value: Math.max(...all.map(({ value }) => value)), error: Math.max(...all.map(({ error }) => error)) };
}
