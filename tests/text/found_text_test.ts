/** What of folders is read and what is passed over, and files in other encodings. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { describePassedOver } from "../../core/runs/passed_over.ts";
import { textLines } from "../../commands/train/text_lines.ts";
import { openCorpus } from "../../core/text/corpus.ts";
import { listTextFiles } from "../../core/text/files.ts";
import { memorySource } from "../../core/files/byte_source.ts";
import { wideEncodingOf } from "../../core/text/utf8.ts";
import { fileSize } from "../../reports/format.ts";
import { assertRefused, bytesOf, inPieces, jsonl, withFiles } from "./corpora.ts";
import { everyRecord } from "./every_record.ts";

const WORDS = "the state of the Union is strong, and its people are one. ".repeat(20);
const LINES = jsonl(Array.from({ length: 45 }, (_, i) => `text ${i}`));

Deno.test("a folder is read whole, links and all; what is passed over is counted by its reason and said", () =>
  withFiles({
    "all/a.txt": WORDS,
    "all/x.txt/b.txt": WORDS,
    "all/empty.txt": "",
    ...{
      "all/b.csv": "text\nx",
      "all/c.csv": "text\ny",
      "all/notes.md": "#",
      "all/LICENSE": "MIT",
      "all/.git/a.txt": "x",
    },
    "elsewhere/c.JSONL": LINES,
  }, async (folder) => {
    const all = join(folder, "all");
    for (const [name, to] of [["more", "../elsewhere"], ["up", ".."], ["self.txt", "self.txt"], ["gone.txt", "gone"]]) {
      await Deno.symlink(to, join(all, name));
    }
    await Deno.symlink("/dev/null", join(all, "device.txt"));
    const { files, passedOver } = await listTextFiles([all]);
    assert.deepEqual(files.map(({ path }) => path.slice(folder.length + 1)), [
      ...["all/a.txt", "all/x.txt/b.txt", "all/more/c.JSONL", "all/empty.txt"],
    ]);
    // The folder above holds the other folder once more, by another way, and this one, which is a circle.
    const counts = { ".csv": 2, "linked to nowhere": 2, ".md": 1, empty: 1, hidden: 1, "linked in a circle": 1 };
    assert.deepEqual(passedOver, { ...counts, "no ordinary file": 1, "without ending": 1 });
    assert.equal(
      describePassedOver(passedOver),
      "passed over 10 files: 2 .csv, 2 linked to nowhere, 1 .md, 1 empty, 1 hidden, 1 linked in a circle, 2 others; " +
        ".json, .csv, .tsv are read where they are named themselves",
    );
    const { summary } = await openCorpus([all], "train");
    assert.deepEqual([summary.file_count, summary.documents, summary.passed_over], [4, 47, passedOver]);
    const [text, passed] = textLines("all", summary);
    assert.equal(text, `  text    all: 47 documents, 44 of them to train on, in 4 files of ${fileSize(summary.bytes)}`);
    assert.equal(passed.trim(), describePassedOver(passedOver));
    const named = await openCorpus([join(all, "a.txt")], "train");
    assert.ok(!("passed_over" in named.summary), "of a file that is named nothing was passed over");
    await assertRefused(openCorpus([join(all, "empty.txt")], "train"), /empty\.txt: it must hold text, it is empty/);
  }));

Deno.test("a folder without text says what it holds", () =>
  withFiles({ "a.csv": "text", "b.csv": "text", "c.pdf": "%PDF" }, async (folder) => {
    await assertRefused(listTextFiles([folder]), /it holds none, but \.csv, \.pdf; give another folder, or the files/);
  }));

/** UTF-16 and UTF-32 of a text, without a mark. */
function wide(text: string, bytesEach: 2 | 4, isLittle: boolean): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length * bytesEach), view = new DataView(bytes.buffer);
  for (let i = 0; i < text.length; i++) {
    if (bytesEach === 2) view.setUint16(2 * i, text.charCodeAt(i), isLittle);
    else view.setUint32(4 * i, text.charCodeAt(i), isLittle);
  }
  return bytes;
}

Deno.test("UTF-16 with a byte-order mark is read; other encodings are told by name, with what converts them", async () => {
  const text = `“Übrigens”: ${WORDS}`, content = { [`UTF-8`]: bytesOf(text), marked8: bytesOf("\ufeff" + text) };
  /** What a file holds, whose bytes come in pieces of any length. */
  const read = async (bytes: Uint8Array<ArrayBuffer>, length = bytes.length) => {
    const source = { ...memorySource("a.txt", bytes), stream: (at: number) => inPieces(bytes.subarray(at), length) };
    return (await everyRecord(source, "txt")).map(({ text }) => text).join("");
  };
  assert.equal(await read(content["UTF-8"]), text);
  for (const length of [1, 2, 3, 5000]) assert.equal(await read(content.marked8, length), text);
  for (const isLittle of [true, false]) {
    const marked = wide("\ufeff" + text, 2, isLittle), name = isLittle ? "LE" : "BE";
    for (const length of [1, 3, 5000]) assert.equal(await read(marked, length), text);
    await assertRefused(
      read(marked.slice(0, marked.length - 1)),
      /looks like UTF-16/,
      "half a character",
    );
    for (const [bytesEach, mark] of [[2, ""], [4, ""], [4, "\ufeff"]] as const) {
      const bytes = wide(mark + text, bytesEach, isLittle), encoding = `UTF-${8 * bytesEach}${name}`;
      assert.equal(wideEncodingOf(bytes)?.name, encoding);
      const message = new RegExp(
        `a\\.txt: text must be UTF-8, this looks like ${encoding}; .*iconv -f ${encoding} -t UTF-8`,
      );
      await assertRefused(read(bytes), message);
    }
  }
  for (const other of [bytesOf("a\0b".repeat(9)), new Uint8Array(99), bytesOf(text), new Uint8Array()]) {
    assert.equal(wideEncodingOf(other), null);
  }
  await assertRefused(
    read(bytesOf("ab\0")),
    /must have no NUL characters, character 3 of this one is one/,
  );
  await assertRefused(
    read(Uint8Array.of(0x66, 0xfc, 0x72)),
    /valid UTF-8, this is not; .*iconv -f ISO-8859-1/,
  );
  await withFiles({ "a.jsonl": wide(LINES, 2, true), "b.txt": wide("\ufeff" + WORDS, 2, true) }, async (folder) => {
    await assertRefused(openCorpus([join(folder, "a.jsonl")], "train"), /a\.jsonl: .* looks like UTF-16LE/);
    const { summary } = await openCorpus([join(folder, "b.txt")], "train");
    assert.ok(summary.documents! >= 20);
  });
});

Deno.test("a Git-LFS pointer is named as such, whatever it stands for", () => {
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 5228717512\n";
  const endings = ["txt", "txt.gz", "jsonl", "jsonl.gz", "jsonl.zst", "parquet", "csv", "json"];
  return withFiles(Object.fromEntries(endings.map((ending) => [`a.${ending}`, pointer])), async (folder) => {
    for (const ending of endings) {
      await assertRefused(
        openCorpus([join(folder, `a.${ending}`)], "train"),
        /it is a Git-LFS pointer, .*git lfs pull/,
        ending,
      );
    }
  });
});
