/**
 * Makes the directory of a run that never happened, with numbers like those of a real one, good or bad as asked.
 * @module
 */
import { join } from "node:path";
import { csvFormatRows } from "d3-dsv";
import { type RandomGenerator, randomGenerator } from "../../core/random.ts";
import { analyzeTranscoder, isTrainedHere, type TrainedAnalysis } from "../../core/runs/analysed.ts";
import { type TranscoderConfig, writeConfig } from "../../core/runs/config.ts";
import { chooseTranscoders, findTranscoders } from "../../core/runs/discovery.ts";
import { writeSafetensors } from "../../core/files/safetensors.ts";
import type { Tap } from "../../core/model/sites.ts";

/** What the run should look like. */
export interface SyntheticRun {
  /** The layer predicted, and read unless there is a `source`. */
  layer: number;
  source?: Tap;
  k: number;
  model: string;
  created: string;
  groups: number[];
  dIn: number;
  dOut: number;
  steps: number;
  logEvery: number;
  /** The step after which nothing was logged. */
  stoppedAt: number;
  /** Held-out FVU of the whole dictionary. */
  fvu: number;
  /** FVU of the best linear map; NaN for the file of an older version, which has no references. */
  linearFvu: number;
  /** Share of the target's variance in its largest dimension. */
  topDimension: number;
  /** Held-out L0. */
  l0: number;
  deadShare: number;
  /** Step from which the loss is NaN. */
  divergesAt: number;
  /** Steps with a loss that is three times too large. */
  spikes: number[];
  /** Growth of loss and FVU per step after the first half, as an exponent. */
  lateSlope: number;
  /** Share of the loss and FVU that each doubling of the steps takes away, about a level that is reached at the end. */
  gain: number;
  seed: number;
  samplesPerFeature: number;
}

const good: SyntheticRun = {
  layer: 2,
  k: 48,
  model: "tiny-gemma2",
  created: "2026-01-02T03:04:05.000Z",
  groups: [64, 128, 64],
  dIn: 48,
  dOut: 48,
  steps: 600,
  logEvery: 10,
  stoppedAt: Infinity,
  fvu: 0.18,
  linearFvu: 0.53,
  topDimension: 0.06,
  l0: 46.3,
  deadShare: 0,
  divergesAt: Infinity,
  spikes: [],
  lateSlope: 0,
  gain: 0,
  seed: 1,
  samplesPerFeature: 100,
};

const words = [
  " the",
  " of",
  " to",
  " and",
  ",",
  ".",
  " our",
  " people",
  " United",
  " States",
  " Congress",
  " that",
  " a",
  " in",
  " government",
  "\n\n",
  " shall",
  " Union",
  " law",
  " war",
  " peace",
  " year",
  "ing",
  "tion",
  " $",
  " million",
  " *",
  " |",
  "`",
  "<b>",
  " _x_",
  "\t",
  "\u200b",
  "é",
  "\\",
  " nation",
  " treaty",
  " New",
  " Mexico",
  " 1",
  "8",
  "45",
]; // deno-fmt-ignore

function text(random: RandomGenerator, tokens: number): string {
  return Array.from({ length: tokens }, () => words[random.below(words.length)]).join("");
}

function uniform(random: RandomGenerator, low: number, high: number): number {
  return low + (high - low) * random.float();
}

function sample(random: RandomGenerator, activation: number, focus: number, share: number) {
  const token_id = random.float() < share ? focus : random.below(words.length);
  return {
    activation: Number(activation.toPrecision(6)),
    token_id: token_id + 100,
    token: words[token_id],
    before: text(random, 10),
    after: text(random, 10),
    document: `address_${random.below(233)}.txt`,
    position: random.below(4000),
  };
}

function entropy(counts: number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count) => sum - count / total * Math.log2(count / total), 0);
}

