/** The arithmetic of core/bench/costs.ts for the kernels of a training step, against loops that count what they do. */

import assert from "node:assert/strict";
import { costOf, type Sparsity } from "../../core/bench/costs.ts";
import { changeFeatures } from "../../wgsl/transcoder/change.ts";
import { columnCount, columnWrite, histogram, rowCount, rowWrite, scan } from "../../wgsl/transcoder/selection.ts";
import { decode, decoderStep, encoderStep } from "../../wgsl/transcoder/step.ts";
import type { Kernel } from "../../wgsl/kernel.ts";
import { skipRest, skipStep } from "../../wgsl/transcoder/skip.ts";
import { check, Meter, range } from "./meter.ts";

/** A batch of 4 tokens and 6 features in which each feature is kept at least once; features 4 and 5 are dead and kept as well. */
const TOKENS = 4, FEATURES = 6, WIDTH = 8, PREFIXES = 3;
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
    inner_weight: 1,
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
          meter.flops += 1 + 2 + (p > 0 ? 2 : 0); // residual, square and sum, weighted suffix sum
        }
      }
      for (const p of range(prefixes)) meter.write("squares", b, p);
    }
  }, SPARSITY);
}

check(changeFeatures, { tokens: TOKENS, width: WIDTH, features: FEATURES, first: 3, y_rows: 100 }, (meter) => {
  let entry = 0;
  for (const [b, row] of KEPT.entries()) {
    meter.read("order", 3 + b);
    meter.read("row_start", b);
    meter.read("row_start", b + 1);
    for (const i of row) {
      meter.read("index", entry);
      meter.read("value", entry++);
      for (const part of range(2)) meter.read("change", i, part);
      meter.flops += 2; // product and offset
      for (const c of range(WIDTH)) {
        meter.read("decoder", i, c);
        meter.flops += 2;
      }
    }
    for (const c of range(WIDTH)) {
      meter.read("constant", c);
      meter.update("y", 7 * b, c);
      meter.flops += 1;
    }
  }
}, SPARSITY);

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
    const dispatch = {
      kernel: decoderStep as unknown as Kernel,
      params,
      constants: { LANES: 4, QUADS: WIDTH / 4, PART: WIDTH / 4 },
    };
    const cost = costOf(dispatch, SPARSITY);
    sum.flops += cost.flops;
    sum.bytes += cost.bytes;
    for (const i of range(3)) {
      for (const row of [0, 1]) for (const end of [0, 1]) meter.read("start", group, row, i + end);
      for (const c of range(WIDTH)) {
        for (const buffer of ["decoder", "mean", "square"]) meter.update(buffer, group, i, c);
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
    meter.flops += 4 * WIDTH + 2; // slope, gradient, the scale of both
  }
  assert.deepEqual(sum, { flops: meter.flops, bytes: meter.bytes });
});

check(skipRest, { count: 24 }, (meter) => {
  for (const i of range(24)) {
    meter.read("target_y", i);
    meter.update("rest", i);
    meter.flops += 1;
  }
});

check(skipStep, { count: 24, scale: 1, ...ADAM_PARAMS }, (meter) => {
  for (const i of range(24)) {
    meter.read("product", i);
    for (const buffer of ["weight", "mean", "square"]) meter.update(buffer, i);
    meter.flops += 1; // the scale
    adam(meter);
  }
});

check(encoderStep, { tokens: TOKENS, features: FEATURES, width: WIDTH, ...ADAM_PARAMS, bias_step_size: 2 }, (meter) => {
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
