/** The parts of a page: against loops over the record, and against what a security policy promises. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { columnsOf } from "../../../core/analysis/record.ts";
import { SAMPLE_QUANTILES } from "../../../core/analysis/samples.ts";
import { randomGenerator } from "../../../core/random.ts";
import { placeOf as placeOfToken } from "../../../reports/browser/client/places.ts";
import { allOf, chosenFeatures } from "../../../reports/browser/client/search.ts";
import type { FeatureTable } from "../../../reports/browser/data.ts";
import { examplesOf, exampleTokens, STRONGEST } from "../../../reports/browser/examples.ts";
import { pack, unpack } from "../../../reports/browser/packed.ts";
import { pageStart, partElement, securityPolicy } from "../../../reports/browser/page.ts";
import { tokenStream } from "../../../reports/browser/tokens.ts";
import { recordOf } from "./recorded_run.ts";

const GROUPS = [8, 16], record = recordOf(GROUPS, 3000, 4), columns = columnsOf(record, 24);
const contextOf = (token: number) => Math.floor(record.place[token] / record.context);

/** What a feature does at a token, by a walk through the record's rows. */
function valueAt(feature: number, token: number): number {
  for (let e = record.rowStart[token]; e < record.rowStart[token + 1]; e++) {
    if (record.index[e] === feature) return record.value[e];
  }
  return 0;
}

Deno.test("examples: the strongest firing of each context, and every activation around it", () => {
  for (const feature of [0, 5, 23]) {
    const best = new Map<number, [token: number, value: number]>();
    for (let t = 0; t < record.place.length; t++) {
      const value = valueAt(feature, t), known = best.get(contextOf(t));
      if (value > (known?.[1] ?? 0)) best.set(contextOf(t), [t, value]);
    }
    const expected = [...best.values()].sort((a, b) => b[1] - a[1]).slice(0, STRONGEST).map(([token]) => token);
    const examples = examplesOf({ record, columns }, feature);
    const top = examples.filter(({ quantile }) => quantile === undefined);
    assert.deepEqual(top.map(({ at }) => at), expected);
    assert.deepEqual(exampleTokens({ record, columns }, feature), expected.toSorted((a, b) => a - b));
    for (const { at, offsets, values } of examples) {
      const around = Array.from({ length: 33 }, (_, n) => n - 16)
        .filter((offset) => contextOf(at + offset) === contextOf(at) && valueAt(feature, at + offset) > 0);
      assert.deepEqual(offsets, around);
      values.forEach((value, n) => assert.ok(Math.abs(value / valueAt(feature, at + offsets[n]) - 1) < 0.01));
    }
  }
});

Deno.test("examples at quantiles are as many as there are, and have that share of weaker firings", () => {
  const feature = 3, values = Array.from(columns.value.subarray(columns.start[feature], columns.start[feature + 1]));
  const spread = examplesOf({ record, columns }, feature, 2).filter(({ quantile }) => quantile !== undefined);
  assert.deepEqual(spread.map(({ quantile }) => quantile), SAMPLE_QUANTILES.toReversed());
  for (const { at, quantile } of spread) {
    const weaker = values.filter((value) => value < valueAt(feature, at)).length;
    assert.equal(weaker, Math.floor(quantile! * values.length));
  }
});

Deno.test("the token stream is the record: texts, documents, offsets, contexts, what is unexplained", () => {
  const stream = tokenStream(record), starts = new Set(stream.contexts);
  for (let t = 0; t < record.place.length; t++) {
    assert.equal(stream.texts[stream.id[t]], record.tokenTexts.get(record.id[t]));
    const { name, split } = record.documents[record.document[t]];
    assert.deepEqual(placeOfToken(stream, t), { document: name, split, position: record.position[t] });
    assert.equal(starts.has(t), t === 0 || contextOf(t) !== contextOf(t - 1));
    assert.equal(
      stream.unexplained[1][t],
      Math.round(100 * record.residualSquares[2 * t + 1] / record.targetSquares[t]),
    );
  }
  const still = tokenStream({ ...record, targetSquares: record.targetSquares.map(() => 0) });
  assert.ok(still.unexplained.every((column) => column.every((percent) => percent === 999)));
});

const lists = (...all: number[][]) => ({
  start: Uint32Array.from([0, ...all.map((_, n) => all.slice(0, n + 1).flat().length)]),
  item: Uint32Array.from(all.flat()),
});
const none = Float32Array.of(NaN, NaN, NaN, NaN);
const table: FeatureTable = {
  ...{ group: Uint16Array.of(0, 0, 1, 1), texts: [" war", " peace", "7"] },
  known: { ...lists([0], [1, 0], [], [2]), share: Uint8Array.of(50, 20, 10, 90) },
  tokens: lists([0], [1], [], [2]),
  ...{ density: Float32Array.of(0.5, 0.1, NaN, 0.2), strength: Float32Array.of(1, 4, NaN, 2) },
  ...{ entropy: Float32Array.of(1, 1, NaN, 1), fvu_rise: Float32Array.of(0.3, -0.1, NaN, 0.2) },
  ...{ ce_rise: none, coherence: none, clusters: [], tree: null },
  ...{
    cluster: Int32Array.of(0, 0, -1, 1),
    parent: Int32Array.of(-1, -1, 0, 0),
    lift: Float32Array.of(NaN, NaN, 3, 2),
  },
};
const reading = {
  tokens: { ...tokenStream(record), texts: [" war", " and", " peace"], id: Uint32Array.of(0, 1, 2, 0, 1, 2) },
  examples: lists([0], [3], [], [5]),
};

