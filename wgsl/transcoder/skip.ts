/**
 * The kernels of a skip connection, beside its matrix products: what it leaves of the target, and its optimiser step.
 * @module
 */

import adamSource from "./adam.wgsl" with { type: "text" };
import skipRestSource from "./skip_rest.wgsl" with { type: "text" };
import skipStepSource from "./skip_step.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";
import { quadsOf } from "../shared/rows.ts";
import { ADAM } from "./step.ts";

/** The target less what the skip connection gives. */
export const skipRest = defineKernel({
  name: "skip_rest",
  source: skipRestSource,
  bindings: { target_y: "read", rest: "write" },
  params: { count: "u32" },
  constants: {},
  shapes: ({ count }) => ({ target_y: [count], rest: [count] }),
  workgroups: ({ count }) => linearGrid(count, 64),
});

/** Adam of the skip connection's weights. */
export const skipStep = defineKernel({
  name: "skip_step",
  source: skipStepSource + adamSource,
  bindings: { product: "read", weight: "write", mean: "write", square: "write" },
  params: { count: "u32", scale: "f32", ...ADAM },
  constants: {},
  shapes: ({ count }) => ({ product: [count], weight: [count], mean: [count], square: [count] }),
  workgroups: ({ count }) => linearGrid(quadsOf(count), 64),
});
