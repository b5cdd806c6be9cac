/** The parts of a page: against loops over the record, and against what a security policy promises. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { columnsOf } from "../../../core/analysis/record.ts";
import { SAMPLE_QUANTILES } from "../../../core/analysis/samples.ts";
import { placeOf as placeOfToken } from "../../../reports/browser/client/places.ts";
import { allOf, chosenFeatures } from "../../../reports/browser/client/search.ts";
import type { FeatureTable } from "../../../reports/browser/data.ts";
import { examplesOf, exampleTokens, STRONGEST } from "../../../reports/browser/examples.ts";
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
  assert.ok(still.unexplained.flat().every((percent) => percent === 999));
});

const table: FeatureTable = {
  ...{ group: [0, 0, 1, 1], texts: [" war", " peace", "7"], known: [[0, 50], [1, 20, 0, 10], [], [2, 90]] },
  ...{
    tokens: [[0], [1], [], [2]],
    density: [0.5, 0.1, null, 0.2],
    strength: [1, 4, null, 2],
    entropy: [1, 1, null, 1],
  },
  ...{ fvu_rise: [0.3, -0.1, null, 0.2], ce_rise: [null, null, null, null], coherence: [null, null, null, null] },
  ...{ cluster: [0, 0, null, 1], parent: [null, null, 0, 0], lift: [null, null, 3, 2], examples: [[0], [3], [], [5]] },
  ...{ clusters: [], tree: null },
};
const stream = { ...tokenStream(record), texts: [" war", " and", " peace"], id: [0, 1, 2, 0, 1, 2] };

Deno.test("a search finds numbers, tokens and texts over several tokens; what has no figure comes last", () => {
  const find = (changes: Partial<ReturnType<typeof allOf>>) =>
    chosenFeatures(table, stream, { ...allOf(2), ...changes });
  assert.deepEqual(find({}), [0, 1, 2, 3]);
  assert.deepEqual(find({ text: "WAR" }), [0, 1]);
  assert.deepEqual(find({ text: " war and peace" }), [0, 1, 3], "examples at tokens 0, 3 and 5");
  assert.deepEqual(find({ text: "and peace war" }), [1], "an example at token 3 alone");
  assert.deepEqual(find({ text: "2" }), [2], "no token is 2");
  assert.deepEqual(find({ text: "7" }), [3], "and no feature 7");
  assert.deepEqual(find({ sort: "density", descending: true }), [0, 3, 1, 2]);
  assert.deepEqual(find({ sort: "density", descending: false }), [1, 3, 0, 2]);
  assert.deepEqual(find({ sort: "ce_rise", descending: true }), [0, 1, 2, 3]);
  assert.deepEqual(find({ groups: new Set([1]) }), [2, 3]);
  assert.deepEqual(find({ cluster: 0 }), [0, 1]);
  assert.deepEqual(find({ ranges: new Map([["strength", [2, NaN]]]) }), [1, 3]);
  assert.deepEqual(find({ ranges: new Map([["strength", [NaN, 2]], ["density", [0.3, NaN]]]) }), [0]);
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
