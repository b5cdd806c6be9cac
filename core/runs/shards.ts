/**
 * The shards of a harvest: activations_00000.safetensors and its successors, each with some contexts of the training stream in its order,
 * from its beginning on.
 *
 * | tensor | holds |
 * |---|---|
 * | `tokens` I32 [contexts, context] | token ids, BOS first |
 * | `layer17.resid_mid` F32 [contexts, context, width], one per tap | what the model computes there |
 * | `documents`, `offsets` U32 [contexts, context] | where each token comes from, as in `TokenBatch` |
 * | `positions` U32 [contexts, 8 or 9] | where the text stands behind each context, so that a training can go on from there; the ninth number is that of records without text before it, where there are any |
 * | `checksums` U32 [contexts, 4 + taps] | of each tensor's part, in the order in which this table and harvest.json name them |
 *
 * A checksum takes in the harvest's id and the context's number, so that what comes from elsewhere or from another place is noticed too.
 * @module
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { checksum } from "../files/checksum.ts";
import { openSafetensors, type SafetensorsFile, type TensorToWrite, writeSafetensors } from "../files/safetensors.ts";
import { placeOf, type Tap, tapName } from "../model/sites.ts";
import { copyContexts, emptyBatch, START, type StreamPosition, type TokenBatch } from "../text/contexts.ts";
import { type HarvestDescription, harvestId, readHarvest } from "./harvest.ts";

/** Some contexts as the stream gives them, with what the model makes of them. */
export interface HarvestedContexts {
  /** The contexts. */
  readonly batch: TokenBatch;
  /** Where the stream stands behind each. */
  readonly positions: readonly StreamPosition[];
  /** f32 [contexts * context, width] for each tap. */
  readonly activations: readonly Float32Array<ArrayBuffer>[];
}

/** Numbers of a position, and one more where records without text were left out. */
const PLACE = 8, PLACE_AND_BAD = 9;
/** The tensors beside the activations, with the numbers that a context has of each. */
const BESIDE = {
  tokens: (context: number) => context,
  documents: (context: number) => context,
  offsets: (context: number) => context,
  positions: () => PLACE_AND_BAD,
} as const;
const BESIDE_NAMES = Object.keys(BESIDE) as (keyof typeof BESIDE)[];
const BYTES = 4;
/** More than a shard's header takes. */
const HEADER_BYTES = 4096;

/**
 * The size of a harvest on the disk.
 *
 * @param contexts How many contexts it has.
 * @param context Tokens per context, BOS included.
 * @param widths The width of each tap.
 * @param perShard Contexts of a shard.
 * @returns Bytes, a few thousand too many for each shard.
 */
export function harvestBytes(contexts: number, context: number, widths: readonly number[], perShard: number): number {
  return contexts * contextBytes(context, widths) + Math.ceil(contexts / perShard) * HEADER_BYTES;
}

/**
 * Bytes that a context takes in a shard.
 *
 * @param context Its tokens, BOS included.
 * @param widths The width of each tap.
 * @returns How many.
 */
export function contextBytes(context: number, widths: readonly number[]): number {
  const beside = BESIDE_NAMES.reduce((sum, name) => sum + BESIDE[name](context), 0);
  const numbers = widths.reduce((sum, width) => sum + context * width, beside + BESIDE_NAMES.length + widths.length);
  return BYTES * numbers;
}

function shardName(number: number): string {
  return `activations_${String(number).padStart(5, "0")}.safetensors`;
}

/** What a checksum of a context's tensors starts from. */
function checksumStart(id: string, context: number): number {
  return checksum(Uint32Array.of(parseInt(id.slice(0, 8), 16), context));
}

function bitsOf(array: Float32Array<ArrayBuffer>, first = 0, length = array.length): Uint32Array<ArrayBuffer> {
  return new Uint32Array(array.buffer, array.byteOffset + BYTES * first, length);
}

function positionNumbers({ epoch, volume, file, record, byte, section, token, bad = 0 }: StreamPosition): number[] {
  return [epoch, volume, file, record, byte >>> 0, Math.floor(byte / 2 ** 32), section, token, bad];
}

function positionFrom(numbers: ArrayLike<number>): StreamPosition {
  const [epoch, volume, file, record, low, high, section, token, bad = 0] = Array.from(numbers);
  return { epoch, volume, file, record, byte: high * 2 ** 32 + low, section, token, ...bad > 0 && { bad } };
}

