/**
 * How the features of one layer go on in a later one. What a feature writes stays in the residual stream, so it changes the pre-activation of
 * every feature that reads the stream further up: by the scalar product of the one's decoder row with the other's encoder row. That is its
 * response on the direct path, what attention and MLPs in between make of the feature left out.
 *
 * Encoders differ in length, so responses are held against those of random directions, as long as the feature's row and with the second moment
 * that the rows have as a whole: they are divided by the root mean square that such directions get from the same encoder. Chance for the
 * strongest response of a feature is the strongest that each of those directions gets. Two dictionaries that share directions of the stream, and
 * nothing feature by feature, do no better.
 * @module
 */

import { randomGenerator } from "../random.ts";
import { activationSums, correlation } from "./coactivation.ts";
import { mixedDirection } from "./directions.ts";
import { JUDGED_FIRES, type Match } from "./matching.ts";
import { columnsOf, type FeatureRecord } from "./record.ts";
import type { CosineBlock } from "./similarity.ts";
import { type Histogram, histogram, moments, quantile, spearman, summarize, type Summary } from "./statistics.ts";

/** Random directions that chance is taken from. */
const RANDOM_DIRECTIONS = 1024;

/** The percentile of chance that a response must beat. */
const PERCENTILE = 0.99;

/** Links that are listed, and bins of responses. */
const LISTED = 100, BINS = 50;

/** Separates the directions from other uses of the generator. */
const DIRECTION_STREAM = 0x65766f6c;

/** An earlier feature and the later one that answers it most. */
export interface Link {
  /** The earlier feature. */
  readonly from: number;
  /** The later one. */
  readonly to: number;
  /** Its response over what random directions of the same length get from it, as a root mean square. */
  readonly response: number;
  /**
   * By how much the earlier one's mean activation, where it fires, raises the pre-activation of the later one, as a share of that one's mean
   * activation where it fires; NaN where a norm divides by what the record does not know.
   */
  readonly share: number;
  /** Correlation of their activations over all tokens. */
  readonly correlation: number;
}

/** How far features that match by their activations also answer each other. */
export interface MatchedResponses {
  /** Pairs that are each other's best match. */
  readonly pairs: number;
  /** Mean response of the later one to the earlier one. */
  readonly mean: number;
  /** The same with partners dealt out anew among the pairs. */
  readonly dealt: number;
  /** Standard error of the difference of these two, over pairs. */
  readonly error: number;
  /** Spearman's correlation, over the pairs, of response and correlation of the activations. */
  readonly spearman: number;
  /** What such a correlation of unrelated numbers stays within, in 95 of 100: 1.96 / sqrt(pairs - 1). */
  readonly spearman_chance: number;
}

/** The features of one group, and those of them that drive a later one beyond chance. */
export interface DrivingGroup {
  /** Features that fire on ten tokens or more. */
  readonly judged: number;
  /** Those whose strongest response is beyond chance. */
  readonly driving: number;
}

/** How features go on. */
export interface Evolution {
  /** Features of the earlier transcoder that are judged, */
  readonly judged: number;
  /** and of the later one. */
  readonly readers: number;
  /**
   * Root mean square of all responses over that of directions of the same length drawn evenly from the whole stream: above 1 where the later
   * transcoder reads the directions that the earlier one writes.
   */
  readonly strength: number;
  /** Summary over the earlier features of their strongest response. */
  readonly strongest: Summary;
  /** The same of random directions. */
  readonly by_chance: Summary;
  /** The 99th percentile of that. */
  readonly chance_limit: number;
  /** Earlier features whose strongest response is beyond it: one in a hundred by chance. */
  readonly driving: number;
  /** Those of which some response is as far below 0: they keep a later feature from firing. */
  readonly inhibiting: number;
  /** Each group of the earlier transcoder. */
  readonly groups: readonly DrivingGroup[];
  /** Strongest responses, and those of random directions, in the same bins. */
  readonly histogram: Histogram;
  /** Of random directions. */
  readonly histogram_by_chance: Histogram;
  /** Each driving feature with the one that answers it most, the strongest first; the first hundred. */
  readonly links: readonly Link[];
  /** Mean correlation of the activations of all links, */
  readonly link_correlation: number;
  /** and with partners dealt out anew among them. */
  readonly link_correlation_dealt: number;
  /** Links whose features are also each other's best match. */
  readonly matched_links: number;
  /** Features that match. */
  readonly matched: MatchedResponses;
}

