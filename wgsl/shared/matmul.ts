/**
 * The matrix product y = x W + bias, optionally through ReLU. Its unrolled body is written by a small generator, because
 * naga adds a clamp and a loop counter to anything indexed by a variable.
 *
 * This shape suits CPU adapters: 8 lanes side by side along the columns, 16 rows times 2 vec4 columns per invocation, no
 * shared memory. Loads of x have one address for all lanes (cheap), loads of W differ per lane (gathers, amortised over
 * the rows).
 * @module
 */

import { defineKernel } from "../kernel.ts";

/** Columns are handled four at a time: W's row length, and only that, is padded to a multiple of this. */
export const COLUMN_ALIGNMENT = 4;

/**
 * The row length of W in memory.
 *
 * @param columns Columns of the product.
 * @returns `columns` rounded up to a multiple of {@link COLUMN_ALIGNMENT}.
 */
export function paddedColumns(columns: number): number {
  return Math.ceil(columns / COLUMN_ALIGNMENT) * COLUMN_ALIGNMENT;
}

const ROWS = 16;
const VECTORS = 2;
const LANES = 8;

/** The bias is one number per column of the product, or one per row. */
type BiasAxis = "column" | "row";

function* lines(axis: BiasAxis): Generator<string> {
  const rows = [...Array(ROWS).keys()], vectors = [...Array(VECTORS).keys()];
  yield `// y = x W + bias, then max(y, 0) when RELU is 1.`;
  yield `// x [rows, depth], weight [depth, padded columns / 4] of vec4, bias [${axis}s], y [rows, columns].`;
  yield `// One invocation makes ${ROWS} rows x ${VECTORS} vec4 of columns; ${LANES} lanes lie side by side along the columns.`;
  yield `// Accumulates in f32 in ascending depth with fused multiply-adds, starting at the bias; y is overwritten.`;
  yield `override RELU: u32 = 0u;`;
  yield `struct Params { rows: u32, columns: u32, depth: u32 }`;
  yield `@group(0) @binding(0) var<storage, read> x: array<f32>;`;
  yield `@group(0) @binding(1) var<storage, read> weight: array<vec4f>;`;
  yield `@group(0) @binding(2) var<storage, read> bias: array<f32>;`;
  yield `@group(0) @binding(3) var<storage, read_write> y: array<f32>;`;
  yield `@group(0) @binding(4) var<uniform> params: Params;`;
  yield ``;
  if (axis === "column") {
    yield `fn bias_at(column: u32) -> f32 { return bias[min(column, params.columns - 1u)]; }`;
    yield `fn bias_vector(row: u32, vector: u32) -> vec4f {`;
    yield `  let c = vector * 4u;`;
    yield `  return vec4f(bias_at(c), bias_at(c + 1u), bias_at(c + 2u), bias_at(c + 3u));`;
    yield `}`;
  } else {
    yield `fn bias_vector(row: u32, vector: u32) -> vec4f { return vec4f(bias[min(row, params.rows - 1u)]); }`;
  }
  yield `fn store(row: u32, vector: u32, sum: vec4f) {`;
  yield `  if (row >= params.rows) { return; }`;
  yield `  let value = select(sum, max(sum, vec4f()), RELU == 1u);`;
  yield `  let c = vector * 4u;`;
  yield `  let at = row * params.columns + c;`;
  for (const lane of [0, 1, 2, 3]) yield `  if (c + ${lane}u < params.columns) { y[at + ${lane}u] = value[${lane}]; }`;
  yield `}`;
  yield ``;
  yield `@compute @workgroup_size(${LANES})`;
  yield `fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {`;
  yield `  let row = group.y * ${ROWS}u;`;
  yield `  let row_vectors = (params.columns + 3u) / 4u;`;
  yield `  let last_row = params.rows - 1u;`;
  for (const v of vectors) yield `  let v${v} = group.x * ${LANES * VECTORS}u + ${v * LANES}u + local.x;`;
  // Rows and columns past the edge repeat the last one: the loads stay in bounds and `store` drops the result.
  for (const v of vectors) yield `  var w${v} = min(v${v}, row_vectors - 1u);`;
  for (const r of rows) yield `  var x${r} = min(row + ${r}u, last_row) * params.depth;`;
  for (const r of rows) for (const v of vectors) yield `  var s${r}_${v} = bias_vector(row + ${r}u, v${v});`;
  yield `  for (var k = 0u; k < params.depth; k++) {`;
  for (const v of vectors) yield `    let c${v} = weight[k * row_vectors + w${v}];`;
  for (const r of rows) {
    yield `    let a${r} = vec4f(x[x${r} + k]);`;
    for (const v of vectors) yield `    s${r}_${v} = fma(a${r}, c${v}, s${r}_${v});`;
  }
  yield `  }`;
  for (const r of rows) for (const v of vectors) yield `  store(row + ${r}u, v${v}, s${r}_${v});`;
  yield `}`;
}

function product<const Name extends string>(name: Name, axis: BiasAxis) {
  return defineKernel({
    name,
    source: [...lines(axis)].join("\n"),
    bindings: { x: "read", weight: "read", bias: "read", y: "write" },
    params: { rows: "u32", columns: "u32", depth: "u32" },
    constants: { RELU: 0 },
    shapes: ({ rows, columns, depth }) => ({
      x: [rows, depth],
      weight: [depth, paddedColumns(columns)],
      bias: [axis === "column" ? columns : rows],
      y: [rows, columns],
    }),
    workgroups: ({ rows, columns }) => [Math.ceil(columns / (LANES * VECTORS * 4)), Math.ceil(rows / ROWS), 1],
  });
}

/** y = x W + bias per column (then ReLU when RELU is 1); W is [depth, paddedColumns(columns)]. */
export const matmul = product("matmul", "column");

/** y = x W + bias per row (then ReLU when RELU is 1); W is [depth, paddedColumns(columns)]. */
export const matmulRowBias = product("matmul_row_bias", "row");