/** The tensors of a shard but for the checksums, as words. */
function wordsOf({ batch, positions, activations }: HarvestedContexts): Uint32Array[] {
  const each = positions.some(({ bad }) => bad !== undefined) ? PLACE_AND_BAD : PLACE;
  const places = Uint32Array.from(positions.flatMap((position) => positionNumbers(position).slice(0, each)));
  return [batch.ids, batch.document, batch.position, places, ...activations.map((taken) => bitsOf(taken))];
}

/** [contexts, tensors] of the parts that each context has of the tensors. */
function checksumsOf(id: string, first: number, contexts: number, tensors: readonly Uint32Array[]): Uint32Array {
  const sums = new Uint32Array(contexts * tensors.length);
  for (let c = 0; c < contexts; c++) {
    const start = checksumStart(id, first + c);
    for (const [t, words] of tensors.entries()) {
      const each = words.length / contexts;
      sums[c * tensors.length + t] = checksum(words.subarray(c * each, (c + 1) * each), start);
    }
  }
  return sums;
}

/**
 * Writes the next shard of a harvest.
 *
 * @param directory The harvest's directory.
 * @param harvest What it is a harvest of.
 * @param number How many shards there are before it.
 * @param first How many contexts there are in them.
 * @param content Its contexts, with activations at the harvest's taps in their order.
 * @returns Its path.
 * @throws {UserError} When an activation is not finite, or the disk does not take it.
 */
export async function writeShard(
  directory: string,
  harvest: HarvestDescription,
  number: number,
  first: number,
  content: HarvestedContexts,
): Promise<string> {
  const { taps, model, data, context } = harvest, { batch: { contexts, ids } } = content, id = harvestId(harvest);
  const words = wordsOf(content), [, documents, offsets, positions] = words, count = words.length;
  for (const [t, activations] of content.activations.entries()) {
    const bad = firstNotFinite(bitsOf(activations));
    if (bad < 0) continue;
    throw new UserError({
      action: `harvest ${tapName(taps[t])}`,
      requirement: "every activation must be finite",
      found: `one of context ${first + Math.floor(bad * contexts / activations.length)} is ${activations[bad]}`,
      remedy: "check the model's weights, or leave --precision out",
    });
  }
  const path = join(directory, shardName(number));
  const tensors: TensorToWrite[] = [
    {
      name: "tokens",
      dtype: "I32",
      shape: [contexts, context],
      data: new Int32Array(ids.buffer, ids.byteOffset, ids.length),
    },
    { name: "documents", dtype: "U32", shape: [contexts, context], data: documents },
    { name: "offsets", dtype: "U32", shape: [contexts, context], data: offsets },
    { name: "positions", dtype: "U32", shape: [contexts, positions.length / contexts], data: positions },
    { name: "checksums", dtype: "U32", shape: [contexts, count], data: checksumsOf(id, first, contexts, words) },
    ...taps.map((tap, t): TensorToWrite => {
      const data = content.activations[t];
      return { name: tapName(tap), dtype: "F32", shape: [contexts, context, data.length / contexts / context], data };
    }),
  ];
  const text = data.files.length === 0 ? "builtin" : data.files.join(" ");
  await writeSafetensors(path, tensors, {
    ...{ model: model.name, data: text, harvest: id, first_context: String(first) },
  });
  return path;
}

/** The index of the first number that is infinite or none, by the bits of its exponent; -1 where all are finite. */
function firstNotFinite(bits: Uint32Array): number {
  for (let i = 0; i < bits.length; i++) if ((bits[i] & 0x7f800000) === 0x7f800000) return i;
  return -1;
}

/** A shard whose header was checked. */
interface Shard {
  readonly path: string;
  /** Contexts of the harvest before it, and its own. */
  readonly first: number;
  readonly contexts: number;
}

/** The shards of a harvest as one sequence of contexts. */
export class Shards {
  /** What they are a harvest of. */
  readonly harvest: HarvestDescription;
  /** Contexts in all. */
  readonly contexts: number;
  /** How many shards there are. */
  readonly count: number;
  /** The width of each of the harvest's taps; empty where there is no shard yet. */
  readonly widths: readonly number[];
  readonly #shards: readonly Shard[];
  readonly #id: string;
  #open: { readonly shard: Shard; readonly file: SafetensorsFile } | null = null;

