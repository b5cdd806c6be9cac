/** Corpora: which files a text is made of, what its documents are called, how it is split, and what is refused. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { openCorpus } from "../../core/text/corpus.ts";
import { VOLUME_START } from "../../core/text/blocks.ts";
import { documentName, shareNumbers } from "../../core/text/documents.ts";
import { isSameText } from "../../core/text/summary.ts";
import { nameOfPath, pinPaths } from "../../core/text/files.ts";
import {
  assertRefused,
  bytesOf,
  inEveryFormat,
  jsonl,
  openStream,
  parquet,
  readEpochs,
  readHeldOut,
  withFiles,
} from "./corpora.ts";

/** All parts' documents of a corpus of one block, as name -> text. */
async function documentsOf(paths: string[]): Promise<Record<string, string>> {
  const parts = await Promise.all((["train", "test", "validation"] as const).map((split) => openCorpus(paths, split)));
  const found: [string, string][] = [];
  for (const { names, read } of parts) {
    const { documents } = await read(0, VOLUME_START);
    for (const { number, text } of documents) found.push([documentName(names, number), text]);
  }
  return Object.fromEntries(found.sort());
}

const texts = (count: number, name = "text") => Array.from({ length: count }, (_, i) => `${name} ${i} of ${count}`);

Deno.test("folders, text files and lines come in one order, each file once", async () => {
  const files = {
    "b.txt": "second\n",
    "a.txt": "\ufefffirst",
    "c.jsonl": '{"text": "third", "id": 1}\n\n{"text": ""}\r\n{"text": "fourth\\n"}',
    "d.jsonl": jsonl(texts(18)),
    "notes.md": "not text for us",
    "inner/z.txt": "in a folder inside",
    ".cache/hidden.txt": "not for us",
  };
  await withFiles(files, async (folder) => {
    const expected = Object.fromEntries([
      ["a.txt", "first"],
      ["b.txt", "second\n"],
      ["c.jsonl:1", "third"],
      ["c.jsonl:4", "fourth\n"],
      ...texts(18).map((text, i) => [`d.jsonl:${i + 1}`, text]),
      ["z.txt", "in a folder inside"],
    ].sort());
    assert.deepEqual(await documentsOf([folder]), expected);
    const given = ["d.jsonl", "c.jsonl", "inner", "b.txt", "a.txt", "b.txt", "inner/../a.txt"];
    const paths = given.map((name) => join(folder, name));
    assert.deepEqual(await documentsOf(paths), expected);
    const [one, other] = await Promise.all([[folder], [...paths, folder]].map((list) => openCorpus(list, "train")));
    assert.deepEqual(one.summary, other.summary);
    assert.deepEqual([one.summary.documents, one.summary.train_documents, one.summary.held_out_documents], [23, 21, 2]);
    assert.equal(one.summary.file_count, 5);
  });
});

Deno.test("files of one base name are named by their paths, pieces by their numbers", async () => {
  await withFiles({ "x/a.txt": "one two", "y/a.txt": "three four" }, async (folder) => {
    const [x, y] = ["x/a.txt", "y/a.txt"].map((name) => join(folder, name));
    assert.deepEqual(await documentsOf([join(folder, "y"), join(folder, "x")]), {
      [`${x}#1`]: "one",
      [`${x}#2`]: " two",
      [`${y}#1`]: "three",
      [`${y}#2`]: " four",
    });
  });
});

Deno.test("the built-in text: 233 addresses, the same held-out ones as in the model's training, in turn for test and validation", async () => {
  const { summary, names, read } = await openCorpus("builtin", "test");
  assert.deepEqual([summary.documents, summary.train_documents, summary.held_out_documents], [233, 221, 12]);
  assert.equal(summary.file_count, 0);
  assert.equal(documentName(names, 0), "1790_george_washington_n.txt");
  assert.match((await read(0, VOLUME_START)).documents[0].text, /^Fellow-Citizens of the Senate and House/);
  const validation = await openCorpus("builtin", "validation");
  assert.deepEqual(validation.summary, summary);
  const years = [names, validation.names].map((names) =>
    [0, 1, 2, 3, 4, 5].map((n) => parseInt(documentName(names, n)))
  );
  assert.deepEqual(years, [[1790, 1830, 1870, 1910, 1951, 1989], [1810, 1850, 1890, 1930, 1969, 2009]]);
});

