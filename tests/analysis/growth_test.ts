import assert from "node:assert/strict";
import { growth, seedMean } from "../../core/analysis/growth.ts";

/** y = c x^p with another c for each k, and for each seed another p. */
function planted(exponents: readonly number[], sizes: readonly number[] = [128, 256, 1024]) {
  return exponents.flatMap((exponent, seed) =>
    [16, 32].flatMap((k) => sizes.map((x) => ({ x, y: 5 / k * x ** exponent, seed: String(seed), others: String(k) })))
  );
}

function near(found: number, expected: number) {
  assert.ok(Math.abs(found - expected) < 1e-9, `${found}, not ${expected}`);
}

Deno.test("a planted exponent is found whatever the other settings are, also where a seed lacks some", () => {
  const points = planted([-0.25, -0.25, -0.25]);
  const found = growth(points.filter(({ seed, x, others }) => !(seed === "1" && x === 128 && others === "16")))!;
  near(found.exponent, -0.25);
  near(found.ci95[0], -0.25);
  near(found.ci95[1], -0.25);
  assert.equal(found.seeds, 3);
});

Deno.test("the interval over seeds is Student's", () => {
  const { exponent, ci95: [low, high] } = growth(planted([-0.1, -0.2, -0.3]))!;
  near(exponent, -0.2);
  near(low, -0.2 - 4.303 * 0.1 / Math.sqrt(3));
  near(high, -0.2 + 4.303 * 0.1 / Math.sqrt(3));
});

Deno.test("one seed has an exponent and no interval; what does not vary, or is no number, has none", () => {
  const { exponent, ci95, seeds } = growth(planted([-0.5]))!;
  near(exponent, -0.5);
  assert.deepEqual([ci95, seeds], [[NaN, NaN], 1]);
  assert.equal(growth(planted([-0.5], [128])), null);
  assert.equal(growth(planted([-0.5]).map((point) => ({ ...point, y: NaN }))), null);
});

Deno.test("the mean over seeds has its sample deviation, that of one seed none", () => {
  assert.deepEqual(seedMean([0.2]), { mean: 0.2, std: NaN, ci95: [NaN, NaN] });
  near(seedMean([1, 3]).std, Math.SQRT2);
});
