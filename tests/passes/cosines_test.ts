/** Products on the GPU against float64 loops, in dictionaries of one block and of several. */

import assert from "node:assert/strict";
import { cosine, directionsOf } from "../../core/analysis/directions.ts";
import { loopedCosines, loopedMoment } from "../../core/analysis/looped_products.ts";
import { openGpu } from "../../core/gpu/device.ts";
import { compareCosines, secondMoment } from "../../core/passes/cosines.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";

const gpu = await openGpu(), WIDTH = 12;

for (const features of [1, 7, 130, 2051, 4099]) {
  Deno.test(`cosines and second moment of ${features} features`, async () => {
    // Few dimensions hold most of the length, so that chance is not that of a sphere.
    const matrix = gaussians(features * WIDTH, features).map((x, at) => x / (1 + at % WIDTH));
    const directions = directionsOf(matrix, WIDTH), blocks: [number, number][] = [];
    const compared = { ...directions, rows: directions.rows.slice() };
    const { cosines, by_chance } = await compareCosines(gpu, compared, [features], (...done) => blocks.push(done));
    const sides = Math.ceil(features / 2048), all = sides * (sides + 1);
    assert.deepEqual(blocks, Array.from({ length: all }, (_, n) => [n + 1, all]));
    assert.equal(cosines.histogram.counts.reduce((a, b) => a + b), features * (features - 1) / 2);
    for (const i of [0, Math.floor(features / 2), features - 1]) {
      const values = Array.from({ length: features }, (_, j) => j).filter((j) => j !== i)
        .map((j) => cosine(directions, i, j)).sort((a, b) => b - a).slice(0, 10);
      assertClose(`neighbours of ${i}`, cosines.neighbours[i].map(({ value }) => value), values, {
        floor: 1e-6,
        relative: 0,
      });
      for (const { feature, value } of cosines.neighbours[i]) {
        assert.ok(Math.abs(cosine(directions, i, feature) - value) < 1e-6);
      }
    }
    if (features > 100) {
      const { largest } = cosines;
      assert.ok(
        Math.abs(largest.median - by_chance.largest.median) < 0.05,
        "random rows are as near as chance has them",
      );
    }
    const moment = new Float64Array(WIDTH * WIDTH);
    for (let r = 0; r < features; r++) {
      for (let at = 0; at < moment.length; at++) {
        moment[at] += matrix[r * WIDTH + Math.floor(at / WIDTH)] * matrix[r * WIDTH + at % WIDTH] / features;
      }
    }
    const tolerance = { floor: 1e-5, relative: 1e-5 };
    assertClose("second moment", await secondMoment(gpu, matrix, WIDTH), moment, tolerance);
    assertClose("second moment of a loop", loopedMoment(matrix, WIDTH), moment, tolerance);
  });
}

Deno.test("where there is no GPU a loop finds the same cosines, by chance too", async () => {
  const groups = [200, 400], matrix = gaussians(600 * WIDTH, 3), blocks: number[] = [];
  const expected = await compareCosines(gpu, directionsOf(matrix, WIDTH), groups);
  const found = loopedCosines(directionsOf(matrix, WIDTH), groups, (done, all) => blocks.push(done / all));
  assert.deepEqual(blocks, Array.from({ length: 12 }, (_, n) => (n + 1) / 12));
  for (const side of ["cosines", "by_chance"] as const) {
    const { neighbours, absolute, histogram: { counts } } = found[side];
    neighbours.forEach((near, i) => {
      const values = expected[side].neighbours[i].map(({ value }) => value);
      assertClose(`${side}: neighbours of ${i}`, near.map(({ value }) => value), values, { floor: 1e-5, relative: 0 });
    });
    assertClose(`${side}: mean |cosine|`, absolute.flat(), expected[side].absolute.flat(), {
      floor: 1e-5,
      relative: 0,
    });
    assert.equal(counts.reduce((a, b) => a + b), 600 * 599 / 2);
  }
});
