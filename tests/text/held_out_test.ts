/** Held-out contexts: which rows are drawn of which documents, and what stands in them. */

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { NO_DOCUMENT, START } from "../../core/text/contexts.ts";
import type { Block } from "../../core/text/corpus.ts";
import { drawRows, HeldOutStream, shareDraws } from "../../core/text/held_out.ts";
import { uniform } from "../random.ts";
import { bytesOf, type HeldOutRow, jsonl, readHeldOut, tokenizer, withFiles } from "./corpora.ts";

const BOS = 2, EOS = 1;

/** Documents of such lengths; every id tells its document and place. */
function streamOf(lengths: readonly number[], context: number, tokens: number): HeldOutStream {
  const documents = lengths.map((length, number) => ({ number, text: `${number} ${length}` }));
  const encode = (text: string) => {
    const [number, length] = text.split(" ").map(Number);
    return Uint32Array.from({ length }, (_, i) => 1000 * (number + 1) + i);
  };
  const source = { volumes: 1, blocks: [1], read: () => Promise.resolve({ documents, key: [], next: null }) };
  return new HeldOutStream({ source, encode, context, bosId: BOS, eosId: EOS, tokens });
}

Deno.test("a row has one document behind BOS and is filled up behind its end; every token comes once", async () => {
  const stream = streamOf([5, 0, 4, 1], 5, Infinity);
  const { batch: { contexts, ids, document, position }, positions } = await stream.next(100);
  const fill = NO_DOCUMENT;
  assert.deepEqual([...ids], [
    ...[BOS, 1000, 1001, 1002, 1003],
    ...[BOS, 1004, EOS, EOS, EOS],
    ...[BOS, EOS, EOS, EOS, EOS],
    ...[BOS, 3000, 3001, 3002, 3003],
    ...[BOS, EOS, EOS, EOS, EOS],
    ...[BOS, 4000, EOS, EOS, EOS],
  ]);
  assert.deepEqual([...document], [
    ...[fill, 0, 0, 0, 0],
    ...[fill, 0, 0, fill, fill],
    ...[fill, 1, fill, fill, fill],
    ...[fill, 2, 2, 2, 2],
    ...[fill, 2, fill, fill, fill],
    ...[fill, 3, 3, fill, fill],
  ]);
  assert.deepEqual([...position], [
    ...[0, 0, 1, 2, 3],
    ...[0, 4, 5, 0, 0],
    ...[0, 0, 0, 0, 0],
    ...[0, 0, 1, 2, 3],
    ...[0, 4, 0, 0, 0],
    ...[0, 0, 1, 0, 0],
  ]);
  assert.deepEqual([contexts, positions], [6, Array(6).fill(START)]);
  assert.equal((await stream.next(3)).batch.contexts, 0, "nothing comes after the end");
});

Deno.test("runs of any length are one sequence", async () => {
  const lengths = [40, 3, 17, 90], whole = await streamOf(lengths, 7, 100).next(1000);
  const stream = streamOf(lengths, 7, 100), ids: number[] = [];
  for (let contexts = 1;; contexts++) {
    const { batch } = await stream.next(contexts);
    ids.push(...batch.ids);
    if (batch.contexts < contexts) break;
  }
  assert.deepEqual(ids, [...whole.batch.ids]);
});

Deno.test("draws: one for each item where there are enough, the rest by size, never more than there are", () => {
  assert.deepEqual(shareDraws([10, 10, 80], 10), [2, 1, 7]);
  assert.deepEqual(shareDraws([1, 1, 1, 1000], 4), [1, 1, 1, 1]);
  assert.deepEqual(shareDraws([1, 1, 1, 1000], 13), [1, 1, 1, 10]);
  assert.deepEqual(shareDraws([5, 5, 5, 5, 5, 5], 3), [1, 0, 1, 0, 1, 0], "evenly spaced");
  assert.deepEqual(shareDraws([300, 1, 1, 1], 3), [3, 0, 0, 0], "of few draws the long documents have their share");
  const next = uniform(4);
  for (let trial = 0; trial < 300; trial++) {
    const sizes = Array.from({ length: 1 + Math.floor(20 * next()) }, () => 1 + Math.floor(30 * next() ** 4));
    const all = sizes.reduce((a, b) => a + b),
      draws = Math.floor((all + 1) * next()),
      shares = shareDraws(sizes, draws);
    assert.equal(shares.reduce((a, b) => a + b), draws);
    shares.forEach((share, i) => assert.ok(share <= sizes[i] && share >= (draws >= sizes.length ? 1 : 0)));
    assert.deepEqual(shareDraws(sizes, all), sizes);
  }
});

