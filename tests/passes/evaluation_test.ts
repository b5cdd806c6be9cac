import assert from "node:assert/strict";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { DEFINITIONS_OF_THRESHOLDS, EVALUATION_DEFINITIONS } from "../../core/analysis/definitions.ts";
import { evaluateTranscoders } from "../../core/passes/evaluation.ts";
import { countedRows, NO_DOCUMENT } from "../../core/text/contexts.ts";
import { prefixEnds } from "../../core/transcoder/shape.ts";
import { assertClose } from "../compare.ts";
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
const transcoders = [
  {
    transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [7, 9] }, 0.4, 1),
    config: { source: TAPS[0], target: TAPS[1], k: 3 },
  },
  {
    transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [30] }, OWN, 2),
    config: { source: TAPS[1], target: TAPS[2], k: 5 },
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

for (const [i, { transcoder, config }] of transcoders.entries()) {
  Deno.test(`transcoder ${i} of ${transcoders.length} in one forward pass: figures are those of float64 loops without BOS and filling`, async () => {
    const rows = [...whole.document.keys()].filter((row) => whole.document[row] !== NO_DOCUMENT);
    const row = (t: number, r: number) => activations[t].subarray(r * WIDTH, (r + 1) * WIDTH);
    const [x, y] = [config.source, config.target].map((taken) => TAPS.indexOf(taken));
    const mean = new Float64Array(WIDTH);
    for (const r of rows) row(y, r).forEach((value, d) => mean[d] += value / rows.length);
    const variance = rows.reduce((sum, r) => sum + row(y, r).reduce((s, value, d) => s + (value - mean[d]) ** 2, 0), 0);
    const fired = new Set<number>();
    let active = 0;
    const errors = prefixEnds(transcoder.shape.groups).map(() => 0);
    for (const r of rows) {
      const kept = [...activationsOf(transcoder, row(x, r)).entries()]
        .filter(([feature, a]) => a > Math.max(0, transcoder.thresholds[feature]));
      active += kept.length;
      kept.forEach(([feature]) => fired.add(feature));
      prefixEnds(transcoder.shape.groups).forEach((end, p) => {
        const output = reconstructionOf(transcoder, kept, end);
        errors[p] += row(y, r).reduce((sum, value, d) => sum + (output[d] - value) ** 2, 0);
      });
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
    const expected = errors.map((error) => error / variance);
    assertClose("fvu", evaluation.fvu_per_prefix.map(({ fvu }) => fvu), expected, { floor: 0, relative: 1e-4 });
    assertClose("l0", [evaluation.l0], [active / rows.length], { floor: 1 / rows.length, relative: 0 });
    const { threshold, threshold_range, definitions } = evaluation;
    assert.deepEqual({ threshold, threshold_range }, SUMMARIES[i]);
    assert.equal(definitions.threshold, (i === 0 ? EVALUATION_DEFINITIONS : DEFINITIONS_OF_THRESHOLDS).threshold);
    assert.equal(evaluation.dead_features, prefixEnds(transcoder.shape.groups).at(-1)! - fired.size);
  });
}

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
