/** Records against float64 loops over the model's own activations. */

import assert from "node:assert/strict";
import { raised, raisedThreshold } from "../../core/analysis/equal_sparsity.ts";
import { contextStarts, type FeatureRecord, prefixFvus } from "../../core/analysis/record.ts";
import { UserError } from "../../core/errors.ts";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { recordFeatures } from "../../core/passes/record.ts";
import { NO_DOCUMENT } from "../../core/text/contexts.ts";
import type { ReadingSet } from "../../core/text/reading_set.ts";
import { prefixEnds } from "../../core/transcoder/shape.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";
import { activationsOf, randomTranscoder, reconstructionOf } from "../transcoder/random_transcoder.ts";
import { randomText, sourceOf } from "./random_text.ts";

const CONTEXT = 9, CONTEXTS = 11, WIDTH = 128, EXCLUDED = 777;
const tap = (layer: number, site: Tap["site"]): Tap => ({ layer, site });
const TAPS = [tap(0, "resid_mid"), tap(0, "mlp_out"), tap(1, "resid_pre")];

/** Two documents; the first fills up its last context, and has a token that does not count. */
const whole = randomText(CONTEXTS, CONTEXT, 5);
whole.document.fill(1, 4 * CONTEXT);
whole.document.fill(NO_DOCUMENT, 31, 4 * CONTEXT);
for (let bos = 0; bos < CONTEXTS * CONTEXT; bos += CONTEXT) whole.document[bos] = NO_DOCUMENT;
whole.ids[13] = EXCLUDED;
whole.position.forEach((_, at) => whole.position[at] = 1000 + at);

const documents = [{ name: "first", split: "train" }, { name: "second", split: "test" }] as const;
const readingSet = (text = whole): ReadingSet => ({
  ...sourceOf(text),
  documents,
  summary: { documents: 2, train_documents: 1, held_out_documents: 1, bytes: 1, file_count: 1, fingerprint: "" },
  close: () => Promise.resolve(),
});

const gpu = await openGpu(), files = await openModel("builtin");
const load = (contexts: number) =>
  loadDecoder(gpu, files, { taps: TAPS, maxTokens: contexts * CONTEXT, context: CONTEXT });
const decoder = await load(CONTEXTS);
const targetMean = gaussians(WIDTH, 33).map((mean) => mean / 4);
const transcoders = [
  {
    transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [7, 9, 5] }, 0.4, 1),
    config: { source: TAPS[0], targets: [TAPS[1]], k: 3 },
    linearMap: { weight: gaussians(1, 1), bias: gaussians(1, 1), targetMean, tokens: 1 },
  },
  {
    transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [30] }, 0.2, 2),
    config: { source: TAPS[1], targets: [TAPS[2]], k: 5 },
  },
];
const tokenText = (id: number) => `token ${id}`;
const settings = { context: CONTEXT, include_bos: false, exclude_tokens: [EXCLUDED] };
const record = (contexts: number, source = readingSet()) =>
  load(contexts).then((decoder) =>
    recordFeatures({ gpu, decoder, settings, transcoders, source, tokens: 88, tokenText })
  );

const pass = new Pass(gpu), forward = decoder.forward(pass, whole);
pass.submit();
const activations = await Promise.all(forward.map(({ tensor }) => downloadF32(gpu, tensor)));
const counted = [...whole.document.keys()].filter((at) => whole.document[at] !== NO_DOCUMENT && at !== 13);

Deno.test("the tokens: places, ids, documents and positions without BOS, filling and what is left out", async () => {
  const records = await record(4);
  for (const { context, documents: named, place, id, tokenTexts, document, position } of records) {
    assert.deepEqual([context, named], [CONTEXT, documents]);
    assert.deepEqual([...place], counted);
    assert.deepEqual([...id], counted.map((at) => whole.ids[at]));
    assert.deepEqual(tokenTexts, new Map(Array.from(id.toSorted(), (id) => [id, `token ${id}`])));
    assert.deepEqual([...document], counted.map((at) => whole.document[at]));
    assert.deepEqual([...position], counted.map((at) => whole.position[at]));
  }
  const starts = contextStarts(records[0]);
  assert.deepEqual(starts.length, CONTEXTS + 1);
  assert.deepEqual(starts.slice(0, 3).concat(starts.at(-1)!), [0, 8, 15, counted.length]);
});

