/** The shuffle buffer: how a run is cut into buffers, in which order their rows are drawn, and how they lie in memory. */

import assert from "node:assert/strict";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { createTensor, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openTokenSource } from "../../core/text/source.ts";
import { type BufferLayout, bufferLayout, drawOrder, ShuffleBuffer } from "../../core/training/buffer.ts";
import { fillBuffer } from "../../core/training/filler.ts";
import { choosePreparation, initialWeights, measureActivations } from "../../core/training/initialise.ts";
import { recordGather } from "../../core/gpu/row_blocks.ts";
import { assertClose } from "../compare.ts";
import { bindingAtMost } from "../gpu/small_bindings.ts";
import { randomText, sourceOf } from "../passes/random_text.ts";

const layoutWith = (changes: Partial<BufferLayout> = {}): BufferLayout => ({
  ...{ contexts: 7, context: 5, passes: 3, steps: 10, batchTokens: 8, includeBos: false, excluded: [], normAbove: 0 },
  ...changes,
});

/** Steps, batch, passes, most tokens, context, BOS drawn too. */
type Cut = [steps: number, batch: number, passes: number, tokens: number, context: number, includeBos: boolean];

const cuts: [what: string, cut: Cut, contexts: number, steps: number][] = [
  ["two equal buffers, the embedded default", [600, 1024, 3, 102_400, 64, false], 1626, 300],
  ["the published recipe", [15_000, 1024, 1, 65_536, 64, false], 1041, 64],
  ["one step", [1, 256, 1, 4096, 64, false], 5, 1],
  ["one step that fills the buffer exactly", [1, 126, 1, 126, 64, false], 2, 1],
  ["a buffer for one step at a time", [3, 256, 1, 300, 64, false], 5, 1],
  ["a buffer larger than the run", [30, 256, 2, 1e12, 64, false], 61, 30],
  ["steps that do not divide", [31, 256, 2, 1024, 64, false], 17, 8],
  ["odd sizes with BOS", [7, 101, 3, 77, 33, true], 3, 2],
  ["more passes than a batch has tokens", [10, 4, 50, 1000, 8, false], 1, 10],
];
for (const [what, cut, contexts, steps] of cuts) {
  Deno.test(`bufferLayout: ${what}`, () => {
    const [runSteps, batchTokens, passes, tokens, context, includeBos] = cut;
    const layout = bufferLayout({
      ...{ steps: runSteps, batch_tokens: batchTokens, passes, buffer_tokens: tokens, context },
      include_bos: includeBos,
      ...{ exclude_tokens: [1, 2], exclude_norm_above: 6 },
    });
    assert.deepEqual(layout, {
      contexts,
      context,
      passes,
      steps,
      batchTokens,
      includeBos,
      excluded: [1, 2],
      normAbove: 6,
    });
    const perContext = context - (includeBos ? 0 : 1), drawn = passes * contexts * perContext;
    assert.ok(steps * batchTokens <= drawn, "each step finds its rows");
    assert.ok(steps * batchTokens > drawn - passes * perContext, "less than a context is wasted");
    assert.ok((contexts - 1) * perContext < tokens, "no more is held than asked for, but for the last context");
    const buffers = Math.ceil(runSteps / steps);
    assert.ok((buffers - 1) * steps < runSteps, "no buffer is for nothing");
  });
}

const someRows = Uint32Array.from({ length: 28 }, (_, r) => 3 * r + 1);

Deno.test("drawOrder: each pass is a permutation of the rows, the last one cut off", () => {
  const order = Array.from(drawOrder(someRows, 3 * 28 + 5, 3, 0));
  assert.equal(order.length, 89);
  const each = [0, 1, 2].map((p) => order.slice(p * 28, (p + 1) * 28));
  for (const pass of each) {
    assert.deepEqual(pass.toSorted((a, b) => a - b), [...someRows]);
    assert.notDeepEqual(pass, [...someRows], "shuffled");
  }
  assert.equal(new Set(each.map(String)).size, 3, "each pass is another permutation");
  assert.equal(new Set(order.slice(84)).size, 5);
  assert.deepEqual([...drawOrder(someRows, 30, 3, 0)], order.slice(0, 30), "fewer draws are the first of more");
});

