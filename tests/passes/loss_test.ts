/** Loss recovered: against Hugging Face with the same transcoders in place, and where the answer is known. */

import assert from "node:assert/strict";
import { openSafetensors } from "../../core/files/safetensors.ts";
import {
  createTensor,
  download,
  downloadAll,
  downloadF32,
  type Gpu,
  openGpu,
  tensorFrom,
} from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openScope } from "../../core/gpu/scope.ts";
import type { Edit } from "../../core/model/edits.ts";
import { configOf } from "../../core/model/config.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { cutAt } from "../../core/model/reach.ts";
import { type Tap, tapIndex, tapName } from "../../core/model/sites.ts";
import type { PredictionFigures } from "../../core/analysis/loss.ts";
import type { PlacedTranscoder } from "../../core/passes/features.ts";
import { lossModel, measureLoss } from "../../core/passes/loss.ts";
import { ablation, Splice } from "../../core/passes/splice.ts";
import { countedRows, emptyBatch, NO_DOCUMENT, type TokenBatch } from "../../core/text/contexts.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { assertClose } from "../compare.ts";
import { bindingAtMost } from "../gpu/small_bindings.ts";
import { GOLDEN, openGoldenModel } from "../model/golden.ts";
import { activationsOf, randomTranscoder, reconstructionOf } from "../transcoder/random_transcoder.ts";
import { randomText, sourceOf } from "./random_text.ts";

const gpu = await openGpu();
const tap = (layer: number, site: Tap["site"]): Tap => ({ layer, site });

/** What tests/reference/make_spliced_golden.py maps. */
const MAPPINGS: Record<string, { source: Tap; targets: Tap[] }[]> = {
  gemma2: [
    { source: tap(0, "resid_mid"), targets: [tap(1, "mlp_out")] },
    { source: tap(2, "resid_pre"), targets: [tap(2, "attn_out")] },
    { source: tap(0, "mlp_in"), targets: [tap(0, "mlp_out"), tap(2, "mlp_neurons")] },
    { source: tap(1, "resid_mid"), targets: [tap(1, "mlp_out"), tap(2, "mlp_out")] },
  ],
  gemma3: [
    { source: tap(2, "mlp_in"), targets: [tap(2, "mlp_out")] },
    { source: tap(5, "resid_mid"), targets: [tap(5, "mlp_out")] },
    { source: tap(0, "mlp_in"), targets: [tap(1, "attn_out"), tap(6, "mlp_neurons")] },
    { source: tap(3, "resid_mid"), targets: [tap(3, "mlp_out"), tap(4, "attn_heads")] },
  ],
};
const NAMES = "abcd", GROUPS = [6, 10];
/** Who is in place, from below. */
const WHO = { a: [0], b: [1], all: [0, 1], c: [2], d: [3], between: [2, 1] } as const;
/** Who is measured at once, and what they are in place together. */
const TEAMS = [
  { members: [0, 1], together: "all" },
  { members: [1, 2], together: "between" },
  { members: [3], together: null },
] as const;
const HOW = ["zero", "mean", "0", "1"] as const;

async function open(family: string) {
  const file = await openSafetensors(`${GOLDEN}spliced/${family}.safetensors`);
  const files = await openGoldenModel(`${family}/window`), [contexts, context] = file.info("tokens").shape;
  const batch: TokenBatch = { ...emptyBatch(contexts, context), ids: Uint32Array.from(await file.read("tokens")) };
  const transcoders: PlacedTranscoder[] = [];
  for (const [i, mapping] of MAPPINGS[family].entries()) {
    const part = (name: string) => file.readF32(`${NAMES[i]}.${name}`), skip = `${NAMES[i]}.skip`;
    const [, d_in] = file.info(`${NAMES[i]}.encoder`).shape, [, d_out] = file.info(`${NAMES[i]}.decoder`).shape;
    const transcoder: Transcoder = {
      shape: { d_in, d_out, groups: GROUPS, skip: file.tensors.has(skip) },
      weights: {
        encoder: await part("encoder"),
        encoderBias: await part("encoder_bias"),
        decoder: await part("decoder"),
        decoderBias: await part("decoder_bias"),
        ...file.tensors.has(skip) ? { skip: await part("skip") } : {},
      },
      thresholds: await part("thresholds"),
    };
    transcoders.push({ transcoder, config: { ...mapping, k: 4 } });
  }
  const settings = { context, include_bos: false, exclude_tokens: [] };
  const { taps } = lossModel(gpu, configOf(files), settings, MAPPINGS[family]);
  const load = (at: number) => loadDecoder(gpu, files, { taps, maxTokens: at * context, context, head: true });
  return { family, file, batch, transcoders, settings, decoder: await load(contexts), load };
}

