import assert from "node:assert/strict";
import { directionsOf } from "../../core/analysis/directions.ts";
import { foundAgain, stableShare, together } from "../../core/analysis/stability.ts";
import { randomGenerator } from "../../core/random.ts";

const width = 64, groups = [8, 24];

function gaussian(rows: number, columns: number, seed: number): Float32Array {
  const random = randomGenerator(seed);
  return Float32Array.from({ length: rows * columns }, () => random.gaussian());
}

Deno.test("planted twins are found in whatever order, length and noise; others and random directions are not", () => {
  const a = gaussian(32, width, 1), b = gaussian(32, width, 2), noise = gaussian(32, width, 3);
  // The first group in reverse behind strangers, and of the second group one with the opposite sign.
  for (let i = 0; i < 8; i++) {
    for (let c = 0; c < width; c++) b[(31 - i) * width + c] = 3 * (a[i * width + c] + 0.3 * noise[i * width + c]);
  }
  for (let c = 0; c < width; c++) b[c] = -a[20 * width + c];
  const found = foundAgain(directionsOf(a, width), directionsOf(b, width), groups, 0);
  assert.deepEqual(found, {
    groups: [{ features: 8, judged: 8, found: 8 }, { features: 24, judged: 24, found: 0 }],
    random: { judged: 32, found: 0 },
  });
});

Deno.test("directions that span little are found by chance as well: random ones have their second moment", () => {
  // All in one plane of 64 dimensions.
  const inPlane = (seed: number) => {
    const angles = gaussian(32, 1, seed);
    return directionsOf(
      Float32Array.from({ length: 32 * width }, (_, at) => {
        const angle = 10 * angles[Math.floor(at / width)];
        return at % width === 5 ? Math.cos(angle) : at % width === 40 ? Math.sin(angle) : 0;
      }),
      width,
    );
  };
  const found = foundAgain(inPlane(1), inPlane(2), groups, 0);
  assert.deepEqual(found.random, { judged: 32, found: 32 });
  assert.deepEqual(found.groups.map(({ found }) => found), groups);
});

Deno.test("weights that are no numbers are found nowhere", () => {
  const broken = directionsOf(new Float32Array(32 * width).fill(NaN), width);
  assert.equal(stableShare(foundAgain(broken, broken, groups, 0)).share, 0);
});

Deno.test("groups count by their sizes, pairs add up, and the error is that of the shares", () => {
  const one = {
    groups: [{ features: 100, judged: 10, found: 5 }, { features: 300, judged: 10, found: 1 }],
    random: { judged: 20, found: 2 },
  };
  const { share, random, error } = stableShare(together([one, one]));
  assert.equal(share, 0.25 * 0.5 + 0.75 * 0.1);
  assert.equal(random, 0.1);
  const expected = Math.sqrt(0.25 ** 2 * 0.25 / 20 + 0.75 ** 2 * 0.09 / 20 + 0.09 / 40);
  assert.ok(Math.abs(error - expected) < 1e-12, `${error}, not ${expected}`);
});
