/**
 * The sum that an edited forward pass takes apart: what is added to a site, or a branch to the residual stream.
 * @module
 */

import addSource from "./add.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";

/** y = y + x. */
export const add = defineKernel({
  name: "add",
  source: addSource,
  bindings: { x: "read", y: "write" },
  params: { count: "u32" },
  constants: {},
  shapes: ({ count }) => ({ x: [count], y: [count] }),
  workgroups: ({ count }) => linearGrid(count, 64),
});