Deno.test("the fingerprint tells texts apart: by their contents, or by their files' sizes and samples when they are streamed", async () => {
  const lines = texts(60);
  await withFiles({ "a.jsonl": jsonl(lines) }, async (folder) => {
    const path = join(folder, "a.jsonl");
    const summary = async (characters?: number) => (await openCorpus([path], "train", characters)).summary;
    const whole = await summary(), streamed = await summary(100);
    assert.deepEqual([streamed.documents, streamed.train_documents, streamed.held_out_documents], [null, null, null]);
    assert.deepEqual([streamed.bytes, streamed.file_count], [whole.bytes, 1]);
    assert.equal((await summary()).fingerprint, whole.fingerprint);
    await Deno.writeTextFile(path, jsonl(["Text 0 of 60", ...lines.slice(1)]));
    assert.notEqual((await summary()).fingerprint, whole.fingerprint);
    const edited = await summary(100);
    assert.equal(edited.fingerprint, streamed.fingerprint);
    assert.notEqual(edited.contents, streamed.contents);
    assert.ok(!isSameText(streamed, edited) && isSameText(streamed, streamed));
    assert.ok(isSameText({ ...streamed, contents: undefined }, edited), "an older mtc did not look into the files");
    await Deno.writeTextFile(path, jsonl([...lines, "more"]));
    assert.notEqual((await summary(100)).fingerprint, streamed.fingerprint);
  });
});

const long = (count: number, name: string) =>
  texts(count, name).map((text, i) => `${text}. ${"and so on ".repeat(i % 7)}`);

Deno.test("training never sees a held-out document, in any block, epoch or order", async () => {
  const files = {
    ...inEveryFormat(long(150, "document")),
    "books/long.txt": "a long line of a book\n".repeat(400),
    ...Object.fromEntries(texts(30).map((text, i) => [`small/${i}.txt`, `${text} `.repeat(20)])),
  };
  await withFiles(files, async (folder) => {
    const parts = await Promise.all((["test", "validation"] as const).map((split) => readHeldOut([folder], split)));
    const [test, validation] = parts.map((rows) => new Set(rows.map(({ document }) => document)));
    assert.ok(
      test.isDisjointFrom(validation) && test.size > 15 && validation.size > 15,
      `${test.size}, ${validation.size}`,
    );
    const held = test.union(validation);
    for (const seed of [null, 1, 2]) {
      const training = await openStream([folder], { seed, context: 2 });
      assert.ok(training.isStreamed);
      const { documents: [first, second] } = await readEpochs(training, 3);
      for (const name of held) assert.ok(!first.has(name) && !second.has(name), name);
      const all = new Set([...first, ...second, ...held]);
      for (
        const name of ["part.jsonl:150", "part.jsonl.gz:77", "part.jsonl.zst:1", "part.parquet:149", "long.txt#20"]
      ) {
        assert.ok(all.has(name), `${name} is in neither`);
      }
      assert.equal(first.symmetricDifference(second).size, 0, "each epoch has all of it");
    }
  });
});

Deno.test("numbers of documents: each file has its share, names come back", () => {
  const sizes = [0, 10, 5e12, 3e9, 1];
  const first = shareNumbers(sizes);
  assert.equal(first[0], 0);
  assert.equal(first.at(-1), 2 ** 32 - 1);
  sizes.forEach((size, i) => assert.ok(first[i + 1] - first[i] >= 22 + Math.floor(size / 1200), `${size}`));
  const formats = ["txt", "jsonl", "parquet", "jsonl.zst", "txt"] as const;
  const files = formats.map((format, i) => ({ format, name: `f${i}.${format}` }));
  const name = (number: number) => documentName({ kind: "numbered", files, first }, number);
  assert.deepEqual([0, 21, 22].map(name), ["f0.txt", "f0.txt#21", "f1.jsonl:1"]);
  assert.deepEqual([first[2] - 1, first[2]].map(name), [`f1.jsonl:${first[2] - first[1]}`, "f2.parquet:1"]);
  assert.deepEqual([first[4] - 1, first[4]].map(name), [`f3.jsonl.zst:${first[4] - first[3]}`, "f4.txt"]);
});

Deno.test("more documents than a file has numbers are refused", async () => {
  // Beside two terabytes, a file of three hundred bytes has the least share.
  const files = { "a.jsonl": jsonl(texts(30, "t")), "big.txt": "one two" };
  await withFiles(files, async (folder) => {
    const big = await Deno.open(join(folder, "big.txt"), { write: true });
    await big.truncate(2e12); // sparse
    big.close();
    const { stream } = await openStream([folder], { characters: 100, seed: null, context: 4 });
    const message = /^Cannot number the documents of .*a\.jsonl: beside files of \d+ bytes in all it may have 2\d,/;
    await assertRefused(stream.next(100), message);
  });
});

