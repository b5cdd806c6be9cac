/**
 * What is fuzzed: every reader of files that come from elsewhere, with sound files to damage, and what it must not take for sound.
 * @module
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { readingFor } from "../../commands/options.ts";
import { SampleStore } from "../../core/analysis/samples.ts";
import { builtinModel } from "../../core/builtin/model.ts";
import { openFile } from "../../core/files/byte_source.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { openShards } from "../../core/files/tensor_source.ts";
import type { TextFormat } from "../../core/files/text_formats.ts";
import { downloadAll, type Gpu, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { parseConfig } from "../../core/model/config.ts";
import { Embedding } from "../../core/model/embedding.ts";
import { reachOf } from "../../core/model/reach.ts";
import { requireTensors } from "../../core/model/weights.ts";
import { analyzeTranscoder } from "../../core/runs/analysed.ts";
import { readConfig } from "../../core/runs/config.ts";
import { openFinishedRun } from "../../core/runs/finished.ts";
import { VOLUME_START } from "../../core/text/blocks.ts";
import { openCorpus } from "../../core/text/corpus.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { findForeign } from "../../core/transcoder/formats/foreign.ts";
import { readCheckpoint, writeCheckpoint } from "../../core/training/checkpoint.ts";
import { createTrainingState, stateTensors } from "../../core/training/state.ts";
import { type Transcoder, zeroWeights } from "../../core/transcoder/weights.ts";
import { analysisReport } from "../../reports/markdown/analysis_report.ts";
import { trainingSummary } from "../../reports/markdown/training_summary.ts";
import golden from "../golden/tokenizer.json" with { type: "json" };
import { writeSyntheticRun } from "../reports/synthetic_run.ts";
import { everyRecord } from "../text/every_record.ts";
import {
  circuitTracer,
  type ForeignFiles,
  gemmaScope,
  gemmaScope2,
  saelens,
  sparsify,
  writeForeign,
} from "../transcoder/formats/foreign_files.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";
import {
  BYTE_MUTATORS,
  CSV_MUTATORS,
  JSON_MUTATORS,
  LINES_MUTATORS,
  type Mutator,
  SAFETENSORS_MUTATORS,
} from "./mutate.ts";

/** The files of a sound input, by their paths in a directory. */
export type Files = Readonly<Record<string, Uint8Array>>;

/** A reader that is fuzzed. */
export interface Reader {
  /** Sound inputs. */
  seeds(): Promise<readonly Files[]>;
  /**
   * Reads an input that lies in a directory.
   *
   * @returns What was read, in a few words that tell it from others.
   * @throws {UserError} When it refuses it.
   */
  read(directory: string, files: Files): Promise<string>;
  /** Whether checksums lie in the input, so that what is read of a damaged one is what was read of the sound one. */
  readonly isSummed?: true;
  /** What is wrong with an input that was taken for sound, found in another way; null when nothing is. */
  fault?(files: Files, read: string): string | null;
  /** The paths that are damaged; all if left out. */
  readonly damaged?: RegExp;
}

const encode = (text: string) => new TextEncoder().encode(text);
const at = (path: string) => new URL(`../golden/${path}`, import.meta.url);

/** The files of a directory, by name. */
async function filesIn(directory: URL | string, prefix = ""): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {}, root = typeof directory === "string" ? directory : directory.pathname;
  for (const { name, isFile, isDirectory } of [...Deno.readDirSync(root)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (isFile) files[prefix + name] = await Deno.readFile(join(root, name));
    if (isDirectory) Object.assign(files, await filesIn(join(root, name), `${prefix}${name}/`));
  }
  return files;
}

/** The damage that suits a file. */
export function mutatorsFor(path: string): Readonly<Record<string, Mutator>> {
  if (path.endsWith(".jsonl")) return { ...BYTE_MUTATORS, ...LINES_MUTATORS };
  if (path.endsWith(".json")) return { ...JSON_MUTATORS, ...BYTE_MUTATORS };
  if (path.endsWith(".csv")) return { ...BYTE_MUTATORS, ...CSV_MUTATORS };
  if (path.endsWith(".safetensors")) return { ...BYTE_MUTATORS, ...SAFETENSORS_MUTATORS };
  return BYTE_MUTATORS;
}

const TEXTS = Array.from(
  { length: 40 },
  (_, i) => `Text ${i}, “übrigens” 🌍: ${"the state of the Union ".repeat(i % 4)}`,
);
const LINES = TEXTS.map((text, i) => JSON.stringify({ id: i, text })).join("\n") + "\n";