for (const [i, { transcoder, config, linearMap }] of transcoders.entries()) {
  Deno.test(`transcoder ${i}: features, squares and what each feature removes are those of float64 loops`, async () => {
    const found = (await record(4))[i], { shape: { groups }, weights, thresholds } = transcoder;
    const ends = prefixEnds(groups), features = ends.at(-1)!;
    const row = (tapped: Tap, r: number) => activations[TAPS.indexOf(tapped)].subarray(r * WIDTH, (r + 1) * WIDTH);
    const index: number[] = [], value: number[] = [], start = [0], squares: number[] = [], targets: number[] = [];
    const removed = new Float64Array(features * ends.length), mean = new Float64Array(WIDTH);
    for (const r of counted) row(config.targets[0], r).forEach((y, c) => mean[c] += y / counted.length);
    let variation = 0;
    for (const r of counted) {
      const y = row(config.targets[0], r);
      const kept = [...activationsOf(transcoder, row(config.source, r)).entries()]
        .filter(([feature, a]) => a > thresholds[feature]);
      index.push(...kept.map(([feature]) => feature));
      value.push(...kept.map(([, a]) => a));
      start.push(index.length);
      targets.push(y.reduce((sum, v, c) => sum + (v - (linearMap?.targetMean[c] ?? 0)) ** 2, 0));
      variation += y.reduce((sum, v, c) => sum + (v - mean[c]) ** 2, 0);
      const error = (features: Iterable<readonly [number, number]>, end: number) =>
        reconstructionOf(transcoder, features, end).reduce((sum, made, c) => sum + (made - y[c]) ** 2, 0);
      ends.forEach((end, p) => {
        const left = error(kept, end);
        squares.push(left);
        for (const [feature] of kept.filter(([feature]) => feature < end)) {
          removed[feature * ends.length + p] += error(kept.filter(([other]) => other !== feature), end) - left;
        }
      });
    }
    assert.deepEqual([...found.rowStart], start);
    assert.deepEqual([...found.index], index);
    assertClose("value", found.value, value, { floor: 1e-5, relative: 1e-5 });
    assertClose("target squares", found.targetSquares, targets, { floor: 1e-5, relative: 1e-5 });
    assertClose("residual squares", found.residualSquares, squares, { floor: 1e-5, relative: 1e-5 });
    assertClose("error removed", found.errorRemoved, removed, { floor: 1e-3, relative: 1e-4 });
    assertClose("variation", [found.targetVariation], [variation], { floor: 0, relative: 1e-5 });
    const fvus = ends.map((_, p) =>
      squares.filter((_, at) => at % ends.length === p).reduce((a, b) => a + b) / variation
    );
    assertClose("FVU", prefixFvus(found), fvus, { floor: 0, relative: 1e-4 });
    assert.ok(weights.encoder.length > 0 && index.length > 50, "there is something to find");
  });
}

Deno.test("a record does not depend on how much text the model takes at once, nor on what is recorded beside it", async () => {
  const [whole, some] = [await record(CONTEXTS), await record(2)];
  // Sums over the tokens of a piece are rounded, so pieces show there and nowhere else.
  const exact = ({ errorRemoved: _, targetVariation: __, ...record }: FeatureRecord) => record;
  some.forEach((record, i) => assert.deepEqual(exact(record), exact(whole[i])));
  const alone = await recordFeatures({
    ...{ gpu, decoder: await load(2), settings, transcoders: transcoders.slice(1), source: readingSet(), tokens: 88 },
    tokenText,
  });
  assert.deepEqual(exact(alone[0]), exact(some[1]));
});

Deno.test("a text of which nothing counts has no record", async () => {
  const silent = { ...whole, document: whole.document.slice().fill(NO_DOCUMENT) };
  await assert.rejects(
    record(4, readingSet(silent)),
    (error) => error instanceof UserError && /must hold a token/.test(error.message),
  );
});

Deno.test("at equal sparsity the largest activations alone are kept, and what is left is that of a float64 loop", async () => {
  const own = (await record(4))[0], [{ transcoder, config, linearMap }] = transcoders;
  const wanted = Math.round(0.4 * own.index.length), threshold = raisedThreshold(own, wanted);
  const denser = { ...transcoder, thresholds: raised(transcoder.thresholds, threshold) };
  const [found] = await recordFeatures({
    ...{ gpu, decoder: await load(4), settings, source: readingSet(), tokens: 88, tokenText },
    transcoders: [{ transcoder: denser, config, linearMap }],
  });
  assert.equal(found.index.length, wanted, "as many as asked for, to the last one");
  const ends = prefixEnds(transcoder.shape.groups), left = new Float64Array(ends.length);
  const row = (tapped: Tap, r: number) => activations[TAPS.indexOf(tapped)].subarray(r * WIDTH, (r + 1) * WIDTH);
  // All activations of all tokens, by size: the loop knows no threshold.
  const all = counted.flatMap((r, token) => {
    return [...activationsOf(transcoder, row(config.source, r))].map((value, feature) => ({ token, feature, value }));
  }).sort((x, y) => y.value - x.value).slice(0, wanted);
  counted.forEach((r, token) => {
    const kept = all.filter((one) => one.token === token).map(({ feature, value }) => [feature, value] as const);
    ends.forEach((end, p) => {
      const made = reconstructionOf(transcoder, kept, end), y = row(config.targets[0], r);
      left[p] += made.reduce((sum, value, c) => sum + (value - y[c]) ** 2, 0);
    });
  });
  const fvus = [...left].map((squares) => squares / own.targetVariation);
  assertClose("FVU", prefixFvus(found), fvus, { floor: 0, relative: 1e-4 });
  assert.ok(Math.abs(fvus.at(-1)! / prefixFvus(own).at(-1)! - 1) > 0.002, "the others made a difference");
});