Deno.test("pinPaths and nameOfPath: files become absolute and are called by their names", async () => {
  assert.deepEqual(await pinPaths(["x/a.txt", "/b"]), [join(Deno.cwd(), "x/a.txt"), "/b"]);
  const commit = "0123456789012345678901234567890123456789";
  assert.deepEqual(
    ["/data/a.txt", `hf:owner/name@${commit}/sample/10BT`, "hf:owner/name"].map(nameOfPath),
    ["a.txt", "hf:owner/name/sample/10BT", "hf:owner/name"],
  );
});

Deno.test("each bad input is named in one sentence", async () => {
  const fine = jsonl(texts(30)), gz = gzipSync(bytesOf(fine)), zst = zstdCompressSync(bytesOf(fine));
  const column = (name: string, data: unknown[], type: "INT32" | "STRING" | "BYTE_ARRAY") =>
    new Uint8Array(parquetWriteBuffer({ columnData: [{ name, data, type }] }));
  const damaged = parquet(texts(500));
  damaged.fill(0xff, damaged.length * 0.4, damaged.length * 0.6);
  const cases: [name: string, content: string | Uint8Array, message: RegExp][] = [
    ["data.pdf", "text\n", /data\.pdf: text files end in \.txt, .* or \.tsv, this one ends in "\.pdf"/],
    [
      "body.csv",
      "id,body\n1,x\n",
      /body\.csv: its header line must name a column "text", it names id, body; name what holds the text: --text-column body$/,
    ],
    [
      "torn.csv",
      "id,text\n1,a,b\n",
      /torn\.csv row 1: each row must have the 2 cells of the header line, this one has 3;/,
    ],
    [
      "object.json",
      '{"text": "x"}',
      /object\.json: it must be a JSON list of strings or of objects .*, it is no list;/,
    ],
    ["cut.json", '["x"', /cut\.json: it must be a JSON list .*; write a line for each text into a \.jsonl file$/],
    [
      "five.json",
      '["x", {"text": 5}]',
      /five\.json entry 2: it must have a string or a list of messages under "text", this one has 5;/,
    ],
    ["data.gz", gz, /text files end in .*, this one ends in "\.gz"; rename or convert it$/],
    ["empty.txt", "", /empty\.txt: it must hold text, it is empty/],
    ["blank.jsonl", "\n\n", /blank\.jsonl: it must hold text, it is empty/],
    ["nothing.parquet", parquet(["", null]), /nothing\.parquet: it must hold text, it is empty/],
    ["latin1.txt", new Uint8Array([0x67, 0x72, 0xfc, 0xdf, 0x65]), /latin1\.txt: text must be valid UTF-8/],
    ["number.jsonl", '{"text": "fine"}\n{"text": 5}\n', /number\.jsonl line 2: .* "text", this one has 5/],
    [
      "missing.jsonl",
      '{"text": "fine"}\n{"body": "x"}\n',
      /missing\.jsonl line 2: .* this one has none, but body; leave out what holds no text with --bad-lines 100, or mend/,
    ],
    ["null.jsonl", "null\n", /null\.jsonl line 1: .* this one has none/],
    ["broken.jsonl", '{"text": "fine"}\n\n{"text": "cut', /broken\.jsonl line 3: .* not valid JSON/],
    ["binary.jsonl", new Uint8Array([0x22, 0xff, 0x22, 0x0a]), /binary\.jsonl line 1: text must be valid UTF-8/],
    ["broken.jsonl.gz", gzipSync(bytesOf(fine + "{")), /broken\.jsonl\.gz line 31: .* not valid JSON/],
    [
      "cut.jsonl.gz",
      gz.subarray(0, 60),
      /cut\.jsonl\.gz: it must be a whole gzip file, .*, behind record 1; what follows counts as 1000 records; leave out .* with --bad-lines 10000, or download or compress it again$/,
    ],
    ["cut.jsonl.zst", zst.subarray(0, 60), /cut\.jsonl\.zst: it must be a whole zstd file, /],
    ["plain.jsonl.gz", fine, /plain\.jsonl\.gz: it must be a whole gzip file, /],
    ["plain.jsonl.zst", fine, /plain\.jsonl\.zst: it must be a whole zstd file, /],
    ["cut.parquet", parquet(texts(30)).subarray(0, 500), /cut\.parquet: it must be a whole parquet file, /],
    ["tiny.parquet", "PAR1", /tiny\.parquet: it must be a whole parquet file, /],
    ["zero.parquet", "", /zero\.parquet: it must be a whole parquet file, /],
    ["spoilt.parquet", damaged, /spoilt\.parquet: it must be a whole parquet file, /],
    [
      "body.parquet",
      column("body", ["a b"], "STRING"),
      /body\.parquet: it must have a column "text", its columns are body; name what holds the text: --text-column body$/,
    ],
    ["five.parquet", column("text", [5], "INT32"), /five\.parquet: its column "text" must hold strings/],
    [
      "latin1.parquet",
      column("text", [new Uint8Array([0xfc, 0xdf])], "BYTE_ARRAY"),
      /latin1\.parquet row 1: text must be valid UTF-8/,
    ],
  ];
  const files = Object.fromEntries(cases.map(([name, content]) => [name, content]));
  await withFiles({ ...files, "none/readme.md": "" }, async (folder) => {
    for (const [name, , message] of cases) {
      await assertRefused(openCorpus([join(folder, name)], "train"), message, name);
    }
    const absent = openCorpus([join(folder, "absent.txt")], "train");
    await assertRefused(absent, /^Cannot read .*absent\.txt: the file must exist, there is none; check the path$/);
    await Deno.symlink("/dev/zero", join(folder, "endless.txt"));
    await assertRefused(
      openCorpus([join(folder, "endless.txt")], "train"),
      /endless\.txt: it must be an ordinary file/,
    );
    // A line that never ends; the file takes no room.
    await Deno.truncate(await made(join(folder, "long.jsonl")), 2 ** 30);
    await assertRefused(
      openCorpus([join(folder, "long.jsonl")], "train"),
      /long\.jsonl line 1: one document holds at most/,
    );
    await Deno.truncate(await made(join(folder, "long.txt")), 2 ** 40);
    await assertRefused(openCorpus([join(folder, "long.txt")], "train"), /long\.txt part 1: text must have no NUL/);
    const none = openCorpus([join(folder, "none")], "train");
    await assertRefused(
      none,
      /none: the folder must hold files that end in \.txt, .*, it holds none, but \.md; give another folder/,
    );
  });
});

