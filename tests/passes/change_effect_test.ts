/** A change on held-out text: against the same measured context by context, and where it is known what must come out. */

import assert from "node:assert/strict";
import { probabilitiesOf } from "../../core/analysis/next_token.ts";
import { createTensor, download, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { type ChangeEffectOptions, measureChangeEffect } from "../../core/passes/change_effect.ts";
import { type ActivationChange, FeatureChanger } from "../../core/passes/feature_change.ts";
import { FeatureReader } from "../../core/passes/features.ts";
import { contextsAtHand, overText } from "../../core/passes/over_text.ts";
import { countedRows, NO_DOCUMENT, sliceBatch, type TokenBatch } from "../../core/text/contexts.ts";
import { assertClose } from "../compare.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";
import { randomText, sourceOf } from "./random_text.ts";

const gpu = await openGpu(), files = await openModel(BUILTIN);
const CONTEXT = 12, CONTEXTS = 7, WIDTH = 128, CHANGED = [3, 17];
const SOURCE: Tap = { layer: 3, site: "resid_mid" }, TARGET: Tap = { layer: 3, site: "mlp_out" };
const settings = { context: CONTEXT, include_bos: false, exclude_tokens: [] };
const placed = {
  transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [12, 20] }, 2, 1),
  config: { source: SOURCE, targets: [TARGET], k: 4 },
};
const OFF: ActivationChange = { kind: "scale", factor: 0 };

/** Seven contexts of six documents; the last row ends early. */
function text(): TokenBatch {
  const batch = randomText(CONTEXTS, CONTEXT, 5);
  batch.document.forEach((_, i) => {
    const row = Math.floor(i / CONTEXT), column = i % CONTEXT;
    batch.document[i] = column === 0 || row === CONTEXTS - 1 && column > 8 ? NO_DOCUMENT : Math.min(row, 5);
    batch.position[i] = Math.max(0, column - 1);
  });
  return batch;
}

const load = (contexts: number) =>
  loadDecoder(gpu, files, { taps: [SOURCE, TARGET], maxTokens: contexts * CONTEXT, context: CONTEXT, head: true });
const decoder = await load(CONTEXTS);

const measure = async (changes: Partial<ChangeEffectOptions> = {}) =>
  await measureChangeEffect({
    ...{ gpu, decoder, placed, settings, features: CHANGED, change: OFF, rivals: 2, seed: 1, top: 3 },
    source: sourceOf(text()),
    ...changes,
  });

/** Loss before, loss after, KL and agreement of each prediction, by context and column. */
async function predictions(features: readonly number[], change: ActivationChange) {
  using scope = openScope(gpu);
  const all = text(), changer = new FeatureChanger(scope, placed, decoder.config, CONTEXT);
  const uploaded = changer.upload(scope, new Map(features.map((feature) => [feature, change])));
  const normed = createTensor(scope, "normed", [CONTEXT, WIDTH]), found: number[][] = [];
  for (let row = 0; row < CONTEXTS; row++) {
    const batch = sliceBatch(all, row, row + 1), places = countedRows(batch, false);
    const counted = { places, rows: tensorFrom(scope, "rows", [CONTEXT], places) };
    const run = async (edits: Parameters<typeof decoder.forward>[2], isClean: boolean) => {
      const pass = new Pass(gpu);
      decoder.forward(pass, batch, edits);
      if (isClean) decoder.recordNormed(pass, CONTEXT, normed);
      const compared = decoder.recordComparison(pass, batch, normed);
      pass.submit();
      return new Float32Array(await download(gpu, compared), 0, 3 * CONTEXT);
    };
    const clean = await run({ edits: [] }, true),
      changed = await run({ edits: changer.edits(counted, uploaded) }, false);
    for (const place of places) {
      if (place === CONTEXT - 1 || batch.document[place + 1] === NO_DOCUMENT) continue;
      found.push([row, place, clean[3 * place], ...changed.subarray(3 * place, 3 * place + 3)]);
    }
  }
  return found;
}

