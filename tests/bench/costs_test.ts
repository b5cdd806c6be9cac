/** The arithmetic of core/bench/costs.ts against loops that count every operation and every element they touch: all but the step's. */

import assert from "node:assert/strict";
import { KERNELS } from "../../core/bench/catalogue.ts";
import { costOf } from "../../core/bench/costs.ts";
import { attention, rotary } from "../../wgsl/model/attention.ts";
import { add } from "../../wgsl/model/edits.ts";
import { comparePredictions, nextTokenLoss, storeLogits, sumProbabilities } from "../../wgsl/model/head.ts";
import { headNorm, normAddNorm, rmsNorm } from "../../wgsl/model/norms.ts";
import { transpose, transposePairs } from "../../wgsl/shared/transpose.ts";
import { gatherRows, prepareRows, rowNorms, scatterRows } from "../../wgsl/shared/rows.ts";
import { columnMoments } from "../../wgsl/transcoder/step.ts";
import type { Kernel } from "../../wgsl/kernel.ts";
import { check, Meter, NOTHING, range } from "./meter.ts";

Deno.test("every kernel's work is known", () => {
  for (const kernel of KERNELS) {
    // Some take columns four at a time.
    const params = Object.fromEntries(Object.keys(kernel.params).map((name) => [name, 4]));
    const { flops, bytes } = costOf({ kernel, params, constants: kernel.constants }, NOTHING);
    assert.ok(flops >= 0 && bytes > 0, `${kernel.name}: ${flops} operations, ${bytes} bytes`);
  }
});

Deno.test("a kernel without a row is refused by name", () => {
  const kernel = { ...transpose, name: "unheard_of" } as unknown as Kernel;
  const dispatch = { kernel, params: { rows: 1, columns: 1, padded_rows: 1 }, constants: {} };
  assert.throws(() => costOf(dispatch, NOTHING), /"unheard_of": core\/bench\/costs.ts has no row/);
});

Deno.test("each matrix product takes two operations per row, column and depth, and each element once", () => {
  const [rows, columns, depth] = [5, 8, 12];
  const products = KERNELS.filter(({ params }) => "depth" in params);
  assert.ok(products.length >= 2);
  for (const kernel of products) {
    const meter = new Meter();
    const halves = kernel.name.includes("bf16"), gated = kernel.name.includes("geglu");
    for (const r of range(rows)) {
      for (const c of range(columns)) {
        for (const d of range(depth)) {
          meter.read("x", r, d);
          meter.read("weight", d, halves ? c >> 1 : c);
          meter.flops += 2;
        }
        if (!gated) meter.write("y", r, c);
      }
      // GeGLU: the cube's four operations, two of its exponent, exponential, sum, quotient, product.
      if (gated) {
        for (const c of range(columns / 2)) {
          meter.write("y", r, c);
          meter.flops += 10;
        }
      }
      for (const perRow of ["bias", "threshold"]) if (perRow in kernel.bindings) meter.read(perRow, r);
    }
    const cost = costOf({ kernel, params: { rows, columns, depth }, constants: {} }, NOTHING);
    assert.deepEqual(cost, { flops: meter.flops, bytes: meter.bytes }, kernel.name);
  }
});

check(transpose, { rows: 3, columns: 5, padded_rows: 4 }, (meter) => {
  for (const c of range(5)) {
    for (const r of range(4)) {
      if (r < 3) meter.read("x", r, c);
      meter.write("y", c, r);
    }
  }
});

check(transposePairs, { rows: 3, columns: 6, padded_rows: 4 }, (meter) => {
  for (const r of range(3)) for (const pair of range(3)) meter.read("x", r, pair);
  for (const c of range(6)) for (const pair of range(2)) meter.write("y", c, pair);
});

check(rmsNorm, { rows: 3, width: 7, epsilon: 1e-6 }, (meter) => {
  for (const r of range(3)) {
    for (const c of range(7)) {
      meter.read("x", r, c);
      meter.flops += 2; // square, sum
    }
    for (const c of range(7)) {
      meter.read("gain", c);
      meter.write("y", r, c);
      meter.flops += 2; // scale, gain
    }
  }
});

for (const NORM_NEXT of [0, 1]) {
  check(
    normAddNorm,
    { rows: 3, width: 7, epsilon: 1e-6 },
    (meter) => {
      for (const r of range(3)) {
        for (const c of range(7)) {
          meter.read("branch", r, c);
          meter.read("branch_gain", c);
          meter.read("residual", r, c);
          meter.write("normed", r, c);
          meter.write("sum", r, c);
          meter.flops += 2 + 2 + 1; // square and sum, scale and gain, residual
          if (!NORM_NEXT) continue;
          meter.read("next_gain", c);
          meter.write("next", r, c);
          meter.flops += 2 + 2; // the same for the next norm
        }
      }
    },
    NOTHING,
    { NORM_NEXT },
  );
}

check(headNorm, { rows: 5, heads: 3, key_value_heads: 2, head_dim: 6, epsilon: 1e-6 }, (meter) => {
  for (const r of range(5)) {
    for (const h of range(5)) {
      for (const d of range(6)) {
        meter.read("qkv", r, h, d);
        meter.read("gain", h < 3 ? 0 : 1, d);
        meter.write("qkv", r, h, d);
        meter.flops += 4; // square and sum, scale and gain
      }
    }
  }
});

check(rotary, { contexts: 2, context: 16, heads: 3, key_value_heads: 1, head_dim: 6 }, (meter) => {
  for (const n of range(2)) {
    for (const t of range(16)) {
      for (const h of range(4)) {
        for (const i of range(3)) {
          for (const half of [i, i + 3]) {
            meter.read("qkv", n, t, h, half);
            meter.write("rotated", n, t, h, half);
          }
          meter.read("turns", t, i, 0);
          meter.read("turns", t, i, 1);
          meter.flops += 6; // a cos - b sin, b cos + a sin
        }
      }
    }
  }
});

