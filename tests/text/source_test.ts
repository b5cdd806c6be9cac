import assert from "node:assert/strict";
import { join } from "node:path";
import { builtinModel } from "../../core/builtin/model.ts";
import { UserError } from "../../core/errors.ts";
import { type ContextBatch, ContextStream } from "../../core/text/contexts.ts";
import { openTokenSource, type TokenSource } from "../../core/text/source.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import type { TokenSourceOptions } from "../../core/text/worker.ts";

const tokenizer = await builtinModel();
const TEXTS = Array.from({ length: 41 }, (_, i) => `Document ${i}: ${"the state of the Union is strong ".repeat(i)}`);
const LINES = TEXTS.map((text) => JSON.stringify({ text })).join("\n");

/** Runs `test` with a file that holds this text. */
async function withFile(name: string, content: string, test: (path: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "mtc-source-" });
  try {
    await Deno.writeTextFile(join(folder, name), content);
    await test(join(folder, name));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Opens a source for `use` and closes it, whatever happens. */
async function withSource(options: Partial<TokenSourceOptions>, use: (source: TokenSource) => void | Promise<void>) {
  const source = await openTokenSource({ tokenizer, data: [], split: "train", context: 16, seed: 3, ...options });
  try {
    await use(source);
  } finally {
    source.close();
  }
}

function values(batches: ContextBatch[]): number[][] {
  return (["ids", "document", "position"] as const).map((key) => batches.flatMap(({ batch }) => [...batch[key]]));
}

/** The stream that the Worker should give, made here. */
function trainStream(seed: number) {
  const train = TEXTS.filter((_, i) => i % 20 !== 0);
  const { encode, bosId, eosId } = loadTokenizer(tokenizer);
  const tokens = (document: number) => encode(train[document]);
  return new ContextStream({ documents: train.length, tokens, context: 16, bosId, eosId, seed, endless: true });
}

Deno.test("a training source gives the stream of its seed, whatever the batch sizes", async () => {
  await withFile("a.jsonl", LINES, async (path) => {
    await withSource({ data: [path] }, async (source) => {
      assert.deepEqual(source.counts, { documents: 41, train_documents: 38, held_out_documents: 3 });
      assert.equal(source.documents.length, 38);
      assert.equal(source.documents[0], "a.jsonl:2");
      const batches: ContextBatch[] = [];
      for (const contexts of [4, 4, 1, 4, 300, 300, 2, 3, 4]) batches.push(await source.next(contexts));
      const expected = trainStream(3);
      assert.deepEqual(values(batches), values([expected.next(622)]));
      assert.deepEqual(batches.at(-1)!.position, expected.position);
      assert.ok(expected.position.epoch > 0, "the test passes the end of an epoch");
    });
  });
});

Deno.test("calls that do not wait for each other are answered in order", async () => {
  await withFile("a.jsonl", LINES, async (path) => {
    await withSource({ data: [path] }, async (source) => {
      const batches = await Promise.all([3, 3, 5, 1, 1].map((contexts) => source.next(contexts)));
      assert.deepEqual(values(batches), values([trainStream(3).next(13)]));
    });
  });
});

Deno.test("a source continued at a position equals the uninterrupted one", async () => {
  await withFile("a.jsonl", LINES, async (path) => {
    const expected = trainStream(3);
    const { position } = expected.next(37);
    await withSource({ data: [path], start: position }, async (source) => {
      assert.deepEqual(values([await source.next(5), await source.next(6)]), values([expected.next(11)]));
    });
  });
});

Deno.test("a held-out source gives each of its documents once and ends", async () => {
  await withFile("a.jsonl", LINES, async (path) => {
    await withSource({ data: [path], split: "held_out" }, async (source) => {
      assert.deepEqual(source.documents, ["a.jsonl:1", "a.jsonl:21", "a.jsonl:41"]);
      const batches = [await source.next(4)];
      while (!batches.at(-1)!.done) batches.push(await source.next(4));
      const [ids] = values(batches);
      const { decode } = loadTokenizer(tokenizer);
      const text = decode(ids.filter((id) => id !== 2));
      const whole = [0, 20, 40].map((i) => `${TEXTS[i]}<eos>`).join("");
      assert.ok(whole.startsWith(text) && whole.length - text.length < 100, `${text.length} of ${whole.length}`);
      assert.equal((await source.next(4)).batch.contexts, 0);
    });
  });
});

Deno.test("one text file is cut so that both splits have some", async () => {
  await withFile("speech.txt", TEXTS.join("\n"), async (path) => {
    await withSource({ data: [path], split: "held_out" }, (source) => {
      assert.deepEqual(source.documents, ["speech.txt#1"]);
      assert.deepEqual(source.counts, { documents: 20, train_documents: 19, held_out_documents: 1 });
    });
  });
});

async function refuses(options: Partial<TokenSourceOptions>, message: RegExp) {
  await assert.rejects(
    withSource(options, () => {}),
    (error: Error) => {
      assert.ok(error instanceof UserError, `${error.stack}`);
      assert.match(error.message, message);
      return true;
    },
  );
}

Deno.test("the Worker's errors arrive as they were thrown", async () => {
  await refuses({ data: ["/nowhere/a.txt"] }, /^Cannot read \/nowhere\/a\.txt: the file must exist, there is none/);
  await refuses({ tokenizer: { ...tokenizer, tokenizerJson: new Uint8Array() } }, /^Cannot read tokenizer\.json/);
  await withFile("short.txt", "just these few words", async (path) => {
    const message = /^Cannot make contexts of 16 tokens: the held-out text must have at least 15 tokens, it has \d;/;
    await refuses({ data: [path], split: "held_out" }, message);
    await refuses({ data: [path], context: 1 }, /--context must be at least 2/);
    await refuses({ data: [path], context: 2, start: { epoch: 0, section: 9999, token: 0 } }, /give the same data$/);
  });
});

Deno.test("close: what is under way and what comes later fails", async () => {
  await withFile("a.jsonl", LINES, async (path) => {
    await withSource({ data: [path] }, async (source) => {
      const underWay = source.next(4);
      await Promise.resolve().then(() => source.close());
      await assert.rejects(underWay, /closed/);
      await assert.rejects(source.next(4), /closed/);
    });
  });
});
