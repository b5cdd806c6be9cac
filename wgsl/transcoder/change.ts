/**
 * The kernel that changes features of a transcoder inside of the model.
 * @module
 */

import changeFeaturesSource from "./change_features.wgsl" with { type: "text" };
import quadsSource from "./quads.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";
import { quadsOf } from "../shared/rows.ts";

/** Adds what changed activations of features are decoded into to the rows named by order[first ..]. */
export const changeFeatures = defineKernel({
  name: "change_features",
  source: changeFeaturesSource + quadsSource,
  bindings: {
    row_start: "read",
    index: "read",
    value: "read",
    change: "read",
    decoder: "read",
    constant: "read",
    order: "read",
    y: "write",
  },
  params: { tokens: "u32", width: "u32", features: "u32", first: "u32", y_rows: "u32" },
  constants: { LANES: 64 },
  shapes: ({ tokens, width, features, first, y_rows }) => ({
    ...{ row_start: [tokens + 1], index: [1], value: [1], change: [features, 2], decoder: [features, width] },
    ...{ constant: [width], order: [first + tokens], y: [y_rows, quadsOf(width), 4] },
  }),
  workgroups: ({ tokens }) => linearGrid(tokens, 1),
});