for (
  const [what, changes, isDrawn] of [
    ["without BOS", {}, (row: number) => row % 5 > 0],
    ["with BOS", { includeBos: true }, () => true],
    [
      "without two tokens, wherever they stand",
      { excluded: [7, 9] },
      (row: number, id: number) => row % 5 > 0 && id !== 7 && id !== 9,
    ],
    [
      "with BOS, without a token",
      { includeBos: true, excluded: [7] },
      (row: number, id: number) => row % 5 === 0 || id !== 7,
    ],
  ] as const
) {
  Deno.test(`a buffer draws its rows ${what}; its order is as long whatever they are`, async () => {
    using gpu = await openGpu();
    const layout = layoutWith(changes), buffer = new ShuffleBuffer(gpu, [], { dModel: 4 } as never, layout, 3);
    const ids = Uint32Array.from({ length: 35 }, (_, row) => row % 5 === 0 ? 7 : 5 + row * row % 7);
    buffer.batch = { ...randomText(7, 5, 1), ids };
    await buffer.shuffle(2);
    const rows = [...ids.keys()].filter((row) => isDrawn(row, ids[row]));
    assert.deepEqual(new Set(buffer.drawn), new Set(rows));
    const all = [...ids.keys()].filter((row) => "includeBos" in changes || row % 5 > 0).length;
    assert.deepEqual(buffer.counts, { tokens: rows.length, excluded_tokens: all - rows.length });
    assert.equal(buffer.drawn.length, 3 * 7 * ("includeBos" in changes ? 5 : 4));
    assert.equal(buffer.order.shape[0], buffer.drawn.length);
    const counts = rows.map((row) => buffer.drawn.filter((drawn) => drawn === row).length);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1 && Math.min(...counts) >= 3, counts.join());
  });
}

Deno.test("a buffer does not draw rows that are too long at any source; its first filling gives the medians", async () => {
  using gpu = await openGpu();
  const width = 8,
    taps = [{ layer: 0, site: "resid_mid" }, { layer: 0, site: "mlp_out" }, {
      layer: 1,
      site: "resid_mid",
    }] as const;
  const layout = layoutWith({ excluded: [7], normAbove: 3 }), sources = [taps[0], taps[2]];
  // Blocks of eleven of the 35 rows.
  const limited = bindingAtMost(gpu, 11 * width * 4);
  const make = (medianNorms?: ShuffleBuffer["medianNorms"]) =>
    new ShuffleBuffer(limited, taps, { dModel: width } as never, layout, 3, sources, medianNorms);
  const ids = Uint32Array.from({ length: 35 }, (_, row) => row % 5 === 0 ? 2 : row % 6 === 0 ? 7 : 9);
  // Lengths around 1 or 10; BOS is a hundred times as long everywhere, and so is row 7, that of an excluded token is too.
  const lengths = [1, 10, 10].map((unit) => Array.from(ids, (id, row) => unit * (id === 9 ? 1 + row / 100 : 100)));
  lengths[0][7] = 100; // too long at one source
  lengths[2][18] *= 4; // too long at one source, but left out for its id
  lengths[2][19] = 10 * 1.17 * 2.9; // just short enough
  lengths[2][22] = 10 * 1.17 * 3.2; // just too long
  lengths[1][13] = 1e6; // no source
  const fill = async (buffer: ShuffleBuffer) => {
    buffer.batch = { ...randomText(7, 5, 1), ids };
    const pass = new Pass(gpu);
    const activations = taps.map((tap, t) => {
      const rows = lengths[t].flatMap((length, row) =>
        Array.from({ length: width }, (_, c) => c === row % 8 ? length : 0)
      );
      return { tap, width, tokens: 35, tensor: tensorFrom(gpu, "rows", [35, width], Float32Array.from(rows)) };
    });
    buffer.recordStore(pass, buffer.batch, activations, 0);
    pass.submit();
    await buffer.shuffle(0);
  };
  const buffer = make();
  assert.equal(buffer.medianNorms, undefined);
  await fill(buffer);
  const named = [...ids.keys()].filter((row) => row % 5 > 0 && ids[row] !== 7),
    rows = named.filter((row) => row !== 7 && row !== 22);
  assert.deepEqual([...new Set(buffer.drawn)].toSorted((a, b) => a - b), rows);
  assert.deepEqual(buffer.counts, { tokens: rows.length, excluded_tokens: 28 - named.length, outlier_tokens: 2 });
  const middle = (values: number[]) => {
    const ascending = values.toSorted((a, b) => a - b), half = values.length / 2;
    return (ascending[Math.ceil(half) - 1] + ascending[Math.floor(half)]) / 2;
  };
  assert.deepEqual(buffer.medianNorms!.map(({ layer, site }) => ({ layer, site })), sources);
  const medians = [0, 2].map((t) => middle(named.map((row) => lengths[t][row])));
  assertClose("medians", buffer.medianNorms!.map(({ norm }) => norm), medians, { floor: 0, relative: 1e-6 });

  const later = make(buffer.medianNorms!.map((median) => ({ ...median, norm: median.norm / 2 })));
  await fill(later);
  assert.equal(later.medianNorms![0].norm, buffer.medianNorms![0].norm / 2, "what is known is not measured again");
  // 3 times half the median: a length of 1.75.
  assert.equal(
    later.counts.outlier_tokens,
    named.filter((row) => [0, 2].some((t) => lengths[t][row] > 1.5 * medians[t / 2])).length,
  );
});

Deno.test("a buffer without a token that counts is refused", async () => {
  using gpu = await openGpu();
  const buffer = new ShuffleBuffer(gpu, [], { dModel: 4 } as never, layoutWith({ excluded: [6] }), 3);
  buffer.batch = { ...randomText(7, 5, 1), ids: new Uint32Array(35).fill(6) };
  await assert.rejects(buffer.shuffle(0), {
    name: "UserError",
    message: /must have a token that is not left out, they have none/,
  });
});