/** The mean distribution over the next token without the change and with it, from the logits of each prediction. */
async function meanDistributions(features: readonly number[], change: ActivationChange) {
  using scope = openScope(gpu);
  const { config: { vocabSize } } = decoder, all = text();
  const changer = new FeatureChanger(scope, placed, decoder.config, CONTEXT);
  const uploaded = changer.upload(scope, new Map(features.map((feature) => [feature, change])));
  const logits = createTensor(scope, "logits", [CONTEXT, vocabSize]);
  const sums = [new Float64Array(vocabSize), new Float64Array(vocabSize)];
  let predictions = 0;
  for (let row = 0; row < CONTEXTS; row++) {
    const batch = sliceBatch(all, row, row + 1), places = countedRows(batch, false);
    const predicted = places.filter((place) => place < CONTEXT - 1 && batch.document[place + 1] !== NO_DOCUMENT);
    const counted = { places, rows: tensorFrom(scope, "rows", [CONTEXT], places) };
    for (const [i, edits] of [[], changer.edits(counted, uploaded)].entries()) {
      const pass = new Pass(gpu);
      decoder.forward(pass, batch, { edits });
      decoder.recordLogits(pass, predicted, logits);
      pass.submit();
      const rows = new Float32Array(await download(gpu, logits), 0, predicted.length * vocabSize);
      for (let r = 0; r < predicted.length; r++) {
        const probabilities = probabilitiesOf(rows.subarray(r * vocabSize, (r + 1) * vocabSize));
        probabilities.forEach((probability, token) => sums[i][token] += probability);
      }
    }
    predictions += predicted.length;
  }
  return sums.map((sum) => sum.map((value) => value / predictions));
}

