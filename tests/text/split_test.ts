import assert from "node:assert/strict";
import { splitDocuments } from "../../core/text/split.ts";
import { UserError } from "../../core/errors.ts";

const numbered = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `${i}.txt`, text: `text ${i}` }));
/** Both sides in their common order: a held-out piece comes before the up to 19 training pieces that follow it. */
const merged = ({ train, held_out }: ReturnType<typeof splitDocuments>) =>
  held_out.flatMap((piece, i) => [piece, ...train.slice(19 * i, 19 * i + 19)]);

Deno.test("splitDocuments: every 20th document from the first on is held out, none is cut", () => {
  for (const count of [20, 21, 61, 233]) {
    const documents = numbered(count);
    const split = splitDocuments(documents);
    assert.deepEqual(split.held_out, documents.filter((_, i) => i % 20 === 0));
    assert.deepEqual(merged(split), documents);
  }
});

Deno.test("splitDocuments: a document of lines is cut after line ends, into 20 pieces of similar size", () => {
  const text = Array.from({ length: 1000 }, (_, i) => `line ${i} of a text\n`).join("");
  const pieces = merged(splitDocuments([{ name: "a.txt", text }]));
  assert.equal(pieces.length, 20);
  assert.equal(pieces.map((piece) => piece.text).join(""), text);
  assert.deepEqual(pieces.map((piece) => piece.name), pieces.map((_, i) => `a.txt#${i + 1}`));
  for (const piece of pieces) {
    assert.ok(piece.text.endsWith("\n"));
    assert.ok(Math.abs(piece.text.length - text.length / 20) < 40, `${piece.text.length}`);
  }
});

Deno.test("splitDocuments: a document without lines is cut before spaces, never inside a character", () => {
  const text = "grüße 🌍 welt ".repeat(100).trimEnd();
  const pieces = merged(splitDocuments([{ name: "a.txt", text }]));
  assert.equal(pieces.length, 20);
  assert.equal(pieces.map((piece) => piece.text).join(""), text);
  for (const piece of pieces.slice(1)) assert.ok(piece.text.startsWith(" "));
});

Deno.test("splitDocuments: few documents of unequal size give pieces by their length", () => {
  const documents = [{ name: "long", text: "word ".repeat(1000) }, { name: "short", text: "one two" }];
  const pieces = merged(splitDocuments(documents));
  assert.equal(pieces.filter((piece) => piece.name.startsWith("long#")).length, 20);
  assert.deepEqual(pieces.at(-1), documents[1]);
  assert.equal(pieces.map((piece) => piece.text).join(""), documents.map((document) => document.text).join(""));
});

Deno.test("splitDocuments: the shortest text has two words; less is refused in one sentence", () => {
  assert.deepEqual(splitDocuments([{ name: "a", text: "one two" }]), {
    held_out: [{ name: "a#1", text: "one" }],
    train: [{ name: "a#2", text: " two" }],
  });
  for (const text of ["word", " word", "word\n"]) {
    assert.throws(() => splitDocuments([{ name: "a", text }]), (error: Error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /at least two documents, lines or words, it has 1; give more text/);
      return true;
    });
  }
  assert.throws(() => splitDocuments([]), UserError);
});
