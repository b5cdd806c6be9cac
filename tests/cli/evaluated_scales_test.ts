/**
 * evaluation.json against float64 loops over the unfolded weights of the last checkpoint, in the prepared space that
 * they were trained in: what is folded into the saved weights must change none of the figures.
 */

import assert from "node:assert/strict";
import type { DocumentFvu } from "../../core/analysis/evaluation.ts";
import { toldSaebench } from "../../core/analysis/saebench.ts";
import { builtinDocuments } from "../../core/builtin/text.ts";
import { assertClose } from "../compare.ts";
import { type Read, readFeatures, type Reread, reread, tokenizer, turned } from "./reread.ts";
import {
  CONTEXT,
  FEATURES,
  fileOf,
  FINAL_TOKENS,
  LAYERS,
  PREFIXES,
  readJson,
  readTensors,
  STEPS,
  WHOLE_RUN,
  WIDTH,
} from "./whole_run.ts";
import { mtc } from "./tiny_run.ts";

const taps = LAYERS.flatMap((layer) => [{ layer, site: "resid_mid" }, { layer, site: "mlp_out" }] as const);
const text = await reread({ split: "test", tokens: FINAL_TOKENS }, FINAL_TOKENS, taps);
/** No special token counts, not even the EOS that stands for a document's end. */
const counted = text.tokens.filter((row) => text.ids[row] > 2), contexts = text.rows / CONTEXT;

/** Tokens of addresses, EOS included. */
async function lengthsOf(years: readonly string[]): Promise<number[]> {
  const documents = await builtinDocuments();
  return years.map((year) => tokenizer.encode(documents.find(({ name }) => name.startsWith(year))!.text).length + 1);
}

/** Columns less their means, scaled. */
const prepared = (values: Float32Array, mean: Float32Array, scale: Float32Array) =>
  values.map((value, at) => (value - mean[at % WIDTH]) * scale[at % WIDTH]);
const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);

/**
 * The features of each counted row that are above the threshold, and on how many of them float32 could see it
 * otherwise.
 */
function activeFeatures({ value, slack }: Read, threshold: number) {
  let unsure = 0;
  const active = new Map(counted.map((row) => {
    const values = value.subarray(row * FEATURES, (row + 1) * FEATURES);
    unsure += values.reduce((n, a, i) => n + (Math.abs(a - threshold) <= slack(row, i) ? 1 : 0), 0);
    return [row, [...values.keys()].filter((i) => values[i] > threshold)] as const;
  }));
  return { active, unsure };
}

/**
 * Sums over the counted rows in prepared space: |y_hat_p - y|^2 per prefix, its part about the mean error, and |y -
 * mean(y)|^2.
 */
function squares(y: Float32Array, decoder: Float32Array, decoderBias: Float32Array, { value }: Read, active: Active) {
  const mean = new Float64Array(WIDTH), meanError = new Float64Array(WIDTH), errors = PREFIXES.map(() => 0);
  for (const row of counted) for (let d = 0; d < WIDTH; d++) mean[d] += y[row * WIDTH + d] / counted.length;
  let variance = 0;
  for (const row of counted) {
    PREFIXES.forEach((end, p) => {
      const output = Float64Array.from(decoderBias.subarray(0, WIDTH));
      for (const i of active.get(row)!.filter((i) => i < end)) {
        const a = value[row * FEATURES + i];
        for (let d = 0; d < WIDTH; d++) output[d] += a * decoder[i * WIDTH + d];
      }
      for (let d = 0; d < WIDTH; d++) {
        const error = output[d] - y[row * WIDTH + d];
        errors[p] += error ** 2;
        if (end === FEATURES) meanError[d] += error / counted.length;
      }
    });
    for (let d = 0; d < WIDTH; d++) variance += (y[row * WIDTH + d] - mean[d]) ** 2;
  }
  return { errors, variance, constant: counted.length * sum(meanError.map((e) => e * e)) };
}

type Active = ReturnType<typeof activeFeatures>["active"];

async function unfolded(layer: number, text: Reread) {
  const checkpoint = fileOf(layer, "checkpoints", `step_${String(STEPS).padStart(6, "0")}`, "optimizer.safetensors");
  const names = ["encoder", "encoder_bias", "decoder", "decoder_bias", "threshold"];
  const [encoder, encoderBias, decoder, decoderBias, [threshold]] = await readTensors(checkpoint, ...names);
  const columns = ["source.mean", "source.scale", "target.mean", "target.scale"];
  const [xMean, xScale, yMean, yScale] = await readTensors(fileOf(layer, "preparation.safetensors"), ...columns);
  const x = prepared(text.activations(layer, "resid_mid"), xMean, xScale);
  const y = prepared(text.activations(layer, "mlp_out"), yMean, yScale);
  const values = readFeatures(x, { weight: turned(encoder, WIDTH), bias: encoderBias.subarray(0, FEATURES) });
  const { active, unsure } = activeFeatures(values, threshold);
  const perToken = counted.map((row) => active.get(row)!.length);
  const dead = FEATURES - new Set([...active.values()].flat()).size;
  return { ...squares(y, decoder, decoderBias, values, active), perToken, dead, unsure, threshold };
}

