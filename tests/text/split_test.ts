import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import { requireAllParts, splitDocuments } from "../../core/text/split.ts";

const whole = (text: string, file = 0) => ({ file, record: 0, piece: 0, text });
const numbered = (count: number) => Array.from({ length: count }, (_, i) => whole(`text ${i}`, i));
/** All parts in their common order: a held-out piece comes before the up to 19 training pieces that follow it. */
const merged = ({ train, test, validation }: ReturnType<typeof splitDocuments>) =>
  test.flatMap((piece, i) => [piece, ...validation.slice(i, i + 1)]).flatMap((
    piece,
    i,
  ) => [piece, ...train.slice(19 * i, 19 * i + 19)]);
/** The same where one piece is held out, in two halves. */
const joined = ({ train, test, validation }: ReturnType<typeof splitDocuments>) => [...test, ...validation, ...train];

Deno.test("splitDocuments: every 20th document from the first on is held out, in turn for test and validation, none is cut", () => {
  for (const count of [21, 61, 233]) {
    const documents = numbered(count);
    const split = splitDocuments(documents);
    assert.deepEqual(split.test, documents.filter((_, i) => i % 40 === 0));
    assert.deepEqual(split.validation, documents.filter((_, i) => i % 40 === 20));
    assert.deepEqual(merged(split), documents);
  }
});

Deno.test("splitDocuments: of 20 documents the first is cut in two, and training keeps the other 19", () => {
  const documents = numbered(20), { train, test, validation } = splitDocuments(documents);
  assert.deepEqual(train, documents.slice(1));
  assert.deepEqual(test, [{ ...documents[0], piece: 1, text: "text" }]);
  assert.deepEqual(validation, [{ ...documents[0], piece: 2, text: " 0" }]);
});

Deno.test("splitDocuments: what cannot be cut in two takes the last document of training, but not at the end of a longer text", () => {
  const documents = numbered(20);
  for (const mayCut of [() => false, ({ file }: { file: number }) => file > 0]) {
    const { train, test, validation } = splitDocuments(documents, mayCut);
    assert.deepEqual([test, validation], [[documents[0]], [documents[19]]]);
    assert.deepEqual(train, documents.slice(1, 19));
    const end = splitDocuments(documents, mayCut, true);
    assert.deepEqual(end, { train: documents.slice(1), test: [documents[0]], validation: [] });
  }
});

Deno.test("splitDocuments: a document of lines is cut after line ends, into 20 pieces of similar size", () => {
  const text = Array.from({ length: 1000 }, (_, i) => `line ${i} of a text\n`).join("");
  const parts = splitDocuments([whole(text)]), pieces = joined(parts);
  assert.equal(pieces.map((piece) => piece.text).join(""), text);
  assert.deepEqual(parts.train.map(({ piece }) => piece), Array.from({ length: 19 }, (_, i) => i + 2));
  assert.deepEqual([...parts.test, ...parts.validation].map(({ piece }) => piece), [1, 21]);
  for (const piece of pieces) {
    assert.ok(piece.text.endsWith("\n"));
    const wanted = text.length / (piece.piece === 1 || piece.piece === 21 ? 40 : 20);
    assert.ok(Math.abs(piece.text.length - wanted) < 40, `${piece.text.length}`);
  }
});

Deno.test("splitDocuments: a document without lines is cut before spaces, never inside a character", () => {
  const text = "grüße 🌍 welt ".repeat(100).trimEnd();
  const pieces = joined(splitDocuments([whole(text)]));
  assert.equal(pieces.length, 21);
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
  const { train, test, validation } = splitDocuments(documents, ({ file }) => file === 1);
  assert.deepEqual(test, [documents[0]]);
  assert.equal([...train, ...validation].map(({ text }) => text).join(""), documents[1].text);
  assert.ok(train.length > 5);
  assert.deepEqual(splitDocuments(documents, () => false), {
    train: [],
    test: [documents[0]],
    validation: [documents[1]],
  });
});

Deno.test("splitDocuments: the shortest text has three words; less is refused in one sentence", () => {
  const parts = splitDocuments([whole("one two three")]);
  assert.deepEqual(parts, {
    train: [{ ...whole(" two"), piece: 2 }],
    test: [{ ...whole("one"), piece: 1 }],
    validation: [{ ...whole(" three"), piece: 3 }],
  });
  requireAllParts(parts);
  for (const documents of [[whole("one two")], [whole("word")], [whole(" word")], [whole("word\n")], []]) {
    assert.throws(() => requireAllParts(splitDocuments(documents)), (error: Error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /at least three documents, lines or words, it has [012]; give more text/);
      return true;
    });
  }
});
