/**
 * What the config.json of one family has in common with another's.
 * @module
 */

/** Layers, at most: many more than any model has, so that nothing is made for a mistaken number of them. */
export const MOST_LAYERS = 10_000;
/** Other sizes, at most: a float32 still tells each from the next. */
export const MOST_SIZE: number = 2 ** 24;
/** What the kernels calculate with lies between the smallest and the largest number that float32 holds with all of its digits. */
export const LEAST_CONSTANT: number = 2 ** -126, MOST_CONSTANT: number = (2 - 2 ** -23) * 2 ** 127;

/** The token that begins a text where config.json does not say which. */
export const BOS = 2;

/** Keys whose values must fit together, by the same names in every family. */
export interface FittingKeys {
  /** Layers. */
  readonly num_hidden_layers: number;
  /** Width of the residual stream. */
  readonly hidden_size: number;
  /** Width of the MLP's hidden layer. */
  readonly intermediate_size: number;
  /** Query heads. */
  readonly num_attention_heads: number;
  /** Key/value heads. */
  readonly num_key_value_heads: number;
  /** Width of a head. */
  readonly head_dim: number;
  /** What each layer sees; a rule says it if left out. */
  readonly layer_types?: readonly string[] | null | undefined;
  /** The MLP's function; GeGLU's if left out. */
  readonly hidden_activation?: string | null | undefined;
}

/** What must hold between them, and how to say so. */
const RULES: readonly (readonly [holds: (c: FittingKeys) => boolean, rule: string])[] = [
  [(c) => c.num_attention_heads % c.num_key_value_heads === 0, "num_key_value_heads must divide num_attention_heads"],
  [(c) => c.head_dim % 2 === 0, "head_dim must be even"],
  [(c) => c.hidden_size % 4 === 0, "hidden_size must be a multiple of 4"],
  [(c) => c.intermediate_size % 4 === 0, "intermediate_size must be a multiple of 4"],
  [(c) => !c.layer_types || c.layer_types.length === c.num_hidden_layers, "layer_types must name every layer"],
  [
    (c) => (c.hidden_activation ?? "gelu_pytorch_tanh") === "gelu_pytorch_tanh",
    "hidden_activation must be gelu_pytorch_tanh",
  ],
];

/**
 * Checks what must hold between keys.
 *
 * @param keys The values, each possible on its own.
 * @returns The first rule that does not hold; null when all do.
 */
export function misfit(keys: FittingKeys): string | null {
  return RULES.find(([holds]) => !holds(keys))?.[1] ?? null;
}

/** What valibot finds wrong. */
export interface KeyIssue {
  /** What the value must be. */
  readonly message: string;
  /** Where it lies; left out for the whole file. */
  readonly path?: readonly { readonly key: unknown }[] | undefined;
}

/**
 * Says what is wrong with a key.
 *
 * @param issues What was found.
 * @returns The first of them, as `key: what it must be`.
 */
export function firstIssue([{ path = [], message }]: readonly [KeyIssue, ...KeyIssue[]]): string {
  return [...path.length > 0 ? [path.map(({ key }) => key).join(".")] : [], message].join(": ");
}