function feature(random: RandomGenerator, index: number, group: number, run: SyntheticRun, tokens: number) {
  const dead = random.float() < run.deadShare;
  const fires = dead ? 0 : Math.max(1, Math.round(tokens * 10 ** uniform(random, -4.2, -0.9 - 0.5 * group)));
  const max = dead ? 0 : Math.exp(2.2 + 0.5 * random.gaussian() - 0.12 * Math.log(fires / 100));
  const focus = random.below(words.length), share = random.float() ** 2;
  const count = Math.min(fires, run.samplesPerFeature);
  const top = Array.from({ length: count }, (_, i) => sample(random, max * (1 - 0.5 * i / 100), focus, share));
  const quantiles = count === 0
    ? []
    : [0.1, 0.5, 0.9].map((quantile) => ({ ...sample(random, max * quantile / 2, focus, share), quantile }));
  const counts = new Map<number, number>();
  for (const { token_id } of top) counts.set(token_id, (counts.get(token_id) ?? 0) + 1);
  const [topId, topCount] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [NaN, 0];
  const row = [
    index,
    group,
    fires,
    fires / tokens,
    max / 3,
    max,
    count,
    1.3 + 0.2 * random.gaussian(),
    0.9,
    -0.1,
    0.1,
    topId,
    dead ? "" : JSON.stringify(words[topId - 100]).slice(1, -1),
    topCount / count,
    entropy([...counts.values()]),
    dead ? 1 : 0,
    // As much of all activations as of the samples, counted to one in a hundred.
    ...(dead ? ["", "", "", "", ""] : [
      topId,
      JSON.stringify(words[topId - 100]).slice(1, -1),
      topCount / count,
      Math.min(1, topCount / count + 0.01),
      2 * fires,
    ]),
  ]; // deno-fmt-ignore
  return { line: JSON.stringify({ feature: index, group, fires, top, quantiles }), row: row.map(String) };
}

function metricsRows(random: RandomGenerator, run: SyntheticRun, ends: number[]): string[][] {
  const header = ["step", "tokens", "loss", "aux_loss", ...ends.map((end) => `fvu_prefix_${end}`), "l0"];
  const rows = [[...header, "dead_features", "learning_rate", "threshold", "elapsed_s", "tokens_per_s"]];
  for (let step = run.logEvery; step <= Math.min(run.stoppedAt, run.steps); step += run.logEvery) {
    const noise = Math.exp(0.03 * random.gaussian());
    const late = Math.exp(run.lateSlope * Math.max(0, step - run.steps / 2)) *
      (1 - run.gain) ** Math.log2(step / run.steps);
    const spike = run.spikes.includes(step) ? 3 : 1;
    const fvu = (run.fvu * 0.97 + 0.9 * Math.exp(-step / 15)) * noise * late;
    const broken = step >= run.divergesAt;
    const value = (x: number) => broken ? "NaN" : String(Number(x.toPrecision(7)));
    const warmup = Math.min(1, step / 50);
    const decay = 0.01 + 0.99 * 0.5 * (1 + Math.cos(Math.PI * Math.max(0, step - 50) / (run.steps - 50)));
    rows.push([
      String(step),
      String(step * 1024),
      value(fvu * 1.4 * spike),
      value(0.4 * fvu),
      ...ends.map((_, i) => value(fvu * (1 + 0.35 * (ends.length - 1 - i)))),
      value(48 + 0.3 * random.gaussian()),
      String(Math.round(256 * (run.deadShare + 0.2 * Math.exp(-(((step - 150) / 60) ** 2))))),
      value(0.0003 * Math.min(warmup, decay)),
      value(0.8),
      String(step * 0.19),
      String(Math.round(5400 + 200 * random.gaussian())),
    ]);
  }
  return rows;
}

