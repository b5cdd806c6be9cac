import source from "./geglu.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";

/** hidden = gelu(gate) * up, with the tanh form of gelu. */
export const geglu = defineKernel({
  name: "geglu",
  source,
  bindings: { gate_up: "read", hidden: "write" },
  params: { rows: "u32", width: "u32" },
  constants: { LANES: 256 },
  shapes: ({ rows, width }) => ({ gate_up: [rows, 2, width], hidden: [rows, width] }),
  workgroups: ({ rows }) => linearGrid(rows, 1),
});
