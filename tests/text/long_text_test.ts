/** Texts, lists and tables of any size are read a part at a time, and what no part can hold is told. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { memorySource } from "../../core/files/byte_source.ts";
import type { TextFormat } from "../../core/files/text_formats.ts";
import { type BlockStart, VOLUME_START } from "../../core/text/blocks.ts";
import { type Block, openCorpus } from "../../core/text/corpus.ts";
import { documentName } from "../../core/text/documents.ts";
import { cutText } from "../../core/text/parts.ts";
import { readRecords } from "../../core/text/records.ts";
import { MOST_RECORD_BYTES } from "../../core/text/utf8.ts";
import { assertRefused, bytesOf, concatenated, exposedGc, inPieces, tokenizer, withFiles } from "./corpora.ts";
import { everyRecord } from "./every_record.ts";

/** The parts of a text that stays whole up to 300 bytes, in parts of 100, as its bytes come in pieces of a length. */
async function partsOf(text: string | Uint8Array, length: number): Promise<string[]> {
  const bytes = typeof text === "string" ? bytesOf(text) : new Uint8Array(text);
  const parts = await Array.fromAsync(cutText(inPieces(bytes, length), 300, 100));
  assert.ok(parts.every(({ isWhole, part }) => isWhole === (parts.length === 1) && (isWhole || part.length <= 100)));
  assert.deepEqual(concatenated(...parts.map(({ part }) => part)), bytes);
  return parts.map(({ part }) => new TextDecoder().decode(part));
}

Deno.test("a short text is whole; a long one is cut behind lines or in front of spaces, whatever the pieces, and keeps its tokens", async () => {
  const words = (count: number, end: string) =>
    Array.from({ length: count }, (_, i) => `Union ${"x".repeat(i % 7)} ist “stark”${end}`);
  const texts = {
    lines: words(40, "\n").join(""),
    "blank lines": words(40, "\n\n\n").join(""),
    spaces: words(40, " ").join(""),
    "many spaces": words(40, "      ").join(""),
    both: words(40, "").join(" \n "),
  };
  for (const [name, text] of Object.entries(texts)) {
    const parts = await partsOf(text, 64);
    assert.ok(parts.length >= 10, name);
    for (const length of [1, 7, 100, 101, 5000]) assert.deepEqual(await partsOf(text, length), parts, name);
    assert.deepEqual(parts.flatMap((part) => [...tokenizer.encode(part)]), [...tokenizer.encode(text)], name);
    for (const part of parts.slice(0, -1)) {
      assert.ok(name === "spaces" || name === "many spaces" || /\n$/.test(part), name);
    }
  }
  const run = `${"word ".repeat(19)}\n\n\n\n\n\n\n\n${"x".repeat(400)}`;
  assert.equal((await partsOf(run, 9))[0], "word ".repeat(18) + "word", "not inside of a run of line ends");
  assert.deepEqual(await partsOf("x".repeat(300), 10), ["x".repeat(300)]);
  assert.deepEqual((await partsOf("x".repeat(301), 10)).map(({ length }) => length), [100, 100, 100, 1]);
  // Without spaces a cut may fall between two tokens that were one, never inside of a character.
  for (const part of await partsOf("ü–🌍".repeat(99), 13)) assert.ok(!part.includes("\ufffd"));
  await partsOf(new Uint8Array(400).fill(0x80), 9);
});

const SENTENCE = "The state of the Union is strong, and its people are one. ";
/** A text of many megabytes. */
const longText = (bytes: number, end = "") =>
  (SENTENCE.repeat(20) + end).repeat(Math.ceil(bytes / (SENTENCE.length * 20)));

Deno.test("E1, F3: a text of one file, of one line or many, compressed or not, is read in parts with names of their own, and never held whole", async () => {
  const text = longText(70e6),
    files = {
      "line.txt": text,
      "lines.txt": longText(70e6, "\n"),
      "line.txt.gz": gzipSync(bytesOf(text), { level: 1 }),
      "line.txt.zst": zstdCompressSync(bytesOf(text)),
    };
  const gc = await exposedGc();
  await withFiles(files, async (folder) => {
    for (const name of Object.keys(files)) {
      gc();
      const corpus = await openCorpus([join(folder, name)], "train"), held: number[] = [], names: string[] = [];
      const { external, heapUsed } = Deno.memoryUsage();
      let characters = 0;
      for (let start: BlockStart | null = VOLUME_START; start !== null;) {
        const { documents, next }: Block = await corpus.read(0, start);
        characters += documents.reduce((sum, { text }) => sum + text.length, 0);
        names.push(...documents.map(({ number }) => documentName(corpus.names, number)));
        if (start.record > 0) {
          const again = await (await openCorpus([join(folder, name)], "train")).read(0, start);
          assert.deepEqual(again.documents[0], documents[0], "found again from its start");
        }
        start = next;
        gc();
        held.push(Deno.memoryUsage().external - external + Deno.memoryUsage().heapUsed - heapUsed);
      }
      assert.ok(held.length === 3 && characters > 0.9 * 70e6 && characters < 70e6, `${name}: ${held.length}`);
      assert.deepEqual([names[0], names.at(-1)!.split("#")[0]], [`${name}#2`, name]);
      assert.equal(new Set(names).size, names.length);
      assert.ok(Math.max(...held) < 6e7, `${name}: ${held}`);
    }
  });
});

