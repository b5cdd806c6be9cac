/** Which column holds the text, and records that hold none: what is read, what is left out, and what is said of it. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { readingFor } from "../../commands/options.ts";
import { textLines } from "../../commands/train/text_lines.ts";
import { withResume } from "../../commands/train/work.ts";
import { UsageError, UserError } from "../../core/errors.ts";
import { memorySource } from "../../core/files/byte_source.ts";
import type { StreamPosition } from "../../core/text/contexts.ts";
import { openCorpus } from "../../core/text/corpus.ts";
import type { LeftOut } from "../../core/text/no_text.ts";
import { parquetRecords } from "../../core/text/parquet.ts";
import { DAMAGED_RECORDS, PLAIN_READING, rereading, type TextReading } from "../../core/text/reading.ts";
import { onLeftOut, openTokenSource } from "../../core/text/source.ts";
import { readingOf } from "../../core/text/summary.ts";
import { parseLooseJson } from "../../core/text/text_of.ts";
import { leftOutOfRun } from "../../reports/held_out.ts";
import { writeSyntheticRun } from "../reports/synthetic_run.ts";
import { assertRefused, bytesOf, compressed, inEveryFormat, openStream, tokenizerFiles, withFiles } from "./corpora.ts";

const TEXTS = Array.from({ length: 60 }, (_, i) => `text ${i} of "content", with a comma`);
const UNLIMITED = 1e9;

const reading = (column: string, badLines = 0): TextReading => ({ column, badLines });
const columnsOf = (texts: readonly string[]) =>
  new Uint8Array(parquetWriteBuffer({
    columnData: [
      { name: "id", data: texts.map((_, i) => `${i}`), type: "STRING" },
      { name: "content", data: [...texts], type: "STRING" },
    ],
  }));

Deno.test("the text may be under another name, in every format; what is missing is told with what there is and the option", async () => {
  const lines = TEXTS.map((content, id) => JSON.stringify({ id, content }) + "\n").join("");
  const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const files = {
    "a.jsonl": lines,
    ...compressed(bytesOf(lines)),
    "a.json": JSON.stringify(TEXTS.map((content, id) => ({ id, content }))),
    "a.csv": `id,content\n${TEXTS.map((text, id) => `${id},${cell(text)}\n`).join("")}`,
    "a.tsv": `id\tcontent\n${TEXTS.map((text, id) => `${id}\t${cell(text)}\n`).join("")}`,
    "a.parquet": columnsOf(TEXTS),
  };
  await withFiles(files, async (folder) => {
    const paths = Object.keys(files).map((name) => join(folder, name));
    for (const path of paths) {
      const { read, summary } = await openCorpus([path], "train", UNLIMITED, reading("content"));
      const { documents } = await read(0, { file: 0, record: 0, byte: 0 });
      assert.deepEqual(documents.map(({ text }) => text), TEXTS.filter((_, i) => i % 20 !== 0), path);
      assert.deepEqual([summary.column, readingOf(summary).column], ["content", "content"]);
      // The message's own remedy has just been tried.
      const message = /"text", .*\bid, content; name what holds the text: --text-column (content|NAME)$/;
      await assertRefused(openCorpus([path], "train"), message, path);
      await assertRefused(openCorpus([path], "train", UNLIMITED, reading("body")), /"body", .*\bid, content; /, path);
      const recorded = { ...reading("text"), isRecorded: true } as const;
      await assertRefused(openCorpus([path], "train", UNLIMITED, recorded), /; put the text back as it was/, path);
    }
  });
});

Deno.test("a column whose name is no single word is quoted, and one without text is none to choose", () =>
  withFiles({ "a.jsonl": '{"my text": "x"}\n', "b.jsonl": '{"id": 5}\n' }, async (folder) => {
    const of = (name: string) => openCorpus([join(folder, name)], "train");
    await assertRefused(of("a.jsonl"), /: --text-column "my text"$/);
    await assertRefused(of("b.jsonl"), /this one has none, but id; mend or remove the record$/);
  }));

Deno.test("where too little is left to be split, what was left out is told", () =>
  withFiles({ "a.jsonl": '{"text": "one"}\n{"text": 1}\n' }, async (folder) => {
    const opened = openCorpus([join(folder, "a.jsonl")], "train", UNLIMITED, reading("text", 10));
    await assertRefused(opened, /line 2: .* under "text", this one has 1; mend or remove the record$/);
  }));

Deno.test("of a text that is streamed, the column is a part of what it is known by", () =>
  withFiles({ "a.jsonl": TEXTS.map((t) => JSON.stringify({ text: t, content: t })).join("\n") }, async (folder) => {
    const summaries = await Promise.all(
      ["text", "content"].map(async (column) =>
        (await openCorpus([join(folder, "a.jsonl")], "train", 1000, reading(column))).summary
      ),
    );
    const [plain, other] = summaries;
    assert.notEqual(plain.fingerprint, other.fingerprint);
    assert.deepEqual([plain.documents, "column" in plain, other.column], [null, false, "content"]);
  }));

/** Lines of which every tenth, from the fifth on, is one of these. */
const BAD = ["{", "[5]", '{"body": "b"}', '{"text": 5}', '"\xff"'];
const linesWithBad = (texts: readonly string[]) =>
  texts.map((text, i) => i % 10 === 4 ? BAD[(i - 4) / 10 % BAD.length] : JSON.stringify({ text })).join("\n");