/** What is counted of the features at one end. */
export interface EvolvedSide {
  /** Its record, on the same tokens as the other's. */
  readonly record: FeatureRecord;
  /** Features that fire on ten tokens or more, ascending. */
  readonly judged: Uint32Array<ArrayBuffer>;
}

/**
 * Chooses the features that are judged.
 *
 * @param record What a dictionary does on the tokens that both have.
 * @returns The record with those that fire on ten tokens or more.
 */
export function evolvedSide(record: FeatureRecord): EvolvedSide {
  const fires = new Uint32Array(record.groups.reduce((sum, size) => sum + size, 0));
  for (const feature of record.index) fires[feature]++;
  return { record, judged: Uint32Array.from(fires.keys()).filter((feature) => fires[feature] >= JUDGED_FIRES) };
}

/**
 * Directions that have nothing of single features.
 *
 * @param written [width] each: directions that features write, of length 1.
 * @param width How wide the stream is.
 * @returns [1024, width] rows of length 1 with the second moment of what is written.
 */
export function chanceDirections(written: readonly Float32Array[], width: number): Float32Array<ArrayBuffer> {
  const random = randomGenerator(0, DIRECTION_STREAM), rows = new Float32Array(RANDOM_DIRECTIONS * width);
  const mixed = () => mixedDirection(written.length, (i) => written[i], width, random);
  for (let n = 0; n < RANDOM_DIRECTIONS; n++) rows.set(mixed(), n * width);
  return rows;
}

/** Pairs of rows and columns whose responses are wanted themselves. */
export interface WantedResponse {
  /** Row of what is written. */
  readonly row: number;
  /** Column of what is read. */
  readonly column: number;
}

/** Takes in responses of encoders to directions of length 1, block by block: those to random directions before all others. */
export class ResponseTally {
  /** [rows] the strongest response of each direction that is written, and its column. */
  readonly largest: Float64Array;
  /** [rows] */
  readonly answering: Int32Array;
  /** [rows] the response farthest below 0. */
  readonly least: Float64Array;
  /** The strongest response of each random direction. */
  readonly chance: Float64Array;
  /** [columns] root mean square of a column's responses to random directions. */
  readonly spread: Float64Array;
  /** The responses that are wanted, in their order; NaN until their block came. */
  readonly wanted: Float64Array;
  /** [rows] length of what each feature writes. */
  readonly written: Float64Array;
  readonly #lengths: Float64Array;
  readonly #width: number;
  readonly #pairs = new Map<number, number[][]>();
  #squares = 0;

  /**
   * Begins with none.
   *
   * @param written [rows] lengths of what is written, of which the directions are taken in.
   * @param lengths [columns] lengths of what reads them.
   * @param width How wide both are.
   * @param random How many random directions there are.
   * @param wanted Pairs whose responses are wanted.
   */
  constructor(
    written: Float64Array,
    lengths: Float64Array,
    width: number,
    random: number,
    wanted: readonly WantedResponse[] = [],
  ) {
    const rows = written.length;
    this.written = written;
    this.largest = new Float64Array(rows).fill(-Infinity);
    this.answering = new Int32Array(rows).fill(-1);
    this.least = new Float64Array(rows).fill(Infinity);
    this.chance = new Float64Array(random).fill(-Infinity);
    this.spread = new Float64Array(lengths.length);
    this.wanted = new Float64Array(wanted.length).fill(NaN);
    this.#lengths = lengths;
    this.#width = width;
    wanted.forEach(({ row, column }, at) => {
      const ofRow = this.#pairs.get(row) ?? [];
      ofRow.push([column, at]);
      this.#pairs.set(row, ofRow);
    });
  }