const formatOf = (name: string) => name.slice(name.indexOf(".") + 1) as TextFormat;
const recordsOf = async (name: string, content: string | Uint8Array<ArrayBuffer>, from = 0, length = 2 ** 20) => {
  const bytes = typeof content === "string" ? bytesOf(content) : content, source = memorySource(name, bytes);
  const place = { record: from, byte: 0 };
  const file = { ...source, stream: (at: number) => inPieces(bytes.subarray(at), length) };
  return (await Array.fromAsync(readRecords(file, formatOf(name), place))).flat();
};

Deno.test("tables and lists: the same records whatever the pieces of the file, and from anywhere on", async () => {
  const contents = {
    "a.csv":
      '\ufeffid,text\r\n1,"first, ""quoted""\r\nin two lines"\r\n\r\n2,third\n3,a "quote" inside\r4,"ü–🌍"\n5,""\n6,last',
    "a.tsv": "text\tid\nfirst\t1\nsecond, with a comma\t2\n",
    "a.json":
      '\ufeff [ "first" ,\n{"text": "a \\"]\\" and \\\\", "more": [1, {"x": "}"}]}, null, {"text": "ü–🌍", "n": NaN},"" ] \n',
  };
  const expected = {
    "a.csv": [[1, 'first, "quoted"\r\nin two lines'], [3, "third"], [4, 'a "quote" inside'], [5, "ü–🌍"], [7, "last"]],
    "a.tsv": [[1, "first"], [2, "second, with a comma"]],
    "a.json": [[1, "first"], [2, 'a "]" and \\'], [4, "ü–🌍"]],
  };
  for (const [name, content] of Object.entries(contents)) {
    for (const length of [1, 2, 5, 2 ** 20]) {
      const all = await recordsOf(name, content, 0, length), bad = all.filter(({ bad }) => bad);
      assert.deepEqual(bad.map(({ bad }) => bad!.where), name === "a.json" ? ["a.json entry 3"] : []);
      const found = all.filter(({ bad }) => !bad).map(({ record, text }) => [record, text]);
      assert.deepEqual(found, expected[name as "a.csv"], `${name} in pieces of ${length}`);
      for (const { record } of all) {
        assert.deepEqual(await recordsOf(name, content, record, length), all.filter((other) => other.record > record));
      }
    }
  }
  assert.deepEqual(await recordsOf("a.json", " [ ] "), []);
  const [first, second] = await recordsOf("a.csv", "text\nfirst\nsec\0ond\n");
  assert.deepEqual([first.text, second.bad!.where, second.bad!.requirement], [
    "first",
    "a.csv row 2",
    "text must have no NUL characters",
  ]);
  const refused = {
    "": "is empty",
    " ": "is empty",
    "[": "not end",
    '["a"': "not end",
    "[1,]": "entry",
    '["a"] x': "follows",
  };
  for (const [content, told] of Object.entries({ ...refused, "[}]": "entry", '{"text": "a"}': "is no list" })) {
    await assertRefused(
      recordsOf("a.json", content),
      new RegExp(`a\\.json: it must be a JSON list .*${told}`),
      content,
    );
  }
});

Deno.test("a record longer than memory is meant for holds no text, whatever holds it, and the others are read", async () => {
  const long = "a ".repeat(MOST_RECORD_BYTES / 2 + 9);
  const contents = {
    "a.jsonl": [`{"text": "first"}\n{"text": "`, `"}\n{"text": "third"}\n`],
    "a.json": [`["first", "`, `", "third"]`],
    "a.csv": [`text\nfirst\n"`, `"\nthird\n`],
    "b.csv": [`id,text\n1,first\n2,`, `\n3,third\n`],
  };
  for (const [name, [before, behind]] of Object.entries(contents)) {
    const records = await recordsOf(name, before + long + behind);
    assert.deepEqual(records.map(({ text }) => text), ["first", "", "third"], name);
    const source = memorySource(name, bytesOf(before + long + behind));
    const told =
      /(line|entry|row) 2: one document holds at most 33554432 bytes, this one has \d+; leave out .* --bad-lines 100, or cut it into several$/;
    await assertRefused(everyRecord(source, formatOf(name)), told, name);
  }
});

Deno.test("F3: eight gigabytes of zeros in 280 kB, and files that are longer than any disk, are told at once and in little memory", async () => {
  const gigabyte = zstdCompressSync(new Uint8Array(2 ** 30)), bomb = concatenated(...Array(8).fill(gigabyte));
  assert.ok(bomb.length < 300e3);
  const kinds = {
    "a.jsonl": /a\.jsonl\.zst line 1: one document holds at most/,
    "a.txt": /a\.txt\.zst part 1: text must have no NUL characters, character 1 of this one is one/,
  };
  for (const [name, told] of Object.entries(kinds)) {
    await withFiles({ [`${name}.zst`]: bomb }, async (folder) => {
      const before = Deno.memoryUsage().rss, begun = performance.now();
      await assertRefused(openCorpus([join(folder, `${name}.zst`)], "train"), told);
      const grown = Deno.memoryUsage().rss - before, seconds = (performance.now() - begun) / 1000;
      assert.ok(grown < 5e8 && seconds < 20, `${name}: ${grown} bytes more, ${seconds} s`);
    });
  }
});