Deno.test("the text is drawn from all addresses of the test: rows by length, evenly spaced, of one address each", async () => {
  const names = ["1790", "1830", "1870", "1910", "1951", "1989"], row = CONTEXT - 1;
  const lengths = await lengthsOf(names), rows = lengths.map((length) => Math.ceil(length / row));
  const wanted = Math.ceil(FINAL_TOKENS / row), left = wanted - names.length;
  const free = rows.reduce((sum, count) => sum + count, 0) - names.length;
  let before = 0, drawn = 0;
  const expected = names.flatMap((name, d) => {
    before += rows[d] - 1;
    const share = 1 + Math.round(left * before / free) - drawn;
    drawn += share - 1;
    return Array.from({ length: share }, (_, n) => `${name} ${row * Math.floor((n + 0.5) * rows[d] / share)}`);
  });
  const first = Array.from({ length: contexts }, (_, c) => c * CONTEXT + 1);
  assert.deepEqual(first.map((at) => `${parseInt(text.document(at))} ${text.position[at]}`), expected);
  for (const at of counted) assert.equal(text.document(at), text.document(at - (at % CONTEXT) + 1));
  const { documents, excluded_tokens, fvu_per_document: each } = await readJson(LAYERS[0], "evaluation.json");
  assert.deepEqual([documents, excluded_tokens], [6, text.tokens.length - counted.length]);
  const tokens = each.map(({ document, tokens }: DocumentFvu) => [document.slice(0, 4), tokens]);
  assert.deepEqual(
    tokens,
    names.map((name) => [name, counted.filter((at) => text.document(at).startsWith(name)).length]),
  );
});

Deno.test("mtc evaluate measures the finished run as training did, to the last digit", async () => {
  const { code, stdout, stderr } = await mtc("evaluate", "--run", WHOLE_RUN, "--loss", "--json");
  assert.equal(code, 0, stderr);
  for (const [i, layer] of LAYERS.entries()) {
    const { run: __, layer: of, ...evaluation } = JSON.parse(stdout)[i];
    assert.equal(of, layer);
    // Its own text is training's alone to read.
    const { token_counts: _, training_text: ___, ...trained } = await readJson(layer, "evaluation.json");
    delete trained.definitions.token_counts;
    delete trained.definitions.training_text;
    // The loss is told under SAEBench's names, too.
    const saebench = toldSaebench(trained.saebench, { loss: trained.loss });
    assert.deepEqual(evaluation, { ...trained, saebench });
  }
});

for (const layer of LAYERS) {
  Deno.test(`layer ${layer}: evaluation.json has the figures of the weights before the preparation was folded in`, async () => {
    const { errors, variance, constant, perToken, dead, unsure, threshold } = await unfolded(layer, text);
    const evaluation = await readJson(layer, "evaluation.json");
    assert.ok(
      unsure < 1e-3 * sum(perToken),
      `${unsure} activations lie so near to the threshold that they prove little`,
    );
    assert.deepEqual([evaluation.tokens, evaluation.contexts], [counted.length, contexts]);
    assert.equal(evaluation.threshold, threshold);
    // They agree to 1e-9; one activation that float32 sees on the other side of the threshold is worth about 1e-6.
    const close = (name: string, actual: number[], expected: number[]) =>
      assertClose(name, actual, expected, { floor: 0, relative: 1e-5 });
    const fvus: number[] = evaluation.fvu_per_prefix.map(({ fvu }: { fvu: number }) => fvu);
    close("FVU per prefix", fvus, errors.map((error) => error / variance));
    assert.equal(evaluation.fvu, fvus[PREFIXES.length - 1]);
    const [whole] = errors.slice(-1);
    close("explained variance", [evaluation.explained_variance], [1 - (whole - constant) / variance]);
    assertClose("L0", [evaluation.l0], [sum(perToken) / counted.length], {
      floor: unsure / counted.length,
      relative: 1e-12,
    });
    assert.ok(Math.abs(evaluation.dead_features - dead) <= unsure, `${evaluation.dead_features} dead, not ${dead}`);
  });
}
