import assert from "node:assert/strict";
import { permutation, randomGenerator, xoshiro128 } from "../core/random.ts";

Deno.test("xoshiro128** gives the words of its authors' C program", () => {
  const random = xoshiro128([0x964d4a0c, 0xd40ab895, 0xad7fdecb, 0x3006f0f0]);
  assert.deepEqual([random.u32(), random.u32(), random.u32(), random.u32()], [
    0xf1391922,
    0x6fe53806,
    0xa5be2840,
    0xf510ee70,
  ]);
  const small = xoshiro128([1, 2, 3, 4]);
  assert.deepEqual([small.u32(), small.u32(), small.u32(), small.u32()], [11520, 0, 5927040, 70819200]);
});

Deno.test("streams: equal names give equal numbers, any difference gives others", () => {
  const first = (...ids: number[]) => randomGenerator(ids[0], ...ids.slice(1)).u32();
  assert.equal(first(7, 1, 2), first(7, 1, 2));
  const names = [[0], [1], [0, 0], [0, 1], [1, 0], [0, 0, 0], [2 ** 32], [2 ** 32, 1], [2 ** 53 - 1], [0xffffffff]];
  assert.equal(new Set(names.map((ids) => first(...ids))).size, names.length);
  for (const seed of [-1, 0.5, NaN, 2 ** 53]) assert.throws(() => randomGenerator(seed), RangeError);
});

Deno.test("the numbers of a seed are pinned: they decide every trained byte", () => {
  const random = randomGenerator(49, 3);
  const drawn = [random.u32(), random.below(1000), random.gaussian(), random.gaussian(), random.float()];
  assert.deepEqual(drawn, [4091579267, 747, -0.146793518451387, 1.7077142950122157, 0.5175433231052011]);
  assert.deepEqual([...permutation(8, randomGenerator(49))], [0, 2, 6, 3, 1, 7, 5, 4]);
});

Deno.test("gaussian: moments and tails of the normal distribution", () => {
  const random = randomGenerator(1);
  const n = 200_000;
  const moments = [0, 0, 0, 0];
  let beyond = 0;
  for (let i = 0; i < n; i++) {
    const x = random.gaussian();
    for (let power = 1; power <= 4; power++) moments[power - 1] += x ** power / n;
    if (Math.abs(x) > 3) beyond++;
  }
  // Five standard errors of each estimate: variances of x, x^2, x^3, x^4 are 1, 2, 15, 96.
  const allowed = (variance: number) => 5 * Math.sqrt(variance / n);
  assert.ok(Math.abs(moments[0]) < allowed(1), `mean ${moments[0]}`);
  assert.ok(Math.abs(moments[1] - 1) < allowed(2), `variance ${moments[1]}`);
  assert.ok(Math.abs(moments[2]) < allowed(15), `third moment ${moments[2]}`);
  assert.ok(Math.abs(moments[3] - 3) < allowed(96), `fourth moment ${moments[3]}`);
  assert.ok(Math.abs(beyond / n - 0.0027) < allowed(0.0027), `share beyond 3 sigma ${beyond / n}`);
});

Deno.test("permutation: every order of three is equally frequent, sizes 0 and 1 work", () => {
  assert.equal(permutation(0, randomGenerator(1)).length, 0);
  assert.deepEqual([...permutation(1, randomGenerator(1))], [0]);
  const counts = new Map<string, number>();
  const random = randomGenerator(5);
  for (let i = 0; i < 6000; i++) {
    const key = permutation(3, random).join("");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  assert.equal(counts.size, 6);
  for (const [order, count] of counts) assert.ok(Math.abs(count - 1000) < 150, `${order}: ${count} of 6000`);
});