for (const window of [5, 16]) {
  for (const SOFT_CAP of [0, 50]) {
    const params = { contexts: 2, context: 16, heads: 4, key_value_heads: 2, head_dim: 6, window, scale: 1 };
    check(
      attention,
      params,
      (meter) => {
        for (const n of range(2)) {
          for (const h of range(4)) {
            const keyHead = 4 + Math.floor(h / 2);
            for (const q of range(16)) {
              for (const k of range(16)) {
                if (k > q || k <= q - window) continue;
                for (const d of range(6)) {
                  meter.read("rotated", n, q, h, d);
                  meter.read("rotated", n, k, keyHead, d);
                  meter.read("value", n, k, keyHead, d);
                  meter.write("out", n, q, h, d);
                  meter.flops += 2 + 2; // score, weighted sum
                }
                meter.flops += 1 + (SOFT_CAP ? 3 : 0) + 1 + 1; // scale, cap, exponential, total
              }
            }
          }
        }
      },
      NOTHING,
      { SOFT_CAP },
    );
  }
}

check(add, { count: 7 }, (meter) => {
  for (const i of range(7)) {
    meter.read("x", i);
    meter.update("y", i);
    meter.flops += 1;
  }
});

for (const SOFT_CAP of [0, 30]) {
  const params = { rows: 3, columns: 5, first: 10, vocabulary: 15 }, capping = SOFT_CAP ? 3 : 0;
  check(
    nextTokenLoss,
    params,
    (meter) => {
      for (const r of range(3)) {
        meter.read("target_token", r);
        for (const n of range(3)) meter.update("state", r, n);
        meter.write("loss", r);
        for (const c of range(5)) {
          meter.read("product", r, c);
          meter.flops += capping + 1 + 1 + 1; // difference from the largest, exponential, sum
        }
      }
    },
    NOTHING,
    { SOFT_CAP },
  );
  check(
    comparePredictions,
    { ...params, references: 3 },
    (meter) => {
      for (const r of range(3)) {
        meter.read("reference_row", r);
        meter.read("target_token", r);
        for (const n of range(8)) meter.update("state", r, n);
        for (const n of range(3)) meter.write("result", r, n);
        for (const c of range(5)) {
          meter.read("product", r, c);
          meter.read("reference", r, c);
          for (const _ of range(2)) meter.flops += 1 + capping + 1 + 1 + 1; // comparison; difference from the largest, exponential, sum
          meter.flops += 1 + 1 + 1; // difference of both, product, sum
        }
      }
    },
    NOTHING,
    { SOFT_CAP },
  );
  check(
    sumProbabilities,
    { ...params, chosen: 2 },
    (meter) => {
      for (const i of range(2)) {
        meter.read("chosen_row", i);
        for (const n of [0, 2, 4, 6]) meter.read("state", 2 * i, n);
        for (const c of range(5)) {
          for (const [model, of] of ["reference", "product"].entries()) {
            meter.read(of, 2 * i, c);
            meter.write("sums", model, 10 + c);
            meter.flops += capping + 1 + 1 + 1 + 1; // difference from the largest, exponential, quotient, sum
          }
        }
      }
    },
    NOTHING,
    { SOFT_CAP },
  );
  check(
    storeLogits,
    params,
    (meter) => {
      for (const r of range(3)) {
        for (const c of range(5)) {
          meter.read("product", r, c);
          meter.write("logits", r, 10 + c);
          meter.flops += capping;
        }
      }
    },
    NOTHING,
    { SOFT_CAP },
  );
}

check(gatherRows, { rows: 4, width: 5, first: 8, block_first: 0, block_rows: 100 }, (meter) => {
  for (const r of range(4)) {
    meter.read("order", 8 + r);
    for (const c of range(5)) {
      meter.read("x", 3 * r, c);
      meter.write("y", r, c);
    }
  }
});

check(rowNorms, { rows: 4, width: 5, first: 8 }, (meter) => {
  for (const r of range(4)) {
    meter.write("norms", 8 + r);
    for (const c of range(5)) {
      meter.read("x", r, c);
      meter.flops += 1 + 1; // square, sum
    }
  }
});

// As columns of wider matrices.
check(scatterRows, { rows: 4, width: 8, first: 8, x_rows: 4, y_rows: 100, x_width: 20, x_column: 4 }, (meter) => {
  for (const r of range(4)) {
    meter.read("order", 8 + r);
    for (const c of range(8)) {
      meter.read("x", r, c);
      meter.write("y", 3 * r, c);
    }
  }
});

check(
  prepareRows,
  { rows: 4, width: 5, first: 8, block_first: 0, block_rows: 100, y_width: 12, y_column: 4 },
  (meter) => {
    for (const r of range(4)) {
      meter.read("order", 8 + r);
      for (const c of range(5)) {
        meter.read("x", 3 * r, c);
        meter.read("columns", 0, c);
        meter.read("columns", 1, c);
        meter.write("y", r, c);
        meter.flops += 1 + 1; // difference, product
      }
    }
  },
);

check(columnMoments, { rows: 6, width: 5, slot: 2 }, (meter) => {
  for (const c of range(5)) {
    for (const r of range(6)) {
      meter.read("x", r, c);
      meter.flops += 1 + 1 + 2; // sum; difference, its square and their sum
    }
    meter.write("moments", 2, 0, c);
    meter.write("moments", 2, 1, c);
  }
});