Deno.test("drawOrder is a pure function of seed and number", () => {
  const order = (seed: number, n: number) => String(drawOrder(someRows, 84, seed, n));
  assert.equal(order(3, 5), order(3, 5));
  const all = [0, 1, 2].flatMap((seed) => [0, 1, 2].map((n) => order(seed, n)));
  assert.equal(new Set(all).size, all.length);
});

Deno.test("drawOrder spreads the rows of a context over a pass", () => {
  const wide = { contexts: 400, context: 65 };
  const rows = Uint32Array.from({ length: 400 * 65 }, (_, row) => row).filter((row) => row % 65 > 0);
  const order = drawOrder(rows, rows.length, 0, 0);
  // Of 64 tokens of a context, each quarter of the order should hold about 16.
  const quarter = order.subarray(0, order.length / 4), counts = new Uint32Array(wide.contexts);
  for (const row of quarter) counts[Math.floor(row / wide.context)]++;
  assert.ok(counts.every((count) => count > 2 && count < 34), `${Math.min(...counts)} to ${Math.max(...counts)}`);
});

Deno.test("a buffer in several blocks holds, draws and starts a run with the bytes of one in a single block", async () => {
  using gpu = await openGpu();
  const files = await openModel(BUILTIN), context = 16, contexts = 10, width = 128;
  const taps = [{ layer: 0, site: "resid_mid" }, { layer: 0, site: "mlp_out" }] as const;
  const decoder = await loadDecoder(gpu, files, { taps, maxTokens: 3 * context, context });
  const cut = layoutWith({ contexts, context, passes: 2 }), rows = cut.passes * contexts * (context - 1);
  // 160 rows; blocks of 37 begin and end inside of contexts and of the three contexts of a forward pass.
  const fill = async (mostRows: number) => {
    const source = await openTokenSource({ tokenizer: files, data: "builtin", split: "train", context, seed: 3 });
    const buffer = new ShuffleBuffer(bindingAtMost(gpu, mostRows * width * 4), taps, decoder.config, cut, 5);
    await fillBuffer(buffer, 1, { gpu, decoder, source });
    await source.close();
    const y = createTensor(gpu, "drawn rows", [rows, width]), drawn: Float32Array[] = [];
    for (const activations of buffer.activations) {
      const pass = new Pass(gpu);
      recordGather(pass, activations, buffer.order, y, { rows, width, first: 0 });
      pass.submit();
      drawn.push(await downloadF32(gpu, y));
    }
    const measured = await Promise.all(buffer.activations.map(async (activations) => ({
      activations,
      ...await measureActivations(gpu, activations, buffer.order, rows, width, 64),
    })));
    const shape = { d_in: width, d_out: width, groups: [4, 8] }, [from, to] = measured;
    const preparation = choosePreparation(from, [to]), start = { seed: 0, encoder_norm: 1 };
    const weights = await initialWeights(gpu, shape, start, buffer.order, from, [to], preparation);
    const blocks = buffer.activations.map((activations) => activations.blocks.length);
    return { blocks, drawn, preparation, weights };
  };
  const { blocks: one, ...whole } = await fill(160), { blocks: several, ...parts } = await fill(37);
  assert.deepEqual([one, several], [[1, 1], [5, 5]]);
  assert.deepEqual(parts, whole);
  assert.ok(whole.drawn.every((values) => values.some((value) => value !== 0)));
});

Deno.test("filling stops when it is told to; filled anew, the buffer is as if nothing had happened", async () => {
  using gpu = await openGpu();
  const files = await openModel(BUILTIN), context = 16;
  const taps = [{ layer: 0, site: "mlp_out" }] as const, cut = layoutWith({ contexts: 10, context });
  const decoder = await loadDecoder(gpu, files, { taps, maxTokens: 3 * context, context });
  const text = randomText(10, context, 3),
    buffer = new ShuffleBuffer(gpu, taps, decoder.config, cut, 5),
    told: number[] = [];
  const contents = async () => ({
    ids: buffer.batch.ids,
    drawn: buffer.drawn,
    activations: await downloadF32(gpu, buffer.at(taps[0]).blocks[0]),
  });
  const onProgress = (done: number) => told.push(done);
  const position = await fillBuffer(buffer, 0, { gpu, decoder, source: sourceOf(text, true), onProgress });
  assert.deepEqual(told, [3, 6, 9, 10]);
  assert.equal(position.epoch, 1, "behind the last context");
  const whole = await contents();
  assert.deepEqual(whole.ids, text.ids);

  const stop = new AbortController(), reason = new Error("enough"), source = sourceOf(text, true);
  const stopAt6 = (done: number) => done === 6 && stop.abort(reason);
  const stopped = fillBuffer(buffer, 1, { gpu, decoder, source, onProgress: stopAt6, signal: stop.signal });
  await assert.rejects(stopped, (error) => error === reason);
  assert.deepEqual(buffer.drawn, whole.drawn, "no order for a buffer that is not full");

  await fillBuffer(buffer, 0, { gpu, decoder, source: sourceOf(text, true) });
  assert.deepEqual(await contents(), whole);
});
