/** THE loop over text: what a new analysis needs of it, analyses side by side, where it ends and how it is stopped. */

import assert from "node:assert/strict";
import { createTensor, downloadAll, downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { type Tap, tapName } from "../../core/model/sites.ts";
import { FeatureReader } from "../../core/passes/features.ts";
import { type Analysis, contextsAtHand, overText, recordTaken } from "../../core/passes/over_text.ts";
import { readActivations } from "../../core/passes/readback.ts";
import { countedRows, sliceBatch } from "../../core/text/contexts.ts";
import { type HostFeatures, joinFeatures } from "../../core/transcoder/encode.ts";
import { assertClose } from "../compare.ts";
import { randomText, sourceOf } from "./random_text.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";

const CONTEXT = 9, CONTEXTS = 11, AT_ONCE = 4, WIDTH = 128;
const tap = (layer: number, site: Tap["site"]): Tap => ({ layer, site });
const TAPS = [tap(0, "resid_pre"), tap(0, "attn_out"), tap(0, "resid_mid"), tap(1, "mlp_out")];

const whole = randomText(CONTEXTS, CONTEXT, 7);
const gpu = await openGpu(), files = await openModel("builtin");
const decoder = await loadDecoder(gpu, files, { taps: TAPS, maxTokens: AT_ONCE * CONTEXT, context: CONTEXT });
const text = { gpu, decoder, contexts: CONTEXTS, includeBos: false };

/** A new analysis, whole: the mean norm of the activations at each of some taps. */
function meanNorms(taps: readonly Tap[], tokensAtOnce: number): Analysis<ArrayBuffer[]> & { means(): number[] } {
  const rows = taps.map((tap) => createTensor(gpu, tapName(tap), [tokensAtOnce, WIDTH]));
  const sums = taps.map(() => 0);
  let tokens = 0;
  return {
    taps,
    tokensAtOnce,
    record: (pass, piece) => taps.forEach((tap, i) => recordTaken(pass, piece, tap, rows[i])),
    read: ({ places }) => downloadAll(gpu, rows.map((tensor) => ({ ...tensor, shape: [places.length, WIDTH] }))),
    take({ places }, bytes) {
      tokens += places.length;
      bytes.forEach((taken, i) => {
        const x = new Float32Array(taken);
        for (let r = 0; r < places.length; r++) sums[i] += Math.hypot(...x.subarray(r * WIDTH, (r + 1) * WIDTH));
      });
    },
    means: () => sums.map((sum) => sum / tokens),
  };
}

/** Every context by itself through the model: per tap [CONTEXTS * CONTEXT, WIDTH]. */
const direct = TAPS.map(() => new Float32Array(CONTEXTS * CONTEXT * WIDTH));
for (let c = 0; c < CONTEXTS; c++) {
  const pass = new Pass(gpu), taken = decoder.forward(pass, sliceBatch(whole, c, c + 1));
  pass.submit();
  for (const [i, { tensor }] of taken.entries()) {
    direct[i].set((await downloadF32(gpu, tensor)).subarray(0, CONTEXT * WIDTH), c * CONTEXT * WIDTH);
  }
}

for (const includeBos of [false, true]) {
  Deno.test(`a new analysis is one object: mean norms ${includeBos ? "with" : "without"} BOS are a direct loop's`, async () => {
    const analysis = meanNorms(TAPS, 5), rows = countedRows(whole, includeBos);
    const { contexts, tokens } = await overText({ ...text, includeBos, source: sourceOf(whole) }, [analysis]);
    assert.deepEqual([contexts, tokens], [CONTEXTS, rows.length]);
    const norm = (x: Float32Array, row: number) => Math.hypot(...x.subarray(row * WIDTH, (row + 1) * WIDTH));
    const expected = direct.map((x) => rows.reduce((sum, row) => sum + norm(x, row), 0) / rows.length);
    assertClose("mean norms", analysis.means(), expected, { floor: 0, relative: 1e-6 });
  });
}

Deno.test("tokens whose norm is above a limit at any tap do not count, in any forward pass, and are counted", async () => {
  const rows = countedRows(whole, false, [whole.ids[1]]), limited = [TAPS[0], TAPS[2]];
  const normOf = (t: number, row: number) => Math.hypot(...direct[t].subarray(row * WIDTH, (row + 1) * WIDTH));
  // Above the largest but five at one tap, but two at the other; in the middle between two norms.
  const mostOf = (t: number, above: number) => {
    const norms = [...rows].map((row) => normOf(t, row)).sort((a, b) => b - a);
    return (norms[above] + norms[above - 1]) / 2;
  };
  const limits = [{ tap: limited[0], most: mostOf(0, 5) }, { tap: limited[1], most: mostOf(2, 2) }];
  const within = rows.filter((row) => normOf(0, row) <= limits[0].most && normOf(2, row) <= limits[1].most);
  const norms = meanNorms(TAPS, 5), seen: Record<string, number[]> = { plain: [], edited: [] };
  const forward = (counted: { places: Uint32Array }) => {
    seen.edited.push(...counted.places);
    return { edits: [] };
  };
  const whole_ = readActivations(gpu, decoder, ({ contextsBefore }, taken) => {
    taken.forEach((x, t) => {
      const at = contextsBefore * CONTEXT * WIDTH;
      assertClose(tapName(TAPS[t]), x, direct[t].subarray(at, at + x.length), { floor: 1e-5, relative: 1e-5 });
    });
  });
  const places: Analysis = {
    ...{ taps: [], tokensAtOnce: 4, record() {}, read: () => Promise.resolve() },
    take: ({ contextsBefore, places }) => seen.plain.push(...[...places].map((at) => contextsBefore * CONTEXT + at)),
  };
  const edited = readActivations(gpu, decoder, () => {}, forward as never);
  const taken = await overText({ ...text, source: sourceOf(whole), excluded: [whole.ids[1]], limits }, [
    ...[norms, whole_, places, edited],
  ]);
  assert.deepEqual(seen.plain, [...within]);
  assert.equal(seen.edited.length, within.length);
  assert.deepEqual([taken.tokens, taken.outliers], [within.length, rows.length - within.length]);
  assert.ok(taken.excluded >= 1 && taken.outliers >= 5 && taken.outliers <= 7, JSON.stringify(taken));
  const expected = TAPS.map((_, t) => within.reduce((sum, row) => sum + normOf(t, row), 0) / within.length);
  assertClose("mean norms", norms.means(), expected, { floor: 0, relative: 1e-6 });

  const none = meanNorms(TAPS, 5), all = { ...text, source: sourceOf(whole) };
  const nothing = await overText({ ...all, limits: [{ tap: TAPS[0], most: 0 }] }, [none]);
  assert.deepEqual([nothing.tokens, nothing.contexts, nothing.outliers], [0, CONTEXTS, CONTEXTS * (CONTEXT - 1)]);
});

Deno.test("analyses side by side take in what each takes in alone, in the same pieces", async () => {
  const config = { source: TAPS[2], targets: [TAPS[3]], k: 5 };
  const transcoder = randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [7, 9] }, 0.4, 1);
  const make = () => {
    const parts: HostFeatures[] = [], activations: Float32Array[][] = TAPS.map(() => []), sizes: number[] = [];
    const reader = new FeatureReader(gpu, [{ transcoder, config }], AT_ONCE * CONTEXT, ({ places }, [features]) => {
      sizes.push(places.length);
      parts.push(features);
    });
    const readback = readActivations(gpu, decoder, (_, taken) => taken.forEach((x, i) => activations[i].push(x)));
    return { norms: meanNorms(TAPS, 5), parts, sizes, reader, readback, activations };
  };
  const together = make(), alone = make();
  await overText({ ...text, source: sourceOf(whole) }, [together.reader, together.norms, together.readback]);
  for (const analysis of [alone.reader, alone.norms, alone.readback] as Analysis[]) {
    await overText({ ...text, source: sourceOf(whole) }, [analysis]);
  }
  // Forward passes of 4, 4 and 3 contexts have 32, 32 and 24 counted tokens.
  assert.deepEqual(alone.sizes, [32, 32, 24]);
  assert.deepEqual(together.sizes, alone.sizes);
  assert.deepEqual(together.norms.means(), alone.norms.means());
  assert.deepEqual(together.activations, alone.activations);
  const features = joinFeatures(together.parts);
  assert.deepEqual(features, joinFeatures(alone.parts));
  assert.ok(features.index.length > 100);
});