/** Latin-1, so that the last of them is no UTF-8. */
const latin = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

Deno.test("lines without text are left out up to a limit, counted and told; one more names the first, and the option that lets it pass", () =>
  withFiles({ "a.jsonl": latin(linesWithBad(TEXTS)) }, async (folder) => {
    const open = (badLines: number) =>
      openCorpus([join(folder, "a.jsonl")], "train", UNLIMITED, reading("text", badLines));
    const { summary, read } = await open(6);
    assert.deepEqual([summary.left_out, summary.bad_lines, summary.documents], [6, 6, 54]);
    const { documents } = await read(0, { file: 0, record: 0, byte: 0 });
    const whole = TEXTS.filter((_, i) => i % 10 !== 4).filter((_, i) => i % 20 !== 0);
    assert.deepEqual(documents.map(({ text }) => text), whole);
    assert.equal(textLines("a", summary).at(-1)!.trim(), "left out 6 records that hold no text");
    await assertRefused(
      open(0),
      /a\.jsonl line 5: each line must be one JSON object, this one is not valid JSON; leave out what holds no text with --bad-lines 100, or mend/,
    );
    await assertRefused(
      open(5),
      /line 5: .* not valid JSON; 6 records without text are more than --bad-lines 5 lets pass; .* --bad-lines 100, /,
    );
    assert.equal((await open(100)).summary.left_out, 6, "the message's own remedy");
    assert.equal(
      (await openCorpus([join(folder, "a.jsonl")], "test", UNLIMITED, rereading(PLAIN_READING))).summary.left_out,
      6,
    );
  }));

Deno.test("streamed, the limit is that of the whole first reading, and a stream continued from anywhere counts and ends alike", () =>
  withFiles({ "a.jsonl": latin(linesWithBad([...TEXTS, ...TEXTS, ...TEXTS, ...TEXTS])) }, async (folder) => {
    const paths = [join(folder, "a.jsonl")], choice = { characters: 4000, context: 16 };
    const all = await openStream(paths, { ...choice, reading: reading("text", 24) });
    assert.ok(all.isStreamed);
    const rows: { ids: string; position: StreamPosition }[] = [];
    while (all.stream.position.epoch < 2) {
      const { batch: { ids, document }, positions: [position] } = await all.stream.next(1);
      rows.push({ ids: [...ids, ...document].join(), position });
    }
    const counts = rows.map(({ position }) => position.bad);
    assert.deepEqual([counts[0]! > 0, new Set(counts).size > 4, counts.at(-1)], [true, true, 24]);
    for (let row = 0; row + 3 < rows.length; row += 7) {
      const { stream } = await openStream(paths, {
        ...choice,
        reading: reading("text", 24),
        start: rows[row].position,
      });
      for (const { ids, position } of rows.slice(row + 1, row + 3)) {
        const { batch, positions } = await stream.next(1);
        assert.deepEqual([[...batch.ids, ...batch.document].join(), positions], [ids, [position]], `after row ${row}`);
      }
    }
    // One too few: the stream ends where its count passes the limit, and so does the one that is continued before that.
    const last = counts.findLastIndex((count) => count! <= 20), start = rows[last - 1].position;
    for (
      const { stream } of [
        await openStream(paths, { ...choice, reading: reading("text", 20) }),
        await openStream(paths, { ...choice, reading: reading("text", 20), start }),
      ]
    ) {
      const reading = async () => {
        while (stream.position.epoch === 0) await stream.next(1);
      };
      await assert.rejects(reading, (error) => error instanceof UserError && error.parts.option === "--bad-lines 100");
    }
    const more = await openStream(paths, { ...choice, reading: reading("text", 100), start });
    const { batch } = await more.stream.next(1);
    assert.equal([...batch.ids, ...batch.document].join(), rows[last].ids, "the message's own remedy");
  }));

