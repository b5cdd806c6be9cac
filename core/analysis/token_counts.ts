/**
 * How many tokens of a text count, and how many are left out for what reason.
 * @module
 */

/** Tokens of some text. BOS in front of each context is among them only where it counts, what fills up a context never. */
export interface TokenCounts {
  /** Tokens that count. */
  readonly tokens: number;
  /** Tokens that are left out for their ids. */
  readonly excluded_tokens: number;
  /** Others that are left out for their norm at a source; absent where norms do not matter. */
  readonly outlier_tokens?: number;
}

/** No text. */
export const NO_TOKENS: TokenCounts = { tokens: 0, excluded_tokens: 0 };

/**
 * The counts of two texts together.
 *
 * @param a One, or {@link NO_TOKENS}.
 * @param b Another; whether norms matter is the same for both.
 * @returns Their sums.
 */
export function addCounts(a: TokenCounts, b: TokenCounts): TokenCounts {
  const { outlier_tokens: outliers } = b;
  return {
    tokens: a.tokens + b.tokens,
    excluded_tokens: a.excluded_tokens + b.excluded_tokens,
    ...outliers !== undefined && { outlier_tokens: (a.outlier_tokens ?? 0) + outliers },
  };
}
