/** The head: losses and logits against Hugging Face, its kernels against float64. */

import assert from "node:assert/strict";
import { probabilitiesOf } from "../../core/analysis/next_token.ts";
import { createTensor, downloadAll, downloadF32, type Gpu, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { Pass } from "../../core/gpu/run.ts";
import { configOf } from "../../core/model/config.ts";
import type { Edit } from "../../core/model/edits.ts";
import { Embedding } from "../../core/model/embedding.ts";
import type { ModelFiles } from "../../core/model/files.ts";
import { Decoder, type DecoderOptions, loadDecoder } from "../../core/model/forward.ts";
import { headColumns } from "../../core/model/head.ts";
import { reachOf } from "../../core/model/reach.ts";
import { loadHead, loadLayers } from "../../core/model/weights.ts";
import { comparePredictions, nextTokenLoss, NO_TOKEN, storeLogits, sumProbabilities } from "../../wgsl/model/head.ts";
import { assertClose, relativeL2 } from "../compare.ts";
import { bindingAtMost } from "../gpu/small_bindings.ts";
import { assertWithin, difference, exact, exponential, quotient, sum } from "../oracle/bounded.ts";
import * as oracle from "../oracle/decoder.ts";
import { gaussians } from "../random.ts";
import { MODELS, openGolden, openGoldenModel } from "./golden.ts";

const gpu = await openGpu();

/** Losses of all tokens and logits of the last two of each context. */
async function measure(name: string, columns: number | null, isReplaced: boolean) {
  using scope = openScope(gpu);
  const { batch, file } = await openGolden(name), { contexts, context } = batch, tokens = contexts * context;
  const files = await openGoldenModel(name), config = configOf(files), { vocabSize, dModel } = config;
  const options = { taps: [], maxTokens: tokens, context, head: true };
  const model = columns === null
    ? await loadDecoder(scope, files, options)
    : await inBlocks(scope, files, options, columns);
  const tensor = tensorFrom(scope, "replacement", [tokens, dModel], await file.readF32("replacement"));
  const edits: Edit[] = isReplaced ? [{ kind: "replace", tap: { layer: 1, site: "mlp_out" }, tensor }] : [];
  const last = Array.from({ length: contexts }, (_, c) => [(c + 1) * context - 2, (c + 1) * context - 1]).flat();
  const logits = createTensor(scope, "logits", [last.length, vocabSize]);
  const normed = createTensor(scope, "normed", [tokens, dModel]), pass = new Pass(gpu);
  model.forward(pass, batch);
  model.recordNormed(pass, tokens, normed);
  pass.submit();
  model.forward(pass, batch, { edits });
  const loss = model.recordLoss(pass, batch);
  model.recordLogits(pass, last, logits);
  pass.submit();
  const comparison = model.recordComparison(pass, batch, normed);
  pass.submit();
  const [losses, values, compared] = (await downloadAll(gpu, [loss, logits, comparison])).map((bytes) =>
    new Float32Array(bytes)
  );
  await files.weights.close();
  const prefix = isReplaced ? "replaced." : "";
  return {
    losses,
    context,
    expectedLoss: await file.readF32(`${prefix}loss`),
    logits: values,
    expectedLogits: await file.readF32(`${prefix}logits`),
    compared: Array.from({ length: tokens }, (_, i) => [...compared.subarray(3 * i, 3 * i + 3)]),
    last,
    expectedDivergences: divergences(await file.readF32("logits"), await file.readF32(`${prefix}logits`), vocabSize),
  };
}

/** KL of the softmax of each row of logits from that of another, and whether the largest of both is the same token's. */
function divergences(reference: Float32Array, logits: Float32Array, vocabulary: number): [kl: number, same: number][] {
  return Array.from({ length: logits.length / vocabulary }, (_, r) => {
    const [p, q] = [reference, logits].map((all) => [...all.subarray(r * vocabulary, (r + 1) * vocabulary)]);
    const [logP, logQ] = [p, q].map((z) => {
      const normaliser = Math.log(z.reduce((sum, value) => sum + Math.exp(value), 0));
      return z.map((value) => value - normaliser);
    });
    const largest = (z: number[]) => z.indexOf(Math.max(...z));
    return [
      logP.reduce((sum, value, i) => sum + Math.exp(value) * (value - logQ[i]), 0),
      largest(p) === largest(q) ? 1 : 0,
    ];
  });
}

/** A model whose vocabulary is cut as that of a large model would be. */
async function inBlocks(
  gpu: Gpu,
  { weights, ...files }: ModelFiles,
  options: DecoderOptions,
  columns: number,
): Promise<Decoder> {
  const config = configOf(files);
  const layers = await loadLayers(gpu, weights, config, reachOf([{ layer: config.layers - 1, site: "resid_post" }]));
  const head = await loadHead(gpu, weights, config, columns);
  return new Decoder(gpu, config, options, new Embedding(weights, config), layers, head);
}

// Of vocabularies of 67, 131, 4096 and 67 tokens.
const CUT: [name: string, columns: number][] = [
  ["gemma2/window", 8],
  ["gemma2/untied", 44],
  ["builtin", 1000],
  ["gemma3/window", 20],
];
const runs = [...MODELS.map((name): [string, null] => [name, null]), ...CUT];
for (const [name, columns] of runs) {
  for (const isReplaced of [false, true]) {
    const how = `${columns === null ? "" : `, in blocks of ${columns}`}${
      isReplaced ? ", layer 1's mlp_out replaced" : ""
    }`;
    Deno.test(`${name}${how}: losses and KL within 1e-4 of Hugging Face's, logits within 1e-4 in relative L2`, async () => {
      const { losses, context, expectedLoss, logits, expectedLogits, ...differences } = await measure(
        name,
        columns,
        isReplaced,
      );
      let worst = 0;
      for (let i = 0, next = 0; i < losses.length; i++) {
        if (i % context === context - 1) {
          assert.equal(losses[i], 0, "no token follows the last");
          continue;
        }
        const expected = expectedLoss[next++];
        worst = Math.max(worst, Math.abs(losses[i] - expected) / expected);
      }
      const distance = relativeL2(logits, expectedLogits);
      if (Deno.env.has("MTC_FIGURES")) {
        console.log(`${name}${how}: ${worst.toExponential(1)} ${distance.toExponential(1)}`);
      }
      assert.ok(worst <= 1e-4, `a loss is ${worst.toExponential(2)} of itself away`);
      assert.ok(distance <= 1e-4, `logits are ${distance.toExponential(2)} away`);
      const { compared, last, expectedDivergences } = differences;
      assertClose("loss", compared.map(([loss]) => loss), losses, { floor: 1e-6, relative: 1e-6 });
      expectedDivergences.forEach(([kl, same], r) => {
        const [, found, isSame] = compared[last[r]];
        assertClose("KL", [found], [kl], { floor: 1e-5, relative: 1e-4 });
        assert.equal(isSame, same);
      });
    });
  }
}

for (const columns of [null, 1000]) {
  Deno.test(`several passes at once, ${columns ?? "all"} tokens a block: the loss and the comparisons of each by itself`, async () => {
    using scope = openScope(gpu);
    const { batch } = await openGolden("builtin"), tokens = batch.contexts * batch.context;
    const files = await openGoldenModel("builtin"), { dModel } = configOf(files);
    const options = { taps: [], maxTokens: tokens, context: batch.context, head: true }, pass = new Pass(gpu);
    const model =
      await (columns === null ? loadDecoder(scope, files, options) : inBlocks(scope, files, options, columns));
    const normed = [0, 1, 2].map((i) => createTensor(scope, `normed ${i}`, [tokens, dModel]));
    const alone: Float32Array[] = [];
    for (const [i, kept] of normed.entries()) {
      const tensor = tensorFrom(
        scope,
        "added",
        [tokens, dModel],
        gaussians(tokens * dModel, i).map((value) => i * value),
      );
      model.forward(pass, batch, { edits: [{ kind: "add", tap: { layer: 3, site: "mlp_out" }, tensor }] });
      model.recordNormed(pass, tokens, kept);
      const measured = i === 0 ? model.recordLoss(pass, batch) : model.recordComparison(pass, batch, normed[0]);
      pass.submit();
      alone.push(await downloadF32(gpu, measured));
    }
    const { loss, comparisons } = model.recordPredictions(pass, batch, normed[0], normed.slice(1));
    pass.submit();
    const together = await Promise.all([loss, ...comparisons].map((tensor) => downloadF32(gpu, tensor)));
    assert.deepEqual(together, alone);
    assert.notDeepEqual(together[1], together[2]);
    await files.weights.close();
  });
}

for (const columns of [null, 1000]) {
  Deno.test(`sums of probabilities, ${columns ?? "all"} tokens a block: those of the softmax of the logits`, async () => {
    using scope = openScope(gpu);
    const { batch } = await openGolden("builtin"), tokens = batch.contexts * batch.context;
    const files = await openGoldenModel("builtin"), { dModel, vocabSize } = configOf(files);
    const options = { taps: [], maxTokens: tokens, context: batch.context, head: true }, pass = new Pass(gpu);
    const model =
      await (columns === null ? loadDecoder(scope, files, options) : inBlocks(scope, files, options, columns));
    const added = tensorFrom(scope, "added", [tokens, dModel], gaussians(tokens * dModel, 1));
    const normed = createTensor(scope, "normed", [tokens, dModel]), chosen = Uint32Array.of(3, 5, tokens - 1);
    const logits = [0, 1].map((i) => createTensor(scope, `logits ${i}`, [chosen.length, vocabSize]));
    const sums = createTensor(scope, "sums", [2, vocabSize]);
    model.forward(pass, batch);
    model.recordNormed(pass, tokens, normed);
    model.recordLogits(pass, chosen, logits[0]);
    pass.submit();
    model.forward(pass, batch, { edits: [{ kind: "add", tap: { layer: 3, site: "mlp_out" }, tensor: added }] });
    model.recordComparison(pass, batch, normed);
    const rows = tensorFrom(scope, "chosen", [tokens], Uint32Array.from({ length: tokens }, (_, i) => chosen[i] ?? 0));
    model.recordProbabilitySums(pass, normed, tokens, rows, chosen.length, sums);
    model.recordLogits(pass, chosen, logits[1]);
    pass.submit();
    const found = await downloadF32(gpu, sums);
    for (const [i, tensor] of logits.entries()) {
      const values = await downloadF32(gpu, tensor), expected = new Float64Array(vocabSize);
      for (const r of chosen.keys()) {
        probabilitiesOf(values.subarray(r * vocabSize, (r + 1) * vocabSize)).forEach((p, token) =>
          expected[token] += p
        );
      }
      assertClose(`model ${i}`, found.subarray(i * vocabSize, (i + 1) * vocabSize), expected, {
        floor: 1e-9,
        relative: 1e-5,
      });
    }
    assert.notDeepEqual(found.subarray(0, vocabSize), found.subarray(vocabSize));
    await files.weights.close();
  });
}

Deno.test("a head of bfloat16 stays so, and its blocks cover the vocabulary", async () => {
  const files = await openGoldenModel("gemma2/window"), config = configOf(files);
  const { blocks } = await loadHead(gpu, files.weights, config, 20);
  assert.deepEqual(blocks.map(({ format, outputs }) => [format, outputs]), [
    ["bf16", 20],
    ["bf16", 20],
    ["bf16", 20],
    ["bf16", 7],
  ]);
  await files.weights.close();
});

Deno.test("blocks of a large vocabulary fit what an adapter binds", async () => {
  const files = await openGoldenModel("gemma2/window");
  const gemma2_2b = { ...configOf(files), vocabSize: 256_000, dModel: 2304 };
  const columns = (mebibytes: number, tokens: number) =>
    headColumns(bindingAtMost(gpu, mebibytes * 2 ** 20), gemma2_2b, tokens);
  assert.equal(columns(128, 256), 14560, "as many rows of float32 as 128 MiB hold");
  assert.equal(columns(128, 2048), 8192);
  assert.equal(columns(2047, 256), 16384);
  assert.equal(columns(2047, 16384), 1024);
  assert.equal(headColumns(gpu, configOf(files), 42), 67, "a small one is a single block");
  await files.weights.close();
});

Deno.test("a model that was loaded without its head says so", async () => {
  const files = await openGoldenModel("gemma2/window");
  const model = await loadDecoder(gpu, files, { taps: [{ layer: 0, site: "attn_in" }], maxTokens: 4, context: 4 });
  const batch = { contexts: 1, context: 4, ids: new Uint32Array(4) };
  assert.throws(() => model.recordLoss(new Pass(gpu), batch), /must be loaded with its head/);
  await files.weights.close();
});

const cases: [rows: number, blocks: number[], lanes: number, cap: number, size: number][] = [
  [1, [1], 8, 30, 1],
  [3, [7], 8, 0, 1],
  [5, [8, 8, 1], 8, 30, 40],
  [2, [64, 67], 64, 30, 10],
  [13, [9, 7, 8, 3], 8, 0, 5],
  // Far apart: most of a block vanishes beside the largest, and whole blocks beside others.
  [4, [129, 127, 44], 64, 0, 300],
];
for (const [rows, blocks, lanes, cap, size] of cases) {
  Deno.test(`next_token_loss and store_logits: ${rows} rows, blocks of ${blocks}, ${lanes} lanes, cap ${cap}, size ${size}`, async () => {
    const vocabulary = blocks.reduce((a, b) => a + b);
    using scope = openScope(gpu);
    const products = gaussians(rows * vocabulary, vocabulary).map((value) => size * value);
    // The first token, the last, none, and others.
    const targets = Uint32Array.from(
      { length: rows },
      (_, r) => [0, vocabulary - 1, NO_TOKEN][r] ?? (r * 31) % vocabulary,
    );
    const target_token = tensorFrom(scope, "targets", [rows], targets);
    const state = tensorFrom(scope, "state", [rows, 3], new Float32Array(rows * 3).fill(7));
    const loss = createTensor(scope, "loss", [rows]), logits = createTensor(scope, "logits", [rows, vocabulary]);
    const pass = new Pass(gpu);
    let first = 0;
    for (const columns of blocks) {
      const part = new Float32Array(rows * columns);
      for (let r = 0; r < rows; r++) {
        part.set(products.subarray(r * vocabulary + first, r * vocabulary + first + columns), r * columns);
      }
      const product = tensorFrom(scope, "products", [rows, columns], part),
        params = { rows, columns, first, vocabulary };
      pass.run(nextTokenLoss, { product, target_token, state, loss }, params, { LANES: lanes, SOFT_CAP: cap });
      pass.run(storeLogits, { product, logits }, params, { SOFT_CAP: cap });
      first += columns;
    }
    pass.submit();
    const capped = Array.from(products, (value) => oracle.softCapped(value, cap));
    assertWithin("logits", await downloadF32(gpu, logits), capped);
    const rowsOf = Array.from({ length: rows }, (_, r) => capped.slice(r * vocabulary, (r + 1) * vocabulary));
    const expected = rowsOf.map((row, r) => oracle.nextTokenLoss(row, blocks, targets[r]));
    assertWithin("loss", await downloadF32(gpu, loss), expected);
  });
}

for (const [rows, blocks, , cap, size] of cases) {
  Deno.test(`compare_predictions: ${rows} rows, blocks of ${blocks}, cap ${cap}, size ${size}`, async () => {
    const vocabulary = blocks.reduce((a, b) => a + b);
    using scope = openScope(gpu);
    const own = gaussians(rows * vocabulary, vocabulary).map((value) => size * value);
    // One reference is the same, others are near and far.
    const noise = gaussians(rows * vocabulary, vocabulary + 1);
    const other = own.map((value, i) => value + [0, 0.01, 1, size][Math.floor(i / vocabulary) % 4] * noise[i]);
    // Equal largest products, in one block and in two: the first counts.
    if (vocabulary > 2) {
      own[0] =
        own[vocabulary - 1] =
        other[1] =
        other[vocabulary - 1] =
          5 * size + 1;
      other[0] = own[1] = 5 * size;
    }
    const targets = Uint32Array.from(
      { length: rows },
      (_, r) => [0, vocabulary - 1, NO_TOKEN][r] ?? (r * 31) % vocabulary,
    );
    const target_token = tensorFrom(scope, "targets", [rows], targets);
    // The last row is held against the first one's reference, as another may be.
    const referenceOf = Uint32Array.from({ length: rows }, (_, r) => r === rows - 1 ? 0 : r);
    const reference_row = tensorFrom(scope, "reference rows", [rows], referenceOf);
    const state = tensorFrom(scope, "state", [rows, 8], new Float32Array(rows * 8).fill(7));
    const result = createTensor(scope, "result", [rows, 3]), pass = new Pass(gpu);
    let first = 0;
    for (const columns of blocks) {
      const [product, reference] = [own, other].map((products) => {
        const part = new Float32Array(rows * columns);
        for (let r = 0; r < rows; r++) {
          part.set(products.subarray(r * vocabulary + first, r * vocabulary + first + columns), r * columns);
        }
        return tensorFrom(scope, "products", [rows, columns], part);
      });
      const tensors = { product, reference, reference_row, target_token, state, result };
      // A software driver takes seconds to compile more lanes.
      const constants = { LANES: 8, SOFT_CAP: cap };
      const params = { rows, columns, first, vocabulary, references: rows };
      pass.run(comparePredictions, tensors, params, constants);
      first += columns;
    }
    pass.submit();
    const found = await downloadF32(gpu, result);
    const rowsOf = (products: Float32Array) =>
      Array.from({ length: rows }, (_, r) => [...products.subarray(r * vocabulary, (r + 1) * vocabulary)]);
    const capped = (row: number[]) => row.map((value) => oracle.softCapped(value, cap));
    const [rowsHere, rowsThere] = [rowsOf(own), rowsOf(other)];
    const column = (c: number) => found.filter((_, i) => i % 3 === c);
    assertWithin("loss", column(0), rowsHere.map((row, r) => oracle.nextTokenLoss(capped(row), blocks, targets[r])));
    assertWithin(
      "KL",
      column(1),
      rowsHere.map((row, r) => oracle.divergence(capped(row), capped(rowsThere[referenceOf[r]]), blocks)),
    );
    const largest = (row: number[]) => row.indexOf(Math.max(...row));
    assert.deepEqual(
      [...column(2)],
      rowsHere.map((row, r) => largest(row) === largest(rowsThere[referenceOf[r]]) ? 1 : 0),
    );
  });
}

for (const [rows, blocks, , cap, size] of cases) {
  Deno.test(`sum_probabilities: ${rows} rows, blocks of ${blocks}, cap ${cap}, size ${size}`, async () => {
    const vocabulary = blocks.reduce((a, b) => a + b);
    using scope = openScope(gpu);
    const models = [vocabulary, vocabulary + 1].map((seed) =>
      gaussians(rows * vocabulary, seed).map((value) => size * value)
    );
    const capped = models.map((products) =>
      Array.from(
        { length: rows },
        (_, r) =>
          Array.from(products.subarray(r * vocabulary, (r + 1) * vocabulary), (value) => oracle.softCapped(value, cap)),
      )
    );
    // What compare_predictions leaves of each row: the largest and the sum, exact numbers for the sum of probabilities.
    const state = new Float32Array(rows * 8).fill(7);
    const exponents = capped.map((ofModel, model) =>
      ofModel.map((row, r) => {
        const largest = Math.fround(Math.max(...row.map(({ value }) => value)));
        const total = Math.fround(row.reduce((sum, { value }) => sum + Math.exp(value - largest), 0));
        const at = 8 * r + (model === 0 ? 4 : 0);
        [state[at], state[at + 2]] = [largest, total];
        return row.map((z) => quotient(exponential(difference(z, exact(largest))), exact(total)));
      })
    );
    // Every other row, the last ones first; none where there is one row.
    const chosen = Uint32Array.from({ length: rows }, (_, r) => rows - 1 - r).filter((r) => r % 2 === 1);
    const chosen_row = tensorFrom(
      scope,
      "chosen rows",
      [rows],
      new Uint32Array([...chosen, ...Array(rows - chosen.length)]),
    );
    const sums = tensorFrom(scope, "sums", [2, vocabulary], new Float32Array(2 * vocabulary).fill(7)),
      pass = new Pass(gpu);
    const states = tensorFrom(scope, "state", [rows, 8], state);
    let first = 0;
    for (const columns of blocks) {
      const [reference, product] = models.map((products) => {
        const part = new Float32Array(rows * columns);
        for (let r = 0; r < rows; r++) {
          part.set(products.subarray(r * vocabulary + first, r * vocabulary + first + columns), r * columns);
        }
        return tensorFrom(scope, "products", [rows, columns], part);
      });
      const params = { rows, columns, first, vocabulary, chosen: chosen.length };
      pass.run(sumProbabilities, { product, reference, state: states, chosen_row, sums }, params, { SOFT_CAP: cap });
      first += columns;
    }
    pass.submit();
    const expected = exponents.flatMap((ofModel) =>
      Array.from({ length: vocabulary }, (_, c) => sum(Array.from(chosen, (r) => ofModel[r][c])))
    );
    assertWithin("sums", await downloadF32(gpu, sums), expected);
  });
}
