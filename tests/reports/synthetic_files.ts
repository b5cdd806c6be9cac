/**
 * A synthetic run as the reports see it, beside its files read without the program's readers.
 * @module
 */

import { csvParse } from "d3-dsv";
import { join } from "node:path";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { analyzeSynthetic, type SyntheticRun, writeSyntheticRun } from "./synthetic_run.ts";

/** Sizes of the groups, ends of the prefixes, features, and the width of source and target. */
export const GROUPS = [32, 64, 32], PREFIXES = [32, 96, 128], FEATURES = 128, WIDTH = 16;

/** The part of evaluation.json that is looked at; none of its numbers is missing. */
export interface EvaluationFile {
  fvu: number;
  fvu_per_prefix: { prefix: number; fvu: number; ci95: [low: number, high: number] }[];
}

/** A row of a CSV file, cells as text. */
export type Cells = Record<string, string>;

const TENSORS = ["W_enc", "b_enc", "W_dec", "b_dec"] as const;

/** Writes a run, analyses it, reads its files and removes them. */
export async function synthetic(changes: Partial<SyntheticRun> = {}) {
  const root = await Deno.makeTempDir();
  try {
    const path = await writeSyntheticRun(root, "demo", { groups: GROUPS, dIn: WIDTH, dOut: WIDTH, ...changes });
    const read = (name: string) => Deno.readTextFile(join(path, name));
    const file = await openSafetensors(join(path, "transcoder.safetensors"));
    const tensors = await Promise.all(TENSORS.map(async (name) => [name, await file.readF32(name)] as const));
    await file.close();
    return {
      layer: await analyzeSynthetic(path),
      metrics: csvParse(await read("metrics.csv")) as Cells[],
      features: csvParse(await read("features.csv")) as Cells[],
      evaluation: JSON.parse(await read("evaluation.json")) as EvaluationFile,
      tensors: Object.fromEntries(tensors) as Record<(typeof TENSORS)[number], Float32Array>,
    };
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** A column as numbers. */
export const numbers = (rows: Cells[], column: string): number[] => rows.map((row) => Number(row[column]));

/** The features that fired. */
export const alive = (rows: Cells[]): Cells[] => rows.filter((row) => row.dead === "0");

/** The lengths of the columns of W_enc. */
export function columnNorms(matrix: Float32Array): number[] {
  return Array.from({ length: FEATURES }, (_, i) => Math.hypot(...matrix.filter((_, at) => at % FEATURES === i)));
}

/** The lengths of the rows of W_dec. */
export function rowNorms(matrix: Float32Array): number[] {
  return Array.from({ length: FEATURES }, (_, i) => Math.hypot(...matrix.subarray(i * WIDTH, (i + 1) * WIDTH)));
}

/** The middle value, or the mean of the two in the middle. */
export function middle(values: number[]): number {
  const ascending = values.toSorted((x, y) => x - y), at = (values.length - 1) / 2;
  return (ascending[Math.floor(at)] + ascending[Math.ceil(at)]) / 2;
}