Deno.test("rows: evenly spaced in a document, the fewest that hold what is asked for, all where that is less", () => {
  assert.deepEqual(drawRows([100, 50], 10, 60), [[1, 3, 6, 8], [1, 3]]);
  // The second row of the second document has one token.
  assert.deepEqual(drawRows([50, 11], 10, 40), [[0, 2, 4], [0, 1]]);
  assert.deepEqual(drawRows([25, 3], 10, 1e9), [[0, 1, 2], [0]]);
  assert.deepEqual(drawRows([25, 3], 10, Infinity), [[0, 1, 2], [0]]);
  const next = uniform(5);
  for (let trial = 0; trial < 300; trial++) {
    const lengths = Array.from({ length: 1 + Math.floor(9 * next()) }, () => 1 + Math.floor(200 * next() ** 3));
    const all = lengths.reduce((a, b) => a + b),
      tokens = 1 + Math.floor(all * next()),
      perRow = 1 + Math.floor(12 * next());
    const rows = drawRows(lengths, perRow, tokens);
    const held = rows.flatMap((places, d) => places.map((place) => Math.min(perRow, lengths[d] - place * perRow)));
    assert.ok(held.every((length) => length > 0) && rows.every((places) => new Set(places).size === places.length));
    assert.ok(held.reduce((a, b) => a + b, 0) >= tokens);
    assert.ok(held.length < Math.ceil(tokens / perRow) + lengths.length + 1, "no more than each document's end costs");
  }
});

const SAYINGS = ["peace", "work", "roads", "schools", "law"];
/** A text whose first documents are of another kind than the rest. */
const planted = Array.from(
  { length: 241 },
  (_, i) =>
    i < 60 ? `War and gold, ${i}. `.repeat(120) : `Speech ${i}. ${`We ask for ${SAYINGS[i % 5]}. `.repeat(5 + i % 40)}`,
);

/** Tokens of each document that has rows. */
function tokensByDocument(rows: readonly HeldOutRow[]): Map<string, number> {
  const tokens = new Map<string, number>();
  for (const { document, ids } of rows) tokens.set(document, (tokens.get(document) ?? 0) + ids.length);
  return tokens;
}

const total = (rows: readonly HeldOutRow[]) => rows.reduce((sum, { ids }) => sum + ids.length, 0);

Deno.test("a text whose first documents differ: of a third of the tokens every document has a third", () =>
  withFiles({ "a.jsonl": jsonl(planted) }, async (folder) => {
    for (const split of ["test", "validation"] as const) {
      const all = await readHeldOut([folder], split, { characters: 1e9 });
      const begin = split === "test" ? 0 : 20, numbers = planted.keys().toArray().filter((i) => i % 40 === begin);
      const whole = numbers.map((i) => [`a.jsonl:${i + 1}`, tokenizer.encode(planted[i]).length + 1] as const);
      assert.deepEqual([...tokensByDocument(all)], whole, "all of it is there");
      const part = await readHeldOut([folder], split, { characters: 1e9, tokens: total(all) / 3 });
      assert.ok(Math.abs(total(part) - total(all) / 3) < 45, `${total(part)} of ${total(all)}`);
      for (const [name, tokens] of whole) {
        assert.ok(Math.abs(tokensByDocument(part).get(name)! - tokens / 3) <= 16, name);
      }
      // What is drawn stands in the whole.
      const places = new Map(all.map((row) => [`${row.document} ${row.first}`, row.ids]));
      for (const { document, first, ids } of part) assert.deepEqual(ids, places.get(`${document} ${first}`));
    }
  }));

Deno.test("a folder sorted by name: the last files have their share too", async () => {
  const names = Array.from({ length: 100 }, (_, i) => `${String(1800 + 2 * i)}.txt`);
  await withFiles(Object.fromEntries(names.map((name, i) => [name, planted[2 * i]])), async (folder) => {
    const part = await readHeldOut([folder], "validation", { characters: 1e9, tokens: 150 });
    assert.deepEqual(new Set(part.map(({ document }) => document)), new Set(["1840.txt", "1920.txt"]));
    const first = await readHeldOut([folder], "test", { characters: 1e9, tokens: 3 * 15 });
    assert.deepEqual(first.map(({ document }) => document), ["1800.txt", "1880.txt", "1960.txt"]);
  });
});