for (const family of Object.keys(MAPPINGS)) {
  const golden = await open(family), { file, batch, transcoders, decoder } = golden, { contexts, context } = batch;
  const counted = countedRows(batch, false);

  /** Each token's loss, KL and agreement with some targets changed. */
  const predict = async (members: readonly number[], how: typeof HOW[number]) => {
    using scope = openScope(gpu);
    const { config } = decoder, width = config.dModel, tokens = contexts * context;
    const rows = tensorFrom(scope, "rows", [tokens], counted), places = { places: counted, rows };
    const normed = createTensor(scope, "normed", [tokens, width]), pass = new Pass(gpu);
    const clean = decoder.forward(pass, batch);
    decoder.recordNormed(pass, tokens, normed);
    pass.submit();
    const edits: Edit[] = [];
    for (const m of members) {
      if (how === "0" || how === "1") {
        edits.push(...new Splice(scope, transcoders[m], config, tokens).edits(places, Number(how)));
        continue;
      }
      for (const target of transcoders[m].config.targets) {
        const { tensor, width } = clean[tapIndex(decoder.taps, target)], sum = new Float64Array(width);
        const values = await downloadF32(gpu, tensor);
        if (how === "mean") counted.forEach((row) => sum.forEach((_, d) => sum[d] += values[row * width + d]));
        const vector = Float32Array.from(sum, (value) => value / counted.length);
        edits.push(ablation(target, tensorFrom(scope, "vector", [1, width], vector), places));
      }
    }
    decoder.forward(pass, batch, { edits });
    const comparison = decoder.recordComparison(pass, batch, normed);
    pass.submit();
    return new Float32Array(await download(gpu, comparison), 0, 3 * tokens);
  };

  for (const [who, members] of Object.entries(WHO)) {
    for (const how of HOW) {
      Deno.test(`${family}, ${who} ${how}: each token's loss and KL within 1e-5 of Hugging Face's, and the same top tokens`, async () => {
        const found = await predict(members, how);
        const column = (c: number, keep: (i: number) => boolean) =>
          Array.from({ length: contexts * context }, (_, i) => i).filter(keep).map((i) => found[3 * i + c]);
        const bound = { floor: 1e-5, relative: 1e-5 };
        const isFollowed = (i: number) => i % context < context - 1;
        assertClose("loss", column(0, isFollowed), await file.readF32(`${who}.${how}.loss`), bound);
        assertClose("KL", column(1, () => true), await file.readF32(`${who}.${how}.kl`), bound);
        assert.deepEqual(column(2, () => true), [...await file.readF32(`${who}.${how}.same`)]);
      });
    }
  }

  for (const { members, together } of TEAMS) {
    for (const atOnce of [1, contexts]) {
      const team = members.map((m) => NAMES[m]);
      Deno.test(`${family}, ${team.join(" and ")}, ${atOnce} contexts at once: losses, KL and shares recovered are those of Hugging Face`, async () => {
        const { settings } = golden, source = sourceOf(batch), forwards: number[] = [];
        const measured = await measureLoss({
          ...{ gpu, decoder: await golden.load(atOnce), settings, source },
          transcoders: members.map((m) => transcoders[m]),
          onProgress: (done) => forwards.push(done),
        });
        // Counted tokens that are not the last of their context; losses lie in rows without the last.
        const mean = async (name: string) => {
          const values = await file.readF32(name), columns = values.length / contexts;
          const chosen = [...values].filter((_, i) => i % columns > 0 && i % columns < context - 1);
          return chosen.reduce((sum, value) => sum + value, 0) / chosen.length;
        };
        const clean = await mean("clean.loss");
        const check = async (name: string, figures: PredictionFigures) => {
          const expected = [await mean(`${name}.loss`), await mean(`${name}.kl`), await mean(`${name}.same`)];
          assertClose(name, [figures.ce, figures.kl, figures.top1], expected, { floor: 1e-5, relative: 1e-5 });
        };
        for (const one of measured) {
          assert.deepEqual([one.tokens, one.contexts, one.clean], [
            contexts * (context - 2),
            contexts,
            measured[0].clean,
          ]);
          assertClose("clean", [one.clean.ce], [clean], { floor: 0, relative: 1e-5 });
          assert.deepEqual(one.per_prefix.map(({ prefix }) => prefix), [6, 16]);
          assert.deepEqual(one.replacement_model, measured[0].replacement_model);
        }
        const { replacement_model } = measured[0];
        assert.equal(replacement_model === undefined, together === null);
        if (together && replacement_model) {
          const names = WHO[together].map((m) => {
            const { source, targets } = MAPPINGS[family][m];
            return `${tapName(source)} -> ${targets.map(tapName).join(" + ")}`;
          });
          assert.deepEqual(replacement_model.transcoders, names, "from below");
          assert.deepEqual(replacement_model.per_prefix.map(({ prefixes }) => prefixes), [[6, 6], [16, 16]]);
        }
        const inPlace = measured.map((one, i) => [team[i], one] as const);
        for (
          const [who, { zero, mean: means, per_prefix }] of [
            ...inPlace,
            ...together ? [[together, replacement_model!] as const] : [],
          ]
        ) {
          await check(`${who}.zero`, zero);
          await check(`${who}.mean`, means);
          for (const [p, figures] of per_prefix.entries()) {
            await check(`${who}.${p}`, figures);
            const spliced = await mean(`${who}.${p}.loss`);
            for (const how of ["zero", "mean"] as const) {
              const ablated = await mean(`${who}.${how}.loss`), share = (ablated - spliced) / (ablated - clean);
              // What losses are off by, over what they differ by.
              const floor = 4e-5 * (1 + Math.abs(share)) / Math.abs(ablated - clean);
              assertClose(`${who}.${p}, ${how}`, [figures[`recovered_${how}`]], [share], { floor, relative: 0 });
            }
          }
        }
        // Means, the clean model, and four ways to change it for each transcoder and for all.
        const ways = 2 + 4 * (members.length + (together ? 1 : 0));
        assert.equal(forwards.at(-1), ways * contexts * (context - 1));
      });
    }
  }
}

