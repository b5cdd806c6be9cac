/**
 * Every kernel by name, for those who want to read its text or know that it exists. A program cannot look for modules, so the files of
 * declarations are named here; tests/catalogue_test.ts looks for them and misses any that is not.
 * @module
 */

import * as attention from "../../wgsl/model/attention.ts";
import * as edits from "../../wgsl/model/edits.ts";
import * as head from "../../wgsl/model/head.ts";
import * as norms from "../../wgsl/model/norms.ts";
import { type TileName, TILES, variantsOf } from "../../wgsl/shared/matmul.ts";
import * as rows from "../../wgsl/shared/rows.ts";
import * as transpose from "../../wgsl/shared/transpose.ts";
import * as change from "../../wgsl/transcoder/change.ts";
import * as figures from "../../wgsl/transcoder/figures.ts";
import * as selection from "../../wgsl/transcoder/selection.ts";
import * as skip from "../../wgsl/transcoder/skip.ts";
import * as step from "../../wgsl/transcoder/step.ts";
import type { Kernel } from "../../wgsl/kernel.ts";

function isKernel(value: unknown): value is Kernel {
  return typeof value === "object" && value !== null && "source" in value && "bindings" in value;
}

/** All kernels, sorted by name; matrix products in every tile. */
export const KERNELS: readonly Kernel[] = [
  ...[attention, edits, head, norms, rows, transpose, change, figures, selection, skip, step].flatMap((module) =>
    Object.values(module).filter(isKernel)
  ),
  ...(Object.keys(TILES) as TileName[]).flatMap(variantsOf),
].toSorted((a, b) => a.name < b.name ? -1 : 1);
