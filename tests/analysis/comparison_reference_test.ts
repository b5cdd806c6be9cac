/** The comparison of two records against NumPy and SciPy (tests/reference/make_comparison_golden.py). */

import assert from "node:assert/strict";
import { assign, type Candidate } from "../../core/analysis/assignment.ts";
import { raisedThreshold } from "../../core/analysis/equal_sparsity.ts";
import { evolvedSide, ResponseTally } from "../../core/analysis/evolution.ts";
import { matchFeatures } from "../../core/analysis/matching.ts";
import { comparePortraits } from "../../core/analysis/portrait.ts";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import { median, summarize } from "../../core/analysis/statistics.ts";
import { assertClose } from "../compare.ts";
import { plantedRecord } from "./planted_record.ts";

interface Golden {
  readonly context: number;
  readonly ids: number[];
  readonly kept: number;
  readonly correlation: number[][];
  readonly assigned: [number, number][];
  readonly records: {
    readonly rows: [number, number][][];
    readonly effective_features: number;
    readonly token_entropy: number[];
    readonly main_token_share: number[];
    readonly threshold: number;
  }[];
  readonly written: number[][];
  readonly read: number[][];
  readonly responses: number[][];
  readonly strength: number;
}

const golden: Golden = JSON.parse(await Deno.readTextFile(new URL("../golden/comparison.json", import.meta.url)));
const { correlation, ids, kept } = golden, close = { floor: 1e-9, relative: 0 };

const [a, b] = golden.records.map(({ rows }, side): FeatureRecord => {
  const count = [correlation.length, correlation[0].length][side];
  const record = plantedRecord(
    [count],
    rows.length,
    Array.from({ length: count }, (_, i) => (t) => {
      return rows[t].find(([feature]) => feature === i)?.[1] ?? 0;
    }),
  );
  const places = Array.from(ids, (_, t) => Math.floor(t / (golden.context - 1)) * golden.context + 1 + t % 31);
  return { ...record, context: golden.context, place: Uint32Array.from(places), id: Uint32Array.from(ids) };
});
const largest = (values: readonly number[]) => values.indexOf(Math.max(...values));
const turned = correlation[0].map((_, j) => correlation.map((row) => row[j]));

Deno.test("best matches and mutual pairs are those of numpy.corrcoef, the assignment is SciPy's", () => {
  const found = matchFeatures(a, b);
  for (const [side, matrix] of [[found.a, correlation], [found.b, turned]] as const) {
    const best = summarize(matrix.map((row) => Math.max(0, ...row)));
    assertClose("best", Object.values(side.best), Object.values(best), close);
  }
  const limit = Math.max(found.a.chance_limit, found.b.chance_limit, 0);
  const mutual = correlation.map((row, i) => ({ a: i, b: largest(row), correlation: Math.max(...row) }))
    .filter(({ a, b, correlation }) => largest(turned[b]) === a && correlation > limit)
    .sort((x, y) => y.correlation - x.correlation);
  assert.deepEqual(found.mutual.map(({ a, b }) => [a, b]), mutual.map(({ a, b }) => [a, b]));
  assert.ok(mutual.length >= 5, `${mutual.length}`);
  assertClose(
    "correlation",
    found.mutual.map(({ correlation }) => correlation),
    mutual.map((pair) => pair.correlation),
    close,
  );
  const candidates = correlation.flatMap((row, a) => row.map((value, b): Candidate => ({ a, b, value })));
  const partner = assign(candidates.filter(({ value }) => value > 0), correlation.length, turned.length);
  const sum = (pairs: readonly (readonly [number, number])[]) =>
    pairs.reduce((all, [i, j]) => all + Math.max(0, correlation[i][j]), 0);
  const own = sum([...partner].flatMap((j, i) => j < 0 ? [] : [[i, j] as const]));
  assert.ok(Math.abs(own - sum(golden.assigned)) < 1e-4 * turned.length, `${own}, ${sum(golden.assigned)}`);
});

Deno.test("entropies, shares and the threshold of equal sparsity are NumPy's and SciPy's", () => {
  const portraits = comparePortraits(evolvedSide(a), evolvedSide(b));
  for (const [side, record] of golden.records.entries()) {
    const of = ({ a, b }: { a: number; b: number }) => side === 0 ? a : b;
    assertClose(
      "portrait",
      [of(portraits.effective_features), of(portraits.token_entropy), of(portraits.main_token_share)],
      [record.effective_features, median(record.token_entropy), median(record.main_token_share)],
      close,
    );
    assert.equal(raisedThreshold([a, b][side], kept), record.threshold);
  }
});

Deno.test("responses are NumPy's products, their strength that of directions drawn evenly", () => {
  const { written, read, responses } = golden, width = read[0].length;
  const lengths = (rows: readonly number[][]) => Float64Array.from(rows, (row) => Math.hypot(...row));
  const ofWritten = lengths(written), tally = new ResponseTally(ofWritten, lengths(read), width, 1);
  const block = (values: number[], rows: number) => ({
    firstRow: 0,
    rows,
    firstColumn: 0,
    columns: read.length,
    values: Float32Array.from(values),
  });
  // One random direction that every encoder answers with 2.
  tally.takeChance(block(new Array(read.length).fill(2), 1));
  tally.take(block(responses.flatMap((row, i) => row.map((value) => value / ofWritten[i])), written.length));
  assertClose("strength", [tally.strength], [golden.strength], { floor: 0, relative: 1e-6 });
  const strongest = responses.map((row, i) => Math.max(...row) / ofWritten[i] / 2);
  assertClose("strongest", tally.largest, strongest, { floor: 1e-6, relative: 0 });
  assert.deepEqual([...tally.answering], responses.map(largest));
});
