/**
 * Samples: for each feature the tokens it fired on, with their context. Pure bookkeeping on the host; activations come in as
 * sparse rows, in any order of batches, and what is kept depends on the data alone.
 * @module
 */

import { type BoundedCount, HeavyTokens } from "./heavy_tokens.ts";

/** Contexts of tokens, one after the other: token `column` of context c is at c * context + column. */
export interface SampledContexts {
  /** Tokens per context. */
  readonly context: number;
  /** Their ids. */
  readonly ids: Uint32Array;
  /** The number of each token's document. */
  readonly document: Uint32Array;
  /** Each token's offset in its document. */
  readonly position: Uint32Array;
}

/** Tokens shown before and after the sampled one. */
export const CONTEXT_RADIUS = 10;
const WINDOW = 2 * CONTEXT_RADIUS + 1;
/** Fills a window where the context has ended. */
export const NO_TOKEN = 0xffffffff;

/** Kept activations of some tokens, sparse by token. */
export interface SparseRows {
  /** [tokens + 1] */
  readonly rowStart: Uint32Array;
  /** Feature numbers, ascending within a token. */
  readonly index: Uint32Array;
  /** Activations. */
  readonly value: Float32Array;
}

/** One sampled token. */
export interface SampledToken {
  /** The feature's activation there. */
  readonly activation: number;
  /** The training step it was seen at; 0 where the weights are frozen. */
  readonly step: number;
  /** The number of its document, see `TokenSource.documentName`. */
  readonly document: number;
  /** Its token offset in the document. */
  readonly position: number;
  /** Its id, with those around it. */
  readonly token: number;
  /** At most {@link CONTEXT_RADIUS} ids before it, within its context and without BOS. */
  readonly before: Uint32Array;
  /** At most {@link CONTEXT_RADIUS} ids after it, within its context. */
  readonly after: Uint32Array;
}

/** The arrays of a store, for checkpoints; only the first `counts[i]` slots of feature i mean anything. */
export interface StoreArrays {
  /** [features] slots in use. */
  readonly counts: Uint32Array<ArrayBuffer>;
  /** [features, capacity] slots from the first to the last in rank. */
  readonly order: Uint32Array<ArrayBuffer>;
  /** [features, capacity] what the slots are ranked by, descending. */
  readonly rank: Float32Array<ArrayBuffer>;
  /** [features, capacity] */
  readonly activation: Float32Array<ArrayBuffer>;
  /** [features, capacity, 3]: step, document, position. */
  readonly origin: Uint32Array<ArrayBuffer>;
  /** [features, capacity, 21] token ids around the sample. */
  readonly window: Uint32Array<ArrayBuffer>;
}

/**
 * The memory that a store takes, before it is made.
 *
 * @param features Features of the dictionary.
 * @param capacity The most samples per feature.
 * @returns Bytes.
 */
export function storeBytes(features: number, capacity: number): number {
  // A count; an order, a rank, an activation, an origin and a window.
  return 4 * features * (1 + capacity * (3 + 3 + WINDOW));
}

/** The best samples of each feature by a rank; a token of a document is kept once, with its best rank. */
export class SampleStore {
  /** The store's memory. */
  readonly arrays: StoreArrays;

  /**
   * Allocates an empty store.
   *
   * @param features Features of the dictionary.
   * @param capacity The most samples per feature.
   */
  constructor(readonly features: number, readonly capacity: number) {
    this.arrays = {
      counts: new Uint32Array(features),
      order: new Uint32Array(features * capacity),
      rank: new Float32Array(features * capacity),
      activation: new Float32Array(features * capacity),
      origin: new Uint32Array(features * capacity * 3),
      window: new Uint32Array(features * capacity * WINDOW),
    };
  }

