import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import { requireBothSides, splitDocuments } from "../../core/text/split.ts";

const whole = (text: string, file = 0) => ({ file, record: 0, piece: 0, text });
const numbered = (count: number) => Array.from({ length: count }, (_, i) => whole(`text ${i}`, i));
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
  const pieces = merged(splitDocuments([whole(text)]));
  assert.equal(pieces.length, 20);
  assert.equal(pieces.map((piece) => piece.text).join(""), text);
  assert.deepEqual(pieces.map(({ piece }) => piece), pieces.map((_, i) => i + 1));
  for (const piece of pieces) {
    assert.ok(piece.text.endsWith("\n"));
    assert.ok(Math.abs(piece.text.length - text.length / 20) < 40, `${piece.text.length}`);
  }
});

Deno.test("splitDocuments: a document without lines is cut before spaces, never inside a character", () => {
  const text = "grüße 🌍 welt ".repeat(100).trimEnd();
  const pieces = merged(splitDocuments([whole(text)]));
  assert.equal(pieces.length, 20);
  assert.equal(pieces.map((piece) => piece.text).join(""), text);
  for (const piece of pieces.slice(1)) assert.ok(piece.text.startsWith(" "));
});

Deno.test("splitDocuments: few documents of unequal size give pieces by their length", () => {
  const documents = [whole("word ".repeat(1000), 0), whole("one two", 1)];
  const pieces = merged(splitDocuments(documents));
  assert.equal(pieces.filter(({ file }) => file === 0).length, 20);
  assert.deepEqual(pieces.at(-1), documents[1]);
  assert.equal(pieces.map((piece) => piece.text).join(""), documents.map((document) => document.text).join(""));
});

Deno.test("splitDocuments: what may not be cut stays whole", () => {
  const documents = [whole("word ".repeat(1000), 0), whole("one two three ".repeat(400), 1)];
  const { held_out, train } = splitDocuments(documents, ({ file }) => file === 1);
  const pieces = merged({ held_out, train });
  assert.deepEqual(pieces[0], documents[0]);
  assert.ok(pieces.length > 5);
  assert.deepEqual(splitDocuments(documents, () => false), { held_out: [documents[0]], train: [documents[1]] });
});

Deno.test("splitDocuments: the shortest text has two words; less is refused in one sentence", () => {
  const sides = splitDocuments([whole("one two")]);
  assert.deepEqual(sides, {
    held_out: [{ ...whole("one"), piece: 1 }],
    train: [{ ...whole(" two"), piece: 2 }],
  });
  requireBothSides(sides);
  for (const documents of [[whole("word")], [whole(" word")], [whole("word\n")], []]) {
    assert.throws(() => requireBothSides(splitDocuments(documents)), (error: Error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /at least two documents, lines or words, it has [01]; give more text/);
      return true;
    });
  }
});
