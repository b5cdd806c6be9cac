/**
 * A checkpoint's tensors by name, from one safetensors file or from several with an index.
 * @module
 */

import { basename, join } from "node:path";
import * as v from "valibot";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { bfloat16ToFloat32, firstNotFinite } from "../files/floats.ts";
import { openSafetensors, type SafetensorsFile } from "../files/safetensors.ts";

/** The weights of one model. Names are given without the `model.` that some checkpoints put in front. */
export class TensorSource {
  /** What the model is called in messages. */
  readonly where: string;
  /** All shards. */
  readonly files: readonly SafetensorsFile[];

  /**
   * Use {@link openShards}, or this for files that are open already.
   *
   * @param where What to call the model in messages.
   * @param files All shards.
   */
  constructor(where: string, files: readonly SafetensorsFile[]) {
    this.where = where;
    this.files = files;
  }

  /**
   * Reads a tensor of finite floats.
   *
   * @param name For example `layers.0.mlp.up_proj.weight`.
   * @param shape The shape that the configuration asks for.
   * @returns Its elements in row-major order.
   * @throws {UserError} When it is missing, has another shape or type, or holds NaN or infinity.
   */
  async readF32(name: string, shape: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const { file, full } = this.#find(name, shape);
    const values = await file.readF32(full);
    checkFinite(values, `tensor "${full}" of ${file.path}`);
    return values;
  }

  /**
   * Tells whether a tensor is stored as bfloat16.
   *
   * @param name For example `layers.0.mlp.up_proj.weight`.
   * @param shape The shape that the configuration asks for.
   * @returns True for BF16.
   * @throws {UserError} When it is missing or has another shape.
   */
  isBf16(name: string, shape: readonly number[]): boolean {
    const { file, full } = this.#find(name, shape);
    return file.info(full).dtype === "BF16";
  }

  /**
   * Reads a tensor of finite bfloat16 as it is stored.
   *
   * @param name For example `layers.0.mlp.up_proj.weight`.
   * @param shape The shape that the configuration asks for.
   * @returns The upper halves of its float32 elements, in row-major order.
   * @throws {UserError} When it is missing, has another shape or type, or holds NaN or infinity.
   */
  async readBf16(name: string, shape: readonly number[]): Promise<Uint16Array<ArrayBuffer>> {
    const { file, full } = this.#find(name, shape);
    const bits = await file.readBf16(full);
    checkFiniteBits(bits, `tensor "${full}" of ${file.path}`);
    return bits;
  }

  /**
   * Makes a reader of single rows, for gathers from a matrix that should not be held in memory. All of it is read once, to
   * find NaN or infinity before any work begins.
   *
   * @param name The matrix.
   * @param shape The shape that the configuration asks for: [rows, columns].
   * @returns A function from a row's index to its elements.
   * @throws {UserError} When the matrix is missing, has another shape or type, or holds NaN or infinity.
   */
  rowReader(name: string, [rows, columns]: readonly [number, number]): (row: number) => Float32Array<ArrayBuffer> {
    const { file, full } = this.#find(name, [rows, columns]);
    const step = Math.max(1, Math.floor(CHECKED_AT_ONCE / columns));
    const isBf16 = file.info(full).dtype === "BF16", what = `tensor "${full}" of ${file.path}`;
    for (let row = 0; row < rows; row += step) {
      const count = Math.min(step, rows - row);
      if (isBf16) checkFiniteBits(file.readRowsBf16(full, row, count), what, row * columns);
      else checkFinite(file.readRowsF32(full, row, count), what, row * columns);
    }
    return (row) => file.readRowsF32(full, row, 1);
  }

  /** Closes the files; nothing can be read afterwards. */
  async close(): Promise<void> {
    for (const file of this.files) await file.close();
  }

  #find(name: string, shape: readonly number[]): { file: SafetensorsFile; full: string } {
    for (const full of [`model.${name}`, name]) {
      const file = this.files.find(({ tensors }) => tensors.has(full));
      if (!file) continue;
      const held = file.info(full).shape;
      if (held.length === shape.length && held.every((extent, i) => extent === shape[i])) return { file, full };
      throw new UserError(
        `Cannot load ${file.path}: tensor "${full}" must be [${shape.join(", ")}] as config.json says, it is [${
          held.join(", ")
        }]; take config.json and weights of the same model`,
      );
    }
    throw new UserError(
      `Cannot load ${this.where}: it needs a tensor "model.${name}", its safetensors files have none; ` +
        `download the missing shard or take a complete checkpoint`,
    );
  }
}

const Index = v.object({ weight_map: v.record(v.string(), v.string()) });

/**
 * Opens a directory's weights.
 *
 * @param directory A Hugging Face model directory.
 * @returns The tensors of all files that {@link weightFiles} names.
 * @throws {UserError} When there are none, or one is missing, truncated or malformed.
 */
export async function openShards(directory: string): Promise<TensorSource> {
  const files: SafetensorsFile[] = [];
  try {
    for (const name of await weightFiles(directory)) files.push(await openSafetensors(join(directory, name)));
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
  return new TensorSource(directory, files);
}

/** Lists a checkpoint's shards. */
export const WEIGHTS_INDEX = "model.safetensors.index.json";

/**
 * Finds out which files hold a directory's weights: `model.safetensors`, or the shards that {@link WEIGHTS_INDEX} lists.
 *
 * @param directory A Hugging Face model directory.
 * @returns Their names, sorted; they need not exist.
 * @throws {UserError} When the index is malformed or names files elsewhere.
 */
export async function weightFiles(directory: string): Promise<string[]> {
  const index = join(directory, WEIGHTS_INDEX);
  try {
    return shardNames(index, await Deno.readTextFile(index));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return ["model.safetensors"];
    throw fileError("read", index, error);
  }
}

function shardNames(path: string, text: string): string[] {
  const fail = (what: string) => new UserError(`Cannot read ${path}: ${what}; download it again`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fail(`it must be JSON, ${(error as Error).message}`);
  }
  const parsed = v.safeParse(Index, value);
  if (!parsed.success) throw fail("it must hold a weight_map from tensor to file, it does not");
  const names = [...new Set(Object.values(parsed.output.weight_map))].sort();
  const stray = names.find((name) => name !== basename(name));
  if (stray !== undefined) throw fail(`its shards must lie in the same directory, "${stray}" does not`);
  return names;
}

/** Elements of a matrix that are in memory at once while it is checked: 1 MB of bfloat16. */
const CHECKED_AT_ONCE = 1 << 19;

function checkFiniteBits(bits: Uint16Array, what: string, first = 0): void {
  const found = firstNotFinite(bits);
  if (found >= 0) checkFinite(bfloat16ToFloat32(bits.subarray(found, found + 1)), what, first + found);
}

function checkFinite(values: Float32Array, what: string, first = 0): void {
  // A plain loop: models have billions of weights, and a callback for each would take most of the loading time.
  for (let i = 0; i < values.length; i++) {
    if (values[i] - values[i] === 0) continue;
    throw new UserError(
      `Cannot load the weights: ${what} must be finite, element ${first + i} is ${values[i]}; download it again`,
    );
  }
}
