/** Features switched off one at a time: against whole forward passes with the target changed, and where a feature alone carries a token. */

import assert from "node:assert/strict";
import { createTensor, download, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openScope } from "../../core/gpu/scope.ts";
import type { Edit } from "../../core/model/edits.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { columnsOf, type Site, type Tap, tapName, widthOf } from "../../core/model/sites.ts";
import type { PlacedTranscoder } from "../../core/passes/features.ts";
import { importanceTaps, measureImportance } from "../../core/passes/importance.ts";
import { changedTokens } from "../../core/passes/replay.ts";
import { countedRows, NO_DOCUMENT, type TokenBatch } from "../../core/text/contexts.ts";
import { groupOf } from "../../core/transcoder/shape.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { importanceFigures } from "../../core/analysis/importance.ts";
import { assertClose } from "../compare.ts";
import { activationsOf, randomTranscoder, reconstructionOf } from "../transcoder/random_transcoder.ts";
import { randomText, sourceOf } from "./random_text.ts";

const gpu = await openGpu(), files = await openModel("builtin");
const CONTEXTS = 5, CONTEXT = 12, text = randomText(CONTEXTS, CONTEXT, 5);
const settings = { context: CONTEXT, include_bos: false, exclude_tokens: [] };
const tap = (layer: number, site: Site): Tap => ({ layer, site });

async function load(taps: readonly Tap[], contextsAtOnce = 2) {
  const distinct = [...new Map(taps.map((one) => [tapName(one), one])).values()];
  const decoder = await loadDecoder(gpu, files, {
    ...{ taps: distinct, maxTokens: contextsAtOnce * CONTEXT, context: CONTEXT, head: true },
  });
  const whole = await loadDecoder(gpu, files, {
    ...{ taps: distinct, maxTokens: CONTEXTS * CONTEXT, context: CONTEXT, head: true },
  });
  /** Each token's loss and KL in a whole forward pass with something added to the targets, side by side, and what the model has at a tap. */
  const predict = async (targets: readonly Tap[], change: Float32Array) => {
    using scope = openScope(gpu);
    const { config, config: { dModel } } = whole, tokens = text.ids.length, pass = new Pass(gpu);
    const normed = createTensor(scope, "normed", [tokens, dModel]), of = change.length / tokens;
    const edits = columnsOf(config, targets).map(({ tap, column, width }): Edit => {
      const part = change.filter((_, i) => i % of >= column && i % of < column + width);
      return { kind: "add", tap, tensor: tensorFrom(scope, "change", [tokens, width], part) };
    });
    whole.forward(pass, text);
    whole.recordNormed(pass, tokens, normed);
    whole.forward(pass, text, { edits });
    const comparison = whole.recordComparison(pass, text, normed);
    pass.submit();
    return new Float32Array(await download(gpu, comparison), 0, 3 * tokens);
  };
  const at = async (tap: Tap) => {
    const pass = new Pass(gpu), taken = whole.forward(pass, text);
    pass.submit();
    return await downloadF32(gpu, taken.find((one) => tapName(one.tap) === tapName(tap))!.tensor);
  };
  return { decoder, predict, at };
}

