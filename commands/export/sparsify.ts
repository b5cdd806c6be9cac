/**
 * `mtc export --to sparsify`: a directory per hookpoint. sparsify keeps the k largest activations of each token, so what that costs is measured.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { exists } from "../../core/files/exists.ts";
import { moduleReading, tapName } from "../../core/model/sites.ts";
import type { KeptPerToken } from "../../core/passes/kept_per_token.ts";
import { EVALUATION_FILE, readEvaluation } from "../../core/runs/evaluation.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import { writeSparsify } from "../../core/transcoder/formats/sparsify.ts";
import { prefixEnds } from "../../core/transcoder/shape.ts";
import { atHook, describePiece, onlyTarget, type Piece } from "./pieces.ts";
import type { Exported, ExportRequest } from "./request.ts";

const TOOL = "sparsify";

/**
 * Writes the directories: HOOKPOINT, or prefixN/HOOKPOINT where there are several prefixes.
 *
 * @param request What is asked.
 * @returns What each of them holds, and the FVU that remains.
 * @throws {UserError} When sparsify cannot have such a transcoder, or the disk does not take it.
 */
export async function exportSparsify(request: ExportRequest): Promise<Exported[]> {
  const { transcoders, pieces, write } = request;
  const hookpoints = transcoders.map(hookpointOf), k = await Promise.all(transcoders.map(kOf));
  const isSplit = new Set(pieces.map(({ groups }) => groups)).size > 1;
  const placed = pieces.map((piece) => {
    const hookpoint = hookpoints[transcoders.indexOf(piece.of)];
    return { piece, directory: isSplit ? join(`prefix${piece.features}`, hookpoint) : hookpoint };
  });
  placed.forEach(({ directory, piece }, i) => {
    if (placed.findIndex((other) => other.directory === directory) === i) return;
    throw new UserError({
      action: `export ${piece.of.directory} to ${TOOL}`,
      requirement: "there must be one transcoder for a hookpoint",
      found: `another has ${directory}`,
      remedy: "give one of them with --run",
    });
  });
  const remains = await measured(request, k);
  await write(async (directory) => {
    for (const { piece, directory: name } of placed) {
      const at = join(directory, name);
      await mkdir(at, { recursive: true });
      await writeSparsify(at, atHook(piece, null), k[transcoders.indexOf(piece.of)][piece.groups - 1]);
    }
  });
  return placed.map(({ piece, directory }) => {
    const kept = k[transcoders.indexOf(piece.of)][piece.groups - 1];
    return {
      run: piece.of.directory,
      directory,
      features: piece.features,
      remarks: [
        describePiece(piece),
        `thresholds are lost: sparsify keeps the ${kept} largest activations of each token`,
        typeof remains === "string"
          ? `the FVU that remains is not known (${remains})`
          : remainsOf(remains.prefixes[transcoders.indexOf(piece.of)], piece, remains.tokens),
      ],
    };
  });
}

function remainsOf(prefixes: readonly KeptPerToken[], { groups }: Piece, tokens: number): string {
  const { fvu, fvuOfThresholds } = prefixes[groups - 1];
  return `FVU is ${fvu.toFixed(4)} so, ${
    fvuOfThresholds.toFixed(4)
  } with thresholds, both on ${tokens} held-out tokens`;
}

/** The module whose input the transcoder reads, as sparsify hooks it. */
function hookpointOf(one: FinishedTranscoder): string {
  const { directory, config: { source, model }, transcoder: { shape: { d_in, d_out } } } = one;
  onlyTarget(one, TOOL);
  const refused = (requirement: string, found: string) =>
    new UserError({
      action: `export ${directory} to ${TOOL}`,
      requirement,
      found,
      remedy: "train one for other sites",
    });
  if (d_in !== d_out) throw refused("source and target must be of one width", `they are of ${d_in} and ${d_out}`);
  const hookpoint = moduleReading(source, model.layers);
  if (hookpoint !== null) return hookpoint;
  throw refused("its source must be what a module of the model reads", `none reads ${tapName(source)} as it is`);
}

/** How many activations a token has above the thresholds, on average; as many as in training where that was not measured. */
async function kOf({ directory, config, transcoder }: FinishedTranscoder): Promise<number[]> {
  const { shape: { groups }, topK } = transcoder;
  const isThere = await exists(join(directory, EVALUATION_FILE));
  const measured = isThere ? (await readEvaluation(directory)).fvu_per_prefix : [];
  return prefixEnds(groups).map((end) => {
    const l0 = topK ?? measured.find(({ prefix }) => prefix === end)?.l0 ?? config.k;
    return Math.min(end, Math.max(1, Math.round(l0)));
  });
}

/** What remains of each prefix; why that is not known where model or text cannot be had. */
async function measured({ transcoders, model, data, tokens }: ExportRequest, k: readonly (readonly number[])[]) {
  const { openModelVisibly } = await import("../open_model.ts");
  const { onHeldOut } = await import("../held_out.ts");
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { measureKeptPerToken } = await import("../../core/passes/kept_per_token.ts");
  const { modelOf } = await import("../../core/runs/finished.ts");
  try {
    const files = await openModelVisibly(model ?? modelOf(transcoders));
    try {
      using gpu = await openGpu(undefined, transcoders[0].config.precision);
      const wanted = { label: "Keeping the largest", data, split: "test" as const, tokens };
      return await onHeldOut(gpu, files, transcoders, wanted, ({ advance, ...text }) => {
        return measureKeptPerToken({ ...text, k, onProgress: advance });
      });
    } finally {
      await files.weights.close();
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message;
  }
}
