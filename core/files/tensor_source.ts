/**
 * A checkpoint's tensors by name, from one safetensors file or from several.
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { MERGE, requireWeights, weightFiles } from "./checkpoint_index.ts";
import { bfloat16ToFloat32, firstNotFinite } from "./floats.ts";
import { openSafetensors, type SafetensorsFile } from "./safetensors.ts";

/** What checkpoints put in front of the names of a language model's tensors: nothing, or what it is a part of. */
const PREFIXES = ["model.", "", "language_model.model.", "model.language_model.", "language_model."];

/** Bytes of a tensor that a fingerprint reads at its beginning, and as many in its middle. */
const SAMPLED_BYTES = 4096;

const WHOLE_NUMBERS = "take a checkpoint that is not quantised";

/** The weights of one model. Names are given without what some checkpoints put in front. */
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
   * Opens a matrix of finite floats that is not held in memory as a whole.
   *
   * @param name For example `layers.0.mlp.up_proj.weight`.
   * @param shape The shape that the configuration asks for: [rows, columns].
   * @returns The matrix; NaN and infinity are found when their row is read.
   * @throws {UserError} When it is missing or has another shape.
   */
  matrix(name: string, shape: readonly [rows: number, columns: number]): StoredMatrix {
    const { file, full } = this.#find(name, shape);
    return new StoredMatrix(file, full, shape);
  }

  /**
   * Makes sure that a tensor can be read.
   *
   * @param name For example `layers.0.mlp.up_proj.weight`.
   * @param shape The shape that the configuration asks for.
   * @throws {UserError} When it is missing, or has another shape or type.
   */
  require(name: string, shape: readonly number[]): void {
    const { file, full } = this.#find(name, shape);
    file.requireFloats(full);
  }

  /**
   * Tells these weights from others: every tensor's name, type, shape and {@link SAMPLED_BYTES} of it twice. Weights that were trained
   * further differ in them, since all numbers of a tensor move; a few numbers that someone changed elsewhere in a large tensor are missed. How
   * the tensors are cut into files does not matter.
   *
   * @returns SHA-256, in hexadecimal digits.
   * @throws {UserError} When a file cannot be read.
   */
  async fingerprint(): Promise<string> {
    const hash = createHash("sha256");
    const all = this.files.flatMap((file) => [...file.tensors.keys()].map((name) => ({ file, name })));
    all.sort((a, b) => a.name < b.name ? -1 : 1);
    for (const { file, name } of all) {
      const { dtype, shape } = file.info(name);
      hash.update(JSON.stringify([name, dtype, shape]));
      for (const piece of await file.sample(name, SAMPLED_BYTES)) hash.update(piece);
    }
    return hash.digest("hex");
  }

  /** Closes the files; nothing can be read afterwards. */
  async close(): Promise<void> {
    for (const file of this.files) await file.close();
  }

  #find(name: string, shape: readonly number[]): { file: SafetensorsFile; full: string } {
    const names = PREFIXES.map((prefix) => prefix + name);
    for (const full of names) {
      const file = this.files.find(({ tensors }) => tensors.has(full));
      if (!file) continue;
      const held = file.info(full).shape;
      if (held.length === shape.length && held.every((extent, i) => extent === shape[i])) return { file, full };
      throw new UserError({
        action: `load ${file.path}`,
        requirement: `tensor "${full}" must be [${shape.join(", ")}] as config.json says`,
        found: `it is [${held.join(", ")}]`,
        remedy: this.#isQuantised ? WHOLE_NUMBERS : "take config.json and weights of the same model",
      });
    }
    throw new UserError({
      action: `load ${this.where}`,
      requirement: `it needs a tensor "${names.slice(0, 2).join('" or "')}", or the same behind "language_model."`,
      ...this.#insteadOf(name),
    });
  }

  get #names(): string[] {
    return this.files.flatMap(({ tensors }) => [...tensors.keys()]);
  }

  /** Whether it has what tools for quantising put beside a tensor. */
  get #isQuantised(): boolean {
    return this.#names.some((name) =>
      /\.(absmax|quant_map|SCB|qweight|qzeros|scales|weight_(scale|packed).*)$/.test(name)
    );
  }

  /** What there is in place of a tensor that is not. */
  #insteadOf(name: string): { found: string; remedy: string } {
    const names = this.#names, adapter = names.find((name) => /\.(base_layer|lora_\w+)\./.test(name));
    if (adapter) return { found: `"${adapter}" is of a LoRA adapter that was not merged`, remedy: MERGE };
    if (this.#isQuantised) return { found: "its safetensors files hold quantised ones", remedy: WHOLE_NUMBERS };
    const nearest = names.find((held) => held.endsWith(`.${name}`));
    if (nearest) {
      const prefix = nearest.slice(0, -name.length);
      return { found: `there is "${nearest}"`, remedy: `save the model without "${prefix}" in front of its tensors` };
    }
    const layerOf = (name: string) => Number(/\blayers\.(\d+)\./.exec(name)?.[1] ?? -1);
    const deepest = names.reduce((deepest, name) => Math.max(deepest, layerOf(name)), -1);
    if (layerOf(name) > deepest && deepest >= 0) {
      const remedy = "take config.json and weights of the same model, or download the missing shard";
      return { found: `the layers in its safetensors files end with ${deepest}`, remedy };
    }
    const [first = "nothing"] = names;
    return {
      found: `its safetensors files have none among ${names.length} tensors, the first of which is "${first}"`,
      remedy: "download the missing shard or take a complete checkpoint",
    };
  }
}

