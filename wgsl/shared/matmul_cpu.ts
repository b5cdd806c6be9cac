/**
 * The texts of the matrix product for CPU adapters, where a workgroup is one SIMD vector and a subgroup: lanes lie side by side
 * along the columns and each holds many rows. There a load costs ten instructions and more per lane, whether its address differs between
 * lanes or not, and a multiply-add one or two. So the tile has as many sums as the stack's cache holds, and x is loaded once, by
 * different lanes, and broadcast from there where the adapter has subgroups. bench/kernels.md has the figures.
 * @module
 */

import { appendix, finished, prologue, startOf, storePair, type Variant } from "./matmul_text.ts";

/** The size of a tile. */
export interface CpuTile {
  /** Rows of an invocation. */
  readonly rows: number;
  /** Invocations of a workgroup: one subgroup where x is broadcast. */
  readonly lanes: number;
}

/** Neighbouring vec4 of columns per lane in {@link lanesText}. */
export const LANE_VECTORS = 2;

const range = (count: number) => [...Array(count).keys()];

/** Where a workgroup's rows begin, and what bounds the loads. Rows and columns past the edge repeat the last one: `store` drops them. */
function* opening(rows: number, lanes: number): Generator<string> {
  yield `@compute @workgroup_size(${lanes})`;
  yield `fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {`;
  yield `  let row = group.y * ${rows}u;`;
  yield `  let row_vectors = (params.columns + 3u) / 4u;`;
  yield `  let last_row = params.rows - 1u;`;
}

function* linesOfLanes(variant: Variant, { rows, lanes }: CpuTile): Generator<string> {
  const division = `One invocation makes ${rows} rows x ${LANE_VECTORS} vec4 of columns and loads what it needs; ` +
    `${lanes} lanes lie side by side along the columns.`;
  yield* prologue(variant, "f32", division);
  yield* opening(rows, lanes);
  yield `  let vector = group.x * ${lanes * LANE_VECTORS}u + local.x * ${LANE_VECTORS}u;`;
  for (const v of range(LANE_VECTORS)) yield `  let w${v} = min(vector + ${v}u, row_vectors - 1u);`;
  for (const r of range(rows)) yield `  let x${r} = min(row + ${r}u, last_row) * params.depth;`;
  for (const r of range(rows)) {
    for (const v of range(LANE_VECTORS)) yield `  var s${r}_${v} = ${startOf(variant, `min(row + ${r}u, last_row)`)};`;
  }
  yield `  for (var k = 0u; k < params.depth; k++) {`;
  for (const v of range(LANE_VECTORS)) yield `    let c${v} = weight_at(k * row_vectors + w${v});`;
  for (const r of range(rows)) {
    yield `    let a${r} = vec4f(x[x${r} + k]);`;
    for (const v of range(LANE_VECTORS)) yield `    s${r}_${v} = fma(a${r}, c${v}, s${r}_${v});`;
  }
  yield `  }`;
  for (const r of range(rows)) yield `  ${storePair(variant, `row + ${r}u`, "vector", [`s${r}_0`, `s${r}_1`])}`;
  yield `}`;
}

/**
 * The product for CPU adapters without subgroups, and for a depth that is no multiple of 4.
 *
 * @param variant Weight format and epilogue.
 * @param tile Its size.
 * @returns The WGSL text.
 */
export function lanesText(variant: Variant, tile: CpuTile): string {
  return [...linesOfLanes(variant, tile)].join("\n") + "\n" + appendix(variant);
}

function* linesOfBroadcast(variant: Variant, { rows, lanes }: CpuTile): Generator<string> {
  const groups = range(rows / lanes), quads = [0, 1, 2, 3];
  const division =
    `One invocation makes ${rows} rows x 1 vec4 of columns; the ${lanes} lanes of a subgroup lie side by side along ` +
    `the columns. Each lane loads four of x's columns for every ${lanes}th row; all get them by broadcast.`;
  yield* prologue(variant, "vec4f", division);
  yield* opening(rows, lanes);
  yield `  let row_quads = params.depth / 4u;`;
  yield `  let vector = group.x * ${lanes}u + local.x;`;
  yield `  let w = min(vector, row_vectors - 1u);`;
  for (const g of groups) yield `  let x${g} = min(row + ${g * lanes}u + local.x, last_row) * row_quads;`;
  for (const r of range(rows)) yield `  var s${r} = ${startOf(variant, `min(row + ${r}u, last_row)`)};`;
  yield `  for (var q = 0u; q < row_quads; q++) {`;
  for (const g of groups) yield `    let q${g} = x[x${g} + q];`;
  for (const k of quads) yield `    let c${k} = weight_at((q * 4u + ${k}u) * row_vectors + w);`;
  for (const r of range(rows)) {
    // One statement per sum: it is loaded and stored once for four products.
    const product = (sum: string, k: number) =>
      `fma(vec4f(subgroupBroadcast(q${Math.floor(r / lanes)}[${k}], ${r % lanes}u)), c${k}, ${sum})`;
    yield `    s${r} = ${quads.reduce(product, `s${r}`)};`;
  }
  yield `  }`;
  if (variant.epilogue === "geglu") {
    for (const r of range(rows)) {
      // Even lanes hold gates, odd ones the ups beside them.
      yield `  let up${r} = subgroupShuffleXor(s${r}, 1u);`;
      yield `  if ((local.x & 1u) == 0u) { store(row + ${r}u, vector / 2u, gelu(s${r}) * up${r}); }`;
    }
  } else {
    for (const r of range(rows)) yield `  store(row + ${r}u, vector, ${finished(variant, `row + ${r}u`, `s${r}`)});`;
  }
  yield `}`;
}

/**
 * The product for CPU adapters with subgroups of `tile.lanes`. The depth must be a multiple of 4, `tile.rows` one of `tile.lanes`.
 *
 * @param variant Weight format and epilogue.
 * @param tile Its size.
 * @returns The WGSL text.
 */
export function broadcastText(variant: Variant, tile: CpuTile): string {
  return [...linesOfBroadcast(variant, tile)].join("\n") + "\n" + appendix(variant);
}
