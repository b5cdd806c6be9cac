/** The kernel that changes features, against a float64 loop. */

import assert from "node:assert/strict";
import { downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { changeFeatures } from "../../wgsl/transcoder/change.ts";
import { assertWithin, dot, exact, product, sum } from "../oracle/bounded.ts";
import { gaussians } from "../random.ts";

const gpu = await openGpu();
const f32 = (data: Float32Array) => tensorFrom(gpu, "f32", [data.length], data);
const u32 = (data: readonly number[]) => tensorFrom(gpu, "u32", [data.length], Uint32Array.from(data));

const FEATURES = 7, ROWS = 9, FIRST = 2;
/** What tokens keep: nothing, everything, and some. */
const KEPT = [[], [0, 1, 2, 3, 4, 5, 6], [2, 5], [6], [0, 3, 4]];
const ORDER = [0, 1, 8, 3, 5, 2, 6];
/** Off, scaled, set where it fires, added to where it fires; three stay. */
const CHANGE = [-1, 0, 0, 0, 1.5, 0, 0, 0, -1, 0.75, 0, -2, 0, 0];

// Narrower than the lanes, and so wide that a lane walks the features twice.
for (const [width, LANES] of [[4, 8], [20, 8], [140, 8], [300, 64]]) {
  for (const isConstant of [false, true]) {
    Deno.test(`change_features: width ${width}, ${LANES} lanes, ${isConstant ? "a" : "no"} constant; other rows keep what they hold`, async () => {
      const before = gaussians(ROWS * width, 1), decoder = gaussians(FEATURES * width, 2);
      const value = gaussians(KEPT.flat().length, 3).map(Math.abs);
      const constant = isConstant ? gaussians(width, 4) : new Float32Array(width);
      const start = KEPT.reduce((ends, row) => [...ends, ends.at(-1)! + row.length], [0]);
      const y = tensorFrom(gpu, "y", [ROWS, width], before), pass = new Pass(gpu);
      pass.run(
        changeFeatures,
        {
          ...{ row_start: u32(start), index: u32(KEPT.flat()), value: f32(value) },
          ...{ change: f32(Float32Array.from(CHANGE)), decoder: f32(decoder), constant: f32(constant) },
          ...{ order: u32(ORDER), y },
        },
        { tokens: KEPT.length, width, features: FEATURES, first: FIRST, y_rows: ROWS },
        { LANES },
      );
      pass.submit();
      const expected = Array.from(before, exact), after = await downloadF32(gpu, y);
      KEPT.forEach((kept, b) => {
        const changed = kept.map((i, n) => ({ i, f: value[start[b] + n] })).filter(({ i }) =>
          CHANGE[2 * i] !== 0 || CHANGE[2 * i + 1] !== 0
        );
        for (let c = 0; c < width; c++) {
          const at = ORDER[FIRST + b] * width + c;
          const added = dot(
            changed.map(({ i, f }) => sum([product(exact(CHANGE[2 * i]), exact(f)), exact(CHANGE[2 * i + 1])])),
            changed.map(({ i }) => exact(decoder[i * width + c])),
            exact(constant[c]),
          );
          expected[at] = sum([exact(before[at]), added]);
        }
      });
      assertWithin("y", after, expected);
      const row = (values: Float32Array, b: number) => values.slice(b * width, (b + 1) * width);
      // Of the tokens one keeps nothing, and one nothing that is changed.
      const untouched = [0, 1, 4, 7, ...isConstant ? [] : [8, 2]];
      for (const r of untouched) assert.deepEqual(row(after, r), row(before, r), `row ${r}`);
    });
  }
}