const PLACES: readonly [source: Tap, ...targets: Tap[]][] = [
  [tap(2, "resid_mid"), tap(2, "mlp_out")],
  [tap(1, "mlp_in"), tap(3, "mlp_neurons")],
  [tap(0, "resid_pre"), tap(2, "attn_out")],
  [tap(1, "resid_mid"), tap(4, "attn_heads")],
  [tap(3, "attn_in"), tap(3, "mlp_in")],
  [tap(2, "resid_pre"), tap(2, "attn_in")],
  [tap(4, "resid_mid"), tap(4, "resid_post")],
  [tap(0, "attn_out"), tap(0, "resid_mid")],
  // A feature off changes the higher target twice: by its own part, and through what the model makes of the lower one.
  [tap(1, "resid_mid"), tap(1, "mlp_out"), tap(3, "mlp_neurons")],
  [tap(2, "resid_pre"), tap(2, "attn_out"), tap(2, "mlp_out"), tap(5, "resid_post")],
];
for (const [source, ...targets] of PLACES) {
  const name = `${tapName(source)} to ${targets.map(tapName).join(" and ")}`;
  Deno.test(`${name}: each feature's effect is that of a whole forward pass without it, its error what the reconstruction loses`, async () => {
    const target_scales = targets.length > 1 ? [3, 0.5, 2].slice(0, targets.length) : undefined;
    const config = { source, targets, target_scales, k: 4 },
      { decoder, predict, at } = await load(importanceTaps(config));
    const columns = columnsOf(decoder.config, targets), d_out = columns.reduce((sum, { width }) => sum + width, 0);
    const d_in = widthOf(decoder.config, source.site);
    const transcoder = randomTranscoder({ d_in, d_out, groups: [3, 5] }, 0.8, 3);
    const { measured, estimates } = await measure(transcoder, config, decoder);
    assert.ok(measured.ablated.length >= 4, `only ${measured.ablated.length} features fire`);
    assert.deepEqual(estimates.map(([features]) => features), [measured.ablated.length]);
    const x = await at(source), none = await predict(targets, new Float32Array(text.ids.length * d_out));
    const counted = countedRows(text, false), followed = counted.filter((row) => row % CONTEXT < CONTEXT - 1);
    assertClose("clean", [Array.from(measured.cleanLoss).reduce((a, b) => a + b)], [
      followed.reduce((sum, row) => sum + none[3 * row], 0),
    ], { floor: 0, relative: 1e-5 });
    assert.deepEqual([measured.tokens, measured.predictions], [
      counted.length,
      new Float64Array(CONTEXTS).fill(CONTEXT - 2),
    ]);
    for (const { feature, loss, kl } of measured.ablated) {
      const change = new Float32Array(text.ids.length * d_out), fires = new Set<number>();
      for (const row of counted) {
        const f = activationsOf(transcoder, x.subarray(row * d_in, (row + 1) * d_in))[feature];
        if (f <= 0.8) continue;
        fires.add(Math.floor(row / CONTEXT));
        for (let d = 0; d < d_out; d++) change[row * d_out + d] = -f * transcoder.weights.decoder[feature * d_out + d];
      }
      const without = await predict(targets, change);
      for (let c = 0; c < CONTEXTS; c++) {
        if (!fires.has(c)) {
          assert.deepEqual([loss[c], kl[c]], [0, 0], `feature ${feature} does not fire in context ${c}`);
        }
        const inContext = followed.filter((row) => Math.floor(row / CONTEXT) === c);
        const [rise, divergence] = [
          inContext.reduce((sum, row) => sum + without[3 * row] - none[3 * row], 0),
          inContext.reduce((sum, row) => sum + without[3 * row + 1], 0),
        ];
        // Ten losses of about ten nats, each within 1e-6 of itself.
        assertClose(`feature ${feature}, context ${c}`, [loss[c], kl[c]], [rise, divergence], {
          floor: 1e-4,
          relative: 1e-4,
        });
      }
    }
    // sum |y - y_hat + f W_dec|^2 - |y - y_hat|^2, with y and all that stands for it in the units in which targets weigh the same.
    const ys = await Promise.all(targets.map(at)), errors = new Float64Array(8);
    for (const row of counted) {
      const kept = [...activationsOf(transcoder, x.subarray(row * d_in, (row + 1) * d_in)).entries()]
        .filter(([, f]) => f > 0.8);
      const whole = reconstructionOf(transcoder, kept, 8);
      columns.forEach(({ column, width }, t) => {
        for (let d = 0; d < width; d++) {
          const scale = (target_scales ?? [1])[t], left = scale * (ys[t][row * width + d] - whole[column + d]);
          for (const [i, f] of kept) {
            errors[i] += (left + scale * f * transcoder.weights.decoder[i * d_out + column + d]) ** 2 - left ** 2;
          }
        }
      });
    }
    assertClose("error", Array.from(measured.error), [...errors], { floor: 1e-3, relative: 1e-4 });
    const rises = measured.ablated.flatMap(({ loss }) => [...loss]);
    assert.ok(rises.some((rise) => Math.abs(rise) > 0.01), "something happens at all");
  });
}