const CONTEXT = 12,
  text = randomText(3, CONTEXT, 5),
  settings = { context: CONTEXT, include_bos: false, exclude_tokens: [] };
const SOURCE = tap(3, "resid_mid"), TARGET = tap(3, "mlp_out");
const files = await openModel("builtin");
const decoder = await loadDecoder(gpu, files, {
  taps: [SOURCE, TARGET],
  maxTokens: 3 * CONTEXT,
  context: CONTEXT,
  head: true,
});

/** The inverse of a square matrix by Gauss and Jordan. */
function inverse(matrix: number[][]): number[][] {
  const n = matrix.length, rows = matrix.map((row, i) => [...row, ...row.map((_, j) => i === j ? 1 : 0)]);
  for (let c = 0; c < n; c++) {
    const pivot = rows.slice(c).reduce((best, row, i) => Math.abs(row[c]) > Math.abs(rows[best][c]) ? c + i : best, c);
    [rows[c], rows[pivot]] = [rows[pivot], rows[c]];
    rows[c] = rows[c].map((value) => value / rows[c][c]);
    for (let r = 0; r < n; r++) {
      if (r !== c) rows[r] = rows[r].map((value, i) => value - rows[r][c] * rows[c][i]);
    }
  }
  return rows.map((row) => row.slice(n));
}

/** A transcoder that knows the text by heart: a feature for each counted token, whose row is the token's true target. */
async function byHeart(): Promise<Transcoder> {
  const pass = new Pass(gpu), taken = decoder.forward(pass, text), width = 128;
  pass.submit();
  const [x, y] = await Promise.all(taken.map(({ tensor }) => downloadF32(gpu, tensor)));
  const counted = [...countedRows(text, false)];
  const [xs, ys] = [x, y].map((values) => counted.map((row) => [...values.subarray(row * width, (row + 1) * width)]));
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, d) => sum + value * b[d], 0);
  // Row i of the encoder gives 1 at token i and 0 at every other.
  const gram = inverse(xs.map((a) => xs.map((b) => dot(a, b))));
  const encoder = gram.flatMap((row) =>
    xs[0].map((_, d) => row.reduce((sum, weight, j) => sum + weight * xs[j][d], 0))
  );
  return {
    shape: { d_in: width, d_out: width, groups: [counted.length] },
    weights: {
      encoder: Float32Array.from(encoder),
      encoderBias: new Float32Array(counted.length),
      decoder: Float32Array.from(ys.flat()),
      decoderBias: new Float32Array(width),
    },
    thresholds: new Float32Array(counted.length).fill(0.5),
  };
}