Deno.test("tables and lists are read where they are named, and whole texts however they are compressed", async () => {
  const table = 'id,text\n1,first\n2,"second, and ""quoted""\nin two lines"\n3,\n', lines = jsonl(texts(25));
  const files = {
    "a.csv": table,
    "b.tsv": "text\tid\nthird\t1\n",
    "c.json": JSON.stringify(["fourth", { text: "fifth" }, { text: "" }]),
    "d.txt.gz": gzipSync(bytesOf("sixth")),
    "e.txt.zst": zstdCompressSync(bytesOf("seventh")),
    "F.JSONL": lines,
  };
  await withFiles(files, async (folder) => {
    const searched = Object.fromEntries([
      ["d.txt.gz", "sixth"],
      ["e.txt.zst", "seventh"],
      ...texts(25).map((text, i) => [`F.JSONL:${i + 1}`, text]),
    ].sort());
    assert.deepEqual(await documentsOf([folder]), searched);
    assert.deepEqual(await documentsOf([folder, ...["a.csv", "b.tsv", "c.json"].map((name) => join(folder, name))]), {
      "a.csv:1": "first",
      "a.csv:2": 'second, and "quoted"\nin two lines',
      "b.tsv:1": "third",
      "c.json:1": "fourth",
      "c.json:2": "fifth",
      ...searched,
    });
  });
});

Deno.test("linked folders are searched, once each and never in a circle; an empty file in a folder does no harm", async () => {
  await withFiles({ "in/a.jsonl": jsonl(texts(20)), "in/empty.txt": "", "out/b.txt": "beside" }, async (folder) => {
    await Deno.symlink(join(folder, "out"), join(folder, "in", "more"));
    await Deno.symlink(join(folder, "out"), join(folder, "in", "again"));
    await Deno.symlink(join(folder, "in"), join(folder, "in", "circle"));
    await Deno.symlink(join(folder, "nowhere"), join(folder, "in", "gone"));
    const found = await documentsOf([join(folder, "in")]);
    assert.deepEqual(Object.keys(found), ["b.txt", ...texts(20).map((_, i) => `a.jsonl:${i + 1}`)].sort());
    await assertRefused(openCorpus([join(folder, "in"), join(folder, "in/empty.txt")], "train"), /must hold text/);
  });
});

Deno.test("a file that changes while it is read is named", async () => {
  await withFiles({ "a.jsonl": jsonl(long(50, "a")), "b.jsonl": jsonl(long(50, "b")) }, async (folder) => {
    const { stream } = await openStream([folder], { characters: 2000, seed: null });
    await Deno.writeTextFile(join(folder, "b.jsonl"), jsonl(long(51, "b")));
    await assertRefused(
      stream.next(1000),
      /b\.jsonl: it must keep the \d+ bytes that it had at first, it has \d+; put it back/,
    );
  });
});

async function made(path: string): Promise<string> {
  await Deno.writeTextFile(path, "");
  return path;
}
