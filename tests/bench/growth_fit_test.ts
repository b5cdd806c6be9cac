import assert from "node:assert/strict";
import { fasterThanLinear, growthExponent } from "../../bench/growth_fit.ts";

const sizes = [64, 128, 256, 512];
const power = (name: string, first: number, exponent: number) => ({
  name,
  milliseconds: sizes.map((size) => first * (size / sizes[0]) ** exponent),
});

Deno.test("the exponent of a power law is its power", () => {
  for (const exponent of [0, 0.5, 1, 1.7]) {
    assert.ok(Math.abs(growthExponent(sizes, power("", 3, exponent).milliseconds) - exponent) < 1e-12);
  }
});

Deno.test("kernels that grow faster than the size are found, the costliest first, trifles are not", () => {
  const kernels = [
    power("product", 10, 1),
    power("mixing", 4, 1.5),
    power("attention", 4, 2),
    power("trifle", 0.01, 2),
  ];
  const found = fasterThanLinear(sizes, kernels);
  assert.deepEqual(found.map(({ name }) => name), ["attention", "mixing"]);
  const total = 80 + 4 * 8 ** 1.5 + 4 * 64 + 0.64;
  assert.ok(Math.abs(found[0].exponent - 2) < 1e-12 && Math.abs(found[0].share - 256 / total) < 1e-12);
});

Deno.test("what is constant, or grows slower than the size, is not called fast", () => {
  assert.deepEqual(fasterThanLinear(sizes, [power("constant", 5, 0), power("product", 10, 1)]), []);
});
