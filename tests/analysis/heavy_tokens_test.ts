/** The commonest token of each feature against plain counting. */

import assert from "node:assert/strict";
import { COUNTERS, HeavyTokens } from "../../core/analysis/heavy_tokens.ts";
import { uniform } from "../random.ts";

function counted(tokens: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  return counts;
}

/** Tokens of which the first has about this share and the others fall off as words do. */
function drawn(share: number, kinds: number, length: number, seed: number): number[] {
  const next = uniform(seed);
  return Array.from({ length }, () => next() < share ? 7 : 10 + Math.floor(kinds ** next()));
}

Deno.test("bounds hold the true count of the commonest token, and are as near to each other as promised", () => {
  for (const [share, kinds] of [[0, 4000], [0.05, 4000], [0.3, 300], [0.5, 4000], [0.9, 50_000]]) {
    for (let seed = 0; seed < 20; seed++) {
      const tokens = drawn(share, kinds, 3000, seed), heavy = new HeavyTokens(2), counts = counted(tokens);
      for (const token of tokens) heavy.add(1, token);
      const most = Math.max(...counts.values()), found = heavy.commonest(1)!;
      assert.ok(found.least <= counts.get(found.token)! && counts.get(found.token)! <= found.most);
      assert.ok(found.least <= most && most <= found.most, `${most} is not in ${found.least} to ${found.most}`);
      assert.ok(found.most - found.least <= (tokens.length - found.least) / (COUNTERS + 1));
      assert.equal(heavy.commonest(0), null);
    }
  }
});

Deno.test("as many different tokens as there are counters are counted exactly", () => {
  const heavy = new HeavyTokens(1), tokens = drawn(0.1, COUNTERS - 1, 5000, 3), counts = counted(tokens);
  for (const token of tokens) heavy.add(0, token);
  assert.ok(counts.size <= COUNTERS);
  const [[token, count]] = [...counts].sort(([a, n], [b, m]) => m - n || a - b);
  assert.deepEqual(heavy.commonest(0), { token, least: count, most: count });
});

Deno.test("tokens that come once each leave bounds that hold 1, in the worst order too", () => {
  const heavy = new HeavyTokens(1);
  for (let token = 0; token <= COUNTERS; token++) heavy.add(0, token);
  assert.equal(heavy.commonest(0), null, "every counter is empty again");
  for (const token of [9, 4]) heavy.add(0, token);
  assert.deepEqual(heavy.commonest(0), { token: 4, least: 1, most: 2 });
});