async function measure(
  transcoder: Transcoder,
  config: PlacedTranscoder["config"],
  decoder: Awaited<ReturnType<typeof load>>["decoder"],
  batch: TokenBatch = text,
) {
  const estimates: [number, number, number][] = [], done: [number, number][] = [];
  const measured = await measureImportance({
    ...{ gpu, decoder, settings, source: sourceOf(batch), transcoder: { transcoder, config } },
    choice: { top: 100, random: 100, seed: 0 },
    onEstimate: (...estimate) => estimates.push(estimate),
    onAblation: (...progress) => done.push(progress),
  });
  assert.deepEqual(done.map(([contexts]) => contexts), done.map((_, i) => i + 1));
  assert.ok(done.every(([, all]) => all === done.length && all === estimates[0][1]) && estimates[0][2] >= 0);
  return { measured, estimates };
}

/** A transcoder of which each feature fires on one token: its direction is the token's own, from the mean, its bias halfway to the next. */
function detectors(x: Float32Array, rows: readonly number[]): Transcoder {
  const width = 128, transcoder = randomTranscoder({ d_in: width, d_out: width, groups: [rows.length] }, 0, 1);
  const counted = [...countedRows(text, false)], at = (row: number) => x.subarray(row * width, (row + 1) * width);
  const mean = Array.from(
    { length: width },
    (_, d) => counted.reduce((sum, row) => sum + at(row)[d] / counted.length, 0),
  );
  rows.forEach((row, i) => {
    const direction = at(row).map((value, d) => value - mean[d]);
    const scores = counted.map((other) => at(other).reduce((sum, value, d) => sum + value * direction[d], 0)).sort((
      a,
      b,
    ) => b - a);
    transcoder.weights.encoder.set(direction, i * width);
    transcoder.weights.encoderBias[i] = -(scores[0] + scores[1]) / 2;
  });
  return transcoder;
}

Deno.test("a feature that alone carries a token: without it that token's prediction changes, above no attention no other's does", async () => {
  const config = { source: tap(5, "resid_mid"), targets: [tap(5, "mlp_out")], k: 1 };
  const { decoder, predict, at } = await load(importanceTaps(config));
  const x = await at(config.source), rows = [3, CONTEXT + 7, 2 * CONTEXT + 10, 3 * CONTEXT + 11];
  const transcoder = detectors(x, rows);
  const fired = [...countedRows(text, false)].map((row) =>
    [row, [...activationsOf(transcoder, x.subarray(row * 128, (row + 1) * 128))].map((f) => f > 0)] as const
  );
  rows.forEach((row, i) => {
    assert.deepEqual(fired.filter(([, fires]) => fires[i]).map(([at]) => at), [row], "it fires on one token");
  });
  const { measured } = await measure(transcoder, config, decoder);
  const none = await predict(config.targets, new Float32Array(text.ids.length * 128));
  assert.deepEqual(measured.ablated.map(({ feature }) => feature), [0, 1, 2, 3]);
  for (const { feature, loss, kl } of measured.ablated) {
    const context = Math.floor(rows[feature] / CONTEXT), others = [...loss].filter((_, c) => c !== context);
    assert.deepEqual(others, [0, 0, 0, 0], "no other context's loss changes");
    // The last token of a context predicts nothing that is there.
    const isLast = rows[feature] % CONTEXT === CONTEXT - 1;
    assert.equal(Math.abs(loss[context]) > 1e-3, !isLast, `${feature}: ${loss[context]}`);
    assert.equal(kl[context] > 1e-5, !isLast, `${feature}: ${kl[context]}`);
    const change = new Float32Array(text.ids.length * 128), row = rows[feature];
    const f = activationsOf(transcoder, x.subarray(row * 128, (row + 1) * 128))[feature];
    for (let d = 0; d < 128; d++) change[row * 128 + d] = -f * transcoder.weights.decoder[feature * 128 + d];
    const without = await predict(config.targets, change);
    assert.deepEqual(
      [...without].flatMap((_, i) => i % 3 === 0 && without[i] !== none[i] ? [i / 3] : []),
      isLast ? [] : [row],
    );
    assertClose("its loss", [loss[context]], [without[3 * row] - none[3 * row]], { floor: 1e-5, relative: 1e-5 });
  }
  // Where the token predicts nothing, because its successor is no token of the text, nothing changes either.
  const filled = { ...text, document: text.document.slice() };
  filled.document[rows[0] + 1] = NO_DOCUMENT;
  const { measured: { ablated: [first], predictions } } = await measure(transcoder, config, decoder, filled);
  assert.deepEqual([...first.loss, ...first.kl], new Array(2 * CONTEXTS).fill(0));
  // The successor is not counted, so it predicts nothing that counts.
  assert.equal(predictions[0], CONTEXT - 4);
  const { features } = importanceFigures(measured, (feature) => groupOf([4], feature));
  assert.deepEqual(features.map(({ fires }) => fires), [1, 1, 1, 1]);
});