const measure = (transcoders: readonly Transcoder[], target = TARGET) =>
  measureLoss({
    ...{ gpu, decoder, settings, source: sourceOf(text) },
    transcoders: transcoders.map((transcoder) => ({ transcoder, config: { source: SOURCE, targets: [target], k: 1 } })),
  });

Deno.test("a transcoder that gives the true target of each token recovers all, one that gives zeros nothing", async () => {
  const exact = await byHeart(), silent = randomTranscoder({ d_in: 128, d_out: 128, groups: [8] }, Infinity, 1);
  silent.weights.decoderBias.fill(0);
  const [all, nothing] = await measure([exact, silent]);
  assert.equal(all.replacement_model, undefined, "two that predict the same cannot stand in its place at once");
  const { ce, kl, top1, recovered_zero, recovered_mean } = all.per_prefix[0];
  assertClose("CE", [ce], [all.clean.ce], { floor: 0, relative: 1e-5 });
  assertClose("KL", [kl], [0], { floor: 1e-5, relative: 0 });
  assert.equal(top1, 1);
  assertClose("recovered", [recovered_zero, recovered_mean], [1, 1], { floor: 1e-4, relative: 0 });
  const { zero, per_prefix: [zeros] } = nothing;
  assert.ok(zero.kl > 0.01 && zero.ce !== nothing.clean.ce, "zeros matter");
  assert.deepEqual([zeros.ce, zeros.kl, zeros.top1], [zero.ce, zero.kl, zero.top1]);
  assert.ok(zeros.recovered_zero === 0, String(zeros.recovered_zero));
  assert.deepEqual(zeros.recovered_zero_ci95, [NaN, NaN], "so few contexts have no intervals");
});

Deno.test("a transcoder that gives the target's mean recovers nothing of it", async () => {
  const constant = randomTranscoder({ d_in: 128, d_out: 128, groups: [8] }, Infinity, 1);
  const pass = new Pass(gpu), [, { tensor }] = decoder.forward(pass, text);
  pass.submit();
  const y = await downloadF32(gpu, tensor), counted = countedRows(text, false);
  constant.weights.decoderBias.forEach((_, d) => {
    constant.weights.decoderBias[d] = counted.reduce((sum, row) => sum + y[row * 128 + d], 0) / counted.length;
  });
  const [{ mean, per_prefix: [{ recovered_mean, kl }] }] = await measure([constant]);
  assertClose("recovered", [recovered_mean, kl], [0, mean.kl], { floor: 1e-5, relative: 0 });
});

Deno.test("where two predict the same, those that map the same sites in different layers work together", async () => {
  const places: [Tap, Tap][] = [[tap(1, "resid_mid"), tap(1, "mlp_out")], [tap(1, "mlp_in"), tap(1, "mlp_out")], [
    SOURCE,
    TARGET,
  ]];
  const transcoders = places.map(([source, target], seed) => {
    const transcoder = randomTranscoder({ d_in: 128, d_out: 128, groups: seed === 2 ? [5] : [3, 5] }, 0.5, seed);
    return { transcoder, config: { source, targets: [target], k: 1 } };
  });
  using scope = openScope(gpu);
  const options = { taps: places.flat(), maxTokens: 3 * CONTEXT, context: CONTEXT, head: true };
  const common = { gpu, decoder: await loadDecoder(scope, files, options), settings };
  let forwarded = 0;
  const onProgress = (done: number, total: number) => {
    assert.ok(done <= total);
    forwarded = done;
  };
  const [a, b, c] = await measureLoss({ ...common, source: sourceOf(text), transcoders, onProgress });
  assert.deepEqual(a.replacement_model!.transcoders, [
    "layer1.resid_mid -> layer1.mlp_out",
    "layer3.resid_mid -> layer3.mlp_out",
  ]);
  assert.deepEqual([b.replacement_model, c.replacement_model], [undefined, a.replacement_model]);
  // Means and the clean model; the ablations of two targets and of both; two and two prefixes, one, and one of two at once.
  assert.deepEqual([b.zero, b.mean, forwarded], [a.zero, a.mean, (2 + 6 + 6) * 3 * (CONTEXT - 1)]);
  // They differ in their number of prefixes, so only their whole dictionaries go together.
  assert.deepEqual(a.replacement_model!.per_prefix.map(({ prefixes }) => prefixes), [[8, 5]]);
  const [{ replacement_model }] = await measureLoss({
    ...common,
    source: sourceOf(text),
    transcoders: [transcoders[0], transcoders[2]],
  });
  assert.deepEqual(replacement_model, a.replacement_model, "the third is not in the way");
  const apart = await measureLoss({ ...common, source: sourceOf(text), transcoders, isApart: true });
  const alone = [a, b, c].map(({ replacement_model: _, ...own }) => own);
  assert.deepEqual(apart, alone);
});

