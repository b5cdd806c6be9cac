/**
 * Every kernel by name, for those who want to read its text or know that it exists. A program cannot look for modules, so the files of
 * declarations are named here; tests/catalogue_test.ts looks for them and misses any that is not.
 * @module
 */

import * as attention from "../../wgsl/gemma2/attention.ts";
import * as norms from "../../wgsl/gemma2/norms.ts";
import { type TileName, TILES, variantsOf } from "../../wgsl/shared/matmul.ts";
import * as transpose from "../../wgsl/shared/transpose.ts";
import * as selection from "../../wgsl/transcoder/selection.ts";
import * as step from "../../wgsl/transcoder/step.ts";
import type { Kernel } from "../../wgsl/kernel.ts";

function isKernel(value: unknown): value is Kernel {
  return typeof value === "object" && value !== null && "source" in value && "bindings" in value;
}

/** All kernels, sorted by name; matrix products in every tile. */
export const KERNELS: readonly Kernel[] = [
  ...[attention, norms, transpose, selection, step].flatMap((module) => Object.values(module).filter(isKernel)),
  ...(Object.keys(TILES) as TileName[]).flatMap(variantsOf),
].toSorted((a, b) => a.name < b.name ? -1 : 1);