Deno.test("what is read back is that of its own batch, the embedded tokens too", async () => {
  const [pre, out, mid]: Float32Array[][] = TAPS.map(() => []);
  const take = readActivations(gpu, decoder, (_, taken) => [pre, out, mid].forEach((all, i) => all.push(taken[i])));
  await overText({ ...text, source: sourceOf(whole) }, [take]);
  assert.deepEqual(pre.map((x) => x.length), [AT_ONCE, AT_ONCE, 3].map((contexts) => contexts * CONTEXT * WIDTH));
  pre.forEach((x, batch) => assert.deepEqual(x.map((value, i) => value + out[batch][i]), mid[batch]));
});

Deno.test("an analysis that wants the model run otherwise gets a run of its own, behind the shared one", async () => {
  const log: string[] = [];
  const logging = (name: string, forward?: Analysis["forward"]): Analysis<void> => ({
    taps: [TAPS[0]],
    forward,
    tokensAtOnce: 20,
    record: (_, { first, places }) => void log.push(`${name} ${first}+${places.length}`),
    read: () => Promise.resolve(),
    take() {},
  });
  const other = { precision: "f32" } as const, done: number[] = [];
  const options = { ...text, contexts: 3, source: sourceOf(whole) };
  const onProgress = ({ tokens }: { tokens: number }) => done.push(tokens);
  await overText({ ...options, onProgress }, [logging("a", other), logging("b"), logging("c", other)]);
  assert.deepEqual(log, ["b 0+20", "b 20+4", "a 0+20", "c 0+20", "a 20+4", "c 20+4"]);
  assert.deepEqual(done, [0, 0, 20, 24], "text is taken in when every analysis has it");
});

