/** Texts written to files in every format, and streams over them. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { builtinModel } from "../../core/builtin/model.ts";
import { UserError } from "../../core/errors.ts";
import { NO_DOCUMENT, type StreamPosition } from "../../core/text/contexts.ts";
import { openCorpus } from "../../core/text/corpus.ts";
import { documentName } from "../../core/text/documents.ts";
import type { TextReading } from "../../core/text/reading.ts";
import { HeldOutStream } from "../../core/text/held_out.ts";
import type { HeldOutSplit } from "../../core/text/split.ts";
import { ContextStream } from "../../core/text/stream.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";

export const tokenizerFiles = await builtinModel();
export const tokenizer = loadTokenizer(tokenizerFiles);

/** Runs `test` in a temporary folder with these files (name -> content). */
export async function withFiles(
  files: Record<string, string | Uint8Array>,
  test: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mtc-text-" });
  try {
    for (const [name, content] of Object.entries(files)) {
      await Deno.mkdir(dirname(join(folder, name)), { recursive: true });
      await Deno.writeFile(join(folder, name), typeof content === "string" ? bytesOf(content) : content);
    }
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

export const bytesOf = (text: string) => new TextEncoder().encode(text);

export function concatenated(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Bytes as a stream of pieces. */
export const inPieces = (bytes: Uint8Array<ArrayBuffer>, length: number): ReadableStream<Uint8Array<ArrayBuffer>> =>
  ReadableStream.from(
    Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) => bytes.slice(i * length, (i + 1) * length)),
  );

export const jsonl = (texts: readonly string[]) => texts.map((text) => JSON.stringify({ text }) + "\n").join("");

/** A parquet file of a column beside the text; with or without an index of its pages. */
export const parquet = (texts: readonly (string | null)[], rowGroupSize = 100, offsetIndex = true) =>
  new Uint8Array(parquetWriteBuffer({
    columnData: [
      { name: "id", data: texts.map((_, i) => i), type: "INT32" },
      { name: "text", data: [...texts], type: "STRING", nullable: true, offsetIndex },
    ],
    rowGroupSize,
    pageSize: 2000,
  }));

export const compressed = (content: Uint8Array) => ({
  "a.jsonl.gz": gzipSync(content, { level: 1 }),
  "a.jsonl.zst": zstdCompressSync(content),
});

/** The same documents in each format that has many in a file; compressed files have two parts. */
export function inEveryFormat(texts: readonly string[]): Record<string, Uint8Array> {
  const half = texts.length >> 1;
  const parts = [texts.slice(0, half), texts.slice(half)].map((part) => bytesOf(jsonl(part)));
  return {
    "part.jsonl": concatenated(...parts),
    "part.jsonl.gz": concatenated(...parts.map((part) => gzipSync(part))),
    "part.jsonl.zst": concatenated(...parts.map((part) => zstdCompressSync(part))),
    "part.parquet": parquet(texts),
  };
}

/** What a test looks at: one line per token. */
export interface Opened {
  readonly stream: ContextStream;
  readonly isStreamed: boolean;
  name(document: number): string;
}

export interface Choice {
  readonly seed?: number | null;
  readonly context?: number;
  readonly characters?: number;
  readonly start?: StreamPosition;
  readonly reading?: TextReading;
}

/** Opens a training stream over files as the Worker does, with smaller blocks and sections. */
export async function openStream(paths: string[], choice: Choice = {}): Promise<Opened> {
  const { seed = 5, context = 16, characters = 4000, start, reading } = choice;
  const corpus = await openCorpus(paths, "train", characters, reading);
  const stream = await ContextStream.open({
    ...{ source: corpus, encode: tokenizer.encode, sectionCharacters: 200 },
    ...{ context, bosId: tokenizer.bosId, eosId: tokenizer.eosId, seed, start, reading },
  });
  return {
    stream,
    isStreamed: corpus.names.kind === "numbered",
    name: (document) => documentName(corpus.names, document),
  };
}

/** A row of a held-out part: its document's name, where in it the row begins, and its tokens without BOS and what fills it up. */
export interface HeldOutRow {
  readonly document: string;
  readonly first: number;
  readonly ids: readonly number[];
}

/** Reads a held-out part of files as the Worker does, with smaller blocks. */
export async function readHeldOut(
  paths: string[],
  split: HeldOutSplit,
  { context = 16, characters = 4000, tokens = Infinity } = {},
): Promise<HeldOutRow[]> {
  const { encode, bosId, eosId } = tokenizer;
  const source = await openCorpus(paths, split, characters);
  const stream = new HeldOutStream({ source, encode, context, bosId, eosId, tokens });
  const rows: HeldOutRow[] = [];
  for (;;) {
    const { batch: { contexts, ids, document, position } } = await stream.next(3);
    for (let row = 0; row < contexts; row++) {
      const begin = row * context, at = begin + 1, end = at + context - 1;
      const held = document.subarray(at, end).indexOf(NO_DOCUMENT), behind = held === -1 ? end : at + held;
      assert.deepEqual([ids[begin], document[begin], position[begin]], [bosId, NO_DOCUMENT, 0], "BOS is in front");
      assert.equal(new Set(document.subarray(at, behind)).size, 1, "a row has one document");
      assert.ok(document.subarray(behind, end).every((number) => number === NO_DOCUMENT));
      assert.deepEqual(
        [...position.subarray(at, behind)],
        Array.from(ids.subarray(at, behind), (_, i) => position[at] + i),
      );
      rows.push({
        document: documentName(source.names, document[at]),
        first: position[at],
        ids: [...ids.subarray(at, behind)],
      });
    }
    if (contexts < 3) return rows;
  }
}

/** Reads until the stream has come to an epoch; gives the documents of each epoch by name, and the rows' positions. */
export async function readEpochs(
  { stream, name }: Opened,
  epochs: number,
): Promise<{ ids: number[]; documents: Set<string>[]; positions: StreamPosition[] }> {
  const ids: number[] = [], positions: StreamPosition[] = [];
  const documents = Array.from({ length: epochs }, () => new Set<string>());
  for (;;) {
    const { epoch } = stream.position;
    if (epoch >= epochs) return { ids, documents, positions };
    const run = await stream.next(1);
    // A row across the end of an epoch belongs to both.
    if (run.positions[0].epoch === epoch) {
      run.batch.document.subarray(1).forEach((document) => documents[epoch].add(name(document)));
    }
    ids.push(...run.batch.ids);
    positions.push(...run.positions);
  }
}

/** Collects garbage when called, as V8 does when asked to. */
export async function exposedGc(): Promise<() => void> {
  const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([import("node:v8"), import("node:vm")]);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}

/** The promise must fail with one sentence that matches. */
export async function assertRefused(promise: Promise<unknown>, message: RegExp, what = ""): Promise<void> {
  await assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof UserError, `${error.stack}`);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"), error.message);
    return true;
  }, what);
}
