/**
 * features.csv, samples.jsonl and training_samples.jsonl of a real run against its text, read once more, and float64
 * loops over the saved weights.
 */

import assert from "node:assert/strict";
import { drawOrder } from "../../core/training/buffer.ts";
import { assertClose } from "../compare.ts";
import { norms, type Read, readFeatures, type Reread, reread, tokenizer, turned } from "./reread.ts";
import {
  BATCH,
  CONTEXT,
  FEATURES,
  fileOf,
  FINAL_TOKENS,
  LAYERS,
  PASSES,
  PREFIXES,
  readLines,
  readTable,
  readTensors,
  SAMPLE_THRESHOLD,
  SAMPLED_STEPS,
  SAMPLES,
  SEED,
  STEPS,
  STEPS_PER_BUFFER,
  WIDTH,
} from "./whole_run.ts";

interface Sample {
  activation: number;
  token_id: number;
  token: string;
  before: string;
  after: string;
  document: string;
  position: number;
  step?: number;
  quantile?: number;
}

interface FeatureLine {
  feature: number;
  group: number;
  fires: number;
  top: Sample[];
  quantiles: Sample[];
}

/** Tokens around a sample. */
const RADIUS = 10;
/** What seven written digits can be off by. */
const DIGITS = 5e-7;

/**
 * By how much of itself an activation of a sampled step may differ from what the weights behind that step give: at most
 * 6 % and 0.5 % were seen, as the learning rate is falling.
 */
const MOVED: Record<number, number> = { 80: 0.2, 120: 0.02 };

const sources = LAYERS.map((layer) => ({ layer, site: "resid_mid" }) as const);
const taps = LAYERS.flatMap((layer) => [{ layer, site: "resid_mid" }, { layer, site: "mlp_out" }] as const);
const perContext = CONTEXT - 1;
const finalText = await reread({ split: "train", seed: SEED + 1 }, Math.ceil(FINAL_TOKENS / perContext), sources);
/** Each of the two buffers holds so many contexts. */
const bufferContexts = Math.ceil(STEPS_PER_BUFFER * BATCH / PASSES / perContext);
const buffers = STEPS / STEPS_PER_BUFFER;
const trainingText = await reread({ split: "train", seed: SEED }, buffers * bufferContexts, taps);

/** A token as its cell has it: a JSON string without its quotes. */
function textIn(cell: string): string {
  return JSON.parse(`"${cell}"`);
}

/** The tokens that count: no special one does. */
function tokens({ rows, ids }: Reread): number[] {
  return Array.from({ length: rows }, (_, row) => row).filter((row) => row % CONTEXT > 0 && ids[row] > 2);
}

/** The rows of the training text that a sampled step drew. */
const drawn = new Map(SAMPLED_STEPS.map((step) => {
  const n = Math.floor((step - 1) / STEPS_PER_BUFFER), first = (step - 1) % STEPS_PER_BUFFER * BATCH;
  const begin = n * bufferContexts * CONTEXT, end = begin + bufferContexts * CONTEXT;
  const rows = Uint32Array.from(tokens(trainingText).filter((row) => row >= begin && row < end), (row) => row - begin);
  const order = drawOrder(rows, PASSES * bufferContexts * perContext, SEED, n).subarray(first, first + BATCH);
  return [step, new Set(Array.from(order, (row) => begin + row))];
}));
const drawnBy = (step: number) => drawn.get(step) ?? assert.fail(`step ${step} is none of the sampled ones`);

/** The row of each token by document and position. */
function placesOf(text: Reread): Map<string, number> {
  return new Map(tokens(text).map((row) => [`${text.document(row)} ${text.position[row]}`, row]));
}

/** The row that a sample names, once all that it says of the text there was found to be true. */
function rowOf(sample: Sample, text: Reread, places: Map<string, number>): number {
  const row = places.get(`${sample.document} ${sample.position}`);
  assert.ok(row !== undefined, `no token ${sample.position} of ${sample.document} was read`);
  const { before, after } = text.around(row, RADIUS), id = text.ids[row];
  assert.deepEqual(
    [sample.token_id, sample.token, sample.before, sample.after],
    [id, tokenizer.tokenText(id), tokenizer.decode(before), tokenizer.decode(after)],
    `token ${sample.position} of ${sample.document}`,
  );
  return row;
}

async function weightsOf(path: string) {
  const [encoder, bias, decoder, [threshold]] = await readTensors(path, "W_enc", "b_enc", "W_dec", "threshold");
  return { encoder, bias, decoder, threshold };
}

/** A feature's value on a token, and by how much float32 could see it otherwise. */
interface Activation {
  row: number;
  value: number;
  slack: number;
}

