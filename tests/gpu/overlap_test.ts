/** Pieces of work in their order: read, sent on, taken in, while the next is prepared. */

import assert from "node:assert/strict";
import { overlapped } from "../../core/gpu/overlap.ts";

function recorder() {
  const log: string[] = [];
  async function* pieces(count: number) {
    try {
      for (let n = 0; n < count; n++) {
        log.push(`prepare ${n}`);
        await Promise.resolve();
        yield n;
      }
    } finally {
      log.push("end");
    }
  }
  const stages = {
    submit: (n: number) => void log.push(`submit ${n}`),
    async read(n: number) {
      await Promise.resolve();
      log.push(`read ${n}`);
      return n * 10;
    },
    take: (n: number, result: number) => void log.push(`take ${n} ${result}`),
  };
  return { log, pieces, stages };
}

Deno.test("a piece is taken in, and the one after the next prepared, while the next runs", async () => {
  const { log, pieces, stages } = recorder();
  await overlapped(pieces(3), stages);
  assert.deepEqual(log, [
    ...["prepare 0", "submit 0", "prepare 1", "read 0", "submit 1", "take 0 0"],
    ...["prepare 2", "read 1", "submit 2", "take 1 10", "end", "read 2", "take 2 20"],
  ]);
});

Deno.test("one piece, and none", async () => {
  const one = recorder(), none = recorder();
  await overlapped(one.pieces(1), one.stages);
  await overlapped(none.pieces(0), none.stages);
  assert.deepEqual(one.log, ["prepare 0", "submit 0", "end", "read 0", "take 0 0"]);
  assert.deepEqual(none.log, ["end"]);
});

Deno.test("what a stage throws ends the work and closes the source of pieces", async () => {
  const { log, pieces, stages } = recorder();
  const take = () => {
    throw new Error("stopped");
  };
  await assert.rejects(overlapped(pieces(5), { ...stages, take }), /stopped/);
  assert.deepEqual(log, ["prepare 0", "submit 0", "prepare 1", "read 0", "submit 1", "end"]);
});
