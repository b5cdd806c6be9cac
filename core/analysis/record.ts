/**
 * A record: the features of every counted token of a reading set, sparse, and what the transcoder leaves unexplained there. Most analyses are
 * arithmetic on it, without a model or a GPU.
 * @module
 */

/** A document of a reading set. */
export interface RecordedDocument {
  /** Its name. */
  readonly name: string;
  /** The part that it belongs to: `train`, or one that is held out. */
  readonly split: string;
}

/** The tokens of a record, in the order of the reading set. */
export interface RecordedTokens {
  /** Tokens per context, BOS included. */
  readonly context: number;
  /** The documents that tokens are of. */
  readonly documents: readonly RecordedDocument[];
  /** [tokens] context * {@link context} + column, ascending; equal places of records of one reading set are the same token. */
  readonly place: Uint32Array<ArrayBuffer>;
  /** [tokens] vocabulary ids. */
  readonly id: Uint32Array<ArrayBuffer>;
  /** The text of every id among them. */
  readonly tokenTexts: ReadonlyMap<number, string>;
  /** [tokens] indices of {@link documents}; a BOS that counts is of its context's document. */
  readonly document: Uint32Array<ArrayBuffer>;
  /** [tokens] offset in the document. */
  readonly position: Uint32Array<ArrayBuffer>;
}

/** Activations, sparse by token. */
export interface TokenRows {
  /** [tokens + 1]: the entries of token t are rowStart[t] .. rowStart[t + 1] - 1. */
  readonly rowStart: Uint32Array<ArrayBuffer>;
  /** [entries] feature numbers, ascending within a token. */
  readonly index: Uint32Array<ArrayBuffer>;
  /** [entries] activations, above 0. */
  readonly value: Float32Array<ArrayBuffer>;
}

/** What one transcoder does on a reading set. */
export interface FeatureRecord extends RecordedTokens, TokenRows {
  /** Features per Matryoshka group. */
  readonly groups: readonly number[];
  /** [tokens] squared distance of the target from a centre that all tokens share, about its mean. */
  readonly targetSquares: Float32Array<ArrayBuffer>;
  /** [tokens, prefixes] |y_p - y|^2 of each prefix. */
  readonly residualSquares: Float32Array<ArrayBuffer>;
  /** Sum over the tokens of the target's squared distance from its own mean over them. */
  readonly targetVariation: number;
  /**
   * [features, prefixes] how much larger the sum over tokens of |y_p - y|^2 were without the feature, all others as they are; 0 for prefixes
   * that it does not belong to. It is below 0 where the prefix is better without it.
   */
  readonly errorRemoved: Float32Array<ArrayBuffer>;
}

/** Activations, sparse by feature. */
export interface ActivationColumns {
  /** [features + 1]: the entries of feature i are start[i] .. start[i + 1] - 1. */
  readonly start: Uint32Array<ArrayBuffer>;
  /** [entries] tokens, ascending within a feature. */
  readonly token: Uint32Array<ArrayBuffer>;
  /** [entries] activations. */
  readonly value: Float32Array<ArrayBuffer>;
}

/** Columns that were made of rows which are still held: every analysis of a record begins with them. */
const known = new WeakMap<TokenRows, ActivationColumns>();

/**
 * Turns rows into columns, once for as long as the rows are held.
 *
 * @param rows Activations by token.
 * @param features Features of the dictionary.
 * @returns The same by feature; not to be changed.
 */
export function columnsOf(rows: TokenRows, features: number): ActivationColumns {
  const columns = known.get(rows) ?? columnsAnew(rows, features);
  known.set(rows, columns);
  return columns;
}

function columnsAnew({ rowStart, index, value }: TokenRows, features: number): ActivationColumns {
  const start = new Uint32Array(features + 1);
  for (let e = 0; e < index.length; e++) start[index[e] + 1]++;
  for (let i = 0; i < features; i++) start[i + 1] += start[i];
  const next = start.slice(), token = new Uint32Array(index.length), values = new Float32Array(index.length);
  for (let t = 0; t + 1 < rowStart.length; t++) {
    for (let e = rowStart[t]; e < rowStart[t + 1]; e++) {
      const at = next[index[e]]++;
      token[at] = t;
      values[at] = value[e];
    }
  }
  return { start, token, value: values };
}

/**
 * Turns columns into rows.
 *
 * @param columns Activations by feature, tokens ascending within each.
 * @param tokens How many tokens there are.
 * @returns The same by token.
 */
export function rowsOf({ start, token, value }: ActivationColumns, tokens: number): TokenRows {
  const rowStart = new Uint32Array(tokens + 1);
  for (let e = 0; e < token.length; e++) rowStart[token[e] + 1]++;
  for (let t = 0; t < tokens; t++) rowStart[t + 1] += rowStart[t];
  const next = rowStart.slice(), index = new Uint32Array(token.length), values = new Float32Array(token.length);
  for (let i = 0; i + 1 < start.length; i++) {
    for (let e = start[i]; e < start[i + 1]; e++) {
      const at = next[token[e]]++;
      index[at] = i;
      values[at] = value[e];
    }
  }
  return { rowStart, index, value: values };
}

/**
 * The FVU of each prefix on the tokens of a record: sum |y_p - y|^2 / sum |y - mean(y)|^2.
 *
 * @param record The record.
 * @returns [prefixes] NaN where the target does not vary.
 */
export function prefixFvus(
  { groups, residualSquares, targetVariation }: Pick<FeatureRecord, "groups" | "residualSquares" | "targetVariation">,
): number[] {
  const sums = new Float64Array(groups.length);
  for (let at = 0; at < residualSquares.length; at++) sums[at % groups.length] += residualSquares[at];
  return Array.from(sums, (sum) => targetVariation > 0 ? sum / targetVariation : NaN);
}

/**
 * Where the contexts of a record begin.
 *
 * @param tokens Its tokens.
 * @returns [contexts + 1] the first token of each context that has any, and the end.
 */
export function contextStarts({ place, context }: Pick<RecordedTokens, "place" | "context">): number[] {
  const starts: number[] = [];
  let last = -1;
  for (let t = 0; t < place.length; t++) {
    const here = Math.floor(place[t] / context);
    if (here !== last) starts.push(t);
    last = here;
  }
  return [...starts, place.length];
}
