import assert from "node:assert/strict";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import type { ReconstructionFigures } from "../../core/analysis/evaluation.ts";
import { DEFINITIONS_OF_THRESHOLDS, EVALUATION_DEFINITIONS } from "../../core/analysis/definitions.ts";
import { evaluateTranscoders } from "../../core/passes/evaluation.ts";
import { countedRows, NO_DOCUMENT } from "../../core/text/contexts.ts";
import { prefixEnds } from "../../core/transcoder/shape.ts";
import { zeroWeights } from "../../core/transcoder/weights.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";
import { randomText, sourceOf } from "./random_text.ts";
import { activationsOf, randomTranscoder, reconstructionOf } from "../transcoder/random_transcoder.ts";

const CONTEXT = 9, CONTEXTS = 11, WIDTH = 128;
const tap = (layer: number, site: Tap["site"]): Tap => ({ layer, site });
const TAPS = [tap(0, "resid_mid"), tap(0, "mlp_out"), tap(1, "resid_pre")];

/** Three documents, two of which fill up their last context. */
const whole = randomText(CONTEXTS, CONTEXT, 3);
for (const [number, first, end] of [[4, 0, 31], [7, 4 * CONTEXT, 7 * CONTEXT], [9, 7 * CONTEXT, 11 * CONTEXT - 2]]) {
  whole.document.fill(number, first, end);
}
whole.document.fill(NO_DOCUMENT, 31, 4 * CONTEXT).fill(NO_DOCUMENT, 11 * CONTEXT - 2);
for (let bos = 0; bos < CONTEXTS * CONTEXT; bos += CONTEXT) whole.document[bos] = NO_DOCUMENT;

const gpu = await openGpu();
const files = await openModel("builtin");
const load = (contexts: number) =>
  loadDecoder(gpu, files, { taps: TAPS, maxTokens: contexts * CONTEXT, context: CONTEXT });
const decoder = await load(CONTEXTS);
/** From -0.1 to 0.4, and two features that are never active. */
const OWN = Float32Array.from({ length: 30 }, (_, i) => i < 2 ? Infinity : (i - 9) / 50 + 0.04);
/** Some affine map; whether it is the best one does not matter here. */
const MAP = {
  weight: gaussians(WIDTH * WIDTH, 31).map((weight) => weight / 40),
  bias: gaussians(WIDTH, 32),
  targetMean: gaussians(WIDTH, 33).map((mean) => mean / 4),
  tokens: 1234,
};
const transcoders = [
  {
    linearMap: MAP,
    transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [7, 9] }, 0.4, 1),
    config: { source: TAPS[0], targets: [TAPS[1]], k: 3 },
  },
  {
    transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [30] }, OWN, 2),
    config: { source: TAPS[1], targets: [TAPS[2]], k: 5 },
  },
];
const SUMMARIES = [
  { threshold: Math.fround(0.4), threshold_range: undefined },
  { threshold: (OWN[15] + OWN[16]) / 2, threshold_range: [OWN[2], OWN[29]] },
];
const text = { split: "validation", documents: 3, documentName: (document: number) => `document ${document}` } as const;
const options = { gpu, decoder, settings: { context: CONTEXT, include_bos: false }, transcoders, text };

const pass = new Pass(gpu);
const forward = decoder.forward(pass, whole);
pass.submit();
const activations = await Promise.all(forward.map(({ tensor }) => downloadF32(gpu, tensor)));

/** Sums over tokens of what one reconstruction does. */
interface Measured {
  readonly squares: Float64Array;
  cosines: number;
}

const nothing = (): Measured => ({ squares: new Float64Array(WIDTH), cosines: 0 });

function add(measured: Measured, y: Float32Array, output: ArrayLike<number>): void {
  let dot = 0, length = 0, made = 0;
  y.forEach((value, d) => {
    const [from, to] = [value - MAP.targetMean[d], output[d] - MAP.targetMean[d]];
    measured.squares[d] += (output[d] - value) ** 2;
    dot += from * to;
    length += from ** 2;
    made += to ** 2;
  });
  measured.cosines += dot / Math.sqrt(length * made);
}

function mapped(x: Float32Array): Float64Array {
  return Float64Array.from(
    MAP.bias,
    (bias, c) => x.reduce((sum, value, i) => sum + value * MAP.weight[i * WIDTH + c], bias),
  );
}

