/** What features are made of, on the embedded model: against float64 loops over its own activations, and the tokens that they read and write. */

import assert from "node:assert/strict";
import { partsAt } from "../../core/analysis/attribution.ts";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { configOf } from "../../core/model/config.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { type Site, type Tap, tapName } from "../../core/model/sites.ts";
import { attributionTaps, measureAttribution, readSum, splitContexts } from "../../core/passes/attribution.ts";
import { readsAndWrites, readWriteCosines } from "../../core/passes/reads_writes.ts";
import { countedRows, sliceBatch } from "../../core/text/contexts.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { assertClose } from "../compare.ts";
import { activationsOf, randomTranscoder } from "../transcoder/random_transcoder.ts";
import { randomText, sourceOf } from "./random_text.ts";

const gpu = await openGpu(), files = await openModel("builtin"), config = configOf(files);
const WIDTH = config.dModel, CONTEXTS = 5, CONTEXT = 12, text = randomText(CONTEXTS, CONTEXT, 5);
const settings = { context: CONTEXT, include_bos: false, exclude_tokens: [] };
const tap = (layer: number, site: Site): Tap => ({ layer, site });

async function activations(taps: readonly Tap[]) {
  const decoder = await loadDecoder(gpu, files, { taps, maxTokens: CONTEXTS * CONTEXT, context: CONTEXT });
  const pass = new Pass(gpu), taken = decoder.forward(pass, text);
  pass.submit();
  const values = await Promise.all(taken.map(({ tensor }) => downloadF32(gpu, tensor)));
  return (tap: Tap) => values[taps.findIndex((one) => tapName(one) === tapName(tap))];
}

const SOURCES: readonly [source: Tap, parts: string][] = [
  [tap(0, "resid_pre"), "embedding"],
  [tap(0, "mlp_in"), "embedding layer0.attn_out"],
  [tap(1, "resid_mid"), "embedding layer0.attn_out layer0.mlp_out layer1.attn_out"],
  [tap(2, "mlp_in"), "embedding layer0.attn_out layer0.mlp_out layer1.attn_out layer1.mlp_out layer2.attn_out"],
  [tap(2, "attn_in"), "embedding layer0.attn_out layer0.mlp_out layer1.attn_out layer1.mlp_out"],
  [tap(1, "resid_post"), "embedding layer0.attn_out layer0.mlp_out layer1.attn_out layer1.mlp_out"],
];
for (const [source, names] of SOURCES) {
  Deno.test(`${tapName(source)}: the parts of every activation sum to it and are those of float64 loops`, async () => {
    const transcoder = randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [3, 5] }, 0.8, 3);
    const placed = { transcoder, config: { source, targets: [tap(2, "mlp_out")], k: 4 } };
    const sum = await readSum(placed, files.weights, config), taps = attributionTaps(source);
    assert.equal(sum.components.map(({ name }) => name).join(" "), names);
    const at = await activations(taps), x = at(source), added = sum.parts.map(({ tap }) => at(tap));
    const counted = [...countedRows(text, false)],
      row = (all: Float32Array, token: number) => all.subarray(token * WIDTH, (token + 1) * WIDTH);
    // The norm's own scale is what stands between what was added and what the source has, in the dimension that says it best.
    const gain = sum.reads.map((w, i) => w / transcoder.weights.encoder[i]).subarray(0, WIDTH);
    const scaleAt = (token: number) => {
      if (sum.epsilon === null) return 1;
      const total = Float64Array.from({ length: WIDTH }, (_, d) => added.reduce((s, one) => s + row(one, token)[d], 0));
      const best = total.indexOf(Math.max(...total));
      return row(x, token)[best] / (gain[best] * total[best]);
    };
    const partsOf = (token: number, i: number) =>
      added.map((one) => {
        const here = row(one, token);
        return scaleAt(token) * here.reduce((s, value, d) => s + value * sum.reads[i * WIDTH + d], 0);
      });
    const fired = counted.flatMap((token) =>
      [...activationsOf(transcoder, row(x, token))].flatMap((f, i) => f > 0.8 ? [{ token, i, f }] : [])
    );
    assert.ok(fired.length > 10, `only ${fired.length} firings`);
    for (const { token, i, f } of fired) {
      const total = partsOf(token, i).reduce((a, b) => a + b) + transcoder.weights.encoderBias[i];
      assertClose("sum", [total], [f], { floor: 1e-4, relative: 1e-5 });
    }

    // Two contexts at once, so that the text comes in several pieces.
    const decoder = await loadDecoder(gpu, files, { taps, maxTokens: 2 * CONTEXT, context: CONTEXT });
    const done: number[] = [];
    const { tally, documents } = await measureAttribution({
      ...{ gpu, decoder, settings, source: sourceOf(text), transcoder: placed, sum, tokens: CONTEXTS * (CONTEXT - 1) },
      onProgress: (tokens) => done.push(tokens),
    });
    assert.deepEqual([documents.length, done.at(-1)], [CONTEXTS, counted.length]);
    const { features, tokens, largest_error } = tally.figures(sum.components, documents, () => 0);
    assert.equal(tokens, counted.length);
    assert.ok(largest_error < 1e-5, String(largest_error));
    assert.deepEqual(features.map(({ feature }) => feature), [...new Set(fired.map(({ i }) => i))].sort());
    for (const { feature, fires, activation, parts, typical } of features) {
      const own = fired.filter(({ i }) => i === feature), close = { floor: 1e-4, relative: 1e-4 };
      assert.equal(fires, own.length);
      assertClose("activation", [activation], [own.reduce((s, { f }) => s + f / fires, 0)], close);
      const mean = (all: readonly number[]) =>
        sum.parts.map((_, k) => all.reduce((s, token) => s + partsOf(token, feature)[k] / all.length, 0));
      assertClose("parts", parts, mean(own.map(({ token }) => token)), close);
      assertClose("typical", typical, mean(counted), close);
    }

    const split = await splitContexts({
      ...{ gpu, decoder, transcoder: placed, sum, includeBos: false },
      contexts: Array.from({ length: CONTEXTS }, (_, c) => sliceBatch(text, c, c + 1)),
    });
    assert.deepEqual(split.map(({ context, position }) => context * CONTEXT + position), counted);
    split.forEach(({ context, position, split, row }) => {
      const token = context * CONTEXT + position;
      assertClose("parts of a token", partsAt(sum.reads, 4, split, row, WIDTH), partsOf(token, 4), {
        floor: 1e-4,
        relative: 1e-4,
      });
    });
  });
}

