/**
 * What files of transcoders have in common, whoever wrote them: the same few tensors, under other names and some of them transposed.
 * @module
 */

import { UserError } from "../../errors.ts";
import { transposed } from "../../files/transposed.ts";
import { featureCount, type TranscoderShape } from "../shape.ts";
import type { Matrix, Transcoder, TranscoderVectors, TranscoderWeights } from "../weights.ts";

/** Tensors by name, whatever kind of file they are in. */
export interface TensorFile {
  /** Where it came from, for messages. */
  readonly path: string;
  /** The tensors. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  /** Reads one, in row-major order. */
  readF32(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** Reads neighbouring rows of a matrix, where a kind of file has them apart. */
  readRowsF32?(name: string, first: number, count: number): Float32Array<ArrayBuffer>;
  /** Closes the file. */
  close(): Promise<void>;
}

/** What a kind of file calls its tensors. */
export interface Layout {
  /** [features, d_in], or [d_in, features]. */
  readonly encoder: { readonly name: string; readonly axes: "features, input" | "input, features" };
  /** [features] */
  readonly encoderBias: string;
  /** [features, d_out] */
  readonly decoder: string;
  /** [d_out] */
  readonly decoderBias: string;
  /** [features]; null for a kind that has none. */
  readonly threshold: { readonly name: string; readonly isOptional?: true } | null;
  /** What may be there beside them: the skip connection. */
  readonly skip: { readonly name: string; readonly axes: "input, output" | "output, input" } | null;
  /** Tensors that may be there and say nothing of it. */
  readonly ignored?: readonly string[];
}

/** Says why a file is of no use: what must hold, and what is there instead. */
export type Unusable = (requirement: string, found: string) => UserError;

/** A transcoder that another program wrote, its sizes checked and its weights not yet read. */
export interface ForeignTranscoder {
  /** What wrote it, or whose it is. */
  readonly tool: ForeignTool;
  /** The file that holds its weights. */
  readonly weightsPath: string;
  /** Its sizes. */
  readonly shape: TranscoderShape;
  /** What is kept of each token's activations. */
  readonly activation: "jump-relu" | "relu" | "top-k";
  /** With `top-k`, how many. */
  readonly topK?: number;
  /** The hook that it reads, as its files or the place where its kind is known to read say; null where neither does. */
  readonly source: string | null;
  /** The hook that it predicts, likewise. */
  readonly target: string | null;
  /** The layer of both, where the hooks do not name it and the files or their paths do. */
  readonly layer: number | null;
  /** The language model that its files name. */
  readonly model: string | null;
  /** What its reader took for granted: whole sentences. */
  readonly remarks: readonly string[];
  /** Reads its weights, for the activations of the hook, and its thresholds. */
  read(): Promise<Transcoder>;
  /** Closes its files. */
  close(): Promise<void>;
}

/** The tools whose files are read, as `config.json` and the command line name them. */
export const FOREIGN_TOOLS = ["gemma-scope", "gemma-scope-2", "saelens", "sparsify", "circuit-tracer"] as const;
/** See {@link FOREIGN_TOOLS}. */
export type ForeignTool = typeof FOREIGN_TOOLS[number];

/**
 * Makes what says that a foreign file is of no use.
 *
 * @param path The file.
 * @returns The maker of such errors.
 */
export function unusableForeign(path: string): Unusable {
  const remedy = "download or export it again";
  return (requirement, found) => new UserError({ action: `import ${path}`, requirement, found, remedy });
}

/**
 * Holds the sizes that a configuration names against those of the weights beside it: other weights may have been put there.
 *
 * @param unusable Makes the error.
 * @param said The configuration; what it does not name is believed.
 * @param found The sizes of the weights, by the configuration's names.
 * @throws {UserError} Naming the first that differs.
 */
export function requireSizes(
  unusable: Unusable,
  said: Readonly<Record<string, unknown>>,
  found: Readonly<Record<string, number>>,
): void {
  for (const [key, size] of Object.entries(found)) {
    if (said[key] === undefined || said[key] === size) continue;
    throw unusable(`its ${key} must be the ${size} of its weights`, `it is ${said[key]}`);
  }
}

/**
 * Checks which tensors a file has and that they fit each other; none is read.
 *
 * @param file The file.
 * @param layout How its kind calls them.
 * @param unusable Makes the error.
 * @returns The sizes; one group.
 * @throws {UserError} When tensors are missing, too many or do not fit each other.
 */
export function shapeOf(file: TensorFile, layout: Layout, unusable: Unusable): TranscoderShape {
  const { encoder, encoderBias, decoder, decoderBias, threshold, skip, ignored = [] } = layout;
  const needed = [
    encoder.name,
    encoderBias,
    decoder,
    decoderBias,
    ...threshold?.isOptional ? [] : threshold ? [threshold.name] : [],
  ];
  const optional = [...threshold?.isOptional ? [threshold.name] : [], ...skip ? [skip.name] : []];
  const perhaps = optional.map((name) => `perhaps ${name}, `).join("");
  const requirement = `it must hold ${needed.join(", ")}, ${perhaps}and nothing else`;
  const missing = needed.find((name) => !file.tensors.has(name));
  if (missing !== undefined) throw unusable(requirement, `it has no ${missing}`);
  const stranger = [...file.tensors.keys()].find((name) => ![...needed, ...optional, ...ignored].includes(name));
  if (stranger !== undefined) throw unusable(requirement, `it also holds "${stranger}"`);
  const extentsOf = (name: string) => file.tensors.get(name)!.shape;
  const outer = extentsOf(encoder.name), decoding = extentsOf(decoder);
  if (outer.length !== 2 || decoding.length !== 2) {
    throw unusable(
      `${encoder.name} and ${decoder} must be matrices`,
      `they are [${outer.join(", ")}] and [${decoding.join(", ")}]`,
    );
  }
  const [features, d_in] = encoder.axes === "features, input" ? outer : outer.toReversed(), [, d_out] = decoding;
  const hasSkip = skip !== null && file.tensors.has(skip.name);
  const hasThreshold = threshold !== null && file.tensors.has(threshold.name);
  const expected = {
    ...{ [encoderBias]: [features], [decoder]: [features, d_out], [decoderBias]: [d_out] },
    ...hasThreshold && { [threshold.name]: [features] },
    ...hasSkip && { [skip.name]: skip.axes === "input, output" ? [d_in, d_out] : [d_out, d_in] },
  };
  for (const [name, extents] of Object.entries(expected)) {
    const found = extentsOf(name);
    if (found.join() === extents.join()) continue;
    throw unusable(`${name} must be [${extents.join(", ")}] like the others`, `it is [${found.join(", ")}]`);
  }
  if (d_in * features * d_out === 0) {
    throw unusable("its sizes must be positive", `d_in, features, d_out are ${d_in}, ${features}, ${d_out}`);
  }
  return { d_in, d_out, groups: [features], ...hasSkip && { skip: true } };
}

/** Elements of a matrix that are turned at once: 4 MiB. */
const TURNED_AT_ONCE = 1 << 20;

/** Reads the tensors of a file one by one; each read fails where a weight is not finite, a threshold is NaN, or the file fails. */
export interface LayoutReader {
  /** A matrix as mtc has it, feature-major. */
  readonly matrix: (matrix: Matrix) => Promise<Float32Array<ArrayBuffer>>;
  /** All but the matrices; thresholds are null where there are none. */
  readonly vectors: () => Promise<
    { weights: TranscoderVectors["weights"]; thresholds: Float32Array<ArrayBuffer> | null }
  >;
}

/**
 * Makes what reads the tensors of a file whose sizes were checked.
 *
 * @param file The file.
 * @param layout How its kind calls them.
 * @param shape What {@link shapeOf} found.
 * @param unusable Makes the error.
 * @param isDiagnosed Whether weights that are not finite and thresholds that are no number are let through.
 * @returns The reader.
 */
export function layoutReader(
  file: TensorFile,
  { encoder, encoderBias, decoder, decoderBias, threshold, skip }: Layout,
  { d_in, d_out, groups, skip: hasSkip }: TranscoderShape,
  unusable: Unusable,
  isDiagnosed: boolean = false,
): LayoutReader {
  const features = featureCount(groups);
  const check = (
    name: string,
    data: Float32Array,
    first = 0,
    isSound: (value: number) => boolean = Number.isFinite,
    requirement = "every weight must be finite",
  ) => {
    if (isDiagnosed) return;
    // A plain loop: a matrix has millions of elements.
    for (let at = 0; at < data.length; at++) {
      if (!isSound(data[at])) throw unusable(requirement, `element ${first + at} of ${name} is ${data[at]}`);
    }
  };
  const weight = async (name: string) => {
    const data = await file.readF32(name);
    check(name, data);
    return data;
  };
  const turned = async (name: string, rows: number, columns: number) => {
    // Read as a whole, it would be held twice.
    if (!file.readRowsF32) return transposed(await weight(name), columns, rows);
    const out = new Float32Array(rows * columns), most = Math.max(1, Math.floor(TURNED_AT_ONCE / rows));
    for (let first = 0; first < columns; first += most) {
      const count = Math.min(most, columns - first), part = file.readRowsF32(name, first, count);
      check(name, part, first * rows);
      for (let r = 0; r < rows; r++) for (let c = 0; c < count; c++) out[r * columns + first + c] = part[c * rows + r];
    }
    return out;
  };
  const matrix = (name: string, isTurned: boolean, rows: number, columns: number) => {
    return isTurned ? turned(name, rows, columns) : weight(name);
  };
  return {
    matrix: (which) =>
      which === "decoder" ? weight(decoder) : matrix(encoder.name, encoder.axes === "input, features", features, d_in),
    async vectors() {
      const weights = {
        encoderBias: await weight(encoderBias),
        decoderBias: await weight(decoderBias),
        ...skip && hasSkip && { skip: await matrix(skip.name, skip.axes === "output, input", d_in, d_out) },
      };
      if (threshold === null || !file.tensors.has(threshold.name)) return { weights, thresholds: null };
      const thresholds = await file.readF32(threshold.name), isNumber = (value: number) => !Number.isNaN(value);
      check(threshold.name, thresholds, 0, isNumber, "every threshold must be a number");
      return { weights, thresholds };
    },
  };
}

/**
 * Reads the tensors of a file whose sizes were checked.
 *
 * @param from As {@link layoutReader} takes them.
 * @returns The weights as mtc has them, and the thresholds; null where there are none.
 * @throws {UserError} When a weight is not finite, a threshold is NaN, or the file fails.
 */
export async function readLayout(
  ...from: Parameters<typeof layoutReader>
): Promise<{ weights: TranscoderWeights; thresholds: Float32Array<ArrayBuffer> | null }> {
  const { matrix, vectors } = layoutReader(...from), { weights, thresholds } = await vectors();
  return { weights: { ...weights, encoder: await matrix("encoder"), decoder: await matrix("decoder") }, thresholds };
}
