/** Reading sets: which tokens of a text, in which order, and of which part each is. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { NO_DOCUMENT } from "../../core/text/contexts.ts";
import { openReadingSet, type ReadDocument } from "../../core/text/reading_set.ts";
import { jsonl, tokenizer, tokenizerFiles, withFiles } from "./corpora.ts";

const WORDS = "the state of the Union is strong and the people of these United States know it well".split(" ");
/** 80 documents that differ: 76 for training, two for validation, two for the test. */
const TEXTS = Array.from(
  { length: 80 },
  (_, i) => Array.from({ length: 30 + i }, (_, w) => WORDS[(i + w * (1 + i % 5)) % WORDS.length]).join(" ") + ` ${i}`,
);
const CONTEXT = 9;

interface Read {
  /** For each token its part, document, position and id. */
  readonly tokens: string[];
  readonly contexts: number;
  readonly documents: readonly ReadDocument[];
}

async function readAll(path: string, tokens: number, atOnce: number, context = CONTEXT): Promise<Read> {
  const source = await openReadingSet({ tokenizer: tokenizerFiles, data: [path], context, tokens }),
    read: string[] = [];
  let contexts = 0;
  try {
    for (let isEnd = false; !isEnd;) {
      const { batch, done } = await source.next(atOnce);
      assert.ok(batch.contexts <= atOnce);
      contexts += batch.contexts;
      batch.ids.forEach((id, at) => {
        const document = batch.document[at];
        assert.equal(at % context === 0, id === tokenizer.bosId, "a BOS in front of each context, and nowhere else");
        if (document === NO_DOCUMENT) return;
        const { name, split } = source.documents[document];
        read.push([split, name, batch.position[at], id].join(" "));
      });
      isEnd = done;
    }
    assert.equal((await source.next(4)).batch.contexts, 0, "nothing comes after the end");
    return { tokens: read, contexts, documents: source.documents };
  } finally {
    await source.close();
  }
}

Deno.test("all tokens of a text come once, each with its part, those for training first", () =>
  withFiles({ "a.jsonl": jsonl(TEXTS) }, async (folder) => {
    const path = join(folder, "a.jsonl"), { tokens, documents } = await readAll(path, 1e6, 7);
    const split = (i: number) => i % 20 > 0 ? "train" : i % 40 === 20 ? "validation" : "test";
    const expected = TEXTS.flatMap((text, i) =>
      [...tokenizer.encode(text), tokenizer.eosId].map((id, at) => `${split(i)} a.jsonl:${i + 1} ${at} ${id}`)
    );
    assert.deepEqual(tokens.toSorted(), expected.toSorted());
    assert.deepEqual(documents.map(({ split }) => split), [
      ...new Array(76).fill("train"),
      ...["validation", "validation", "test", "test"],
    ]);
  }));

Deno.test("it depends on text, context and size alone; each part has its share, each document is drawn from evenly", () =>
  withFiles({ "a.jsonl": jsonl(TEXTS) }, async (folder) => {
    const path = join(folder, "a.jsonl"), few = await readAll(path, 1600, 7);
    assert.deepEqual(await readAll(path, 1600, 1000), few, "however many contexts are taken at once");
    const count = (part: string) => few.tokens.filter((token) => token.startsWith(part)).length;
    const row = CONTEXT - 1;
    for (const [part, share] of [["train", 1520], ["validation", 40], ["test", 40]] as const) {
      assert.ok(count(part) >= share && count(part) < share + row, `${count(part)} of ${part}`);
    }
    assert.equal(few.documents.length, 80, "there is a context for each document");
    assert.notDeepEqual((await readAll(path, 1600, 7, 12)).tokens, few.tokens);
  }));