Deno.test("a dictionary that is silent is refused, and a text without tokens", async () => {
  const config = { source: tap(2, "resid_mid"), targets: [tap(2, "mlp_out")], k: 1 };
  const { decoder } = await load(importanceTaps(config));
  const silent = randomTranscoder({ d_in: 128, d_out: 128, groups: [8] }, Infinity, 1);
  await assert.rejects(
    () => measure(silent, config, decoder),
    /a feature must fire on the held-out text, none fires on its 55 tokens/,
  );
  const empty = randomText(0, CONTEXT, 1);
  await assert.rejects(
    () => measure(silent, config, decoder, empty),
    /it has no token that is not left out; give more text/,
  );
});

Deno.test("an interrupt ends the work with its reason", async () => {
  const config = { source: tap(2, "resid_mid"), targets: [tap(2, "mlp_out")], k: 1 };
  const { decoder } = await load(importanceTaps(config));
  const transcoder = randomTranscoder({ d_in: 128, d_out: 128, groups: [8] }, 0.8, 3),
    controller = new AbortController();
  let contexts = 0;
  await assert.rejects(
    () =>
      measureImportance({
        ...{ gpu, decoder, settings, source: sourceOf(text), transcoder: { transcoder, config } },
        choice: { top: 8, random: 8, seed: 0 },
        signal: controller.signal,
        onAblation(done) {
          contexts = done;
          controller.abort(new Error("stop"));
        },
      }),
    /stop/,
  );
  assert.ok(contexts > 0 && contexts <= 4);
});

Deno.test("what is compared begins with a feature's first firing, and neighbours of a context share what they are held against", () => {
  const off = [[2, 3], [2, 1], [4, 0], [2, 2]].map(([context, column]) => {
    return { feature: 1, firing: { context, columns: [column, 4], values: [1, 1] } };
  });
  const { tokens, references, rows } = changedTokens(off, 6);
  assert.deepEqual([...tokens], [3, 4, 7, 8, 9, 10, 12, 13, 14, 15, 16, 20, 21, 22]);
  assert.deepEqual([...rows], [13, 14, 15, 16, 24, 25, 26, 27, 28, 14, 15, 16]);
  const heldAgainst = [...references].map((row) => rows[row]);
  const own = [...tokens].map((token) => off[Math.floor(token / 6)].firing.context * 6 + token % 6);
  assert.deepEqual(heldAgainst, own);
});
