/**
 * A decoder in numbers, whatever family it is of: what tells families apart is a field.
 * @module
 */

/** What a layer's attention sees: the last `slidingWindow` tokens or the whole context. */
export type LayerType = "sliding_attention" | "full_attention";

/** A rotary embedding's wavelengths. */
export interface Rope {
  /** Their base. */
  readonly theta: number;
  /** Frequencies are divided by it; 1 for none. */
  readonly factor: number;
}

/** A decoder's sizes and constants. */
export interface DecoderConfig {
  /** Number of layers. */
  readonly layers: number;
  /** Width of the residual stream, a multiple of 4. */
  readonly dModel: number;
  /** Width of the MLP's hidden layer, a multiple of 4. */
  readonly dMlp: number;
  /** Query heads; `heads * headDim` need not equal `dModel`. */
  readonly heads: number;
  /** Key/value heads, each shared by `heads / keyValueHeads` query heads. */
  readonly keyValueHeads: number;
  /** Width of a head, even. */
  readonly headDim: number;
  /** Number of tokens in the vocabulary. */
  readonly vocabSize: number;
  /** The token that begins every context. */
  readonly bosTokenId: number;
  /** The longest context the model was made for, in tokens. */
  readonly maxPositions: number;
  /** How many tokens, itself included, a token sees in a sliding layer. */
  readonly slidingWindow: number;
  /** One entry per layer. */
  readonly layerTypes: readonly LayerType[];
  /** The rotary embedding, by what a layer sees. */
  readonly rope: Readonly<Record<LayerType, Rope>>;
  /** Whether each query head and each key head is normed before it turns. */
  readonly hasHeadNorm: boolean;
  /** Scores are multiplied by this number to the power -1/2. */
  readonly queryPreAttnScalar: number;
  /** Scores s become cap * tanh(s / cap); null for no cap. */
  readonly attnSoftCap: number | null;
  /** Logits z become cap * tanh(z / cap); null for no cap. */
  readonly finalSoftCap: number | null;
  /** Whether logits are products with the token embedding; else the checkpoint has a matrix of its own for them. */
  readonly isHeadTied: boolean;
  /** Added to the mean square in each norm. */
  readonly rmsNormEps: number;
}
