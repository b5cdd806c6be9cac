/** The arithmetic of core/bench/costs.ts against loops that count every operation and every element they touch. */

import assert from "node:assert/strict";
import { KERNELS } from "../../core/bench/catalogue.ts";
import { costOf, hasCost, type Sparsity } from "../../core/bench/costs.ts";
import { attention, rotary } from "../../wgsl/gemma2/attention.ts";
import { normAddNorm, rmsNorm } from "../../wgsl/gemma2/norms.ts";
import { transpose, transposePairs } from "../../wgsl/shared/transpose.ts";
import { columnCount, columnWrite, histogram, rowCount, rowWrite, scan } from "../../wgsl/transcoder/selection.ts";
import { columnMoments, decode, decoderStep, encoderStep, gatherRows } from "../../wgsl/transcoder/step.ts";
import type { Kernel } from "../../wgsl/kernel.ts";

/** Counts what a loop does. */
class Meter {
  flops = 0;
  readonly #read = new Set<string>();
  readonly #written = new Set<string>();

  read(buffer: string, ...index: number[]): void {
    this.#read.add(`${buffer} ${index}`);
  }

  write(buffer: string, ...index: number[]): void {
    this.#written.add(`${buffer} ${index}`);
  }

  update(buffer: string, ...index: number[]): void {
    this.read(buffer, ...index);
    this.write(buffer, ...index);
  }

