/**
 * The text of the matrix product for GPUs: a workgroup stages a block of x and of W in its memory, each thread makes 8 x 8 sums in
 * registers. Unrolled, because naga adds a counter to every loop; tiles are indexed as [constant][thread], because it adds a
 * clamp to every index that it cannot see; the next block is loaded into registers while this one is multiplied.
 * @module
 */

import { appendix, prologue, startOf, storePair, type Variant } from "./matmul_text.ts";

/** Rows, and columns, of a thread's sums. */
const THREAD = 8;
/** Depth of a staged block: 4 quads of 4. */
const QUADS = 4;
const DEPTH = 4 * QUADS;

/** The precision of the staged inputs. */
export type Precision = "f32" | "f16";

const range = (count: number) => [...Array(count).keys()];

function* lines(variant: Variant, side: number, precision: Precision): Generator<string> {
  const tile = side * THREAD, threads = side * side, isHalf = precision === "f16";
  const xLoads = range(tile * QUADS / threads), weightLoads = range(DEPTH * tile / 4 / threads);
  const thread = range(THREAD), vec = isHalf ? "vec4<f16>" : "vec4f";
  const division =
    `A workgroup of ${threads} threads makes ${tile} x ${tile} sums, a thread 8 rows (every ${side}th) x 8 neighbouring columns` +
    (isHalf ? `; inputs are rounded to f16, ${DEPTH} products are summed in f16, those sums in f32.` : ".");
  yield* prologue(variant, "vec4f", division, isHalf ? ["enable f16;"] : []);
  yield `// Row i * ${side} + ty of the block lies at x_tile[i * ${QUADS} + quad][ty]; column vector 2 tx + h at weight_tile[k * 2 + h][tx].`;
  yield `var<workgroup> x_tile: array<array<${vec}, ${side}>, ${THREAD * QUADS}>;`;
  yield `var<workgroup> weight_tile: array<array<${vec}, ${side}>, ${DEPTH * 2}>;`;
  yield ``;
  yield `@compute @workgroup_size(${threads})`;
  yield `fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {`;
  yield `  let tx = t % ${side}u;`;
  yield `  let ty = t / ${side}u;`;
  yield `  let row = group.y * ${tile}u;`;
  yield `  let vector = group.x * ${tile / 4}u;`;
  yield `  let row_quads = params.depth / 4u;`;
  yield `  let row_vectors = (params.columns + 3u) / 4u;`;
  yield `  let last_row = params.rows - 1u;`;
  // Rows, columns and depth past the edge repeat the last one: the loads stay in bounds, and what they give is not used.
  for (const n of xLoads) {
    const at = `(t / ${QUADS}u + ${n * threads / QUADS}u)`;
    yield `  let x_from${n} = min(row + ${at}, last_row) * row_quads;`;
    yield `  let x_to${n} = ${at} / ${side}u * ${QUADS}u + t % ${QUADS}u;`;
    yield `  let x_lane${n} = ${at} % ${side}u;`;
  }
  yield `  let w_from = min(vector + t % ${tile / 4}u, row_vectors - 1u);`;
  yield `  let w_lane = t % ${tile / 4}u / 2u;`;
  for (const n of weightLoads) {
    yield `  let w_depth${n} = t / ${tile / 4}u + ${n * threads * 4 / tile}u;`;
    yield `  let w_to${n} = w_depth${n} * 2u + t % 2u;`;
  }
  const load = function* (indent: string, depth: string, declare: string): Generator<string> {
    for (const n of xLoads) {
      yield `${indent}${declare}next_x${n} = ${vec}(x[x_from${n} + min(${depth} / 4u + t % ${QUADS}u, row_quads - 1u)]);`;
    }
    for (const n of weightLoads) {
      yield `${indent}${declare}next_w${n} = ${vec}(weight_at(min(${depth} + w_depth${n}, params.depth - 1u) * row_vectors + w_from));`;
    }
  };
  yield* load("  ", "0u", "var ");
  for (const i of thread) {
    for (const h of [0, 1]) yield `  var s${i}_${h} = ${startOf(variant, `min(row + ${i * side}u + ty, last_row)`)};`;
  }
  yield `  for (var k = 0u; k < params.depth; k += ${DEPTH}u) {`;
  yield `    workgroupBarrier();`;
  for (const n of xLoads) yield `    x_tile[x_to${n}][x_lane${n}] = next_x${n};`;
  for (const n of weightLoads) yield `    weight_tile[w_to${n}][w_lane] = next_w${n};`;
  yield `    workgroupBarrier();`;
  yield* load("    ", `(k + ${DEPTH}u)`, "");
  if (isHalf) { for (const i of thread) for (const h of [0, 1]) yield `    var h${i}_${h} = ${vec}();`; }
  const sum = isHalf ? "h" : "s";
  for (const quad of range(QUADS)) {
    if (quad > 0) yield `    if (k + ${4 * quad}u < params.depth) {`;
    else yield `    {`;
    for (const i of thread) yield `      let a${i} = x_tile[${i * QUADS + quad}][ty];`;
    for (const q of range(4)) {
      const k = 4 * quad + q;
      for (const h of [0, 1]) yield `      let b${q}_${h} = weight_tile[${2 * k + h}][tx];`;
      for (const i of thread) {
        for (const h of [0, 1]) yield `      ${sum}${i}_${h} = fma(${vec}(a${i}[${q}]), b${q}_${h}, ${sum}${i}_${h});`;
      }
    }
    yield `    }`;
  }
  if (isHalf) { for (const i of thread) for (const h of [0, 1]) yield `    s${i}_${h} += vec4f(h${i}_${h});`; }
  yield `  }`;
  for (const i of thread) {
    yield `  ${storePair(variant, `row + ${i * side}u + ty`, "vector + 2u * tx", [`s${i}_0`, `s${i}_1`])}`;
  }
  yield `}`;
}

/**
 * The product for GPUs. The depth must be a multiple of 4.
 *
 * @param variant Weight format and epilogue.
 * @param side 16 for tiles of 128 x 128 by 256 threads, 8 for 64 x 64 by 64.
 * @param precision Of the staged inputs; "f16" needs the device feature shader-f16.
 * @returns The WGSL text.
 */
export function sharedText(variant: Variant, side: 8 | 16, precision: Precision): string {
  return [...lines(variant, side, precision)].join("\n") + "\n" + appendix(variant);
}