function evaluation(run: SyntheticRun, ends: number[]) {
  const number = (x: number) => Number.isFinite(run.divergesAt) ? null : x;
  const interval = (x: number, half: number) => [number(x - half), number(x + half)];
  const features = ends[ends.length - 1];
  const references = Number.isFinite(run.linearFvu);
  const reconstruction = (fvu: number) => ({
    fvu: number(fvu),
    ci95: interval(fvu, 0.006),
    ...references && {
      fvu_unit_variance: number(1.2 * fvu),
      ...{ cosine: number(1 - fvu / 2), cosine_ci95: interval(1 - fvu / 2, 0.003) },
    },
  });
  const ofDocuments = [["a_b.txt", 40000, 0], ["c.txt", 30640, 0.02], ["d.txt", 10000, -0.03]].map((
    [document, tokens, above],
  ) => ({ document, tokens, fvu: number(run.fvu + Number(above)) }));
  return {
    tokens: 80640,
    contexts: 1280,
    ...{ split: "test", documents: 3, split_documents: 12, resampled: "contexts" },
    threshold: number(0.81),
    fvu: number(run.fvu),
    fvu_ci95: interval(run.fvu, 0.006),
    fvu_per_prefix: ends.map((prefix, i) => {
      const fvu = run.fvu * (1 + 0.35 * (ends.length - 1 - i));
      const share = (i + 1) / ends.length;
      const l0 = references && { l0: number(run.l0 * share), l0_ci95: interval(run.l0 * share, 0.4) };
      return { prefix, ...reconstruction(fvu), ...l0 };
    }),
    ...references && {
      ...{ fvu_unit_variance: number(1.2 * run.fvu), fvu_unit_variance_ci95: interval(1.2 * run.fvu, 0.008) },
      target_variance: {
        ...{ top_1: run.topDimension, top_5: 0.4 + run.topDimension / 2, top_20: 0.6 + run.topDimension / 3 },
        ...{ largest_dimension: 3, constant_dimensions: 0 },
      },
      ...{ cosine: number(1 - run.fvu / 2), cosine_ci95: interval(1 - run.fvu / 2, 0.003) },
      linear_map: { tokens: 65_536, ...reconstruction(run.linearFvu) },
    },
    ...references && {
      training_text: {
        tokens: 32_768,
        contexts: 520,
        fvu: number(run.fvu - 0.004),
        fvu_ci95: interval(run.fvu - 0.004, 0.005),
      },
    },
    fvu_over_documents: { min: ofDocuments[2], median: ofDocuments[0].fvu, max: ofDocuments[1] },
    fvu_per_document: ofDocuments,
    explained_variance: number(1 - run.fvu + 0.002),
    fvu_all_elements: number(run.fvu * 0.96),
    l0: number(run.l0),
    l0_ci95: interval(run.l0, 0.4),
    l0_quantiles: { p05: 21, p25: 36, p50: 45, p75: 56, p95: 78 },
    k: run.k,
    dead_features: Math.round(run.deadShare * features),
    dead_fraction: Math.round(run.deadShare * features) / features,
    definitions: {
      fvu: "sum |y - y_hat|^2 / sum |y - mean(y)|^2, mean per dimension over all held-out tokens",
      l0: "mean number of features above the threshold per token",
    },
  };
}

function config(run: SyntheticRun, tokens: number): TranscoderConfig {
  const features = run.groups.reduce((sum, group) => sum + group, 0);
  const site = (name: Tap["site"]): Tap => ({ layer: run.layer, site: name });
  return {
    format: 2,
    mtc_version: "0.1.0",
    adapter: "llvmpipe (LLVM 19.1.7, 256 bits)",
    created: run.created,
    model: { name: run.model, path: null, layers: 6, d_model: run.dIn, vocab_size: 4096 },
    data: {
      ...{ name: "State of the Union", files: [], bytes: 10_800_000, file_count: 0 },
      ...{ documents: 233, train_documents: 210, held_out_documents: 23, fingerprint: "0123456789abcdef" },
    },
    source: run.source ?? site("resid_mid"),
    targets: [site("mlp_out")],
    layer: run.layer,
    d_in: run.dIn,
    d_out: run.dOut,
    features,
    groups: run.groups,
    k: run.k,
    steps: run.steps,
    batch_tokens: 1024,
    context: 64,
    seed: run.seed,
    learning_rate: 0.0003,
    warmup_steps: 50,
    final_lr_fraction: 0.01,
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-8,
    aux_weight: 0.03125,
    aux_k: 64,
    dead_after_tokens: 102400,
    threshold_rate: 0.01,
    passes: 1,
    buffer_tokens: 65536,
    log_every: run.logEvery,
    checkpoint_every: 200,
    sample_every: 100,
    samples_per_feature: run.samplesPerFeature,
    sample_threshold: 0.1,
    sample_tokens: tokens,
    evaluation_tokens: 80640,
    loss_tokens: 0,
    include_bos: false,
    exclude_tokens: [],
    exclude_norm_above: 0,
    data_seed: run.seed,
    ...{
      precision: "f32",
      encoder_norm: 0.3,
      encoder_bias_rate: 1,
      whole_weight: 1,
      revival_rate: 0,
      skip: false,
      tiles: {},
      precision_errors: {},
    },
  };
}