  /** The memory that the store takes, full or not. */
  get bytes(): number {
    return Object.values(this.arrays).reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /**
   * Whether a sample of this rank would be kept; the cheap test before `offer`.
   *
   * @param feature The feature.
   * @param rank Higher is better.
   * @returns False when the feature's slots are full of samples ranked at least as high.
   */
  accepts(feature: number, rank: number): boolean {
    const { counts, order, rank: ranks } = this.arrays, base = feature * this.capacity;
    return counts[feature] < this.capacity || rank > ranks[base + order[base + this.capacity - 1]];
  }

  /**
   * Keeps a sample if its rank is high enough, dropping the lowest.
   *
   * @param feature The feature.
   * @param rank Higher is better; equal ranks stay in the order they came.
   * @param activation The feature's activation.
   * @param step The training step, 0 where the weights are frozen.
   * @param batch The contexts the token lies in.
   * @param at Its flat index there: context * batch.context + column.
   */
  offer(feature: number, rank: number, activation: number, step: number, batch: SampledContexts, at: number): void {
    if (!this.accepts(feature, rank)) return;
    const { counts, order, rank: ranks, activation: activations, origin } = this.arrays, { capacity } = this;
    const base = feature * capacity;
    const document = batch.document[at], position = batch.position[at];
    let slot = counts[feature];
    let length = slot;
    const twin = this.#find(feature, document, position);
    if (twin >= 0) {
      slot = order[base + twin];
      if (ranks[base + slot] >= rank) return;
      order.copyWithin(base + twin, base + twin + 1, base + length);
      length--;
    } else if (length === capacity) {
      slot = order[base + capacity - 1];
      length--;
    } else {
      counts[feature]++;
    }
    let low = 0, high = length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ranks[base + order[base + middle]] >= rank) low = middle + 1;
      else high = middle;
    }
    order.copyWithin(base + low + 1, base + low, base + length);
    order[base + low] = slot;
    ranks[base + slot] = rank;
    activations[base + slot] = activation;
    origin.set([step, document, position], (base + slot) * 3);
    this.#copyWindow(base + slot, batch, at);
  }

  /**
   * The samples of a feature, best rank first.
   *
   * @param feature The feature.
   * @returns At most `capacity` samples.
   */
  samples(feature: number): SampledToken[] {
    const { counts, order, activation, origin, window } = this.arrays, base = feature * this.capacity;
    return Array.from({ length: counts[feature] }, (_, n) => {
      const slot = base + order[base + n], ids = window.subarray(slot * WINDOW, (slot + 1) * WINDOW);
      const isToken = (id: number) => id !== NO_TOKEN;
      return {
        activation: activation[slot],
        step: origin[slot * 3],
        document: origin[slot * 3 + 1],
        position: origin[slot * 3 + 2],
        token: ids[CONTEXT_RADIUS],
        before: ids.subarray(0, CONTEXT_RADIUS).filter(isToken),
        after: ids.subarray(CONTEXT_RADIUS + 1).filter(isToken),
      };
    });
  }

  /**
   * Looks for numbers that no store has; what was read from a file may hold any.
   *
   * @param vocabSize Ids of tokens are below it.
   * @returns What must hold and does not; null when all is sound.
   */
  findFault(vocabSize: number): { readonly requirement: string; readonly found: string } | null {
    const { counts, order, window } = this.arrays, { capacity } = this, isTaken = new Uint8Array(capacity);
    for (let feature = 0; feature < this.features; feature++) {
      const count = counts[feature], base = feature * capacity, of = `of feature ${feature}`;
      if (count > capacity) return { requirement: `counts ${of} must be at most ${capacity}`, found: `it is ${count}` };
      isTaken.fill(0);
      for (let n = 0; n < count; n++) {
        const slot = order[base + n];
        if (slot >= count || isTaken[slot]++ > 0) {
          return {
            requirement: `order ${of} must name each of its ${count} slots once`,
            found: `place ${n} is ${slot}`,
          };
        }
        for (let i = (base + slot) * WINDOW; i < (base + slot + 1) * WINDOW; i++) {
          const id = window[i], isPad = id === NO_TOKEN && i % WINDOW !== CONTEXT_RADIUS;
          if (id < vocabSize || isPad) continue;
          return { requirement: `window ${of} must hold tokens below ${vocabSize}`, found: `slot ${slot} holds ${id}` };
        }
      }
    }
    return null;
  }

  /** The place in the order of the sample of this very token, else -1. */
  #find(feature: number, document: number, position: number): number {
    const { counts, order, origin } = this.arrays, base = feature * this.capacity;
    for (let n = 0; n < counts[feature]; n++) {
      const at = (base + order[base + n]) * 3;
      if (origin[at + 2] === position && origin[at + 1] === document) return n;
    }
    return -1;
  }

  #copyWindow(slot: number, batch: SampledContexts, at: number): void {
    const { window } = this.arrays, column = at % batch.context, start = at - column;
    for (let n = 0; n < WINDOW; n++) {
      const other = column + n - CONTEXT_RADIUS;
      // Column 0 is BOS: every context has it, so it tells nothing. It is shown only where it is the sample itself.
      const isInside = (other > 0 && other < batch.context) || other === column;
      window[slot * WINDOW + n] = isInside ? batch.ids[start + other] : NO_TOKEN;
    }
  }
}