Deno.test("a search finds numbers, tokens and texts over several tokens; what has no figure comes last", () => {
  const find = (
    changes: Partial<ReturnType<typeof allOf>>,
  ) => [...chosenFeatures(table, reading, { ...allOf(2), ...changes })];
  assert.deepEqual(find({}), [0, 1, 2, 3]);
  assert.deepEqual(find({ text: "WAR" }), [0, 1]);
  assert.deepEqual(find({ text: " war and peace" }), [0, 1, 3], "examples at tokens 0, 3 and 5");
  assert.deepEqual(find({ text: "and peace war" }), [1], "an example at token 3 alone");
  assert.deepEqual(find({ text: "2" }), [2], "no token is 2");
  assert.deepEqual(find({ text: "7" }), [3], "and no feature 7");
  assert.deepEqual(find({ sort: "density", descending: true }), [0, 3, 1, 2]);
  assert.deepEqual(find({ sort: "density", descending: false }), [1, 3, 0, 2]);
  assert.deepEqual(find({ sort: "fvu_rise", descending: false }), [1, 3, 0, 2], "below 0 is less than above it");
  assert.deepEqual(find({ sort: "ce_rise", descending: true }), [0, 1, 2, 3]);
  assert.deepEqual(find({ groups: new Set([1]) }), [2, 3]);
  assert.deepEqual(find({ cluster: 0 }), [0, 1]);
  assert.deepEqual(find({ ranges: new Map([["strength", [2, NaN]]]) }), [1, 3]);
  assert.deepEqual(find({ ranges: new Map([["density", [0.1, 0.2]]]) }), [1, 3], "both ends take part");
  assert.deepEqual(find({ ranges: new Map([["strength", [NaN, 2]], ["density", [0.3, NaN]]]) }), [0]);
});

Deno.test("the order of any numbers is that of a sort by comparison, NaN behind them, equal ones as they stand", () => {
  const random = randomGenerator(3), count = 5000;
  const strength = Float32Array.from({ length: count }, (_, i) => {
    const kind = random.below(8);
    return kind === 0
      ? NaN
      : kind === 1
      ? 0
      : kind === 2
      ? -0
      : i % 5 === 0
      ? random.below(9)
      : 1e3 * random.gaussian() ** 3;
  });
  const large = { ...table, strength, group: new Uint16Array(count) };
  for (const descending of [false, true]) {
    const expected = Array.from(strength.keys()).sort((a, b) => {
      const x = strength[a], y = strength[b];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || a - b;
      return (descending ? y - x : x - y) || a - b;
    });
    assert.deepEqual([...chosenFeatures(large, null, { ...allOf(2), sort: "strength", descending })], expected);
  }
});

Deno.test("what is packed is the same unpacked: columns, lists, texts, at whatever place in the bytes", () => {
  for (const texts of [["a"], ["ab"], ["abc", "\u2028 \ud800"], []]) {
    const value = {
      ...table,
      texts,
      more: [Uint8Array.of(1, 2, 3), { deep: Int32Array.of(-1) }, null],
      none: new Float32Array(),
    };
    assert.deepEqual(unpack(pack(value).buffer), value);
  }
  assert.deepEqual(unpack(pack(tokenStream(record)).buffer), tokenStream(record));
});

Deno.test("a page's policy names the very script and styles that are in it, and nothing else", () => {
  const digest = (text: string) => createHash("sha256").update(text).digest("base64");
  const script = 'const text = "</script><!--<script>";',
    content = { title: "</title><b>", script, digest, connect: "'none'" as const };
  const page = pageStart(content, partElement('layer2"/table', "H4sI"));
  const [inlined] = page.match(/(?<=<script>)[^]*?(?=<\/script>)/)!,
    [styles] = page.match(/(?<=<style>)[^]*?(?=<\/style>)/)!;
  const policy = securityPolicy(content);
  assert.ok(
    policy.startsWith(
      `default-src 'none'; script-src 'sha256-${digest(inlined)}'; style-src 'sha256-${
        digest(styles)
      }'; connect-src 'none';`,
    ),
  );
  assert.doesNotMatch(policy, /unsafe|https?:|self|\*/);
  assert.equal(new Function(`${inlined}; return text`)(), "</script><!--<script>");
  assert.match(page, /<title>&#60;\/title&#62;&#60;b&#62;<\/title>/);
  assert.match(page, /data-part="layer2&#34;\/table">H4sI<\/script>/);
});