Deno.test("a streamed text: every document of every volume and block has its share", async () => {
  const files = { "a.jsonl": jsonl(planted.slice(0, 60)), "b.jsonl.gz": gzipSync(bytesOf(jsonl(planted.slice(60)))) };
  await withFiles(files, async (folder) => {
    for (const split of ["test", "validation"] as const) {
      const all = await readHeldOut([folder], split, { characters: 10_000 }), whole = tokensByDocument(all);
      const volumes = new Set([...whole.keys()].map((name) => name.split(":")[0]));
      assert.deepEqual(volumes, new Set(["a.jsonl", "b.jsonl.gz"]));
      assert.ok(whole.size > 5, "there are several blocks");
      const part = await readHeldOut([folder], split, { characters: 10_000, tokens: total(all) / 3 });
      for (const [name, tokens] of whole) {
        // The short ones have a row each, and so a little more.
        assert.ok(Math.abs(tokensByDocument(part).get(name)! - tokens / 3) <= 16 + tokens / 10, name);
      }
    }
  });
});

Deno.test("of a text of many volumes sixteen blocks are read, from its beginning to its end", async () => {
  const read: number[] = [], volumes = 200;
  const blockOf = (volume: number, record: number): Block => ({
    documents: [{ number: 10 * volume + record, text: `${volume} ${record}` }],
    key: [volume, 0, record],
    next: record < 9 ? { file: 0, record: record + 1, byte: 0 } : null,
  });
  const source = {
    ...{ volumes, blocks: Array.from({ length: volumes }, () => 10) },
    read(volume: number, { record }: { record: number }) {
      read.push(10 * volume + record);
      return Promise.resolve(blockOf(volume, record));
    },
  };
  const encode = () => new Uint32Array(500).fill(7), options = { source, encode, bosId: BOS, eosId: EOS, context: 64 };
  const stream = new HeldOutStream({ ...options, tokens: 6300 });
  assert.deepEqual(read, [], "nothing is read before it is asked for");
  const { batch } = await stream.next(1000);
  assert.equal(read.length, 16);
  assert.ok(read[0] < 200 && read.at(-1)! > 1800 && read.every((number) => number % 10 === 0), read.join());
  assert.deepEqual(new Set(batch.document.filter((number) => number !== NO_DOCUMENT)), new Set(read));
  // Few volumes give more blocks each, one after the other.
  read.length = 0;
  await new HeldOutStream({ ...options, source: { ...source, volumes: 3, blocks: [10, 10, 60] }, tokens: 6300 }).next(
    1,
  );
  assert.deepEqual(read, [0, 1, 2, 10, 11, ...Array.from({ length: 10 }, (_, i) => 20 + i)]);
  // A large evaluation reads more of them.
  read.length = 0;
  await new HeldOutStream({ ...options, tokens: 40 * 2 ** 16 }).next(1);
  assert.equal(read.length, 40);
});

Deno.test("few documents, and one: both parts have some, training what it always had", async () => {
  const speech = planted.slice(60, 80).join("\n");
  await withFiles({ "one.txt": speech }, async (folder) => {
    const [test, validation] = [await readHeldOut([folder], "test"), await readHeldOut([folder], "validation")];
    assert.deepEqual(new Set(test.map(({ document }) => document)), new Set(["one.txt#1"]));
    assert.deepEqual(new Set(validation.map(({ document }) => document)), new Set(["one.txt#21"]));
    const text = (rows: readonly HeldOutRow[]) => tokenizer.decode(rows.flatMap(({ ids }) => ids).slice(0, -1));
    assert.ok(speech.startsWith((text(test) + text(validation)).trimEnd()));
    assert.ok(Math.abs(total(test) - total(validation)) < 20, `${total(test)}, ${total(validation)}`);
  });
  await withFiles({ "few.jsonl": jsonl([planted[70], planted[80], planted[95]]) }, async (folder) => {
    for (const split of ["test", "validation"] as const) {
      assert.ok(total(await readHeldOut([folder], split)) > 5, split);
    }
  });
});