for (const [i, { transcoder, config }] of transcoders.entries()) {
  Deno.test(`transcoder ${i} of ${transcoders.length} in one forward pass: figures are those of float64 loops without BOS and filling`, async () => {
    const rows = [...whole.document.keys()].filter((row) => whole.document[row] !== NO_DOCUMENT);
    const row = (t: number, r: number) => activations[t].subarray(r * WIDTH, (r + 1) * WIDTH);
    const [x, y] = [config.source, ...config.targets].map((taken) => TAPS.indexOf(taken));
    const mean = new Float64Array(WIDTH);
    for (const r of rows) row(y, r).forEach((value, d) => mean[d] += value / rows.length);
    const deviations = new Float64Array(WIDTH);
    for (const r of rows) row(y, r).forEach((value, d) => deviations[d] += (value - mean[d]) ** 2);
    const fired = new Set<number>(), ends = prefixEnds(transcoder.shape.groups);
    const active = ends.map(() => 0), measured = ends.map(nothing), linear = nothing();
    for (const r of rows) {
      const kept = [...activationsOf(transcoder, row(x, r)).entries()]
        .filter(([feature, a]) => a > Math.max(0, transcoder.thresholds[feature]));
      kept.forEach(([feature]) => fired.add(feature));
      ends.forEach((end, p) => {
        active[p] += kept.filter(([feature]) => feature < end).length;
        add(measured[p], row(y, r), reconstructionOf(transcoder, kept, end));
      });
      if (i === 0) add(linear, row(y, r), mapped(row(x, r)));
    }
    const evaluation =
      (await evaluateTranscoders({ ...options, decoder: await load(4), source: sourceOf(whole), tokens: 1e6 }))[i];
    assert.deepEqual([evaluation.tokens, evaluation.contexts, evaluation.k], [rows.length, CONTEXTS, config.k]);
    const { split, documents, split_documents, fvu_per_document } = evaluation;
    assert.deepEqual([split, documents, split_documents], ["validation", 3, 3]);
    assert.deepEqual(fvu_per_document!.map(({ document, tokens }) => [document, tokens]), [
      ["document 4", 27],
      ["document 7", 24],
      ["document 9", 30],
    ]);
    const variance = deviations.reduce((sum, value) => sum + value, 0);
    const assertFigures = (found: ReconstructionFigures, { squares, cosines }: Measured) => {
      const near = { floor: 0, relative: 1e-4 }, fvu = squares.reduce((sum, value) => sum + value, 0) / variance;
      assertClose("fvu", [found.fvu], [fvu], near);
      const unit = squares.reduce((sum, value, d) => sum + value / deviations[d], 0) / WIDTH;
      assertClose("fvu at unit variance", [found.fvu_unit_variance!], [unit], near);
      if (i === 0) assertClose("cosine", [found.cosine!], [cosines / rows.length], { floor: 1e-5, relative: 0 });
    };
    evaluation.fvu_per_prefix.forEach((prefix, p) => assertFigures(prefix, measured[p]));
    if (i === 0) {
      assertFigures(evaluation.linear_map!, linear);
      assert.equal(evaluation.linear_map!.tokens, MAP.tokens);
    } else {
      const { linear_map, cosine } = evaluation;
      assert.deepEqual([linear_map, cosine], [undefined, undefined], "there is no map");
    }
    const counted = evaluation.fvu_per_prefix.map(({ l0 }) => l0!);
    assertClose("l0", counted, active.map((count) => count / rows.length), { floor: 1 / rows.length, relative: 0 });
    assert.equal(evaluation.l0, counted.at(-1));
    const falling = deviations.toSorted().reverse(), { top_1, top_5, largest_dimension } = evaluation.target_variance!;
    const shares = [falling[0], falling.slice(0, 5).reduce((a, b) => a + b)].map((part) => part / variance);
    assertClose("top dimensions", [top_1, top_5], shares, { floor: 0, relative: 1e-5 });
    assert.equal(largest_dimension, deviations.indexOf(falling[0]));
    const { threshold, threshold_range, definitions } = evaluation;
    assert.deepEqual({ threshold, threshold_range }, SUMMARIES[i]);
    assert.equal(definitions.threshold, (i === 0 ? EVALUATION_DEFINITIONS : DEFINITIONS_OF_THRESHOLDS).threshold);
    assert.equal(evaluation.dead_features, prefixEnds(transcoder.shape.groups).at(-1)! - fired.size);
  });
}