/** A reader of one text file. */
function textReader(
  format: TextFormat,
  seeds: () => Promise<readonly Uint8Array[]>,
  more: Pick<Reader, "isSummed" | "fault"> = {},
): Reader {
  const name = `a.${format}`;
  return {
    seeds: async () => (await seeds()).map((bytes) => ({ [name]: bytes })),
    async read(directory) {
      const file = await openFile(join(directory, name));
      try {
        const records = await everyRecord(file, format);
        return JSON.stringify(records.map(({ record, text }) => [record, text]));
      } finally {
        await file.close();
      }
    },
    ...more,
  };
}

/** A file with checksums beside a whole one, read as a command reads them that was not told of `--bad-lines`: what is lost must be told. */
const AMONG_OTHERS: Reader = {
  seeds: async (): Promise<Files[]> => [
    { "a.jsonl.gz": gzipSync(LINES) },
    { "a.jsonl.zst": zstdCompressSync(LINES, { params: { 201: 1 } }) },
    ...Object.values(await filesIn(at("parquet"))).map((bytes) => ({ "a.parquet": bytes })),
  ],
  async read(directory) {
    const [name] = (await readdir(directory)).filter((name) => name.startsWith("a."));
    const data = [join(directory, name), join(directory, "b.jsonl")];
    await Deno.writeTextFile(data[1], LINES);
    const corpus = await openCorpus(data, "train", undefined, readingFor({}, data));
    const { documents } = await corpus.read(0, VOLUME_START);
    return JSON.stringify([corpus.summary.documents, documents.map(({ text }) => text)]);
  },
  isSummed: true,
};

/** Every line that is not blank and holds a text must be there, and no other; a null is an empty text. */
function faultOfLines(bytes: Uint8Array, read: string): string | null {
  const lines = new TextDecoder("utf-8", { fatal: true }).decode(bytes).split("\n");
  const expected = lines.flatMap((line, i) => {
    if (line.trim() === "") return [];
    const { text } = JSON.parse(line);
    return text === "" || text === null ? [] : [[i + 1, text]];
  });
  return JSON.stringify(expected) === read ? null : "other records are read than the lines hold";
}

/** The tensors of a header must lie side by side and fill the file. */
function faultOfTensors(bytes: Uint8Array): string | null {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const spans = Object.entries(header).flatMap(([name, entry]) =>
    name === "__metadata__" ? [] : [(entry as { data_offsets: [number, number] }).data_offsets]
  ).sort(([a, c], [b, d]) => a - b || c - d);
  let reached = 0;
  for (const [from, to] of spans) {
    if (from !== reached || to < from) return `a tensor lies from ${from} to ${to}, behind ${reached}`;
    reached = to;
  }
  return reached === bytes.length - 8 - length ? null : `tensors end at ${reached} of ${bytes.length - 8 - length}`;
}

const READABLE = ["F32", "F16", "BF16", "I32", "U32"];

const parquet = (codec: "UNCOMPRESSED" | "SNAPPY") =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: [{ name: "text", data: TEXTS, type: "STRING" }, {
        name: "id",
        data: TEXTS.map((_, i) => i),
        type: "INT32",
      }],
      codec,
      rowGroupSize: 15,
      pageSize: 500,
    }),
  );

