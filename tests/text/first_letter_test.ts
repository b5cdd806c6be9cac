/** Words of a vocabulary, and the prompts that ask for their first letters. */

import assert from "node:assert/strict";
import { builtinModel } from "../../core/builtin/model.ts";
import { countedRows } from "../../core/text/contexts.ts";
import { firstLetterTask, wordsOf } from "../../core/text/first_letter.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";

const tokenizer = loadTokenizer(await builtinModel());

Deno.test("wordsOf: tokens of a to z, with a space in front or without, and no bytes", () => {
  const texts = ["<bos>", "A", "b", " the", "  the", "é", "ab1", " Zebra", "-", "x y", "A"];
  const ids = new Map(texts.slice(0, -1).map((text, id) => [text, id]));
  const words = wordsOf({ vocabSize: texts.length, tokenText: (id) => texts[id], idOf: (text) => ids.get(text) });
  assert.deepEqual(words, [
    { id: 1, text: "A", letter: "a" },
    { id: 2, text: "b", letter: "b" },
    { id: 3, text: " the", letter: "t" },
    { id: 7, text: " Zebra", letter: "z" },
  ]);
  const embedded = wordsOf(tokenizer);
  assert.ok(embedded.length > 3000);
  for (const { id, text } of embedded) assert.deepEqual([...tokenizer.encode(text)].at(-1), id, text);
});

Deno.test("firstLetterTask: each word behind examples of its own part, and it alone counts", () => {
  const { words, train, vocabulary, prompts, prompts: { context, ids } } = firstLetterTask(tokenizer, {
    ...{ words: 50, examples: 4, seed: 3 },
  });
  assert.deepEqual([words.length, train, vocabulary], [50, 40, wordsOf(tokenizer).length]);
  assert.equal(new Set(words.map(({ id }) => id)).size, 50);
  const counted = [...countedRows(prompts, false)];
  assert.deepEqual(counted.map((row) => Math.floor(row / context)), Array.from(words.keys()));
  assert.deepEqual(counted.map((row) => ids[row]), words.map(({ id }) => id));
  const texts = words.map(({ text }) => text), parts = [texts.slice(0, train), texts.slice(train)];
  counted.forEach((end, n) => {
    const row = ids.subarray(n * context, end + 1);
    assert.equal(row[0], tokenizer.bosId);
    const text = tokenizer.decode(row.subarray(1)), lines = text.split("\n");
    assert.deepEqual([...tokenizer.encode(text)], [...row.subarray(1)], "its tokens are those of the text as a whole");
    assert.deepEqual([lines.length, lines[0], lines.at(-1)], [6, "", texts[n]]);
    const shown = lines.slice(1, -1).map((line) => {
      const [, word, letter] = /^( ?[A-Za-z]+) has the first letter: ([A-Z])$/.exec(line)!;
      assert.equal(word.trim()[0].toUpperCase(), letter);
      return word;
    });
    assert.equal(new Set([...shown, texts[n]]).size, 5, "no example twice, and none is the word");
    for (const word of shown) assert.ok(parts[n < train ? 0 : 1].includes(word));
    assert.ok(ids.subarray(end + 1, (n + 1) * context).every((id) => id === tokenizer.eosId));
  });
});

Deno.test("firstLetterTask: the same seed draws the same; no more words or examples than there are", () => {
  const draw = (seed: number, words: number, examples = 2) => firstLetterTask(tokenizer, { words, examples, seed });
  assert.deepEqual(draw(1, 30), draw(1, 30));
  assert.notDeepEqual(draw(1, 30).words, draw(2, 30).words);
  assert.deepEqual(draw(1, 10).words, draw(1, 30).words.slice(0, 10));
  const all = draw(1, 1e9, 0);
  assert.equal(all.words.length, all.vocabulary);
  assert.equal(all.prompts.context, 1 + tokenizer.encode("\n").length + 1);
  // Two words judge: there is one example for each.
  const few = draw(1, 10, 99), rows = countedRows(few.prompts, false);
  const lines = Array.from(rows, (end, n) => {
    return tokenizer.decode(few.prompts.ids.subarray(n * few.prompts.context, end)).split("\n").length;
  });
  assert.deepEqual(lines, [...Array(8).fill(9), 3, 3]);
  assert.deepEqual(draw(1, 0).prompts.contexts, 0);
});