/** Each feature's activations in the final pass, the strongest first. */
function ranked({ value, slack }: Read): Activation[][] {
  const rows = tokens(finalText);
  return Array.from({ length: FEATURES }, (_, feature) =>
    rows.filter((row) => value[row * FEATURES + feature] > 0)
      .map((row) => ({ row, value: value[row * FEATURES + feature], slack: slack(row, feature) }))
      .sort((a, b) => b.value - a.value));
}

async function finalPass(layer: number) {
  const weights = await weightsOf(fileOf(layer, "transcoder.safetensors"));
  const read = readFeatures(finalText.activations(layer, "resid_mid"), { weight: weights.encoder, bias: weights.bias });
  const table = await readTable(layer, "features.csv");
  const lines: FeatureLine[] = await readLines(layer, "samples.jsonl");
  return { ...weights, read, activations: ranked(read), table, lines };
}

const finalPlaces = placesOf(finalText);

/**
 * How many ranked values lie above a limit must be what the program counted, but for values that float32 sees on the
 * other side.
 */
function assertCounted(what: string, values: readonly Activation[], count: number, limit: number): void {
  const last = values[count - 1], next = values[count];
  assert.ok(
    !last || last.value > limit - last.slack,
    `${what}: value ${count} of ${count} is ${last?.value}, not above ${limit}`,
  );
  assert.ok(
    !next || next.value <= limit + next.slack,
    `${what}: ${count} were counted, the next is ${next?.value}, above ${limit}`,
  );
}

const clamped = (index: number, length: number) => Math.max(0, Math.min(length - 1, index));

const cellsOf = (row: Record<string, string>) => (name: string) => row[name] === "" ? NaN : Number(row[name]);

function assertNear(what: string, actual: number, expected: number, slack: number): void {
  const isNear = Number.isNaN(expected) ? Number.isNaN(actual) : Math.abs(actual - expected) <= slack;
  assert.ok(isNear, `${what} must be ${expected} ± ${slack}, it is ${actual}`);
}

