/** The stream over blocks that are made here, so that every token tells where it comes from. */

import assert from "node:assert/strict";
import { permutation, randomGenerator } from "../../core/random.ts";
import { VOLUME_START } from "../../core/text/blocks.ts";
import { NO_DOCUMENT, START, type StreamPosition } from "../../core/text/contexts.ts";
import type { Block, BlockSource } from "../../core/text/corpus.ts";
import { exposedGc } from "./corpora.ts";
import { type ContextRun, ContextStream, type ContextStreamOptions } from "../../core/text/stream.ts";

const BOS = 2;
const EOS = 1;
/** Documents of unequal length, among them an empty one; every id tells its document and place. */
const LENGTHS = [3, 0, 1, 12, 5, 4, 31, 2];
const tokensOf = (document: number) =>
  Uint32Array.from({ length: LENGTHS[document] }, (_, i) => 100 * document + i + 10);
/** The text of a document begins with its number and is as long as its tokens are many. */
const textOf = (document: number) => String(document).padEnd(Math.max(1, LENGTHS[document]));
const encode = (text: string) => tokensOf(parseInt(text));

function blockOf(documents: readonly number[], key: number[] = [], next: Block["next"] = null): Block {
  return { documents: documents.map((number) => ({ number, text: textOf(number) })), key, next };
}

const ALL = LENGTHS.keys().toArray();
const oneBlock: BlockSource = { volumes: 1, read: ((block) => () => Promise.resolve(block))(blockOf(ALL)) };

/** Three volumes, of two, one and three blocks; the last has a block without documents. */
const VOLUMES = [[[0, 1, 2], [3]], [[4, 5]], [[6], [], [7]]];
const manyBlocks: BlockSource = {
  volumes: VOLUMES.length,
  read(volume, { file, record }) {
    assert.equal(file, 0);
    const isLast = record + 1 === VOLUMES[volume].length;
    return Promise.resolve(
      blockOf(VOLUMES[volume][record], [volume, 0, record], isLast ? null : { file: 0, record: record + 1, byte: 9 }),
    );
  },
};

const open = (options: Partial<ContextStreamOptions> = {}) =>
  ContextStream.open({
    ...{ source: oneBlock, encode, sectionCharacters: 1000, context: 5, bosId: BOS, eosId: EOS, seed: 7 },
    ...options,
  });

/** The tokens of runs without BOS, as [id, document, position]. */
function flatten(runs: ContextRun[]): number[][] {
  return runs.flatMap(({ batch }) =>
    [...batch.ids].map((id, i) => [id, batch.document[i], batch.position[i]]).filter((_, i) => i % batch.context > 0)
  );
}

function expectedTokens(order: ArrayLike<number>): number[][] {
  return Array.from(order).flatMap((document) =>
    [...tokensOf(document), EOS].map((id, position) => [id, document, position])
  );
}

async function rowsOf(stream: ContextStream, count: number): Promise<ContextRun[]> {
  const runs: ContextRun[] = [];
  for (let row = 0; row < count; row++) runs.push(await stream.next(1));
  return runs;
}

const byPlace = (rows: number[][]) => rows.toSorted((a, b) => a[1] - b[1] || a[2] - b[2]);

for (const [kind, source] of [["one block", oneBlock], ["many blocks", manyBlocks]] as const) {
  Deno.test(`${kind}: a stream without seed gives the documents in their order, again and again, with nothing between`, async () => {
    const all = expectedTokens(ALL); // 66 tokens
    for (const context of [2, 3, 5, 12, 67]) {
      const stream = await open({ source, context, seed: null });
      const runs = [await stream.next(4), await stream.next(7), await stream.next(4)];
      const given = 15 * (context - 1), thrice = Array.from({ length: 1 + given / 66 }, () => all).flat();
      assert.deepEqual(flatten(runs), thrice.slice(0, given), `context ${context}`);
      for (const { batch, positions } of runs) {
        assert.equal(batch.ids.length, batch.contexts * context);
        assert.equal(positions.length, batch.contexts);
        for (let row = 0; row < batch.contexts; row++) {
          const first = row * context;
          assert.deepEqual([batch.ids[first], batch.document[first], batch.position[first]], [BOS, NO_DOCUMENT, 0]);
        }
      }
    }
  });

  Deno.test(`${kind}: a stream continued from any position equals the uninterrupted one`, async () => {
    for (const sectionCharacters of [1000, 4]) {
      const options = { source, sectionCharacters };
      const rows = await rowsOf(await open(options), 60);
      const starts: (StreamPosition | undefined)[] = [undefined, ...rows.map(({ positions }) => positions[0])];
      for (const [first, start] of starts.slice(0, 50).entries()) {
        const stream = await open({ ...options, start });
        const got = [await stream.next(3), await stream.next(7)];
        assert.deepEqual(flatten(got), flatten(rows.slice(first, first + 10)));
        assert.deepEqual(stream.position, rows[first + 9].positions[0]);
        assert.deepEqual(got[1].positions, rows.slice(first + 3, first + 10).map(({ positions }) => positions[0]));
      }
    }
  });

  Deno.test(`${kind}: shuffled sections are the same tokens in another order, in each epoch another`, async () => {
    for (const sectionCharacters of [1000, 4, 1]) {
      // 66 tokens and rows of 1 + 11: six rows are one epoch.
      const stream = await open({ source, context: 12, sectionCharacters });
      const epochs = [flatten([await stream.next(6)]), flatten([await stream.next(6)])];
      assert.deepEqual(stream.position, { ...START, epoch: 2 });
      for (const epoch of epochs) assert.deepEqual(byPlace(epoch), expectedTokens(ALL));
      assert.notDeepEqual(epochs[0], epochs[1]);
    }
    const natural = await open({ source, context: 12, sectionCharacters: 4, seed: null });
    assert.deepEqual(flatten([await natural.next(6)]), expectedTokens(ALL), "sections in their own order are the text");
  });
}

