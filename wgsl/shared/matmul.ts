/**
 * The matrix product y = x W, and the same with a bias and ReLU behind it. Its unrolled body is written by a small generator, because
 * naga adds a clamp and a loop counter to anything indexed by a variable.
 *
 * This shape suits CPU adapters: 8 lanes side by side along the columns, 16 rows times 2 vec4 columns per invocation, no
 * shared memory. Loads of x have one address for all lanes (cheap), loads of W differ per lane (gathers, amortised over
 * the rows).
 * @module
 */

import { defineKernel, type Workgroups } from "../kernel.ts";

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

/** The text of the product, with or without its epilogue: a bias per row, then ReLU. */
function* lines(hasBiasAndRelu: boolean): Generator<string> {
  const rows = [...Array(ROWS).keys()], vectors = [...Array(VECTORS).keys()];
  yield hasBiasAndRelu ? `// y = max(x W + bias, 0).` : `// y = x W.`;
  yield `// x [rows, depth], weight [depth, padded columns / 4] of vec4, y [rows, columns]${
    hasBiasAndRelu ? ", bias [rows]" : ""
  }.`;
  yield `// One invocation makes ${ROWS} rows x ${VECTORS} vec4 of columns; ${LANES} lanes lie side by side along the columns.`;
  yield `// Accumulates in f32 in ascending depth with fused multiply-adds${
    hasBiasAndRelu ? ", starting at the bias" : ""
  }; y is overwritten.`;
  yield `struct Params { rows: u32, columns: u32, depth: u32 }`;
  const buffers = [
    "read> x: array<f32>",
    "read> weight: array<vec4f>",
    ...(hasBiasAndRelu ? ["read> bias: array<f32>"] : []),
    "read_write> y: array<f32>",
  ];
  for (const [binding, buffer] of buffers.entries()) yield `@group(0) @binding(${binding}) var<storage, ${buffer};`;
  yield `@group(0) @binding(${buffers.length}) var<uniform> params: Params;`;
  yield ``;
  yield `fn store(row: u32, vector: u32, value: vec4f) {`;
  yield `  if (row >= params.rows) { return; }`;
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
  const start = (r: number) => hasBiasAndRelu ? `vec4f(bias[min(row + ${r}u, last_row)])` : `vec4f()`;
  for (const r of rows) for (const v of vectors) yield `  var s${r}_${v} = ${start(r)};`;
  yield `  for (var k = 0u; k < params.depth; k++) {`;
  for (const v of vectors) yield `    let c${v} = weight[k * row_vectors + w${v}];`;
  for (const r of rows) {
    yield `    let a${r} = vec4f(x[x${r} + k]);`;
    for (const v of vectors) yield `    s${r}_${v} = fma(a${r}, c${v}, s${r}_${v});`;
  }
  yield `  }`;
  const result = (sum: string) => hasBiasAndRelu ? `max(${sum}, vec4f())` : sum;
  for (const r of rows) for (const v of vectors) yield `  store(row + ${r}u, v${v}, ${result(`s${r}_${v}`)});`;
  yield `}`;
}

const PARAMS = { rows: "u32", columns: "u32", depth: "u32" } as const;

function grid({ rows, columns }: { rows: number; columns: number }): Workgroups {
  return [Math.ceil(columns / (LANES * VECTORS * 4)), Math.ceil(rows / ROWS), 1];
}

/** y = x W; W is [depth, paddedColumns(columns)]. */
export const matmul = defineKernel({
  name: "matmul",
  source: [...lines(false)].join("\n"),
  bindings: { x: "read", weight: "read", y: "write" },
  params: PARAMS,
  constants: {},
  shapes: ({ rows, columns, depth }) => ({
    x: [rows, depth],
    weight: [depth, paddedColumns(columns)],
    y: [rows, columns],
  }),
  workgroups: grid,
});

/** y = max(x W + bias, 0) with a bias per row; W is [depth, paddedColumns(columns)]. */
export const matmulBiasRelu = defineKernel({
  name: "matmul_bias_relu",
  source: [...lines(true)].join("\n"),
  bindings: { x: "read", weight: "read", bias: "read", y: "write" },
  params: PARAMS,
  constants: {},
  shapes: ({ rows, columns, depth }) => ({
    x: [rows, depth],
    weight: [depth, paddedColumns(columns)],
    bias: [rows],
    y: [rows, columns],
  }),
  workgroups: grid,
});