for (const layer of LAYERS) {
  const pass = await finalPass(layer);
  const what = (feature: number, column: string) => `layer ${layer}, feature ${feature}, ${column}`;

  Deno.test(`layer ${layer}: fires, density, mean and largest activation are those of the whole final pass`, () => {
    const { activations, threshold, table } = pass;
    assert.equal(table.length, FEATURES);
    let dead = 0;
    for (const [feature, row] of table.entries()) {
      const cell = cellsOf(row), values = activations[feature], fires = cell("fires");
      assertCounted(what(feature, "fires"), values, fires, threshold);
      const active = values.slice(0, fires), slack = values[0]?.slack ?? 0;
      const mean = active.reduce((sum, { value }) => sum + value, 0) / fires;
      const near = (column: string, expected: number, slack: number) =>
        assertNear(what(feature, column), cell(column), expected, slack + DIGITS * Math.abs(expected));
      near("density", fires / tokens(finalText).length, 0);
      near("mean_activation", mean, slack);
      near("max_activation", fires > 0 ? values[0].value : NaN, slack);
      assert.equal(cell("dead"), fires === 0 ? 1 : 0, what(feature, "dead"));
      dead += cell("dead");
    }
    assert.ok(dead > 5 && dead < FEATURES / 4, `${dead} dead features: some, so that empty cells are tested`);
  });

  Deno.test(`layer ${layer}: the commonest token of all firings lies within its bounds, and its occurrences are the text's`, () => {
    const { activations, threshold, table } = pass;
    const countOf = (rows: readonly number[]) => Map.groupBy(rows, (row) => finalText.ids[row]);
    const occurrences = countOf(tokens(finalText));
    let exact = 0;
    for (const [feature, row] of table.entries()) {
      const cell = cellsOf(row), fires = cell("fires"), token = cell("main_token_id");
      if (Number.isNaN(token)) {
        assert.equal(row.main_token, "");
        continue;
      }
      const counts = countOf(activations[feature].slice(0, fires).map(({ row }) => row));
      // What float32 may have seen on the other side of the threshold.
      const unsure = activations[feature].filter(({ value, slack }) => Math.abs(value - threshold) <= slack).length +
        1e-3;
      const [least, most] = [cell("main_token_share") * fires, cell("main_token_share_most") * fires];
      const found = counts.get(token)?.length ?? 0,
        commonest = Math.max(...[...counts.values()].map(({ length }) => length));
      assert.ok(found >= least - unsure && found <= most + unsure, what(feature, `main_token_share: ${found}`));
      assert.ok(
        commonest >= least - unsure && commonest <= most + unsure,
        what(feature, `main_token_share_most: ${commonest}`),
      );
      assert.ok(most - least <= (fires - least) / 33 + 1e-3, what(feature, "main_token_share_most"));
      assert.equal(
        cell("main_token_occurrences"),
        occurrences.get(token)!.length,
        what(feature, "main_token_occurrences"),
      );
      assert.equal(textIn(row.main_token), tokenizer.tokenText(token));
      if (least === most) exact++;
    }
    assert.ok(exact > 5 && exact < FEATURES, `${exact} features are counted exactly: some, not all`);
  });

  Deno.test(`layer ${layer}: group, norms, bias and cosine are those of the saved weights`, () => {
    const { encoder, decoder, bias, table } = pass;
    const rows = turned(encoder, FEATURES), lengths = norms(encoder, FEATURES);
    for (const [feature, row] of table.entries()) {
      const cell = cellsOf(row), at = feature * WIDTH;
      const source = rows.subarray(at, at + WIDTH), target = decoder.subarray(at, at + WIDTH);
      const norm = Math.sqrt(target.reduce((sum, w) => sum + w * w, 0));
      const cosine = source.reduce((sum, w, d) => sum + w * target[d], 0) / (lengths[feature] * norm);
      const near = (column: string, expected: number, slack = 0) =>
        assertNear(what(feature, column), cell(column), expected, slack + 2 * DIGITS * Math.abs(expected));
      assert.equal(cell("feature"), feature);
      assert.equal(cell("group"), PREFIXES.findIndex((end) => feature < end), what(feature, "group"));
      near("encoder_norm", lengths[feature]);
      near("decoder_norm", norm);
      near("encoder_bias", bias[feature]);
      near("encoder_decoder_cosine", cosine, 1e-9);
    }
  });

  Deno.test(`layer ${layer}: the samples are the strongest activations, each with its token and the text around it`, () => {
    const { read, activations, table, lines } = pass;
    for (const [feature, { top, ...line }] of lines.entries()) {
      const cell = cellsOf(table[feature]), values = activations[feature];
      assert.deepEqual(line, { ...line, feature, group: cell("group"), fires: cell("fires") });
      assert.equal(top.length, cell("sample_count"), what(feature, "sample_count"));
      if (top.length < SAMPLES) assertCounted(what(feature, "sample_count"), values, top.length, SAMPLE_THRESHOLD);
      const rows = top.map((sample) => rowOf(sample, finalText, finalPlaces));
      assert.equal(new Set(rows).size, rows.length, "no token twice");
      top.forEach(({ activation }, n) => {
        const near = (name: string, expected: number) =>
          assertNear(what(feature, name), activation, expected, values[n].slack + DIGITS * activation);
        near(`sample ${n}`, values[n].value);
        near(`activation at sample ${n}`, read.value[rows[n] * FEATURES + feature]);
      });
    }
  });

  Deno.test(`layer ${layer}: token columns are the spread of the samples' tokens`, () => {
    const { table, lines } = pass;
    for (const [feature, { top }] of lines.entries()) {
      const cell = cellsOf(table[feature]);
      const ids = top.map(({ document, position }) => finalText.ids[finalPlaces.get(`${document} ${position}`)!]);
      const counts = new Map(ids.map((id) => [id, ids.filter((other) => other === id).length]));
      const most = Math.max(...counts.values()), shares = [...counts.values()].map((count) => count / ids.length);
      const top_token_id = Math.min(...[...counts.keys()].filter((id) => counts.get(id) === most));
      const columns = {
        top_token_id: ids.length > 0 ? top_token_id : NaN,
        top_token_share: ids.length > 0 ? most / ids.length : NaN,
        token_entropy_bits: ids.length > 0 ? shares.reduce((bits, share) => bits - share * Math.log2(share), 0) : NaN,
      };
      for (const [column, expected] of Object.entries(columns)) {
        assertNear(what(feature, column), cell(column), expected, DIGITS * expected + 1e-12);
      }
      const text = ids.length > 0 ? tokenizer.tokenText(top_token_id) : "";
      assert.equal(textIn(table[feature].top_token), text, what(feature, "top_token"));
    }
  });

  Deno.test(`layer ${layer}: samples at quantiles are those of all activations, exactly where there are few`, () => {
    const { activations, lines } = pass;
    let exact = 0, estimated = 0;
    for (const [feature, { quantiles }] of lines.entries()) {
      // Where an activation is as good as at the limit, one more or less may have been sampled.
      if (activations[feature].some(({ value, slack }) => Math.abs(value - SAMPLE_THRESHOLD) <= slack)) continue;
      const sampled = activations[feature].filter(({ value }) => value > SAMPLE_THRESHOLD).reverse();
      assert.equal(quantiles.length, sampled.length < 10 ? 0 : 10, what(feature, "quantiles"));
      for (const [n, { quantile, activation, ...sample }] of quantiles.entries()) {
        assert.equal(quantile, (5 + 10 * n) / 100);
        rowOf({ activation, ...sample }, finalText, finalPlaces);
        const at = quantile * sampled.length, isFew = sampled.length <= 100;
        // Of more than a hundred, a hundred taken at random are ranked: their quantiles scatter by at most 0.05 (1
        // sigma).
        const off = isFew ? 0 : 0.25 * sampled.length;
        const [low, high] = [at - off, at + off].map((rank) => sampled[clamped(Math.floor(rank), sampled.length)]);
        assert.ok(
          activation >= low.value - low.slack - DIGITS * low.value &&
            activation <= high.value + high.slack + DIGITS * high.value,
          `${
            what(feature, `quantile ${quantile}`)
          } of ${sampled.length}: ${activation} not in ${low.value} to ${high.value}`,
        );
        if (isFew) exact++;
        else estimated++;
      }
    }
    assert.ok(exact > 100 && estimated > 100, `${exact} exact, ${estimated} estimated`);
  });

  Deno.test(`layer ${layer}: training samples have the tokens that their step drew, on which the feature fired then`, async () => {
    const places = placesOf(trainingText), bufferRows = bufferContexts * CONTEXT;
    const lines: { feature: number; top: Sample[] }[] = await readLines(layer, "training_samples.jsonl");
    const steps = new Map<number, { feature: number; row: number; activation: number }[]>();
    for (const [feature, line] of lines.entries()) {
      assert.equal(line.feature, feature);
      for (const sample of line.top) {
        const row = rowOf(sample, trainingText, places), step = sample.step!;
        assert.ok(drawnBy(step).has(row), `${what(feature, "sample")}: row ${row} must be one that step ${step} drew`);
        steps.set(step, [...steps.get(step) ?? [], { feature, row, activation: sample.activation }]);
      }
    }
    assert.deepEqual([...steps.keys()].sort((a, b) => a - b), SAMPLED_STEPS);
    for (const step of Object.keys(MOVED).map(Number)) {
      const name = `step_${String(step).padStart(6, "0")}`;
      const { encoder, bias } = await weightsOf(fileOf(layer, "checkpoints", name, "transcoder.safetensors"));
      const begin = Math.floor((step - 1) / STEPS_PER_BUFFER) * bufferRows, end = begin + bufferRows;
      const x = trainingText.activations(layer, "resid_mid").subarray(begin * WIDTH, end * WIDTH);
      const { value } = readFeatures(x, { weight: encoder, bias });
      const samples = steps.get(step)!;
      assert.ok(samples.length > 500, `${samples.length} samples of step ${step}`);
      for (const { row, feature, activation } of samples) {
        const now = value[(row - begin) * FEATURES + feature];
        assertNear(`${what(feature, "sample")} of step ${step}`, activation, now, MOVED[step] * activation);
      }
    }
  });

  Deno.test(`layer ${layer}: prepared, the first buffer has mean 0 and in the source each dimension's variance is 1`, async () => {
    for (const [end, site] of [["source", "resid_mid"], ["target", "mlp_out"]] as const) {
      const path = fileOf(layer, "preparation.safetensors");
      const [mean, scale] = await readTensors(path, `${end}.mean`, `${end}.scale`);
      const x = trainingText.activations(layer, site).subarray(0, bufferContexts * CONTEXT * WIDTH);
      const counted = bufferContexts * perContext, means = new Float64Array(WIDTH), squares = new Float64Array(WIDTH);
      for (let row = 0; row < bufferContexts * CONTEXT; row++) {
        if (row % CONTEXT === 0) continue;
        for (let c = 0; c < WIDTH; c++) {
          const value = (x[row * WIDTH + c] - mean[c]) * scale[c];
          means[c] += value / counted;
          squares[c] += value ** 2 / counted;
        }
      }
      // The program leaves out what a batch of its measurement would not fill: 46 of 5,166 rows.
      assertClose(`${end} means`, means, Array(WIDTH).fill(0), { floor: 0.02, relative: 0 });
      const expected = end === "source" ? squares : [squares.reduce((sum, value) => sum + value / WIDTH, 0)];
      assertClose(`${end} variances`, expected, Array(expected.length).fill(1), { floor: 0.03, relative: 0 });
    }
  });
}