const ends: [what: string, startsOver: boolean, isReadOnce: boolean, contexts: number, taken: number][] = [
  ["after the contexts asked for", true, false, 6, 6],
  ["after the contexts asked for, past a text that starts over", true, false, 15, 15],
  ["where a text that starts over is read once", true, true, 15, CONTEXTS],
  ["where the text ends", false, false, 15, CONTEXTS],
];
for (const [what, startsOver, isReadOnce, contexts, taken] of ends) {
  Deno.test(`the loop ends ${what}`, async () => {
    const analysis = meanNorms([TAPS[0]], 100), source = sourceOf(whole, startsOver), done: number[] = [];
    const onProgress = (progress: { contexts: number }) => done.push(progress.contexts);
    const end = await overText({ ...text, source, contexts, isReadOnce, onProgress }, [analysis]);
    assert.deepEqual([end.contexts, end.tokens, source.given], [taken, taken * (CONTEXT - 1), taken]);
    assert.equal(done.at(-1), taken);
    assert.equal(end.position?.epoch, startsOver ? Math.floor(taken / CONTEXTS) : 0);
  });
}

Deno.test("a text without contexts", async () => {
  const end = await overText({ ...text, source: contextsAtHand([]) }, [meanNorms([TAPS[0]], 5)]);
  assert.deepEqual(end, { contexts: 0, tokens: 0, excluded: 0, outliers: 0, position: null });
});

Deno.test("an aborted signal's reason is thrown before the next piece, and behind the last one", async () => {
  const reason = new Error("stopped");
  for (const [stopAt, recorded] of [[0, 0], [8, 2], [CONTEXTS, 3]]) {
    const stop = new AbortController(), analysis = meanNorms([TAPS[0]], 100);
    let pieces = 0;
    const counting = {
      ...analysis,
      record: (...args: Parameters<Analysis["record"]>) => (pieces++, analysis.record(...args)),
    };
    if (stopAt === 0) stop.abort(reason);
    const onProgress = ({ contexts }: { contexts: number }) => contexts === stopAt && stop.abort(reason);
    const stopped = overText({ ...text, source: sourceOf(whole), onProgress, signal: stop.signal }, [counting]);
    await assert.rejects(stopped, (error) => error === reason);
    // When a piece is taken in, the next one is under way.
    assert.equal(pieces, Math.min(3, recorded + (stopAt > 0 ? 1 : 0)), `stopped at ${stopAt}`);
  }
});

Deno.test("a tap that the model was not loaded with is refused before anything runs", async () => {
  const source = sourceOf(whole);
  await assert.rejects(
    overText({ ...text, source }, [meanNorms([tap(3, "mlp_in")], 5)]),
    /^RangeError: Cannot take activations: layer3.mlp_in must be among the taps, they are layer0.resid_pre, layer0/,
  );
  assert.equal(source.given, 0);
});