Deno.test("one transcoder of two targets is in place what two of one encoder and its halves are", async () => {
  using scope = openScope(gpu);
  const source = tap(1, "resid_mid"), targets = [tap(1, "mlp_out"), tap(3, "mlp_neurons")], [near, far] = [128, 512];
  const whole = randomTranscoder({ d_in: 128, d_out: near + far, groups: [30, 98] }, 0.5, 1);
  const half = (first: number, width: number): Transcoder => {
    const of = near + far, isMine = (_: number, at: number) => at % of >= first && at % of < first + width;
    const { weights } = whole, decoder = weights.decoder.filter(isMine);
    const decoderBias = weights.decoderBias.filter(isMine);
    return { ...whole, shape: { ...whole.shape, d_out: width }, weights: { ...weights, decoder, decoderBias } };
  };
  const halves = [half(0, near), half(near, far)].map((transcoder, t) => {
    return { transcoder, config: { source, targets: [targets[t]], k: 1 } };
  });
  const batch = randomText(14, CONTEXT, 9), configs = halves.map(({ config }) => config);
  const options = { ...lossModel(gpu, configOf(files), settings, configs), context: CONTEXT };
  const model = await loadDecoder(scope, files, { ...options, maxTokens: batch.ids.length });
  const common = { gpu, decoder: model, settings };
  const both = { transcoder: whole, config: { source, targets, target_scales: [1, 3], k: 1 } };
  const [{ replacement_model: apart }] = await measureLoss({ ...common, source: sourceOf(batch), transcoders: halves });
  const [{ zero, mean, per_prefix, replacement_model }] = await measureLoss({
    ...{ ...common, source: sourceOf(batch), transcoders: [both] },
  });
  assert.equal(replacement_model, undefined, "there is no other");
  assert.deepEqual([zero, mean], [apart!.zero, apart!.mean]);
  assert.deepEqual(
    per_prefix.map(({ prefix: _, ...figures }) => figures),
    apart!.per_prefix.map(({ prefixes: _, ...figures }) => figures),
  );
  assert.notEqual(per_prefix[0].ce, per_prefix[1].ce);
});

Deno.test("a skip connection in place gives x W_skip beside the features, at every counted token", async () => {
  using scope = openScope(gpu);
  const shape = { d_in: 128, d_out: 128, groups: [6, 10], skip: true }, transcoder = randomTranscoder(shape, 0.5, 1);
  const options = { taps: [SOURCE, TARGET], maxTokens: 3 * CONTEXT, context: CONTEXT };
  const model = await loadDecoder(scope, files, options), places = countedRows(text, false);
  const counted = { places, rows: tensorFrom(scope, "rows", [text.ids.length], places) };
  const splice = new Splice(
    scope,
    { transcoder, config: { source: SOURCE, targets: [TARGET], k: 1 } },
    model.config,
    3 * CONTEXT,
  );
  for (const [prefix, end] of [6, 16].entries()) {
    const pass = new Pass(gpu), taken = model.forward(pass, text, { edits: splice.edits(counted, prefix) });
    pass.submit();
    const [x, y] = [await downloadF32(gpu, taken[0].tensor), await downloadF32(gpu, taken[1].tensor)];
    for (const row of places) {
      const source = x.subarray(row * 128, (row + 1) * 128);
      const kept = [...activationsOf(transcoder, source).entries()].filter(([i, a]) => a > transcoder.thresholds[i]);
      const expected = reconstructionOf(transcoder, kept, end, source);
      assertClose(`token ${row}`, y.subarray(row * 128, (row + 1) * 128), expected, { floor: 1e-5, relative: 1e-5 });
    }
  }
});

