/**
 * What the texts of all matrix products share: bindings, the decoding of weights, and what is done to a finished sum.
 * @module
 */

import geluSource from "./gelu.wgsl" with { type: "text" };

/** How the weight lies in memory: f32, or bfloat16 packed in pairs, of which every value is an f32 with 16 zero bits. */
export type WeightFormat = "f32" | "bf16";

/** What is done to a finished sum before it is stored. */
export type Epilogue =
  /** Nothing. */
  | "none"
  /** A bias per row is where the sum starts; then ReLU. */
  | "bias_relu"
  /** A bias per row is where the sum starts; then JumpReLU, which ReLU is with a threshold of 0. */
  | "bias_jump_relu"
  /** Columns come as four gates, four ups, four gates, ...: gelu(gate) * up is stored, half as many columns. */
  | "geglu";

/** What a text is generated for. */
export interface Variant {
  /** How the weight lies in memory. */
  readonly weight: WeightFormat;
  /** What becomes of the sums. */
  readonly epilogue: Epilogue;
}

const FORMULA: Record<Epilogue, string> = {
  none: "y = x W.",
  bias_relu: "y = max(x W + bias, 0).",
  bias_jump_relu: "y = a where a = x W + bias is above its row's threshold, which is 0 or more; else 0.",
  geglu: "y = gelu(x G) * (x U), where W holds four columns of G, then the four of U that belong to them, and so on.",
};

/** Whether a bias per row is where a sum starts. */
function hasBias(epilogue: Epilogue): boolean {
  return epilogue === "bias_relu" || epilogue === "bias_jump_relu";
}

/** The bindings of a product in `@binding` order, by name with their types. */
function bindings({ weight, epilogue }: Variant, xType: string): string[] {
  return [
    `read> x: array<${xType}>`,
    `read> weight: array<${weight === "bf16" ? "vec2u" : "vec4f"}>`,
    ...(hasBias(epilogue) ? ["read> bias: array<f32>"] : []),
    ...(epilogue === "bias_jump_relu" ? ["read> threshold: array<f32>"] : []),
    "read_write> y: array<f32>",
  ];
}

/**
 * The lines of a product before its entry point.
 *
 * @param variant What the text is for.
 * @param xType The element type of x: vec4f where it is read four at a time.
 * @param division One sentence on who computes what.
 * @param directives What must stand before the first declaration.
 * @returns Comment, parameters, bindings, `weight_at` and `store`.
 */
export function* prologue(
  variant: Variant,
  xType: "f32" | "vec4f",
  division: string,
  directives: readonly string[] = [],
): Generator<string> {
  const { weight, epilogue } = variant;
  const bias = hasBias(epilogue) ? `, bias${epilogue === "bias_jump_relu" ? " and threshold" : ""} [rows]` : "";
  const half = epilogue === "geglu" ? " / 2" : "";
  const packed = weight === "bf16" ? "packed bf16, two to a u32" : "f32";
  yield `// ${FORMULA[epilogue]}`;
  yield `// x [rows, depth]${bias}, weight [depth, padded columns] ${packed}, read four columns at a time, y [rows, columns${half}].`;
  yield `// ${division}`;
  yield `// Accumulates in f32 in ascending depth with fused multiply-adds, one chain per sum, so that every tile gives the same bits; y is overwritten.`;
  yield* directives;
  yield `struct Params { rows: u32, columns: u32, depth: u32 }`;
  const buffers = bindings(variant, xType);
  for (const [binding, buffer] of buffers.entries()) yield `@group(0) @binding(${binding}) var<storage, ${buffer};`;
  yield `@group(0) @binding(${buffers.length}) var<uniform> params: Params;`;
  yield ``;
  yield `fn weight_at(at: u32) -> vec4f {`;
  yield* weight === "f32" ? [`  return weight[at];`] : [
    `  let pairs = weight[at];`,
    `  return bitcast<vec4f>(vec4u(pairs.x << 16u, pairs.x & 0xffff0000u, pairs.y << 16u, pairs.y & 0xffff0000u));`,
  ];
  yield `}`;
  yield ``;
  yield `fn store(row: u32, vector: u32, value: vec4f) {`;
  yield `  let columns = params.columns${epilogue === "geglu" ? " / 2u" : ""};`;
  yield `  let c = vector * 4u;`;
  yield `  if (row >= params.rows) { return; }`;
  yield `  let at = row * columns + c;`;
  for (const lane of [0, 1, 2, 3]) yield `  if (c + ${lane}u < columns) { y[at + ${lane}u] = value[${lane}]; }`;
  yield `}`;
}

/**
 * Shared functions that the epilogue needs.
 *
 * @param variant What the text is for.
 * @returns A text to append.
 */
export function appendix({ epilogue }: Variant): string {
  return epilogue === "geglu" ? geluSource : "";
}

/**
 * What a row's sums start from.
 *
 * @param variant What the text is for.
 * @param row The row, as an expression that is in bounds.
 * @returns A vec4f expression.
 */
export function startOf({ epilogue }: Variant, row: string): string {
  return hasBias(epilogue) ? `vec4f(bias[${row}])` : `vec4f()`;
}

/**
 * What becomes of finished sums, but for GeGLU, which takes two of them.
 *
 * @param variant What the text is for.
 * @param row The row, as an expression; past the edge it is `store` that drops the sums.
 * @param sums The sums, as a vec4f expression.
 * @returns A vec4f expression.
 */
export function finished({ epilogue }: Variant, row: string, sums: string): string {
  if (epilogue === "bias_relu") return `max(${sums}, vec4f())`;
  if (epilogue === "bias_jump_relu") {
    return `select(vec4f(), ${sums}, ${sums} > vec4f(threshold[min(${row}, params.rows - 1u)]))`;
  }
  return sums;
}

/**
 * The statement that finishes and stores two neighbouring vec4 of sums.
 *
 * @param variant What the text is for.
 * @param row The row, as an expression.
 * @param vector The even vec4 of columns, as an expression; its neighbour is one more.
 * @param sums The two sums.
 * @returns One line.
 */
export function storePair(variant: Variant, row: string, vector: string, sums: readonly [string, string]): string {
  if (variant.epilogue === "geglu") return `store(${row}, (${vector}) / 2u, gelu(${sums[0]}) * ${sums[1]});`;
  const done = sums.map((sum) => finished(variant, row, sum));
  return `store(${row}, ${vector}, ${done[0]}); store(${row}, ${vector} + 1u, ${done[1]});`;
}