  /** Root mean square of all responses over that of directions drawn evenly from all dimensions. */
  get strength(): number {
    return Math.sqrt(this.#squares / this.largest.length / this.spread.length);
  }

  /**
   * Takes in the responses of some columns to all random directions.
   *
   * @param block Its rows are all random directions.
   */
  takeChance({ rows, firstColumn, columns, values }: CosineBlock): void {
    for (let c = 0; c < columns; c++) {
      let squares = 0;
      for (let r = 0; r < rows; r++) squares += values[r * columns + c] ** 2;
      this.spread[firstColumn + c] = Math.sqrt(squares / rows);
    }
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        const response = ratio(values[r * columns + c], this.spread[firstColumn + c]);
        if (response > this.chance[r]) this.chance[r] = response;
      }
    }
  }

  /**
   * Takes in the responses of some columns to some directions.
   *
   * @param block Any part of the matrix, none twice.
   */
  take({ firstRow, rows, firstColumn, columns, values }: CosineBlock): void {
    for (let r = 0; r < rows; r++) {
      const row = firstRow + r;
      for (let c = 0; c < columns; c++) {
        const column = firstColumn + c, value = values[r * columns + c], response = ratio(value, this.spread[column]);
        if (response > this.largest[row]) {
          this.largest[row] = response;
          this.answering[row] = column;
        }
        if (response < this.least[row]) this.least[row] = response;
        // A direction drawn evenly has a mean square of |encoder|^2 / width.
        this.#squares += this.#width * ratio(value, this.#lengths[column]) ** 2;
      }
      for (const [column, at] of this.#pairs.get(row) ?? []) {
        if (column < firstColumn || column >= firstColumn + columns) continue;
        this.wanted[at] = ratio(values[r * columns + column - firstColumn], this.spread[column]);
      }
    }
  }
}

function ratio(value: number, size: number): number {
  return size > 0 ? value / size : 0;
}

/** Matched pairs of judged features, and the same with partners dealt anew, as rows and columns. */
export interface WantedPairs {
  /** Each pair of both sides that match. */
  readonly matched: readonly Match[];
  /** Responses wanted: those of the pairs, then those of the dealt ones. */
  readonly wanted: readonly WantedResponse[];
}

/**
 * The responses that are wanted of pairs that match.
 *
 * @param mutual Pairs that are each other's best, `a` of the earlier transcoder.
 * @param from The earlier one.
 * @param to The later one.
 * @returns The pairs and where their responses stand.
 */
export function wantedPairs(mutual: readonly Match[], from: EvolvedSide, to: EvolvedSide): WantedPairs {
  const places = ({ judged }: EvolvedSide) => new Map(Array.from(judged, (feature, at) => [feature, at]));
  const rows = places(from), columns = places(to);
  const matched = mutual.filter(({ a, b }) => rows.has(a) && columns.has(b));
  const dealt = matched.map((_, n) => matched[(n + (matched.length >> 1)) % matched.length]);
  const at = (a: number, b: number): WantedResponse => ({ row: rows.get(a)!, column: columns.get(b)! });
  return {
    matched,
    wanted: [...matched.map(({ a, b }) => at(a, b)), ...matched.map(({ a }, n) => at(a, dealt[n].b))],
  };
}

/**
 * The figures of an evolution.
 *
 * @param tally All responses.
 * @param pairs What was wanted of it.
 * @param from The earlier side.
 * @param to The later side.
 * @param isNormed Whether a norm in front of the later transcoder divides by what the records do not know.
 * @returns The figures.
 */
