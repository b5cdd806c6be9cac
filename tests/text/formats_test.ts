/** The same documents in every format: the same stream, from every place, with little of it in memory. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { parquetMetadata } from "hyparquet";
import { type BlockStart, VOLUME_START } from "../../core/text/blocks.ts";
import type { StreamPosition } from "../../core/text/contexts.ts";
import { type Block, openCorpus } from "../../core/text/corpus.ts";
import { memorySource } from "../../core/files/byte_source.ts";
import { FILE_START, readRecords } from "../../core/text/records.ts";
import {
  bytesOf,
  compressed,
  exposedGc,
  inEveryFormat,
  jsonl,
  openStream,
  parquet,
  readEpochs,
  readHeldOut,
  withFiles,
} from "./corpora.ts";

const TEXTS = Array.from(
  { length: 241 },
  (_, i) => `Text ${i}, “übrigens” 🌍: ${"the state of the Union ".repeat(i % 13)}`,
);
const FILES = inEveryFormat(TEXTS);
const recordOf = (document: string) => Number(/:(\d+)$/.exec(document)![1]);

for (const characters of [4000, 1e9]) {
  Deno.test(`blocks of ${characters} characters: every format gives the same batches, named after its own records`, () =>
    withFiles(FILES, async (folder) => {
      const paths = Object.keys(FILES).map((name) => join(folder, name));
      const train = await Promise.all(paths.map(async (path) => {
        const opened = await openStream([path], { characters });
        assert.equal(opened.isStreamed, characters < 1e9);
        const { ids, documents } = await readEpochs(opened, 2);
        return { ids, records: documents.map((set) => [...set].map(recordOf)) };
      }));
      for (const other of train) assert.deepEqual(other, train[0]);
      assert.ok(train[0].ids.length > 5000);
      const held = await Promise.all(paths.map(async (path) => {
        const parts = [
          await readHeldOut([path], "test", { characters }),
          await readHeldOut([path], "validation", { characters }),
        ];
        return parts.map((rows) => rows.map(({ document, ...row }) => ({ record: recordOf(document), ...row })));
      }));
      for (const other of held) assert.deepEqual(other, held[0]);
      const [test, validation] = held[0].map((rows) => new Set(rows.map(({ record }) => record)));
      const all = [...test, ...validation, ...new Set(train[0].records[0])].sort((a, b) => a - b);
      assert.deepEqual(all, TEXTS.map((_, i) => i + 1), "each is in one part");
      assert.ok(test.has(1) && validation.has(21));
      if (characters === 1e9) assert.deepEqual([...validation], [21, 61, 101, 141, 181, 221]);
    }));
}

for (const [name, content] of Object.entries({ ...FILES, "all.txt": bytesOf(TEXTS.join("\n")) })) {
  Deno.test(`${name}: a stream continued from any position equals the uninterrupted one`, () =>
    withFiles({ [`more/${name}`]: content, "zzz.jsonl": jsonl(TEXTS) }, async (folder) => {
      const choice = { characters: 6000, context: 64 };
      const whole = await openStream([folder], choice);
      const rows: { ids: string; position: StreamPosition }[] = [];
      while (whole.stream.position.epoch < 2) {
        const { batch: { ids, document, position }, positions } = await whole.stream.next(1);
        rows.push({ ids: [...ids, ...document, ...position].join(), position: positions[0] });
      }
      assert.ok(new Set(rows.map(({ position: { volume, record } }) => `${volume} ${record}`)).size > 8);
      for (let row = 0; row + 4 < rows.length; row += 3) {
        const { stream } = await openStream([folder], { ...choice, start: rows[row].position });
        for (const { ids, position } of rows.slice(row + 1, row + 4)) {
          const { batch, positions } = await stream.next(1);
          assert.equal([...batch.ids, ...batch.document, ...batch.position].join(), ids, `after row ${row}`);
          assert.deepEqual(positions, [position]);
        }
      }
    }));
}

Deno.test("records: from any place on, whatever the pieces of the file", async () => {
  for (const [name, content] of Object.entries(FILES)) {
    const format = name.slice("part.".length) as "jsonl";
    const source = memorySource(name, content);
    const all = (await Array.fromAsync(readRecords(source, format, FILE_START))).flat();
    assert.deepEqual(all.map(({ text }) => text), TEXTS);
    assert.deepEqual(all.map(({ record }) => record), TEXTS.map((_, i) => i + 1));
    for (const { record, byte } of all.filter((_, i) => i % 40 === 7)) {
      const rest = (await Array.fromAsync(readRecords(source, format, { record, byte }))).flat();
      assert.deepEqual(rest, all.slice(record), `${name} from ${record}`);
    }
  }
  const drops = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (const byte of bytesOf(jsonl(TEXTS.slice(0, 9)).trimEnd())) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  const source = { ...memorySource("drops.jsonl", new Uint8Array()), stream: () => drops };
  const records = (await Array.fromAsync(readRecords(source, "jsonl", FILE_START))).flat();
  assert.deepEqual(records.map(({ text }) => text), TEXTS.slice(0, 9));
});

for (const isIndexed of [true, false]) {
  Deno.test(`parquet ${isIndexed ? "with" : "without"} an index of pages: only text is fetched, once, and none of the groups before`, async () => {
    const rows = Array.from({ length: 400 }, (_, i) => `${i} ${Math.sin(i)} `.repeat(30)),
      from = { record: 250, byte: 0 };
    const content = parquet(rows, 100, isIndexed), plain = memorySource("part.parquet", content), sizes: number[] = [];
    const source = { ...plain, read: (at: number, length: number) => (sizes.push(length), plain.read(at, length)) };
    const records = (await Array.fromAsync(readRecords(source, "parquet", from))).flat();
    assert.deepEqual(records.map(({ text }) => text), rows.slice(250));
    const fetched = sizes.slice(1).reduce((sum, length) => sum + length, 0); // behind the footer
    const groups = parquetMetadata(content.buffer).row_groups.slice(2);
    const bytes = groups.map(({ columns }) => Number(columns[1].meta_data!.total_compressed_size));
    if (!isIndexed) assert.equal(fetched, bytes[0] + bytes[1]);
    else {assert.ok(
        fetched > bytes[0] * 0.4 + bytes[1] && fetched < bytes[0] * 0.8 + bytes[1],
        `${fetched} of ${bytes}`,
      );}
  });
}

Deno.test("a long text is read a block at a time, and nothing of the blocks before is held", async () => {
  const line = JSON.stringify({ text: "the state of the Union is strong ".repeat(120) }) + "\n", characters = 2 ** 20;
  const lines = line.repeat(Math.floor(2 ** 25 / line.length));
  const texts = lines.trimEnd().split("\n").map((line) => JSON.parse(line).text);
  const files = { ...compressed(bytesOf(lines)), "a.jsonl": lines, "a.parquet": parquet(texts, 500) };
  const gc = await exposedGc();
  await withFiles(files, async (folder) => {
    for (const name of Object.keys(files)) {
      const corpus = await openCorpus([join(folder, name)], "train", characters), held: number[] = [];
      for (let start: BlockStart | null = VOLUME_START; start !== null;) {
        const { documents, next }: Block = await corpus.read(0, start);
        assert.ok(documents.reduce((sum, { text }) => sum + text.length, 0) <= characters, name);
        start = next;
        if (held.length % 10 === 4) gc();
        const { heapUsed, external } = Deno.memoryUsage();
        held.push(heapUsed + external);
      }
      assert.ok(held.length > 30, `${held.length} blocks of ${name}`);
      const growth = held[24] - held[4];
      assert.ok(
        growth < 4 * characters,
        `${name}: ${growth} bytes more are held after 20 blocks of ${characters} characters`,
      );
    }
  });
});
