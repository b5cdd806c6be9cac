/**
 * What the config.json of one family has in common with another's.
 * @module
 */

import * as v from "valibot";

/** A number of things, of which there is at least one. */
export const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
/** A number above zero. */
export const Positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
/** The index of a token. */
export const TokenId = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** What each layer sees, by layer. */
export const LayerTypes = v.array(v.picklist(["sliding_attention", "full_attention"]));

/** The token that begins a text where config.json does not say which. */
export const BOS = 2;

/** Keys whose values must fit together, by the same names in every family. */
export interface FittingKeys {
  readonly num_hidden_layers: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly layer_types?: readonly string[] | null | undefined;
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

/**
 * Says what is wrong with a key.
 *
 * @param issues What valibot found.
 * @returns The first of them, as `key: what it must be`.
 */
export function firstIssue([issue]: readonly [v.BaseIssue<unknown>, ...v.BaseIssue<unknown>[]]): string {
  const key = v.getDotPath(issue);
  return `${key ? `${key}: ` : ""}${issue.message}`;
}
