/** Token sources: the Worker, and what is asked of it. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type ContextBatch, NO_DOCUMENT, START } from "../../core/text/contexts.ts";
import { randomGenerator } from "../../core/random.ts";
import { openCorpus } from "../../core/text/corpus.ts";
import { openTokenSource, type TokenSource } from "../../core/text/source.ts";
import { ContextStream } from "../../core/text/stream.ts";
import type { TokenSourceOptions } from "../../core/text/worker.ts";
import { assertRefused, jsonl, tokenizer, tokenizerFiles, withFiles } from "./corpora.ts";

const TEXTS = Array.from({ length: 41 }, (_, i) => `Document ${i}: ${"the state of the Union is strong ".repeat(i)}`);

/** Runs `validation` with a file that holds this text. */
const withFile = (name: string, content: string, validation: (path: string) => Promise<void>) =>
  withFiles({ [name]: content }, (folder) => validation(join(folder, name)));

/** Opens a source for `use` and closes it, whatever happens. */
async function withSource(options: Partial<TokenSourceOptions>, use: (source: TokenSource) => void | Promise<void>) {
  const source = await openTokenSource({
    tokenizer: tokenizerFiles,
    data: [],
    split: "train",
    context: 16,
    seed: 3,
    ...options,
  });
  try {
    await use(source);
  } finally {
    await source.close();
  }
}

function values(batches: ContextBatch[]): number[][] {
  return (["ids", "document", "position"] as const).map((key) => batches.flatMap(({ batch }) => [...batch[key]]));
}

/** The stream that the Worker should give, made here. */
async function trainStream(path: string) {
  const { encode, bosId, eosId } = tokenizer;
  return await ContextStream.open({
    ...{ source: await openCorpus([path], "train"), encode, sectionCharacters: 4096 },
    ...{ context: 16, bosId, eosId, seed: 3 },
  });
}

/** Runs look like batches to `values`. */
const expectedOf = async (stream: ContextStream, contexts: number) =>
  values([{ ...await stream.next(contexts), position: START, done: false }]);

Deno.test("a training source gives the stream of its seed, whatever the batch sizes", async () => {
  await withFile("a.jsonl", jsonl(TEXTS), async (path) => {
    await withSource({ data: [path] }, async (source) => {
      const { documents, train_documents, held_out_documents } = source.summary;
      assert.deepEqual([documents, train_documents, held_out_documents, source.documents], [41, 38, 3, 38]);
      assert.equal(source.documentName(0), "a.jsonl:2");
      assert.equal(source.documentName(37), "a.jsonl:40");
      const batches: ContextBatch[] = [];
      for (const contexts of [4, 4, 1, 4, 300, 300, 2, 3, 4]) batches.push(await source.next(contexts));
      const expected = await trainStream(path);
      assert.deepEqual(values(batches), await expectedOf(expected, 622));
      assert.deepEqual(batches.at(-1)!.position, expected.position);
      assert.ok(expected.position.epoch > 0, "the validation passes the end of an epoch");
    });
  });
});

Deno.test("calls that do not wait for each other are answered in order", async () => {
  await withFile("a.jsonl", jsonl(TEXTS), async (path) => {
    await withSource({ data: [path] }, async (source) => {
      const batches = await Promise.all([3, 3, 5, 1, 1].map((contexts) => source.next(contexts)));
      assert.deepEqual(values(batches), await expectedOf(await trainStream(path), 13));
    });
  });
});

Deno.test("a source continued at a position equals the uninterrupted one", async () => {
  await withFile("a.jsonl", jsonl(TEXTS), async (path) => {
    const expected = await trainStream(path);
    const position = (await expected.next(37)).positions[36];
    await withSource({ data: [path], start: position }, async (source) => {
      assert.deepEqual(values([await source.next(5), await source.next(6)]), await expectedOf(expected, 11));
    });
  });
});

Deno.test("a held-out source gives each of its documents once and ends", async () => {
  await withFile("a.jsonl", jsonl(TEXTS), async (path) => {
    for (const [split, numbers] of [["test", [0, 40]], ["validation", [20]]] as const) {
      await withSource({ data: [path], split }, async (source) => {
        assert.equal(source.documents, numbers.length);
        assert.deepEqual(numbers.map((_, n) => source.documentName(n)), numbers.map((i) => `a.jsonl:${i + 1}`));
        const batches = [await source.next(4)];
        while (!batches.at(-1)!.done) batches.push(await source.next(4));
        const [ids, document] = values(batches);
        const text = tokenizer.decode(ids.filter((_, i) => document[i] !== NO_DOCUMENT));
        assert.equal(text, numbers.map((i) => `${TEXTS[i]}<eos>`).join(""));
        assert.equal((await source.next(4)).batch.contexts, 0);
      });
      await withSource({ data: [path], split, tokens: 20 }, async (source) => {
        const { batch: { contexts }, done } = await source.next(9);
        assert.deepEqual([contexts, done], [2, true], "the fewest rows that hold 20 tokens");
      });
    }
  });
});