Deno.test("a skip connection alone is measured as the affine map that it is, and stands in every prefix", async () => {
  const { transcoder, config } = transcoders[0], { decoderBias } = transcoder.weights;
  const skipping = { ...transcoder, weights: { ...transcoder.weights, skip: MAP.weight } };
  // The map of the same weights.
  const linearMap = { ...MAP, bias: decoderBias };
  const silent = { ...skipping, thresholds: skipping.thresholds.map(() => Infinity) };
  const [active, none, without] = await evaluateTranscoders({
    ...{ ...options, source: sourceOf(whole), tokens: 1e6 },
    transcoders: [skipping, silent, transcoder].map((transcoder) => ({ transcoder, linearMap, config })),
  });
  const { tokens: _, ...map } = active.linear_map!;
  assert.deepEqual(active.skip_alone, map);
  assert.match(active.definitions.skip_alone, /a prefix of no features/);
  assert.deepEqual([without.skip_alone, "skip_alone" in without.definitions], [undefined, false]);
  for (const { fvu } of none.fvu_per_prefix) assertClose("no feature", [fvu], [map.fvu], { floor: 0, relative: 1e-5 });
  assert.notEqual(active.fvu, without.fvu);
});

Deno.test("two targets are measured as their halves are alone; in all they weigh what their scales make of them", async () => {
  const source = TAPS[0], targets = [TAPS[1], TAPS[2]], total = 2 * WIDTH, target_scales = [3, 0.25];
  const whole_ = randomTranscoder({ d_in: WIDTH, d_out: total, groups: [7, 9] }, 0.4, 1);
  const map = {
    weight: gaussians(WIDTH * total, 31).map((weight) => weight / 40),
    bias: gaussians(total, 32),
    targetMean: gaussians(total, 33),
    tokens: 1234,
  };
  const half = (t: number) => {
    const cut = (values: Float32Array<ArrayBuffer>) => values.filter((_, at) => Math.floor(at % total / WIDTH) === t);
    const { weights, shape } = whole_, { weight, bias, targetMean, tokens } = map;
    return {
      transcoder: {
        ...whole_,
        shape: { ...shape, d_out: WIDTH },
        weights: { ...weights, decoder: cut(weights.decoder), decoderBias: cut(weights.decoderBias) },
      },
      linearMap: { weight: cut(weight), bias: cut(bias), targetMean: cut(targetMean), tokens },
      config: { source, targets: [targets[t]], k: 3 },
    };
  };
  const both = { transcoder: whole_, linearMap: map, config: { source, targets, target_scales, k: 3 } };
  const [all, ...halves] = await evaluateTranscoders({
    ...{ ...options, transcoders: [both, half(0), half(1)], source: sourceOf(whole), tokens: 1e6 },
  });
  const near = { floor: 0, relative: 1e-5 }, each = all.fvu_per_target!;
  assert.deepEqual(each.map(({ target }) => target), ["layer0.mlp_out", "layer1.resid_pre"]);
  for (const [t, { fvu, fvu_ci95, fvu_per_prefix, linear_map, target_variance }] of halves.entries()) {
    assertClose("fvu", [each[t].fvu, ...each[t].ci95], [fvu, ...fvu_ci95], near);
    assertClose("prefixes", each[t].fvu_per_prefix.map(({ fvu }) => fvu), fvu_per_prefix.map(({ fvu }) => fvu), near);
    assertClose("map", [each[t].linear_map!.fvu], [linear_map!.fvu], near);
    assert.equal(each[t].target_variance.largest_dimension, target_variance!.largest_dimension);
  }
  const counted = [...whole.document.keys()].filter((row) => whole.document[row] !== NO_DOCUMENT);
  const weights = [1, 2].map((t, n) => {
    let squares = 0;
    for (let d = 0; d < WIDTH; d++) {
      const values = counted.map((row) => activations[t][row * WIDTH + d]);
      const mean = values.reduce((a, b) => a + b) / values.length;
      for (const value of values) squares += (value - mean) ** 2;
    }
    return target_scales[n] ** 2 * squares;
  });
  const mixed = (of: readonly number[]) => (of[0] * weights[0] + of[1] * weights[1]) / (weights[0] + weights[1]);
  assertClose("in all", [all.fvu], [mixed(halves.map(({ fvu }) => fvu))], near);
  assertClose("map in all", [all.linear_map!.fvu], [mixed(halves.map(({ linear_map }) => linear_map!.fvu))], near);
});

