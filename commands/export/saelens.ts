/**
 * `mtc export --to saelens`: a directory of SAELens per transcoder or prefix.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { exists } from "../../core/files/exists.ts";
import { hookName } from "../../core/model/hooks.ts";
import { EVALUATION_FILE, readEvaluation } from "../../core/runs/evaluation.ts";
import { hasFeatures, readFeatures } from "../../core/runs/features.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import { type SaelensMetadata, writeSaelens } from "../../core/transcoder/formats/saelens.ts";
import { prefixEnds } from "../../core/transcoder/shape.ts";
import { atHook, describePiece, gainsOf, onlyTarget, type Piece, requireHook, requireThresholds } from "./pieces.ts";
import type { Exported, ExportRequest } from "./request.ts";

const TOOL = "SAELens";

/**
 * Writes the directories.
 *
 * @param request What is asked.
 * @returns What each of them holds.
 * @throws {UserError} When SAELens cannot have such a transcoder, the model cannot be read for a gain, or the disk does not take it.
 */
export async function exportSaelens(
  { transcoders, pieces, modelName, model, write }: ExportRequest,
): Promise<Exported[]> {
  for (const one of transcoders) {
    requireHook(one.directory, one.config.source, TOOL, false);
    requireThresholds(one, TOOL);
    requireHook(one.directory, onlyTarget(one, TOOL), TOOL, true);
  }
  const gains = await gainsOf(transcoders, model), known = await Promise.all(transcoders.map(figuresOf));
  await write(async (directory) => {
    for (const piece of pieces) {
      const at = pieces.length > 1 ? join(directory, piece.name) : directory, one = transcoders.indexOf(piece.of);
      if (at !== directory) await mkdir(at);
      const { densities } = known[one], metadata = metadataOf(piece, modelName, known[one]);
      await writeSaelens(at, atHook(piece, gains[one]), metadata, densities?.slice(0, piece.features));
    }
  });
  return pieces.map((piece) => ({
    run: piece.of.directory,
    directory: pieces.length > 1 ? piece.name : ".",
    features: piece.features,
    remarks: [
      describePiece(piece),
      ...gains[transcoders.indexOf(piece.of)] ? ["the gain of the norm in front of the MLP is folded into W_enc"] : [],
    ],
  }));
}

/** What a run's files say of a transcoder. */
interface Figures {
  readonly densities?: readonly number[];
  readonly deadFeatures?: number;
  readonly prefixes: readonly { readonly prefix: number; readonly fvu: number; readonly l0?: number }[];
}

async function figuresOf({ directory, config: { groups } }: FinishedTranscoder): Promise<Figures> {
  const densities = await hasFeatures(directory)
    ? (await readFeatures(directory, groups)).map(({ density }) => density)
    : undefined;
  if (!await exists(join(directory, EVALUATION_FILE))) return { densities, prefixes: [] };
  const { fvu_per_prefix, dead_features } = await readEvaluation(directory);
  return { densities, deadFeatures: dead_features, prefixes: fvu_per_prefix };
}

function metadataOf(
  { of: { config, transcoder: { shape } }, features, groups }: Piece,
  modelName: string,
  { prefixes, deadFeatures }: Figures,
): SaelensMetadata {
  const figures = prefixes.find(({ prefix }) => prefix === features), ends = prefixEnds(shape.groups);
  return {
    model_name: modelName,
    hook_name: hookName(config.source),
    hook_name_out: hookName(config.targets[0]),
    prepend_bos: true,
    context_size: config.context,
    dataset_path: config.data.name,
    exclude_special_tokens: config.exclude_tokens,
    training_architecture: "matryoshka_batchtopk_transcoder",
    matryoshka_widths: ends.slice(0, groups),
    k: config.k,
    ...figures && { fvu: figures.fvu, l0: figures.l0 },
    ...deadFeatures !== undefined && features === ends.at(-1) && { dead_features: deadFeatures },
    mtc_version: config.mtc_version,
  };
}