/** A matrix of a checkpoint, read by neighbouring rows. */
export class StoredMatrix {
  /** Its rows. */
  readonly rows: number;
  /** Whether it is stored as bfloat16. */
  readonly isBf16: boolean;
  readonly #file: SafetensorsFile;
  readonly #name: string;
  readonly #columns: number;

  /**
   * Use {@link TensorSource.matrix}.
   *
   * @param file Where it lies.
   * @param name Its name there.
   * @param shape Its shape.
   */
  constructor(file: SafetensorsFile, name: string, [rows, columns]: readonly [number, number]) {
    this.rows = rows;
    this.isBf16 = file.info(name).dtype === "BF16";
    this.#file = file;
    this.#name = name;
    this.#columns = columns;
  }

  /**
   * Reads rows as float32.
   *
   * @param first The first row.
   * @param count How many.
   * @returns [count, columns]
   * @throws {UserError} When the matrix is not of floats, or they are not finite, or the file has shrunk.
   */
  readF32(first: number, count: number): Float32Array<ArrayBuffer> {
    const values = this.#file.readRowsF32(this.#name, first, count);
    checkFinite(values, this.#what, first * this.#columns);
    return values;
  }

  /**
   * Reads rows as they are stored in bfloat16.
   *
   * @param first The first row.
   * @param count How many.
   * @returns [count, columns], the upper halves of float32 elements.
   * @throws {UserError} When an element is not finite, or the file has shrunk.
   * @throws {RangeError} When the matrix is not stored as bfloat16.
   */
  readBf16(first: number, count: number): Uint16Array<ArrayBuffer> {
    const bits = this.#file.readRowsBf16(this.#name, first, count);
    checkFiniteBits(bits, this.#what, first * this.#columns);
    return bits;
  }

  /**
   * Reads all of it, piece by piece, to find NaN or infinity before any work begins.
   *
   * @throws {UserError} When an element is not finite, or the file has shrunk.
   */
  check(): void {
    const step = Math.max(1, Math.floor(CHECKED_AT_ONCE / this.#columns));
    for (let row = 0; row < this.rows; row += step) {
      const count = Math.min(step, this.rows - row);
      if (this.isBf16) this.readBf16(row, count);
      else this.readF32(row, count);
    }
  }

  get #what(): string {
    return `tensor "${this.#name}" of ${this.#file.path}`;
  }
}

/** Elements of a matrix that are in memory at once while it is checked: 1 MB of bfloat16. */
const CHECKED_AT_ONCE = 1 << 19;

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
    const names = await weightFiles(directory);
    await requireWeights(directory, names);
    for (const name of names) files.push(await openSafetensors(join(directory, name)));
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
  return new TensorSource(directory, files);
}

function checkFiniteBits(bits: Uint16Array, what: string, first = 0): void {
  const found = firstNotFinite(bits);
  if (found >= 0) checkFinite(bfloat16ToFloat32(bits.subarray(found, found + 1)), what, first + found);
}

function checkFinite(values: Float32Array, what: string, first = 0): void {
  // A plain loop: models have billions of weights, and a callback for each would take most of the loading time.
  for (let i = 0; i < values.length; i++) {
    if (values[i] - values[i] === 0) continue;
    throw new UserError({
      action: "load the weights",
      requirement: `${what} must be finite`,
      found: `element ${first + i} is ${values[i]}`,
      remedy: "download it again",
    });
  }
}