export function evolutionFigures(
  tally: ResponseTally,
  { matched }: WantedPairs,
  from: EvolvedSide,
  to: EvolvedSide,
  isNormed: boolean,
): Evolution {
  const tokens = from.record.place.length;
  const chance_limit = quantile(tally.chance.toSorted(), PERCENTILE);
  const rows = [...from.judged.keys()], driving = rows.filter((row) => tally.largest[row] > chance_limit);
  const ends = [from, to].map(({ record }) => {
    const columns = columnsOf(record, record.groups.reduce((sum, size) => sum + size, 0));
    return { columns, sums: activationSums(columns, tokens) };
  });
  const [a, b] = ends, mean = ({ sums }: typeof a, feature: number) => sums.sum[feature] / sums.fires[feature];
  const correlated = (i: number, j: number) => {
    const { columns: { start: startA, token: tokenA, value: valueA } } = a;
    const { columns: { start: startB, token: tokenB, value: valueB } } = b;
    let product = 0;
    for (let at = startA[i], to = startB[j]; at < startA[i + 1] && to < startB[j + 1];) {
      if (tokenA[at] < tokenB[to]) at++;
      else if (tokenA[at] > tokenB[to]) to++;
      else product += valueA[at++] * valueB[to++];
    }
    return correlation(product, a.sums, i, b.sums, j);
  };
  const isMatched = new Set(matched.map(({ a, b }) => `${a} ${b}`));
  const links = driving.map((row): Link => {
    const column = tally.answering[row], i = from.judged[row], j = to.judged[column], response = tally.largest[row];
    const raised = response * tally.spread[column] * tally.written[row] * mean(a, i) / mean(b, j);
    return { from: i, to: j, response, share: isNormed ? NaN : raised, correlation: correlated(i, j) };
  });
  const dealt = links.map(({ from }, n) => correlated(from, links[(n + (links.length >> 1)) % links.length].to));
  const strongest = rows.map((row) => tally.largest[row]);
  const all = [...strongest, ...tally.chance], { min: low, max: high } = moments(all);
  let first = 0;
  return {
    ...{ judged: from.judged.length, readers: to.judged.length, strength: tally.strength },
    ...{ strongest: summarize(strongest), by_chance: summarize(tally.chance), chance_limit },
    driving: driving.length,
    inhibiting: rows.filter((row) => tally.least[row] < -chance_limit).length,
    groups: from.record.groups.map((size) => {
      const start = first,
        end = first += size,
        isIn = (row: number) => from.judged[row] >= start && from.judged[row] < end;
      return { judged: rows.filter(isIn).length, driving: driving.filter(isIn).length };
    }),
    histogram: histogram(strongest, BINS, low, high),
    histogram_by_chance: histogram(tally.chance, BINS, low, high),
    links: links.toSorted((x, y) => y.response - x.response || x.from - y.from).slice(0, LISTED),
    link_correlation: moments(links.map(({ correlation }) => correlation)).mean,
    link_correlation_dealt: moments(dealt).mean,
    matched_links: links.filter(({ from, to }) => isMatched.has(`${from} ${to}`)).length,
    matched: matchedResponses(tally, matched),
  };
}

function matchedResponses({ wanted }: ResponseTally, matched: readonly Match[]): MatchedResponses {
  const pairs = matched.length, own = wanted.subarray(0, pairs), dealt = wanted.subarray(pairs, 2 * pairs);
  const difference = moments(own.map((value, n) => value - dealt[n]));
  return {
    pairs,
    ...{ mean: moments(own).mean, dealt: moments(dealt).mean, error: difference.std / Math.sqrt(pairs) },
    spearman: spearman([...own], matched.map(({ correlation }) => correlation)),
    spearman_chance: 1.96 / Math.sqrt(pairs - 1),
  };
}

/** What is to be concluded, each `yes` beyond what chance does in one case of twenty. */
export interface EvolutionVerdict {
  /** Whether more features drive a later one than chance has it. */
  readonly driving: "yes" | "no";
  /** Whether features that match by their activations answer each other more than others do; null where none match. */
  readonly matched: "yes" | "no" | null;
}

/**
 * Judges an evolution. The limit of chance is one of a sample of random directions, and moves with it.
 *
 * @param evolution The figures.
 * @returns The answers.
 */
export function evolutionVerdict(
  { judged, driving, by_chance, matched }: Pick<Evolution, "judged" | "driving" | "by_chance" | "matched">,
): EvolutionVerdict {
  const chance = 1 - PERCENTILE, error = Math.sqrt(chance * (1 - chance) * (1 / judged + 1 / by_chance.count));
  return {
    driving: driving / judged > chance + 1.96 * error ? "yes" : "no",
    matched: matched.pairs < 2 ? null : matched.mean - matched.dealt > 1.96 * matched.error ? "yes" : "no",
  };
}