  /**
   * Use {@link openShards}.
   *
   * @param harvest What they are a harvest of.
   * @param shards In their order.
   * @param widths The width of each tap.
   */
  constructor(harvest: HarvestDescription, shards: readonly Shard[], widths: readonly number[]) {
    this.harvest = harvest;
    this.contexts = shards.reduce((sum, { contexts }) => sum + contexts, 0);
    this.count = shards.length;
    this.widths = widths;
    this.#shards = shards;
    this.#id = harvestId(harvest);
  }

  /**
   * The place of a tap among the harvest's.
   *
   * @param tap The tap; what enters a layer is found as what leaves the one before, too.
   * @returns Its index; -1 where it was not harvested.
   */
  indexOf(tap: Tap): number {
    const name = tapName(placeOf(tap));
    return this.harvest.taps.findIndex((harvested) => tapName(placeOf(harvested)) === name);
  }

  /**
   * Reads contexts and holds them against their checksums.
   *
   * @param first The first one.
   * @param contexts How many, at most as many as there are behind it.
   * @param taps The places of those taps that are wanted, see {@link indexOf}.
   * @returns The contexts, with the activations in the order of `taps`.
   * @throws {UserError} When a shard has been removed or changed since it was written, or holds what is not finite.
   */
  async read(first: number, contexts: number, taps: readonly number[]): Promise<HarvestedContexts> {
    const { context } = this.harvest, batch = emptyBatch(contexts, context), positions: StreamPosition[] = [];
    const activations = taps.map((t) => new Float32Array(contexts * context * this.widths[t]));
    for (let done = 0; done < contexts;) {
      const shard = this.#shards.findLast((shard) => shard.first <= first + done)!;
      const begin = first + done - shard.first, count = Math.min(contexts - done, shard.contexts - begin);
      const part = await this.#readPart(shard, begin, count, taps);
      copyContexts(part.batch, batch, done);
      positions.push(...part.positions);
      for (const [i, taken] of part.activations.entries()) activations[i].set(taken, done * taken.length / count);
      if (count === contexts) return part;
      done += count;
    }
    return { batch, positions, activations };
  }

  /**
   * Where the text stands behind all contexts.
   *
   * @returns The place from which the harvest goes on.
   * @throws {UserError} As {@link read}.
   */
  async end(): Promise<StreamPosition> {
    if (this.contexts === 0) return START;
    const { positions } = await this.read(this.contexts - 1, 1, []);
    return positions[0];
  }

  /** Closes what is open. */
  async close(): Promise<void> {
    await this.#open?.file.close();
    this.#open = null;
  }

  async #readPart(shard: Shard, begin: number, contexts: number, taps: readonly number[]): Promise<HarvestedContexts> {
    const { context, taps: all } = this.harvest, file = await this.#fileOf(shard);
    const read = async (name: string, each: number) => {
      const { buffer } = await file.readBytes(name, begin * each * BYTES, contexts * each * BYTES);
      return new Uint32Array(buffer);
    };
    const stored = await read("checksums", BESIDE_NAMES.length + all.length);
    const words: Uint32Array<ArrayBuffer>[] = [];
    const numbers = file.info("positions").shape[1];
    for (const name of BESIDE_NAMES) {
      words.push(await read(name, name === "positions" ? numbers : BESIDE[name](context)));
    }
    for (const t of taps) words.push(await read(tapName(all[t]), context * this.widths[t]));
    const columns = [...BESIDE_NAMES.keys(), ...taps.map((t) => BESIDE_NAMES.length + t)];
    const names = [...BESIDE_NAMES, ...taps.map((t) => tapName(all[t]))];
    const [ids, document, position, places, ...activations] = words;
    for (const [i, bits] of activations.entries()) {
      const bad = firstNotFinite(bits);
      if (bad < 0) continue;
      const at = shard.first + begin + Math.floor(bad * contexts / bits.length);
      const value = new Float32Array(bits.buffer)[bad];
      throw unusable(
        shard.path,
        "every activation must be finite",
        `one of ${tapName(all[taps[i]])} in context ${at} is ${value}`,
      );
    }
    const sums = checksumsOf(this.#id, shard.first + begin, contexts, words);
    for (let c = 0; c < contexts; c++) {
      for (const [w, column] of columns.entries()) {
        if (sums[c * words.length + w] === stored[c * (BESIDE_NAMES.length + all.length) + column]) continue;
        const requirement = `context ${shard.first + begin + c} must be as it was harvested`;
        throw unusable(shard.path, requirement, `its ${names[w]} is not`);
      }
    }
    return {
      batch: { contexts, context, ids, document, position },
      positions: Array.from(
        { length: contexts },
        (_, c) => positionFrom(places.subarray(c * numbers, (c + 1) * numbers)),
      ),
      activations: activations.map(({ buffer }) => new Float32Array(buffer)),
    };
  }