Deno.test("one text file is cut so that all parts have some", async () => {
  await withFile("speech.txt", TEXTS.join("\n"), async (path) => {
    await withSource({ data: [path], split: "validation" }, (source) => {
      assert.equal(source.documentName(0), "speech.txt#21");
      const { documents, train_documents, held_out_documents } = source.summary;
      assert.deepEqual([documents, train_documents, held_out_documents], [21, 19, 2]);
    });
  });
});

const refuses = (options: Partial<TokenSourceOptions>, message: RegExp) =>
  assertRefused(withSource(options, () => {}), message);

Deno.test("the Worker's errors arrive as they were thrown", async () => {
  await refuses({ data: ["/nowhere/a.txt"] }, /^Cannot read \/nowhere\/a\.txt: the file must exist, there is none/);
  await refuses({ tokenizer: { ...tokenizerFiles, tokenizerJson: new Uint8Array() } }, /^Cannot read tokenizer\.json/);
  await withFile("short.txt", "just these few words", async (path) => {
    const message = /^Cannot make contexts of 16 tokens: the training text must have at least 15 tokens, it has \d;/;
    await refuses({ data: [path] }, message);
    await refuses({ data: [path], context: 1 }, /--context must be at least 2/);
    await refuses({ data: [path], context: 2, start: { ...START, section: 9999 } }, /give the same data$/);
  });
});

Deno.test("close: what is under way and what comes later fails", async () => {
  await withFile("a.jsonl", jsonl(TEXTS), async (path) => {
    await withSource({ data: [path] }, async (source) => {
      const underWay = source.next(4);
      const closed = Promise.resolve().then(() => source.close());
      await assert.rejects(underWay, /closed/);
      await closed;
      await assert.rejects(source.next(4), /closed/);
    });
  });
});

/** Workers of this process that run; Linux alone tells. */
function runningWorkers(): number {
  const names = [...Deno.readDirSync("/proc/self/task")].map(({ name }) => {
    try {
      return Deno.readTextFileSync(`/proc/self/task/${name}/comm`);
    } catch {
      return ""; // it has just ended
    }
  });
  return names.filter((name) => name.startsWith("worker-")).length;
}

Deno.test({
  name: "a closed source's Worker ends, however many runs it was asked for",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // Words that are never met twice, so that each run takes its time.
    const random = randomGenerator(1), word = () => random.u32().toString(36);
    const texts = Array.from({ length: 400 }, () => Array.from({ length: 2000 }, word).join(" "));
    await withFile("a.jsonl", jsonl(texts), async (path) => {
      const before = runningWorkers(), options = { data: [path], context: 100_000 };
      await withSource(options, async (source) => void await source.next(5));
      await withSource(options, async (source) => {
        // Both work side by side: after two runs of the second the first would still be at those that nobody wants.
        await source.next(2);
        assert.equal(runningWorkers(), before + 1);
      });
    });
  },
});

Deno.test("the embedded text gives the bytes that it gave before texts were streamed", async () => {
  await withSource({ data: "builtin", context: 64, seed: 1 }, async (source) => {
    const hash = createHash("sha256"), { batch: { ids, document, position } } = await source.next(1000);
    for (const array of [ids, document, position]) hash.update(new Uint8Array(array.buffer));
    assert.equal(hash.digest("hex"), "db696dae61bceddd52eaa8baa61cc4394d86df719e741f91b2279550b5120691");
  });
});

Deno.test("a text of more than one block: continued in the second, named without a list, broken lines named when they come", async () => {
  const long = "the state of the Union is strong ".repeat(1000);
  const lines = Array.from({ length: 1500 }, (_, i) => JSON.stringify({ text: `Document ${i}: ${long}` }) + "\n");
  await withFile("long.jsonl", lines.join("") + "{", async (path) => {
    const start = { ...START, record: 100, byte: lines.slice(0, 100).join("").length, section: 5, token: 7 };
    const options = { data: [path], context: 64, seed: null };
    await withSource({ ...options, start }, async (source) => {
      assert.deepEqual([source.summary.documents, source.summary.file_count], [null, 1]);
      const { batch, position } = await source.next(1);
      assert.equal(
        source.documentName(batch.document[1]),
        "long.jsonl:102",
        "the first document of a block is held out",
      );
      assert.deepEqual(position, { ...start, token: 70 });
    });
    const late = { ...start, record: 1490, byte: lines.slice(0, 1490).join("").length, section: 0, token: 0 };
    await refuses({ ...options, start: late }, /long\.jsonl line 1501: each line must be one JSON object/);
  });
});