for (const atOnce of [2, CONTEXTS]) {
  Deno.test(`${atOnce} contexts at once: the next tokens that gain and lose are those of all predictions' softmaxes`, async () => {
    const { next_tokens: { moved, gained, lost } } = await measure({ decoder: await load(atOnce), rivals: 1, top: 4 });
    const [before, after] = await meanDistributions(CHANGED, OFF);
    const byGain = Array.from(before, (p, token) => ({ token, gain: after[token] - p })).toSorted((a, b) =>
      b.gain - a.gain
    );
    const ids = (tokens: typeof gained) => tokens.map(({ token_id }) => token_id);
    assert.deepEqual(ids(gained), byGain.slice(0, 4).map(({ token }) => token));
    assert.deepEqual(ids(lost), byGain.slice(-4).reverse().map(({ token }) => token));
    const bound = { floor: 1e-9, relative: 2e-5 }, told = [...gained, ...lost];
    assertClose("before", told.map((token) => token.before), ids(told).map((token) => before[token]), bound);
    assertClose("after", told.map((token) => token.after), ids(told).map((token) => after[token]), bound);
    const all = byGain.reduce((sum, { gain }) => sum + Math.abs(gain) / 2, 0);
    assertClose("moved", [moved], [all], { floor: 1e-7, relative: 1e-4 });
    assert.ok(moved > 1e-3);
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

for (const atOnce of [2, CONTEXTS]) {
  Deno.test(`${atOnce} contexts at once: every figure is that of the predictions one by one`, async () => {
    const effect = await measure({ decoder: await load(atOnce) });
    const { changed, clean, rivals, firing, affected, per_document } = effect;
    assert.deepEqual([effect.contexts, effect.documents, effect.resampled], [7, 6, "documents"]);
    const bound = { floor: 2e-6, relative: 2e-6 };
    for (const set of [changed, ...rivals]) {
      const found = await predictions(set.features, OFF), column = (c: number) => found.map((values) => values[c]);
      assert.equal(set.predictions, 6 * 10 + 7);
      const rise = mean(column(3).map((after, i) => after - column(2)[i]));
      const expected = [mean(column(2)), mean(column(3)), rise, mean(column(4)), mean(column(5))];
      assertClose("figures", [clean.ce, set.ce, set.ce_change, set.kl, set.top1], expected, bound);
      assert.ok(set.kl > 1e-4 && set.kl_ci95[0] < set.kl && set.kl < set.kl_ci95[1]);
    }
    const found = await predictions(CHANGED, OFF);
    const farthest = found.toSorted((a, b) => b[4] - a[4]).slice(0, 3), { ids, position } = text();
    assert.deepEqual(
      affected.map(({ ids, position }) => [ids.length - 1, position]),
      farthest.map(([, place]) => [
        place,
        place - 1,
      ]),
    );
    for (const [n, [row, place, before, after, kl]] of farthest.entries()) {
      const at = affected[n], from = row * CONTEXT;
      assert.deepEqual([...at.ids], [...ids.subarray(from, from + place + 1)]);
      assert.deepEqual([at.next, at.document, at.position], [
        ids[from + place + 1],
        Math.min(row, 5),
        position[from + place],
      ]);
      assertClose("prediction", [at.before, at.after, at.kl], [before, after, kl], bound);
      assert.equal(at.movers.length, 3);
    }
    const last = per_document[5], own = found.filter(([row]) => row >= 5);
    assert.deepEqual([per_document.length, last.document, last.predictions], [6, 5, 17]);
    assertClose("document", [last.ce_change, last.kl], [
      mean(own.map(([, , b, a]) => a - b)),
      mean(own.map((p) => p[4])),
    ], bound);

    const fires = await firingPlaces();
    const own2 = found.filter(([row, place]) => fires.has(row * CONTEXT + place));
    assert.ok(own2.length > 0 && own2.length < found.length, "some fire and some do not");
    assert.equal(firing!.predictions, own2.length);
    assertClose("firing", [firing!.kl], [mean(own2.map((p) => p[4]))], bound);
  });
}

/** Where one of the changed features fires. */
async function firingPlaces(): Promise<Set<number>> {
  using scope = openScope(gpu);
  const fires = new Set<number>(), batch = text();
  const reader = new FeatureReader(scope, [placed], CONTEXTS * CONTEXT, ({ places }, [{ rowStart, index }]) => {
    places.forEach((place, row) => {
      const active = index.subarray(rowStart[row], rowStart[row + 1]);
      if (CHANGED.some((feature) => active.includes(feature))) fires.add(place);
    });
  });
  const source = contextsAtHand([batch]);
  await overText({ gpu, decoder, source, contexts: CONTEXTS, includeBos: false, excluded: [] }, [reader]);
  return fires;
}

Deno.test("a change that changes nothing is exactly 0 everywhere, and no prediction is told of", async () => {
  const { changed, affected, rivals, firing, next_tokens } = await measure({
    change: { kind: "scale", factor: 1 },
    rivals: 1,
  });
  for (const set of [changed, ...rivals, firing!]) {
    assert.deepEqual([set.ce_change, set.ce_change_ci95, set.kl, set.top1], [0, [0, 0], 0, 1]);
  }
  assert.deepEqual(affected, []);
  assert.deepEqual(next_tokens, { moved: 0, gained: [], lost: [] });
});

Deno.test("rivals are drawn by the seed, of similar mass; of too many features there are none", async () => {
  const [a, again, b] = [await measure(), await measure(), await measure({ seed: 2 })];
  assert.deepEqual(again, a);
  const drawn = ({ rivals }: typeof a) => rivals.map(({ features }) => features);
  assert.notDeepEqual(drawn(b), drawn(a));
  assert.ok(a.rivals.every(({ features }) => features.length === 2 && !features.some((f) => CHANGED.includes(f))));
  const most = Array.from({ length: 17 }, (_, feature) => feature);
  assert.deepEqual((await measure({ features: most })).rivals, []);
  assert.deepEqual((await measure({ rivals: 0 })).rivals, []);
});

Deno.test("a feature that never fires does nothing when it is off, and what it does set to a value is its own", async () => {
  const silent = randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [12, 20] }, Infinity, 1), one = [3];
  const never = { placed: { ...placed, transcoder: silent }, features: one, rivals: 0 };
  const off = await measure(never);
  assert.deepEqual([off.firing, off.changed.kl, off.changed.activation_mass], [null, 0, 0]);
  const set = await measure({ ...never, change: { kind: "set", value: 3, where: "everywhere" } });
  assert.ok(set.changed.kl > 1e-3 && set.affected.length === 3);
});

Deno.test("progress counts every forward pass to its end, and the text must hold something", async () => {
  const seen: [number, number][] = [];
  await measure({ decoder: await load(2), onProgress: (done, tokens) => seen.push([done, tokens]) });
  const total = (6 * 11 + 8) * 5;
  assert.deepEqual([seen.at(-1), seen.every(([done], i) => i === 0 || done > seen[i - 1][0])], [[total, total], true]);
  const source = sourceOf({ ...text(), contexts: 0, ids: new Uint32Array() });
  await assert.rejects(measure({ source }), /held-out text must have a token that is not left out/);
});