Deno.test("transcoders that share one of several targets cannot stand in its place at once", async () => {
  using scope = openScope(gpu);
  const source = tap(1, "resid_mid"), low = tap(1, "mlp_out"), high = tap(3, "mlp_out");
  const decoder = await loadDecoder(scope, files, {
    ...{ taps: [source, low, ...cutAt(high)], maxTokens: 3 * CONTEXT, context: CONTEXT, head: true },
  });
  const random = (d_out: number, seed: number) => randomTranscoder({ d_in: 128, d_out, groups: [5] }, 0.5, seed);
  const both = { transcoder: random(256, 1), config: { source, targets: [low, high], k: 1 } };
  const other = { transcoder: random(128, 2), config: { source, targets: [high], k: 1 } };
  const measured = await measureLoss({ gpu, decoder, settings, source: sourceOf(text), transcoders: [both, other] });
  assert.deepEqual(measured.map(({ replacement_model }) => replacement_model), [undefined, undefined]);
});

Deno.test("a dictionary that takes fewer tokens at once than a forward pass has gives the same, and BOS keeps its own", async () => {
  using scope = openScope(gpu);
  const batch = randomText(14, CONTEXT, 9), counted = countedRows(batch, false), tokens = batch.ids.length, width = 128;
  const options = { taps: [SOURCE, TARGET], maxTokens: tokens, context: CONTEXT };
  const model = await loadDecoder(scope, files, options);
  const transcoder = randomTranscoder({ d_in: width, d_out: width, groups: [128] }, 0.5, 1);
  const rows = tensorFrom(scope, "rows", [tokens], counted);
  const spliceOn = async (gpu: Gpu) => {
    const placed = { transcoder, config: { source: SOURCE, targets: [TARGET], k: 1 } };
    const splice = new Splice(gpu, placed, model.config, tokens), pass = new Pass(gpu);
    const [, { tensor }] = model.forward(pass, batch, { edits: splice.edits({ places: counted, rows }, 0) });
    pass.submit();
    return await downloadF32(gpu, tensor);
  };
  const whole = await spliceOn(scope);
  // Room for 128 of the 154 counted tokens.
  assert.deepEqual(await spliceOn(bindingAtMost(scope, 129 * width * 4 - 1)), whole);
  const pass = new Pass(gpu), [, { tensor }] = model.forward(pass, batch);
  pass.submit();
  const own = await downloadF32(gpu, tensor);
  for (let row = 0; row < tokens; row++) {
    const [a, b] = [whole, own].map((values) => values.subarray(row * width, (row + 1) * width));
    if (row % CONTEXT === 0) assert.deepEqual(a, b);
    else assert.notDeepEqual(a, b);
  }
});

Deno.test("so does one of two targets, whose later one takes what the pieces left at the first", async () => {
  using scope = openScope(gpu);
  const batch = randomText(14, CONTEXT, 9), counted = countedRows(batch, false), tokens = batch.ids.length;
  const source = tap(1, "resid_mid"), targets = [tap(1, "mlp_out"), TARGET], [d_in, d_out] = [128, 256];
  const model = await loadDecoder(scope, files, { taps: [source, ...targets], maxTokens: tokens, context: CONTEXT });
  const few = randomTranscoder({ d_in, d_out, groups: [16] }, 0.5, 1), features = 2 ** 16;
  // So many features leave room for 128 of the 154 counted tokens; all but the first 16 are never active.
  const padded = (values: Float32Array<ArrayBuffer>, length: number) => {
    const whole = new Float32Array(length);
    whole.set(values);
    return whole;
  };
  const { encoder, encoderBias, decoder, decoderBias } = few.weights;
  const many: Transcoder = {
    shape: { d_in, d_out, groups: [features] },
    weights: {
      encoder: padded(encoder, features * d_in),
      encoderBias: padded(encoderBias, features),
      decoder: padded(decoder, features * d_out),
      decoderBias,
    },
    thresholds: new Float32Array(features).fill(0.5),
  };
  const rows = tensorFrom(scope, "rows", [tokens], counted);
  const spliced = async (transcoder: Transcoder) => {
    const splice = new Splice(scope, { transcoder, config: { source, targets, k: 1 } }, model.config, tokens);
    const pass = new Pass(gpu), edits = splice.edits({ places: counted, rows }, 0);
    const [, first, second] = model.forward(pass, batch, { edits });
    pass.submit();
    return [await downloadF32(gpu, first.tensor), await downloadF32(gpu, second.tensor)];
  };
  assert.deepEqual(await spliced(many), await spliced(few));
});