  async #fileOf(shard: Shard): Promise<SafetensorsFile> {
    if (this.#open?.shard === shard) return this.#open.file;
    await this.close();
    const file = await openSafetensors(shard.path);
    this.#open = { shard, file };
    return file;
  }
}

function unusable(path: string, requirement: string, found: string): UserError {
  const remedy = "remove it and the shards behind it and run the same mtc harvest again";
  return new UserError({ action: `use ${path}`, requirement, found, remedy });
}

/**
 * Opens a harvest: reads harvest.json and the header of each shard, and holds them against each other. What the shards hold is looked at
 * when it is read.
 *
 * @param directory Its directory.
 * @returns The shards that are there, from the first one on.
 * @throws {UserError} When the directory is none of a harvest, or a shard is damaged, of another one, or not in its place.
 */
export async function openShards(directory: string): Promise<Shards> {
  const harvest = await readHarvest(directory), id = harvestId(harvest);
  const names = await readdir(directory).catch((error) => Promise.reject(fileError("read", directory, error)));
  const shards: Shard[] = [];
  let first = 0, widths: readonly number[] = [];
  for (const name of names.filter((name) => /^activations_\d{5,}\.safetensors$/.test(name)).sort(byNumber)) {
    const path = join(directory, name), file = await openSafetensors(path);
    try {
      if (file.metadata.harvest !== id) {
        throw unusable(path, "it must be a shard of the harvest that harvest.json describes", "it is one of another");
      }
      if (Number(file.metadata.first_context) !== first) {
        throw unusable(path, `it must begin with context ${first}`, `it begins with ${file.metadata.first_context}`);
      }
      const [contexts, found] = checkedShapes(file, harvest, shards.length === 0 ? null : widths);
      widths = found;
      shards.push({ path, first, contexts });
      first += contexts;
    } finally {
      await file.close();
    }
  }
  return new Shards(harvest, shards, widths);
}

function byNumber(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : 1);
}

/** The contexts of a shard and the widths of its taps; those of the shards before it, if there were any, must be the same. */
function checkedShapes(
  file: SafetensorsFile,
  { context, taps }: HarvestDescription,
  before: readonly number[] | null,
): [contexts: number, widths: number[]] {
  // One without contexts is refused with those of another shape.
  const contexts = file.info("tokens").shape[0] || 1, tensors = BESIDE_NAMES.length + taps.length;
  const widths = taps.map((tap, t) => before?.[t] ?? file.info(tapName(tap)).shape[2]);
  const numbers = file.info("positions").shape[1] === PLACE_AND_BAD ? PLACE_AND_BAD : PLACE;
  const expected: [name: string, dtype: string, shape: number[]][] = [
    ["tokens", "I32", [contexts, context]],
    ["documents", "U32", [contexts, context]],
    ["offsets", "U32", [contexts, context]],
    ["positions", "U32", [contexts, numbers]],
    ["checksums", "U32", [contexts, tensors]],
    ...taps.map((tap, t): [string, string, number[]] => [tapName(tap), "F32", [contexts, context, widths[t]]]),
  ];
  for (const [name, dtype, shape] of expected) {
    const info = file.info(name);
    if (info.dtype === dtype && info.shape.join() === shape.join()) continue;
    const found = `it is ${info.dtype} [${info.shape.join(", ")}]`;
    throw unusable(file.path, `${name} must be ${dtype} [${shape.join(", ")}] as harvest.json says`, found);
  }
  return [contexts, widths];
}