Deno.test("parquet: rows without text are told by their numbers, whatever the row groups; null and empty ones are no fault", async () => {
  const rows = [...TEXTS.map((text) => bytesOf(text)), Uint8Array.of(0xfc), bytesOf(""), null, bytesOf("last")];
  const content = new Uint8Array(
    parquetWriteBuffer({
      columnData: [{ name: "text", data: rows, type: "BYTE_ARRAY", nullable: true, converted_type: "UTF8" } as never],
      rowGroupSize: 25,
    }),
  );
  const records = (await Array.fromAsync(parquetRecords(memorySource("a.parquet", content), 0, PLAIN_READING))).flat();
  assert.deepEqual(records.slice(-2).map(({ record, text, bad }) => [record, text, bad?.where]), [
    [61, "", "a.parquet row 61"],
    [64, "last", undefined],
  ]);
  assert.equal(records.length, 62);
  const from = (await Array.fromAsync(parquetRecords(memorySource("a.parquet", content), 60, PLAIN_READING))).flat();
  assert.deepEqual(from, records.slice(60));
  // A file without the column is as many records as it has rows.
  const [all] = (await Array.fromAsync(parquetRecords(memorySource("a.parquet", content), 0, reading("body")))).flat();
  assert.deepEqual([all.record, all.records, all.bad!.column], [64, 64, "text"]);
});

Deno.test("a parquet file without rows holds no text, beside others or alone", () =>
  withFiles({ "a.parquet": columnsOf([]), "b.jsonl": inEveryFormat(TEXTS)["part.jsonl"] }, async (folder) => {
    await assertRefused(
      openCorpus([join(folder, "a.parquet")], "train", UNLIMITED, reading("content")),
      /must hold text/,
    );
    const { summary } = await openCorpus([folder], "train", UNLIMITED, reading("text", 1));
    assert.equal(summary.documents, 60);
  }));

Deno.test("NaN and Infinity beside the text are read as Python writes them; inside of strings they stay", () => {
  const json = String.raw`{"text": "NaN, \"Infinity\" \\", "score": NaN, "low": -Infinity, "list": [Infinity]}`;
  assert.deepEqual(parseLooseJson(json), {
    ...{ text: 'NaN, "Infinity" \\', score: null, low: null, list: [null] },
  });
  for (const bad of ["NaNs", '{"a": nan}', '{"a": NaN', "x"]) {
    assert.throws(() => parseLooseJson(bad), SyntaxError, bad);
  }
});

Deno.test("a command line's reading: what is given, else what was recorded, else the default", () => {
  const data = ["a.jsonl"], before: TextReading = { ...reading("body", 3), isRecorded: true };
  assert.deepEqual(readingFor({}, data), reading("text", 10));
  assert.deepEqual(readingFor({ textColumn: "content", badLines: 0 }, data), reading("content", 0));
  assert.deepEqual(readingFor({}, data, before), before);
  assert.deepEqual(readingFor({ badLines: 5 }, data, before), { ...before, badLines: 5 });
  assert.deepEqual(readingFor({ textColumn: "content" }, data, before), reading("content", 3));
  assert.throws(() => readingFor({ textColumn: "x" }, "builtin"), UsageError);
  assert.deepEqual(readingOf({}), { ...PLAIN_READING, isRecorded: true }, "an older run leaves nothing out");
});