Deno.test("tokens that are too long at the source are left out as if they were by their ids, whatever is spliced in", async () => {
  const pass = new Pass(gpu), [{ tensor }] = decoder.forward(pass, text), width = 128;
  pass.submit();
  const x = await downloadF32(gpu, tensor);
  const norms = new Map(
    [...countedRows(text, false)].map((row) => [row, Math.hypot(...x.subarray(row * width, (row + 1) * width))]),
  );
  const [first, , , fourth, fifth] = [...norms.values()].sort((a, b) => b - a);
  const longest = [...norms].filter(([, norm]) => norm >= fourth).map(([row]) => text.ids[row]);
  assert.equal(new Set(text.ids).size, norms.size + 1, "each id but that of BOS stands in one place");
  const transcoders = [{
    transcoder: randomTranscoder({ d_in: width, d_out: width, groups: [8, 8] }, 0.5, 1),
    config: { source: SOURCE, targets: [TARGET], k: 1 },
  }];
  const measured = (changes: object) =>
    measureLoss({ gpu, decoder, transcoders, source: sourceOf(text), settings: { ...settings, ...changes } });
  const median_norms = [{ ...SOURCE, norm: (fourth + fifth) / 2 / 3 }], exclude_norm_above = 3;
  const byNorm = await measured({ exclude_norm_above, median_norms });
  assert.deepEqual(byNorm, await measured({ exclude_tokens: longest }));
  assert.notDeepEqual(byNorm, await measured({}));
  assert.ok(first > 0 && longest.length === 4);
});

Deno.test("what no token of the text follows predicts nothing that counts", async () => {
  const filled = { ...text, document: text.document.slice() };
  filled.document.fill(NO_DOCUMENT, CONTEXT - 3, CONTEXT);
  const transcoder = randomTranscoder({ d_in: 128, d_out: 128, groups: [8] }, 0.5, 1);
  const transcoders = [{ transcoder, config: { source: SOURCE, targets: [TARGET], k: 1 } }];
  const [{ tokens, contexts, documents, resampled }] = await measureLoss({
    ...{ gpu, decoder, settings, transcoders, source: sourceOf(filled) },
  });
  assert.deepEqual([tokens, contexts, documents, resampled], [3 * (CONTEXT - 2) - 3, 3, 1, "contexts"]);
});

Deno.test("a text without tokens is refused, and contexts too short for any prediction", async () => {
  const transcoders = [{
    transcoder: randomTranscoder({ d_in: 128, d_out: 128, groups: [8] }, 1, 1),
    config: { source: SOURCE, targets: [TARGET], k: 1 },
  }];
  const options = { gpu, decoder, settings, transcoders };
  const refused = (changes: Partial<Parameters<typeof measureLoss>[0]>, message: RegExp) =>
    assert.rejects(
      () => measureLoss({ ...options, source: sourceOf(text), ...changes }),
      message,
    );
  await refused(
    { source: sourceOf(randomText(0, CONTEXT, 1)) },
    /the held-out text must have a token that is not left out, it has none/,
  );
  await refused({ settings: { ...settings, context: 2 } }, /a counted token must have a successor/);
});

Deno.test("passes that end at the taps give what they give with a head, which then has nothing to read", async () => {
  using scope = openScope(gpu);
  const taps = [tap(1, "mlp_out"), tap(2, "attn_in")];
  const options = { taps, maxTokens: text.ids.length, context: CONTEXT, head: true };
  const decoder = await loadDecoder(scope, files, options);
  const run = async (end?: "taps") => {
    const pass = new Pass(gpu), taken = decoder.forward(pass, text, { end });
    pass.submit();
    return (await downloadAll(gpu, taken.map(({ tensor }) => tensor))).map((bytes) => new Float32Array(bytes));
  };
  assert.deepEqual(await run("taps"), await run());
});