Deno.test("a source that is no sum is refused with the sites that are, and a silent dictionary", async () => {
  assert.throws(
    () => attributionTaps(tap(2, "attn_out")),
    /Cannot attribute features that read layer2\.attn_out: their source must be the residual stream or the norm of it/,
  );
  const source = tap(1, "resid_mid"), taps = attributionTaps(source);
  const transcoder = randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [8] }, Infinity, 3);
  const placed = { transcoder, config: { source, targets: [tap(1, "mlp_out")], k: 4 } };
  const decoder = await loadDecoder(gpu, files, { taps, maxTokens: 2 * CONTEXT, context: CONTEXT });
  const sum = await readSum(placed, files.weights, config);
  await assert.rejects(
    () => measureAttribution({ gpu, decoder, settings, source: sourceOf(text), transcoder: placed, sum, tokens: 50 }),
    /a feature must fire on the held-out text, none fires on its 55 tokens/,
  );
});

/** Every row of the embedding, times something in each dimension, with a direction; divided by the row's length where wanted. */
async function products(direction: ArrayLike<number>, isCosine: boolean, gain?: ArrayLike<number>): Promise<number[]> {
  const embedding = await files.weights.readF32("embed_tokens.weight", [config.vocabSize, WIDTH]);
  const length = Math.hypot(...Array.from(direction));
  return Array.from({ length: config.vocabSize }, (_, id) => {
    const row = embedding.subarray(id * WIDTH, (id + 1) * WIDTH);
    const sum = row.reduce((s, value, d) => s + value * direction[d] * (gain ? gain[d] : 1), 0);
    return isCosine ? sum / (length * Math.hypot(...row)) : sum;
  });
}

