import assert from "node:assert/strict";
import {
  type ContextBatch,
  ContextStream,
  type ContextStreamOptions,
  countTokens,
  NO_DOCUMENT,
  type StreamPosition,
} from "../../core/text/contexts.ts";
import { permutation, randomGenerator } from "../../core/random.ts";

const BOS = 2;
const EOS = 1;
/** Documents of unequal length, among them an empty one; every id tells its document and place. */
const LENGTHS = [3, 0, 1, 12, 5, 4, 31, 2];
const tokensOf = (document: number) =>
  Uint32Array.from({ length: LENGTHS[document] }, (_, i) => 100 * document + i + 10);
const open = (options: Partial<ContextStreamOptions> = {}) =>
  new ContextStream({
    documents: LENGTHS.length,
    tokens: tokensOf,
    context: 5,
    bosId: BOS,
    eosId: EOS,
    seed: 7,
    endless: true,
    ...options,
  });

/** The tokens of batches without BOS, as [id, document, position]. */
function flatten(batches: ContextBatch[]): number[][] {
  return batches.flatMap(({ batch }) =>
    [...batch.ids].map((id, i) => [id, batch.document[i], batch.position[i]]).filter((_, i) => i % batch.context > 0)
  );
}

function expectedTokens(order: ArrayLike<number>): number[][] {
  return Array.from(order).flatMap((document) =>
    [...tokensOf(document), EOS].map((id, position) => [id, document, position])
  );
}

Deno.test("held-out streams give the documents in their order once and drop the incomplete end", () => {
  const all = expectedTokens(LENGTHS.keys().toArray()); // 66 tokens
  for (const context of [2, 3, 5, 12, 67]) {
    const stream = open({ context, seed: null, endless: false });
    const batches = [stream.next(4)];
    while (!batches.at(-1)!.done) batches.push(stream.next(4));
    const kept = Math.floor(all.length / (context - 1)) * (context - 1);
    assert.deepEqual(flatten(batches), all.slice(0, kept), `context ${context}`);
    for (const { batch, done } of batches) {
      assert.equal(batch.ids.length, batch.contexts * context);
      assert.equal(done, batch.contexts < 4);
      for (let row = 0; row < batch.contexts; row++) {
        const first = row * context;
        assert.deepEqual([batch.ids[first], batch.document[first], batch.position[first]], [BOS, NO_DOCUMENT, 0]);
      }
    }
    assert.deepEqual(stream.next(3).batch.contexts, 0, "nothing comes after the end");
  }
  assert.equal(open({ context: 68, seed: null, endless: false }).next(1).batch.contexts, 0);
});

Deno.test("endless streams permute the documents anew in each epoch and lose no token between epochs", () => {
  const orders = [0, 1, 2].map((epoch) => [...permutation(LENGTHS.length, randomGenerator(7, 0x6f726465, epoch))]);
  assert.notDeepEqual(orders[0], orders[1]);
  assert.notDeepEqual(orders[1], orders[2]);
  const expected = orders.flatMap(expectedTokens);
  const stream = open();
  const got = flatten(Array.from({ length: 12 }, () => stream.next(4)));
  assert.deepEqual(got, expected.slice(0, got.length));
  assert.equal(got.length, 192); // of 198 in three epochs
  const natural = open({ seed: null });
  const repeated = flatten(Array.from({ length: 12 }, () => natural.next(4)));
  const once = expectedTokens(LENGTHS.keys().toArray());
  assert.deepEqual(repeated, [...once, ...once, ...once].slice(0, 192));
});

Deno.test("a stream continued from any position equals the uninterrupted one, whatever the batch sizes", () => {
  const whole = open();
  const rows = Array.from({ length: 60 }, () => whole.next(1));
  const starts: (StreamPosition | undefined)[] = [undefined, ...rows.map((row) => row.position)];
  for (const [first, start] of starts.slice(0, 50).entries()) {
    const stream = open({ start });
    assert.deepEqual(flatten([stream.next(3), stream.next(7)]), flatten(rows.slice(first, first + 10)));
    assert.deepEqual(stream.position, rows[first + 9].position);
    stream.seek(rows[2].position);
    assert.deepEqual(flatten([stream.next(1)]), flatten([rows[3]]), "seek");
  }
});

Deno.test("documents in sections: in their own order the same text, shuffled the same tokens in another order", () => {
  const sections = (document: number) => [1, 1, 2, 3, 4, 1, 7, 3][document];
  const natural = (options: Partial<ContextStreamOptions>) => flatten([open({ seed: null, ...options }).next(40)]);
  assert.deepEqual(natural({ sections }), natural({}));
  // 66 tokens and rows of 1 + 11: six rows are one epoch.
  const epoch = (options: Partial<ContextStreamOptions>) => flatten([open({ context: 12, ...options }).next(6)]);
  const byPlace = (rows: number[][]) => rows.toSorted((a, b) => a[1] - b[1] || a[2] - b[2]);
  assert.deepEqual(byPlace(epoch({ sections })), expectedTokens(LENGTHS.keys().toArray()));
  assert.notDeepEqual(epoch({ sections }), epoch({}));
  const whole = open({ sections }), rows = Array.from({ length: 40 }, () => whole.next(1));
  for (let first = 0; first < 30; first++) {
    const stream = open({ sections, start: rows[first].position });
    assert.deepEqual(flatten([stream.next(9)]), flatten(rows.slice(first + 1, first + 10)), "continued");
  }
});

Deno.test("the stream is a function of its seed", () => {
  const text = (seed: number | null) => flatten([open({ seed }).next(20)]).join(" ");
  assert.equal(text(3), text(3));
  assert.equal(new Set([text(0), text(1), text(2), text(3), text(null)]).size, 5);
});

Deno.test("documents are tokenised when the stream comes to them", () => {
  const seen: number[] = [];
  const stream = open({ seed: null, tokens: (document) => (seen.push(document), tokensOf(document)) });
  assert.deepEqual(seen, []);
  stream.next(1); // 3 tokens and EOS
  assert.deepEqual(seen, [0]);
  stream.next(1); // EOS, one token and EOS, one token
  assert.deepEqual(seen, [0, 1, 2, 3]);
});

Deno.test("a position that other data left behind, and contexts without room, are refused", () => {
  const refused = { name: "UserError", message: /give the same data$/ };
  assert.throws(() => open({ start: { epoch: 0, section: 8, token: 0 } }), refused);
  assert.throws(() => open({ seed: null, start: { epoch: 0, section: 0, token: 4 } }), refused);
  open({ seed: null, start: { epoch: 0, section: 0, token: 3 } }); // before EOS
  assert.throws(() => open({ context: 1 }), { name: "UserError", message: /--context must be at least 2/ });
});

Deno.test("countTokens counts EOS and stops when there are enough", () => {
  const documents = LENGTHS.length;
  assert.equal(countTokens({ documents, tokens: tokensOf }, Infinity), 66);
  const seen: number[] = [];
  assert.equal(countTokens({ documents, tokens: (document) => (seen.push(document), tokensOf(document)) }, 5), 5);
  assert.deepEqual(seen, [0, 1]);
});