/** A reader of transcoders that other tools wrote. */
function foreignReader(
  written: (transcoder: Transcoder) => ForeignFiles[],
  more: Pick<Reader, "fault" | "isSummed">,
): Reader {
  return {
    async seeds() {
      const directory = await Deno.makeTempDir(), seeds: Files[] = [];
      try {
        for (const [i, files] of written(randomTranscoder({ d_in: 8, d_out: 8, groups: [7] }, 0.5, 1)).entries()) {
          await writeForeign(join(directory, String(i), "layers.4.mlp"), files);
          seeds.push(await filesIn(join(directory, String(i))));
        }
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
      return seeds;
    },
    async read(directory) {
      const [place] = await findForeign(join(directory, "layers.4.mlp")), foreign = await place.open();
      try {
        const { shape, weights, thresholds, topK } = await foreign.read();
        const { encoder, encoderBias, decoder, decoderBias } = weights;
        const numbers = [encoder, encoderBias, decoder, decoderBias].map((values) => [...values]);
        return JSON.stringify([foreign.tool, foreign.source, foreign.target, shape, topK, numbers, [...thresholds]]);
      } finally {
        await foreign.close();
      }
    },
    ...more,
  };
}

/** What is read must be numbers; JSON writes null for others. Only the hooks may be none, and infinite thresholds. */
function faultOfNumbers(read: string): string | null {
  const [, , , shape, , numbers] = JSON.parse(read);
  if (/null/.test(JSON.stringify(numbers))) return "it holds weights that are none";
  const features = shape.groups.reduce((sum: number, size: number) => sum + size, 0);
  return numbers[1].length === features ? null : "its groups do not add up to its features";
}

const SHAPE = { d_in: 8, d_out: 4, groups: [2, 5] }, FEATURES = 7, CAPACITY = 4, STEP = 10, VOCABULARY = 500;
let device: Promise<Gpu> | undefined;

/** Writes a checkpoint and returns its files; those of an older mtc have no checksums. */
async function checkpoint(hasSums: boolean): Promise<Files> {
  const gpu = await (device ??= openGpu()), directory = await Deno.makeTempDir();
  try {
    const samples = new SampleStore(FEATURES, CAPACITY), numbers = Uint32Array.from({ length: 30 }, (_, n) => n);
    const batch = { contexts: 1, context: 30, ids: numbers, document: new Uint32Array(30), position: numbers };
    for (let n = 0; n < 20; n++) samples.offer(n % 5, n / 7, n / 7, n, batch, 1 + n);
    const preparation = {
      source: { mean: new Float64Array(8), scale: new Float64Array(8).fill(1) },
      target: { mean: new Float64Array(4), scale: new Float64Array(4).fill(1) },
    };
    const state = createTrainingState(gpu, SHAPE, zeroWeights(SHAPE));
    const position = { epoch: 1, volume: 2, file: 3, record: 44, byte: 5, section: 22, token: 333 };
    const progress = { step: STEP, position, elapsed_s: 4.25 };
    await writeCheckpoint(gpu, { directory, preparation, shape: SHAPE, stepper: { state }, samples }, progress);
    const files = await filesIn(directory);
    if (hasSums) return files;
    return { ...files, [`checkpoints/step_000010/state.json`]: encode(JSON.stringify(progress)) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function readState(directory: string): Promise<string> {
  using gpu = openScope(await (device ??= openGpu()));
  const state = createTrainingState(gpu, SHAPE, zeroWeights(SHAPE)), samples = new SampleStore(FEATURES, CAPACITY);
  const { elapsed_s: _, ...progress } = await readCheckpoint(gpu, directory, STEP, state, samples, VOCABULARY);
  const tensors = await downloadAll(gpu, stateTensors(state).map(([, tensor]) => tensor));
  const kept = Array.from({ length: FEATURES }, (_, feature) => samples.samples(feature));
  return JSON.stringify([progress, tensors.map((bytes) => [...new Uint8Array(bytes)]), kept]);
}

/** What a terminal or a browser would take for more than text. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;

async function syntheticFiles(): Promise<Files> {
  const root = await Deno.makeTempDir();
  try {
    return await filesIn(
      await writeSyntheticRun(root, "demo", { groups: [4, 8, 4], dIn: 8, dOut: 4, steps: 60, samplesPerFeature: 4 }),
    );
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const directoryFiles = async (path: string) => [await filesIn(at(path))];

/** By the name of its row in the table. */
export const READERS: Readonly<Record<string, Reader>> = {
  "safetensors": {
    seeds: async () => Object.values(await filesIn(at("safetensors"))).map((bytes) => ({ "a.safetensors": bytes })),
    async read(directory) {
      const file = await openSafetensors(join(directory, "a.safetensors"));
      try {
        for (const [name, { dtype }] of file.tensors) if (READABLE.includes(dtype)) await file.read(name);
        return JSON.stringify([...file.tensors]);
      } finally {
        await file.close();
      }
    },
    fault: (files) => faultOfTensors(files["a.safetensors"]),
  },
  "model shards, index, config.json": {
    seeds: () => directoryFiles("gemma2/shards"),
    async read(directory) {
      const path = join(directory, "config.json"), config = parseConfig(await Deno.readFile(path), path);
      const weights = await openShards(directory);
      try {
        requireTensors(weights, config, reachOf([{ layer: config.layers - 1, site: "resid_post" }]), true);
        new Embedding(weights, config);
        return JSON.stringify([config, await weights.fingerprint()]);
      } finally {
        await weights.close();
      }
    },
  },
  "config.json of a model": {
    seeds: async () => [
      { "config.json": (await builtinModel()).config },
      ...["gemma2/untied", "gemma2/window"].map((path) => ({
        "config.json": Deno.readFileSync(new URL(`${at(path)}/config.json`)),
      })),
    ],
    read: (_, files) => Promise.resolve().then(() => JSON.stringify(parseConfig(files["config.json"], "config.json"))),
    fault(_, read) {
      const numbers = JSON.stringify(JSON.parse(read)).match(/-?\d[\d.e+-]*/g)!.map(Number);
      return numbers.every((n) => n >= 0 && n === Math.fround(n) || n < 1e30)
        ? null
        : "it has numbers that no kernel takes";
    },
  },
  "tokenizer.json, tokenizer_config.json": {
    async seeds() {
      const { tokenizerJson, tokenizerConfig } = await builtinModel();
      const names = encode(JSON.stringify({ bos_token: "<bos>", eos_token: { content: "<eos>" } }));
      return [
        { "tokenizer.json": encode(JSON.stringify(golden.crossing_spec)), "tokenizer_config.json": names },
        { "tokenizer.json": tokenizerJson, "tokenizer_config.json": tokenizerConfig },
      ];
    },
    read: (_, { "tokenizer.json": tokenizerJson, "tokenizer_config.json": tokenizerConfig }) =>
      Promise.resolve().then(() => {
        const tokenizer = loadTokenizer({ tokenizerJson, tokenizerConfig, vocabSize: 4096 });
        const ids = [...tokenizer.encode("The state of the <bos> Union, “übrigens” 🌍\n\t 42 \x01")];
        return JSON.stringify([ids, tokenizer.decode(ids), ids.map((id) => tokenizer.tokenText(id))]);
      }),
    fault(_, read) {
      const [ids] = JSON.parse(read) as [number[]];
      return ids.every((id) => Number.isInteger(id) && id >= 0 && id < 4096) ? null : `it gives the ids ${ids}`;
    },
  },
  ".jsonl": textReader("jsonl", () => Promise.resolve([encode(LINES)]), {
    fault: (files, read) => faultOfLines(files["a.jsonl"], read),
  }),
  ".txt": textReader("txt", () => Promise.resolve([encode(TEXTS.join("\n"))])),
  ".csv": textReader(
    "csv",
    () => Promise.resolve([encode("id,text\n" + TEXTS.map((text, i) => `${i},"${text}"\n`).join(""))]),
  ),
  ".json": textReader("json", () => Promise.resolve([encode(JSON.stringify(TEXTS.map((text) => ({ text }))))])),
  ".jsonl.gz": textReader("jsonl.gz", () => Promise.resolve([gzipSync(LINES)]), {
    fault: (files, read) => faultOfLines(gunzipSync(files["a.jsonl.gz"]), read),
  }),
  ".jsonl.zst": textReader(
    "jsonl.zst",
    () =>
      Promise.resolve([true, false].map((n) => zstdCompressSync(n ? LINES : LINES + LINES, { params: { 201: 1 } }))),
    { isSummed: true },
  ),
  ".parquet with checksums": textReader("parquet", async () => Object.values(await filesIn(at("parquet"))), {
    isSummed: true,
  }),
  ".parquet without": textReader("parquet", () => Promise.resolve([parquet("UNCOMPRESSED"), parquet("SNAPPY")])),
  "those with checksums among others": AMONG_OTHERS,
  "files of a run, and its reports": {
    seeds: async () => [await syntheticFiles()],
    async read(directory) {
      const config = await readConfig(directory);
      const name = { phrase: "layer 2", title: "Layer 2", file: "layer2" };
      const analysis = await analyzeTranscoder({ path: directory, config, name } as never, 3);
      const reports = analysisReport(analysis, new Date(0)) + trainingSummary(analysis, new Date(0));
      return reports.replaceAll(directory, "");
    },
    fault: (_, read) => CONTROL.test(read) ? "a report holds control characters" : null,
  },
  "finished run (encode, evaluate)": {
    seeds: async () => [await syntheticFiles()],
    async read(directory) {
      const [{ config, transcoder }] = await openFinishedRun(directory);
      return JSON.stringify([config, [...transcoder.weights.encoder], [...transcoder.thresholds]]);
    },
    damaged: /^(config\.json|transcoder\.safetensors)$/,
  },
  "imported npz": foreignReader((transcoder) => [gemmaScope(transcoder)], { isSummed: true }),
  "imported safetensors": foreignReader((transcoder) => [
    gemmaScope2(transcoder),
    saelens(transcoder, "jumprelu_transcoder", { matryoshka_widths: [2, 7] }),
    circuitTracer(transcoder, "activation: topk\nk: 3\n"),
    sparsify(transcoder, 3),
  ], { fault: (_, read) => faultOfNumbers(read) }),
  "checkpoint": { seeds: async () => [await checkpoint(true)], read: readState, isSummed: true },
  "checkpoint without checksums": {
    seeds: async () => [await checkpoint(false)],
    read: readState,
    fault: (_, read) => /null/.test(read) ? "it holds numbers that are none" : null,
  },
};