Deno.test("a run that ends at records without text is told how to go on, and not to mend its text", async () => {
  const root = await Deno.makeTempDir();
  try {
    const run = join(root, "first");
    await writeSyntheticRun(root, "first");
    const error = new UserError({ action: "read a", remedy: "leave it out, or mend it", option: "--bad-lines 100" });
    const { message } = await withResume(error, run) as Error;
    assert.equal(message, `Cannot read a; go on with: mtc train --resume ${run} --bad-lines 100`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
  const samples = { tokens: 9, excluded_tokens: 0 };
  assert.match(leftOutOfRun({ samples, bad_records: 3 }), /; 3 records that hold no text$/);
});

/** A compressed file of which the second half is cut off, before a whole one. */
const damagedBesideWhole = () => {
  const [first, second] = [0, 1].map((part) =>
    gzipSync(
      Array.from({ length: 90 }, (_, i) => JSON.stringify({ text: `${part} ${TEXTS[i % 60]} ${i}` }) + "\n").join(""),
    )
  );
  const damaged = new Uint8Array([...first, ...second.subarray(0, second.length / 2)]);
  return { "a.jsonl.gz": damaged, "b.jsonl": TEXTS.map((text) => JSON.stringify({ text })).join("\n") };
};

Deno.test("what follows the damage of a file is a thousand records without text, more than the default lets pass: told with the option that lets it pass, and left out alike from anywhere", () =>
  withFiles(damagedBesideWhole(), async (folder) => {
    const paths = [folder], choice = { characters: 4000, context: 16 };
    const all = await openStream(paths, { ...choice, reading: reading("text", DAMAGED_RECORDS) });
    const rows: { ids: string; position: StreamPosition }[] = [];
    while (all.stream.position.epoch < 2) {
      const { batch: { ids, document }, positions: [position] } = await all.stream.next(1);
      rows.push({ ids: [...ids, ...document].join(), position });
    }
    assert.equal(rows.at(-1)!.position.bad, DAMAGED_RECORDS);
    for (let row = 0; row + 3 < rows.length; row += 5) {
      const { position: start } = rows[row];
      const { stream } = await openStream(paths, { ...choice, reading: reading("text", DAMAGED_RECORDS), start });
      const { batch: { ids, document }, positions: [position] } = await stream.next(1);
      assert.deepEqual([[...ids, ...document].join(), position], [rows[row + 1].ids, rows[row + 1].position]);
    }
    const told =
      /a\.jsonl\.gz: it must be a whole gzip file, .*, behind record \d+; what follows counts as 1000 records; .*/;
    const advised = /leave out what holds no text with --bad-lines 10000, or download or compress it again$/;
    const toEnd = async (reading: TextReading) => {
      const { stream } = await openStream(paths, { ...choice, reading });
      while (stream.position.epoch < 1) await stream.next(1);
    };
    for (const refused of [reading("text"), reading("text", DAMAGED_RECORDS - 1), rereading(reading("text"), "ask")]) {
      await assertRefused(toEnd(refused), new RegExp(told.source + advised.source));
    }
    for (const limit of [0, 10, DAMAGED_RECORDS]) await toEnd(rereading(reading("text", limit)));
    const heard: LeftOut[] = [];
    onLeftOut((leftOut) => heard.push(leftOut));
    const heldOut = {
      tokenizer: tokenizerFiles,
      data: paths,
      reading: rereading(reading("text")),
      context: 16,
      seed: null,
    };
    const source = await openTokenSource({ ...heldOut, split: "test" });
    for (let done = false; !done;) ({ done } = await source.next(8));
    await source.close();
    assert.deepEqual(heard.map(({ records }) => records), [DAMAGED_RECORDS], "what is drawn from tells it, once");
    assert.match(heard[0].first!.where, /a\.jsonl\.gz$/);
  }));

Deno.test("a file that is no archive, and one whose checksum does not fit, are refused beside whole files by the default of --bad-lines", async () => {
  const fine = TEXTS.map((text) => JSON.stringify({ text })).join("\n");
  const params = { [constants.ZSTD_c_checksumFlag]: 1, [constants.ZSTD_c_compressionLevel]: 1 };
  const changed = zstdCompressSync(fine, { params });
  // The last four bytes are the checksum: every document before it is read.
  changed[changed.length - 1] ^= 1;
  const cases: [name: string, content: string | Uint8Array, told: RegExp][] = [
    [
      "a.jsonl.zst",
      changed,
      /a\.jsonl\.zst: it must be a whole zstd file, .*checksum.*; what follows counts as 1000 records; .*, or download or compress it again$/,
    ],
    [
      "a.txt.gz",
      "hello",
      /a\.txt\.gz: it must be a whole gzip file, incorrect header check; .*, or download or compress it again$/,
    ],
    [
      "a.parquet",
      "PAR1 and nothing else PAR1",
      /a\.parquet: it must be a whole parquet file, .*, or download or write it again$/,
    ],
  ];
  for (const [name, content, told] of cases) {
    await withFiles({ [name]: content, "b.jsonl": fine }, async (folder) => {
      await assertRefused(openCorpus([folder], "train", undefined, reading("text", 10)), told);
    });
  }
});

Deno.test("a file that somebody named and that has nothing but records without text is told by the first of them, not as empty", async () => {
  const fine = TEXTS.map((text) => JSON.stringify({ text })).join("\n");
  await withFiles({ "a.jsonl": fine.replaceAll("\n", "\r"), "b.jsonl": fine }, async (folder) => {
    const opened = openCorpus(
      [join(folder, "a.jsonl"), join(folder, "b.jsonl")],
      "train",
      undefined,
      reading("text", 10),
    );
    await assertRefused(
      opened,
      /a\.jsonl line 1: each line must be one JSON object, this one is not valid JSON; mend or remove the line$/,
    );
  });
});