Deno.test("contexts per forward pass change nothing beyond rounding; the source is read to its end", async () => {
  const evaluate = async (contexts: number) =>
    evaluateTranscoders({ ...options, decoder: await load(contexts), source: sourceOf(whole), tokens: 33 });
  const [few, many] = [await evaluate(2), await evaluate(11)];
  assert.deepEqual([few[0].tokens, few[0].contexts], [81, 11]);
  assertClose("fvu", few.map(({ fvu }) => fvu), many.map(({ fvu }) => fvu), { floor: 0, relative: 1e-6 });
});

Deno.test("BOS counts when it is asked for, with the document behind it", async () => {
  const source = sourceOf(whole);
  const [{ tokens, fvu_per_document }] = await evaluateTranscoders({
    ...options,
    source,
    settings: { context: CONTEXT, include_bos: true },
    tokens: 18,
  });
  assert.equal(tokens, 81 + CONTEXTS);
  assert.deepEqual(fvu_per_document!.map(({ tokens }) => tokens), [31, 27, 34]);
  const batch = {
    ...randomText(3, 3, 1),
    ids: Uint32Array.of(2, 8, 2, 2, 1, 1, 2, 1, 9),
    document: Uint32Array.of(NO_DOCUMENT, 0, 0, NO_DOCUMENT, 0, NO_DOCUMENT, 5, 5, 5),
  };
  assert.deepEqual([...countedRows(batch, false)], [1, 2, 4, 7, 8]);
  assert.deepEqual([...countedRows(batch, true)], [0, 1, 2, 3, 4, 6, 7, 8]);
  assert.deepEqual([...countedRows(batch, false, [1, 2])], [1, 8], "special tokens in mid-row do not count");
  assert.deepEqual([...countedRows(batch, true, [1])], [0, 1, 2, 3, 6, 8]);
});

Deno.test("tokens that are left out count in nothing, and are counted; contexts of them alone are passed over", async () => {
  const ids = whole.ids.map((id, row) =>
    row % CONTEXT > 0 && (row % 7 === 0 || Math.floor(row / CONTEXT) === 5) ? 1 : id
  );
  const source = () => sourceOf({ ...whole, ids }), decoder = await load(1);
  const settings = { context: CONTEXT, include_bos: false, exclude_tokens: [0, 1, 2] };
  const [all] = await evaluateTranscoders({ ...options, decoder, source: source(), tokens: 99 });
  const [kept] = await evaluateTranscoders({ ...options, decoder, source: source(), tokens: 99, settings });
  const left = [...ids.keys()].filter((row) => whole.document[row] !== NO_DOCUMENT && ids[row] === 1).length;
  assert.deepEqual([all.tokens, all.excluded_tokens, all.contexts], [81, 0, 11]);
  assert.deepEqual([kept.tokens, kept.excluded_tokens, kept.contexts], [81 - left, left, 10]);
  assert.ok(left > 10 && Number.isFinite(kept.fvu + kept.fvu_ci95[0] + kept.l0));
  const only = evaluateTranscoders({
    ...{ ...options, decoder, source: sourceOf({ ...whole, ids: ids.map(() => 1) }), tokens: 99, settings },
  });
  await assert.rejects(only, { name: "UserError", message: /must hold a token that is not left out, it has none/ });
});

Deno.test("a dictionary so large that it takes the text in small pieces leaves the figures of the others as they are", async () => {
  // Of its features only those of a small one are ever active.
  const shape = { d_in: WIDTH, d_out: WIDTH, groups: [200_000] }, weights = zeroWeights(shape);
  const { transcoder: { weights: few } } = transcoders[0];
  weights.encoder.set(few.encoder);
  weights.decoder.set(few.decoder);
  const thresholds = new Float32Array(200_000).fill(0.4);
  const large = { transcoder: { shape, weights, thresholds }, config: { source: TAPS[0], targets: [TAPS[1]], k: 5 } };
  const evaluate = (transcoders: typeof options.transcoders) =>
    evaluateTranscoders({ ...options, transcoders, source: sourceOf(whole), tokens: Infinity });
  const [[small], [smallBeside, largeBeside], [alone]] = [
    await evaluate([transcoders[0]]),
    await evaluate([transcoders[0], large]),
    await evaluate([large]),
  ];
  assert.deepEqual(smallBeside, small);
  assert.deepEqual(largeBeside, alone);
  assert.ok(alone.l0 > 1 && alone.tokens > Math.floor(2 ** 23 / 200_000));
});