  get bytes(): number {
    return 4 * (this.#read.size + this.#written.size);
  }
}

const NOTHING: Sparsity = { kept: 0, auxKept: 0, dead: 0 };

/** Compares a kernel's row with a loop. */
function check(
  kernel: unknown,
  params: Record<string, number>,
  loop: (meter: Meter) => void,
  sparsity: Sparsity = NOTHING,
  constants: Record<string, number> = {},
): void {
  const { name, constants: defaults } = kernel as Kernel;
  Deno.test(`the work of ${name}: ${JSON.stringify({ ...params, ...constants })}`, () => {
    const meter = new Meter();
    loop(meter);
    const cost = costOf({ kernel: kernel as Kernel, params, constants: { ...defaults, ...constants } }, sparsity);
    assert.deepEqual(cost, { flops: meter.flops, bytes: meter.bytes });
  });
}

const range = (count: number) => [...Array(count).keys()];

Deno.test("every kernel's work is known", () => {
  assert.deepEqual(KERNELS.filter((kernel) => !hasCost(kernel)).map(({ name }) => name), []);
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
      if ("bias" in kernel.bindings) meter.read("bias", r);
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

check(gatherRows, { rows: 4, width: 5, first: 8, scale: 2, block_first: 0, block_rows: 100 }, (meter) => {
  for (const r of range(4)) {
    meter.read("order", 8 + r);
    for (const c of range(5)) {
      meter.read("x", 3 * r, c);
      meter.write("y", r, c);
      meter.flops += 1;
    }
  }
});

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

/** A batch of 4 tokens and 6 features in which each feature is kept at least once; features 4 and 5 are dead and kept as well. */
const TOKENS = 4, FEATURES = 6, WIDTH = 5, PREFIXES = 3;
const KEPT = [[0, 1, 2], [3, 4], [5, 0], [1]], AUX_KEPT = [[4], [], [4, 5], []], DEAD = [4, 5];
const SPARSITY: Sparsity = { kept: KEPT.flat().length, auxKept: AUX_KEPT.flat().length, dead: DEAD.length };

function readSelection(meter: Meter): void {
  for (const i of range(4)) meter.read("selection", i);
}

function readActivations(meter: Meter, features: number[]): void {
  for (const i of range(FEATURES)) meter.read("inactive", i);
  for (const i of features) for (const b of range(TOKENS)) meter.read("activations", i, b);
}

for (const [min_inactive, features, kept] of [[0, range(FEATURES), KEPT], [9, DEAD, AUX_KEPT]] as const) {
  const params = { tokens: TOKENS, features: FEATURES, min_inactive };
  check(histogram, { ...params, shift: 10, width: 3 }, (meter) => {
    readSelection(meter);
    readActivations(meter, [...features]);
    for (const d of range(8)) meter.update("counts", d);
  }, SPARSITY);
  check(rowCount, params, (meter) => {
    readSelection(meter);
    readActivations(meter, [...features]);
    for (const b of range(TOKENS)) {
      for (const s of range(16)) {
        meter.write("above", b, s);
        meter.write("ties", b, s);
      }
    }
  }, SPARSITY);
  check(rowWrite, params, (meter) => {
    for (const i of range(4)) meter.write("selection", i);
    readActivations(meter, [...features]);
    for (const n of range(TOKENS * 16)) meter.read("ties_before", n);
    for (const n of range(TOKENS * 16 + 1)) meter.read("start", n);
    for (const b of range(TOKENS + 1)) meter.write("row_start", b);
    for (const e of range(kept.flat().length)) {
      meter.write("index", e);
      meter.write("value", e);
    }
  }, SPARSITY);
  check(columnCount, params, (meter) => {
    readSelection(meter);
    readActivations(meter, [...features]);
    for (const i of range(FEATURES)) meter.write("count", i);
  }, SPARSITY);
  check(columnWrite, { ...params, first: min_inactive > 0 ? FEATURES + 1 : 0 }, (meter) => {
    readSelection(meter);
    readActivations(meter, [...features]);
    for (const i of features) meter.read("start", i);
    for (const e of range(kept.flat().length)) {
      meter.write("token", e);
      meter.write("value", e);
    }
  }, SPARSITY);
}

check(scan, { items: 6, first: 7, base: 10 }, (meter) => {
  readSelection(meter);
  for (const n of range(6)) {
    meter.read("above", n);
    meter.update("ties", n);
  }
  for (const n of range(7)) meter.write("start", 7 + n);
});

for (const [first, prefixes, rows] of [[0, PREFIXES, KEPT], [PREFIXES * TOKENS * WIDTH, 1, AUX_KEPT]] as const) {
  const params = {
    tokens: TOKENS,
    width: WIDTH,
    features: FEATURES,
    prefixes,
    residual_first: first,
    target_weight: -1,
    bias_weight: 1,
  };
  // Of the dead features' three entries two are of one feature: the row counts a decoder row each.
  const decoderRow = (i: number, entry: number) => first > 0 ? 100 * entry : i;
  check(decode, params, (meter) => {
    let entry = 0;
    for (const [b, row] of rows.entries()) {
      meter.read("row_start", b);
      meter.read("row_start", b + 1);
      for (const i of row) {
        meter.read("index", entry);
        meter.read("value", entry);
        for (const c of range(WIDTH)) {
          meter.read("decoder", decoderRow(i, entry), c);
          meter.flops += 2;
        }
        entry++;
      }
      for (const c of range(WIDTH)) {
        meter.read("target_y", b, c);
        meter.read("bias", c);
        meter.flops += 2; // both are weighted
        for (const p of range(prefixes)) {
          meter.write("residual", p, b, c);
          meter.flops += 1 + 2 + (p > 0 ? 1 : 0); // residual, square and sum, suffix sum
        }
      }
      for (const p of range(prefixes)) meter.write("squares", b, p);
    }
  }, SPARSITY);
}

/** Adam's operations, one by one. */
function adam(meter: Meter): void {
  meter.flops += 3; // m = beta1 m + (1 - beta1) g
  meter.flops += 4; // v = beta2 v + (1 - beta2) g g
  meter.flops += 6; // w - step m / (sqrt(v) correction + epsilon)
}

const ADAM_PARAMS = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, step_size: 1, correction: 1 };
const ENTRIES = SPARSITY.kept + SPARSITY.auxKept;

/** Two groups of three features: the row gives each half of the entries, so only their sum is exact. */
Deno.test("the work of decoder_step, over all groups", () => {
  const meter = new Meter(), sum = { flops: 0, bytes: 0 };
  for (const group of [0, 1]) {
    const params = {
      tokens: TOKENS,
      first_feature: 3 * group,
      features: 3,
      all_features: FEATURES,
      group,
      prefixes: 2,
      scale: 1,
      aux_scale: 1,
      ...ADAM_PARAMS,
    };
    const dispatch = { kernel: decoderStep as unknown as Kernel, params, constants: { LANES: 4, WIDTH } };
    const cost = costOf(dispatch, SPARSITY);
    sum.flops += cost.flops;
    sum.bytes += cost.bytes;
    for (const i of range(3)) {
      for (const row of [0, 1]) for (const end of [0, 1]) meter.read("start", group, row, i + end);
      for (const c of range(WIDTH)) {
        for (const buffer of ["decoder", "mean", "square"]) meter.update(buffer, group, i, c);
        meter.flops += 3; // both gradients scaled, their sum
        meter.flops += 2 + 2; // projection: dot product, difference
        adam(meter);
        meter.flops += 2 + 1; // length, quotient
      }
    }
    for (const b of range(TOKENS)) {
      for (const slab of [group, 2]) for (const c of range(WIDTH)) meter.read("residual", group, slab, b, c);
    }
  }
  for (const e of range(ENTRIES)) {
    meter.read("token", e);
    meter.read("value", e);
    meter.write("slope", e);
    meter.flops += 4 * WIDTH; // slope, gradient
  }
  assert.deepEqual(sum, { flops: meter.flops, bytes: meter.bytes });
});

check(encoderStep, { tokens: TOKENS, features: FEATURES, width: WIDTH, ...ADAM_PARAMS }, (meter) => {
  for (const i of range(FEATURES)) {
    for (const row of [0, 1]) for (const end of [0, 1]) meter.read("start", row, i + end);
    for (const row of range(3)) meter.update("bias", row, i);
    for (const c of range(WIDTH)) {
      for (const buffer of ["encoder", "mean", "square"]) meter.update(buffer, i, c);
      adam(meter);
    }
  }
  for (const b of range(TOKENS)) for (const c of range(WIDTH)) meter.read("x", b, c);
  for (const e of range(ENTRIES)) {
    meter.read("token", e);
    meter.read("slope", e);
    meter.flops += 2 * WIDTH;
  }
}, SPARSITY);