/** Writes `<name>/<directory>` below `root` with every file of a finished run, and returns its path. */
export async function writeSyntheticRun(
  root: string,
  name: string,
  changes: Partial<SyntheticRun> = {},
  directory?: string,
): Promise<string> {
  const run = { ...good, ...changes };
  const random = randomGenerator(run.seed, run.layer);
  const path = join(root, name, directory ?? `layer${run.layer}`);
  await Deno.mkdir(path, { recursive: true });
  let end = 0;
  const ends = run.groups.map((group) => end += group);
  const tokens = 100_000;
  const features = Array.from(
    { length: end },
    (_, i) => feature(random, i, ends.findIndex((groupEnd) => i < groupEnd), run, tokens),
  );
  const normal = (length: number, scale: number) =>
    Float32Array.from({ length }, () => Number.isFinite(run.divergesAt) ? NaN : scale * random.gaussian());
  const tensor = (tensorName: string, shape: number[], data: Float32Array) => ({
    name: tensorName,
    dtype: "F32" as const,
    shape,
    data,
  }); // deno-fmt-ignore
  const header = "feature,group,fires,density,mean_activation,max_activation,sample_count,encoder_norm,decoder_norm," +
    "encoder_bias,encoder_decoder_cosine,top_token_id,top_token,top_token_share,token_entropy_bits,dead," +
    "main_token_id,main_token,main_token_share,main_token_share_most,main_token_occurrences";
  const write = (file: string, text: string) => Deno.writeTextFile(join(path, file), text);
  await writeConfig(path, config(run, tokens));
  await write("metrics.csv", csvFormatRows(metricsRows(random, run, ends)) + "\n");
  await write("evaluation.json", JSON.stringify(evaluation(run, ends), null, 2));
  await write("samples.jsonl", features.map(({ line }) => line + "\n").join(""));
  await write("features.csv", csvFormatRows([header.split(","), ...features.map(({ row }) => row)]) + "\n");
  await writeSafetensors(join(path, "transcoder.safetensors"), [
    tensor("W_enc", [run.dIn, end], normal(run.dIn * end, 0.19)),
    tensor("b_enc", [end], normal(end, 0.05)),
    tensor("W_dec", [end, run.dOut], normal(end * run.dOut, 0.14)),
    tensor("b_dec", [run.dOut], normal(run.dOut, 0.3)),
    tensor("threshold", [end], new Float32Array(end).fill(0.81)),
  ]);
  return path;
}

/** Reads and analyses a synthetic run, keeping the contexts of ten features. */
export async function analyzeSynthetic(path: string): Promise<TrainedAnalysis> {
  const { chosen: [transcoder] } = chooseTranscoders(await findTranscoders(path));
  const analysis = await analyzeTranscoder(transcoder, 10);
  if (isTrainedHere(analysis)) return analysis;
  throw new Error(`The training of ${path} is not known`);
}

/** The analysis of a run that is written, read and removed again. */
export async function syntheticAnalysis(changes: Partial<SyntheticRun> = {}): Promise<TrainedAnalysis> {
  const root = await Deno.makeTempDir();
  try {
    return await analyzeSynthetic(await writeSyntheticRun(root, "demo", changes));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

if (import.meta.main) {
  const [root, changes = "{}", name = "demo"] = Deno.args;
  console.log(await writeSyntheticRun(root, name, JSON.parse(changes)));
}