Deno.test("what features read and write are the tokens of float64 loops over the whole vocabulary", async () => {
  const source = tap(1, "mlp_in"), transcoder = randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [6] }, 0, 3);
  const { encoder, decoder } = transcoder.weights, gain = await files.weights.readF32("norm.weight", [WIDTH]);
  // Feature 2 reads what token 77 is embedded as, behind the norm.
  const embedding = files.weights.matrix("embed_tokens.weight", [config.vocabSize, WIDTH]);
  const norm = (await files.weights.readF32("layers.1.pre_feedforward_layernorm.weight", [WIDTH])).map((w) => 1 + w);
  encoder.set(embedding.readF32(77, 1).map((value, d) => value / norm[d]), 2 * WIDTH);
  const placed = (target: Tap, transcoder: Transcoder) => ({ transcoder, config: { source, targets: [target], k: 1 } });
  const one = placed(tap(1, "mlp_out"), transcoder), { reads } = await readSum(one, files.weights, config);
  const done: number[] = [];
  const options = { gpu, weights: files.weights, config, tokenText: (id: number) => `<${id}>`, reads };
  const [two, four] = await readsAndWrites({
    ...{ ...options, transcoder: one, features: [2, 4] },
    onProgress: (tokens, all) => done.push(tokens / all),
  });
  assert.equal(done.at(-1), 1);
  assert.deepEqual([two.reads[0].id, two.reads[0].token], [77, "<77>"]);
  assertClose("cosine", [two.reads[0].value], [1], { floor: 1e-6, relative: 0 });
  assert.ok(two.chance < 0.6 && two.chance > 0.1, String(two.chance));
  const cosines = await products(reads.subarray(4 * WIDTH, 5 * WIDTH), true);
  const logits = await products(decoder.subarray(4 * WIDTH, 5 * WIDTH), false, gain.map((w) => 1 + w));
  const mean = logits.reduce((sum, value) => sum + value / logits.length, 0), centred = logits.map((x) => x - mean);
  const first = (values: number[], sign: number) =>
    values.map((value, id) => ({ id, token: `<${id}>`, value })).sort((a, b) => sign * (a.value - b.value)).slice(
      0,
      10,
    );
  for (
    const [found, expected] of [
      [four.reads, first(cosines, -1)],
      [four.writes!.raised, first(centred, -1)],
      [four.writes!.lowered, first(centred, 1)],
    ]
  ) {
    assert.deepEqual(found.map(({ id, token }) => [id, token]), expected.map(({ id, token }) => [id, token]));
    assertClose("values", found.map(({ value }) => value), expected.map(({ value }) => value), {
      floor: 1e-5,
      relative: 1e-5,
    });
  }
  assert.ok(four.writes!.chance > 0 && four.writes!.chance < 2 * four.writes!.raised[0].value);
  const std = Math.sqrt(centred.reduce((sum, value) => sum + value * value / centred.length, 0));
  assertClose("std", [four.writes!.std], [std], { floor: 0, relative: 1e-4 });
  const { from, to, counts } = four.writes!.histogram!;
  assert.equal(counts.reduce((sum, count) => sum + count, 0), centred.length, "every logit is in a bin");
  assert.ok(from <= first(centred, 1)[0].value && to >= first(centred, -1)[0].value);
  const both = reads.subarray(0, WIDTH).reduce((sum, value, d) => sum + value * decoder[d], 0);
  const lengths = Math.hypot(...reads.subarray(0, WIDTH)) * Math.hypot(...decoder.subarray(0, WIDTH));
  assertClose("reads and writes", [readWriteCosines(reads, one)![0]], [both / lengths], {
    floor: 1e-9,
    relative: 1e-6,
  });

  // With two targets, what they get is added up in the stream.
  const { shape, weights } = transcoder, shares = [0.25, 0.75];
  const beside = Float32Array.from({ length: 2 * decoder.length }, (_, at) => {
    const feature = Math.floor(at / (2 * WIDTH)), c = at % WIDTH, share = shares[Math.floor(at % (2 * WIDTH) / WIDTH)];
    return share * weights.decoder[feature * WIDTH + c];
  });
  const crossing = {
    transcoder: { ...transcoder, shape: { ...shape, d_out: 2 * WIDTH }, weights: { ...weights, decoder: beside } },
    config: { ...one.config, targets: [tap(2, "mlp_out"), tap(3, "mlp_out")] },
  };
  assertClose("of two targets", readWriteCosines(reads, crossing)!, readWriteCosines(reads, one)!, {
    ...{ floor: 1e-6, relative: 1e-6 },
  });

  const hidden = placed(tap(2, "attn_in"), transcoder);
  assert.equal(readWriteCosines(reads, hidden), null);
  const [inside] = await readsAndWrites({ ...options, transcoder: hidden, features: [2] });
  assert.deepEqual([inside.writes, inside.reads[0].id], [null, 77]);
  assert.deepEqual(await readsAndWrites({ ...options, transcoder: one, features: [] }), []);
});