/** The quantiles of a feature's activations that stratified samples are taken at. */
export const SAMPLE_QUANTILES: readonly number[] = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95];

/** What each feature does on some text, with frozen weights: counts, sums and samples of its activations. */
export class FeatureTally {
  /** The strongest activations of each feature. */
  readonly top: SampleStore;
  /** [features] tokens on which each feature fired. */
  readonly fires: Uint32Array;
  /** [features] sum of its activations. */
  readonly sums: Float64Array;
  /** [features] its largest activation. */
  readonly maxima: Float32Array;
  /** Tokens seen. */
  tokens = 0;
  /** How often each token was seen, by id. */
  readonly #occurrences = new Map<number, number>();
  /** The tokens that each feature fired on most. */
  readonly #heavy: HeavyTokens;
  /** A uniform random sample of each feature's activations: those whose hashed place in the text comes first. */
  readonly #uniform: SampleStore;

  /**
   * Allocates an empty tally.
   *
   * @param features Features of the dictionary.
   * @param capacity The most top samples per feature.
   * @param minActivation Activations below this are counted but not sampled.
   */
  constructor(features: number, capacity: number, readonly minActivation: number) {
    this.top = new SampleStore(features, capacity);
    this.#uniform = new SampleStore(features, UNIFORM_CAPACITY);
    this.#heavy = new HeavyTokens(features);
    this.fires = new Uint32Array(features);
    this.sums = new Float64Array(features);
    this.maxima = new Float32Array(features);
  }

  /** The memory that its samples and counters take. */
  get bytes(): number {
    return this.top.bytes + this.#uniform.bytes + this.#heavy.bytes;
  }

  /**
   * Takes in one batch.
   *
   * @param rows Its activations.
   * @param batch The contexts.
   * @param places The flat index in `batch` of each row.
   */
  add(rows: SparseRows, batch: SampledContexts, places: Uint32Array): void {
    this.tokens += places.length;
    for (let b = 0; b < places.length; b++) {
      const at = places[b], token = batch.ids[at];
      const rank = placeHash(batch.document[at], batch.position[at]);
      this.#occurrences.set(token, this.occurrences(token) + 1);
      for (let e = rows.rowStart[b]; e < rows.rowStart[b + 1]; e++) {
        const feature = rows.index[e], activation = rows.value[e];
        this.fires[feature]++;
        this.sums[feature] += activation;
        this.#heavy.add(feature, token);
        if (activation > this.maxima[feature]) this.maxima[feature] = activation;
        if (activation < this.minActivation) continue;
        if (this.top.accepts(feature, activation)) this.top.offer(feature, activation, activation, 0, batch, at);
        if (this.#uniform.accepts(feature, rank)) this.#uniform.offer(feature, rank, activation, 0, batch, at);
      }
    }
  }

  /**
   * How often a token was seen.
   *
   * @param token Its id.
   * @returns Its count over the whole text, whatever fired.
   */
  occurrences(token: number): number {
    return this.#occurrences.get(token) ?? 0;
  }

  /**
   * The token that a feature fired on most, over all its firings.
   *
   * @param feature The feature.
   * @returns The token and how often it was that; null where no token stands out at all.
   */
  mainToken(feature: number): BoundedCount | null {
    return this.#heavy.commonest(feature);
  }

  /**
   * Samples at fixed quantiles of a feature's activations, estimated from a uniform sample of them.
   *
   * @param feature The feature.
   * @returns One sample per quantile, or none when the feature fired on fewer tokens than there are quantiles.
   */
  quantiles(feature: number): (SampledToken & { quantile: number })[] {
    const sorted = this.#uniform.samples(feature).sort((a, b) => a.activation - b.activation);
    if (sorted.length < SAMPLE_QUANTILES.length) return [];
    return SAMPLE_QUANTILES.map((quantile) => ({ quantile, ...sorted[Math.floor(quantile * sorted.length)] }));
  }
}

/** Activations per feature from which the quantiles are estimated. */
const UNIFORM_CAPACITY = 100;

/** A fixed pseudo-random number in [0, 1) for a place in the text (the finaliser of MurmurHash3 over both numbers). */
function placeHash(document: number, position: number): number {
  let h = Math.imul(document, 0x9e3779b1) ^ position;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 8) / 2 ** 24;
}
