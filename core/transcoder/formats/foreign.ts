/**
 * Finds out which tool's files lie at a path, and opens them.
 * @module
 */

import { stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { UserError } from "../../errors.ts";
import { fileError } from "../../files/atomic.ts";
import { exists } from "../../files/exists.ts";
import { CIRCUIT_TRACER_CONFIG, layerOfFile, openCircuitTracer } from "./circuit_tracer.ts";
import { GEMMA_SCOPE_2_WEIGHTS, GEMMA_SCOPE_WEIGHTS, openGemmaScope, openGemmaScope2 } from "./gemma_scope.ts";
import type { ForeignTranscoder } from "./layout.ts";
import { openSaelens, SAELENS_CONFIG, SAELENS_WEIGHTS } from "./saelens.ts";
import { openSparsify, SPARSIFY_WEIGHTS } from "./sparsify.ts";

/** A file or directory that can be opened as a transcoder. */
export interface ForeignPlace {
  /** Where it lies. */
  readonly path: string;
  /** Opens it. */
  open(): Promise<ForeignTranscoder>;
}

/** What can be imported, for messages. */
const KINDS =
  `${GEMMA_SCOPE_WEIGHTS} or ${GEMMA_SCOPE_2_WEIGHTS} of Gemma Scope, a directory of SAELens or sparsify, ` +
  "or circuit-tracer's layer_N.safetensors";

/**
 * Finds the transcoders at a path.
 *
 * @param path A file of weights, the directory that holds it, or a directory of such directories or files, one per layer.
 * @returns They: one, or those of a set, by their layers.
 * @throws {UserError} When nothing is there, or nothing that can be imported.
 */
export async function findForeign(path: string): Promise<ForeignPlace[]> {
  const info = await stat(path).catch((error) => {
    throw fileError("read", path, error);
  });
  if (info.isFile()) {
    const place = placeOfFile(path);
    if (place !== null) return [place];
    throw nothing(path, `it is "${basename(path)}"`);
  }
  const here = await placesIn(path);
  if (here.length > 0) return here;
  const below: ForeignPlace[] = [];
  for (const directory of await directoriesIn(path)) below.push(...await placesIn(directory));
  if (below.length > 0) return below;
  throw nothing(path, "it holds none of these");
}

function nothing(path: string, found: string): UserError {
  const remedy = "name the file, or the directory that holds it";
  return new UserError({ action: `import ${path}`, requirement: `it must be ${KINDS}`, found, remedy });
}

function placeOfFile(path: string): ForeignPlace | null {
  const name = basename(path), directory = join(path, "..");
  if (extname(name) === ".npz") return { path, open: () => openGemmaScope(path) };
  if (name === GEMMA_SCOPE_2_WEIGHTS) return { path, open: () => openGemmaScope2(path) };
  if (name === SAELENS_WEIGHTS) return { path, open: () => openSaelens(directory) };
  if (name === SPARSIFY_WEIGHTS) return { path, open: () => openSparsify(directory) };
  if (layerOfFile(name) !== null) return { path, open: () => openCircuitTracer(path) };
  return null;
}

/** The weights right in a directory: one file of a kind that has a directory of its own, or all layers of a set. */
async function placesIn(directory: string): Promise<ForeignPlace[]> {
  for (const name of [GEMMA_SCOPE_WEIGHTS, GEMMA_SCOPE_2_WEIGHTS, SAELENS_WEIGHTS, SPARSIFY_WEIGHTS]) {
    if (await exists(join(directory, name))) return [placeOfFile(join(directory, name))!];
  }
  const layers: number[] = [];
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const layer = layerOfFile(name);
    if (!isDirectory && layer !== null) layers.push(layer);
  }
  return layers.sort((a, b) => a - b).map((layer) => placeOfFile(join(directory, `layer_${layer}.safetensors`))!);
}

/** The directories in one, sorted, numbers in their order. */
async function directoriesIn(path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(path)) if (isDirectory) names.push(name);
  return names.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).map((name) => join(path, name));
}

/** The files that say what weights are. */
const DESCRIBING: readonly string[] = ["config.json", SAELENS_CONFIG, CIRCUIT_TRACER_CONFIG];

/**
 * Whether a file is one of weights that can be imported, or says what they are.
 *
 * @param name Its name.
 * @param layer The layer that is asked for; undefined for all.
 * @returns False for whatever else lies there, and the other layers of a set.
 */
export function isForeignFile(name: string, layer: number | undefined): boolean {
  const own = layerOfFile(name);
  return DESCRIBING.includes(name) ||
    (placeOfFile(name) !== null && (own === null || layer === undefined || own === layer));
}