Deno.test("one block: the order is the permutation of its epoch, and no token is lost between epochs", async () => {
  const orders = [0, 1, 2].map((epoch) => [...permutation(LENGTHS.length, randomGenerator(7, 0x6f726465, epoch))]);
  const expected = orders.flatMap(expectedTokens), stream = await open();
  const got = flatten([await stream.next(48)]);
  assert.equal(got.length, 192); // of 198 in three epochs
  assert.deepEqual(got, expected.slice(0, 192));
});

Deno.test("many blocks: volumes are permuted, the blocks of one follow in order", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const stream = await open({ source: manyBlocks, context: 12, seed });
    const order = [...new Set(flatten([await stream.next(6)]).map(([, document]) => document))];
    const volumes = order.map((document) => VOLUMES.findIndex((blocks) => blocks.flat().includes(document)));
    assert.equal(volumes.filter((volume, i) => volume !== volumes[i - 1]).length, 3, `${order}`);
    assert.equal(order.indexOf(7) - order.indexOf(6), 1);
    assert.ok(order.indexOf(3) > order.indexOf(0));
    seen.add([...new Set(volumes)].join());
  }
  assert.ok(seen.size > 3, [...seen].join(" "));
});

Deno.test("the stream is a function of its seed", async () => {
  const text = async (seed: number | null) => flatten([await (await open({ seed })).next(20)]).join(" ");
  assert.equal(await text(3), await text(3));
  assert.equal(new Set(await Promise.all([0, 1, 2, 3, null].map(text))).size, 5);
});

Deno.test("documents are tokenised when the stream comes to them, those of the only block once in all epochs", async () => {
  const seen: number[] = [];
  const stream = await open({ seed: null, encode: (text) => (seen.push(parseInt(text)), encode(text)) });
  assert.deepEqual(seen, []);
  await stream.next(1); // 3 tokens and EOS
  assert.deepEqual(seen, [0]);
  await stream.next(1); // EOS, one token and EOS, one token
  assert.deepEqual(seen, [0, 1, 2, 3]);
  await stream.next(100);
  assert.deepEqual(seen, ALL);
});

Deno.test("a block is let go before the next is read", async () => {
  const gc = await exposedGc(), blocks: WeakRef<Block["documents"]>[] = [], alive: number[] = [];
  const watching: BlockSource = {
    volumes: 1,
    async read(_, { record }) {
      await new Promise((resolve) => setTimeout(resolve)); // weak references hold until the task ends
      gc();
      alive.push(blocks.filter((documents) => documents.deref() !== undefined).length);
      const block = blockOf([6], [0, 0, record], { file: 0, record: record + 1, byte: 0 });
      blocks.push(new WeakRef(block.documents));
      return block;
    },
  };
  await (await open({ source: watching })).next(64); // 32 tokens a block, 4 a row
  assert.deepEqual(alive, Array(8).fill(0));
});

Deno.test("a position that other data left behind, and contexts without room, are refused", async () => {
  const refused = { name: "UserError", message: /give the same data$/ };
  const at = (place: Partial<StreamPosition>) => ({ ...START, ...place });
  await assert.rejects(open({ start: at({ section: 8 }) }), refused);
  await assert.rejects(open({ start: at({ volume: 1 }) }), refused);
  await assert.rejects(open({ seed: null, start: at({ token: 4 }) }), refused);
  await open({ seed: null, start: at({ token: 3 }) }); // before EOS
  await assert.rejects(open({ context: 1 }), { name: "UserError", message: /--context must be at least 2/ });
});

Deno.test("a text too short for one context is refused, wherever that shows", async () => {
  const message =
    /^Cannot make contexts of 68 tokens: the training text must have at least 67 tokens, it has 66; give more/;
  for (const source of [oneBlock, manyBlocks]) {
    const stream = await open({ source, context: 68 });
    await assert.rejects(stream.next(1), { name: "UserError", message });
  }
  const silent: BlockSource = { volumes: 2, read: () => Promise.resolve(blockOf([])) };
  await assert.rejects((await open({ source: silent })).next(1), { name: "UserError", message: /it has 0; give more/ });
  assert.deepEqual(VOLUME_START, { file: 0, record: 0, byte: 0 });
});
