/**
 * What files of transcoders have in common, whoever wrote them: the same few tensors, under other names and some of them transposed.
 * @module
 */

import { UserError } from "../../errors.ts";
import { transposed } from "../../files/transposed.ts";
import { featureCount, type TranscoderShape } from "../shape.ts";
import type { Transcoder, TranscoderWeights } from "../weights.ts";

/** Tensors by name, whatever kind of file they are in. */
export interface TensorFile {
  /** Where it came from, for messages. */
  readonly path: string;
  /** The tensors. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  /** Reads one, in row-major order. */
  readF32(name: string): Promise<Float32Array<ArrayBuffer>>;
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

/**
 * Reads the tensors of a file whose sizes were checked.
 *
 * @param file The file.
 * @param layout How its kind calls them.
 * @param shape What {@link shapeOf} found.
 * @param unusable Makes the error.
 * @param isDiagnosed Whether weights that are not finite and thresholds that are no number are let through.
 * @returns The weights as mtc has them, and the thresholds; null where there are none.
 * @throws {UserError} When a weight is not finite, a threshold is NaN, or the file fails.
 */
export async function readLayout(
  file: TensorFile,
  { encoder, encoderBias, decoder, decoderBias, threshold, skip }: Layout,
  { d_in, d_out, groups, skip: hasSkip }: TranscoderShape,
  unusable: Unusable,
  isDiagnosed = false,
): Promise<{ weights: TranscoderWeights; thresholds: Float32Array<ArrayBuffer> | null }> {
  const features = featureCount(groups);
  const read = async (name: string, isSound: (value: number) => boolean, requirement: string) => {
    const data = await file.readF32(name), bad = isDiagnosed ? -1 : data.findIndex((value) => !isSound(value));
    if (bad === -1) return data;
    throw unusable(requirement, `element ${bad} of ${name} is ${data[bad]}`);
  };
  const weight = (name: string) => read(name, Number.isFinite, "every weight must be finite");
  const matrix = async (name: string, isTurned: boolean, rows: number, columns: number) => {
    const data = await weight(name);
    if (!isTurned) return data;
    const turned = transposed(data, columns, rows);
    // It is as large as the matrix itself, and the next one is read at once.
    data.buffer.transfer(0);
    return turned;
  };
  const weights = {
    encoder: await matrix(encoder.name, encoder.axes === "input, features", features, d_in),
    encoderBias: await weight(encoderBias),
    decoder: await weight(decoder),
    decoderBias: await weight(decoderBias),
    ...skip && hasSkip && { skip: await matrix(skip.name, skip.axes === "output, input", d_in, d_out) },
  };
  const hasThreshold = threshold !== null && file.tensors.has(threshold.name);
  const thresholds = hasThreshold
    ? await read(threshold.name, (value) => !Number.isNaN(value), "every threshold must be a number")
    : null;
  return { weights, thresholds };
}
