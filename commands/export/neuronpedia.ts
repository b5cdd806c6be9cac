/**
 * `mtc export --to neuronpedia`: upload batches per transcoder or prefix.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  MOST_LOGITS,
  MOST_TOKENS,
  type UploadedFeature,
  writeUploads,
} from "../../core/transcoder/formats/neuronpedia.ts";
import { showFeatures, type ShownTranscoder } from "./cards.ts";
import { describePiece, onlyTarget } from "./pieces.ts";
import type { Exported, ExportRequest } from "./request.ts";

/**
 * Writes the batches.
 *
 * @param request What is asked.
 * @returns What each directory holds.
 * @throws {UserError} When there are several targets, or model, text or record cannot be read, or the disk does not take them.
 */
export async function exportNeuronpedia(request: ExportRequest): Promise<Exported[]> {
  const { transcoders, pieces, modelName, setName, model, data, write } = request, batches: number[] = [];
  for (const one of transcoders) onlyTarget(one, "Neuronpedia");
  const shown = await showFeatures(transcoders, { model, data });
  await write(async (directory) => {
    for (const { of, features, name } of pieces) {
      const at = pieces.length > 1 ? join(directory, name) : directory;
      if (at !== directory) await mkdir(at);
      const uploaded = uploadedFeatures(shown[transcoders.indexOf(of)], features);
      batches.push(await writeUploads(at, modelName, `${of.config.layer}-${setName}`, uploaded));
    }
  });
  return pieces.map((piece, i) => ({
    run: piece.of.directory,
    directory: pieces.length > 1 ? piece.name : ".",
    features: piece.features,
    remarks: [describePiece(piece), `${batches[i]} batches for ${modelName}/${piece.of.config.layer}-${setName}`],
  }));
}

function* uploadedFeatures({ show, textOf }: ShownTranscoder, features: number): Generator<UploadedFeature> {
  for (const { feature, density, bands, raised, lowered } of show(features)) {
    yield {
      ...{ index: feature, density, explanations: [] },
      activations: bands.flatMap(({ least, most, share, examples }, band) => {
        // The strongest firings are no quantile.
        const quantile = band === 0
          ? { quantileMin: null, quantileMax: null, quantileFraction: null }
          : { quantileMin: least, quantileMax: most, quantileFraction: share };
        return examples.map(({ tokens, activations }) => ({
          tokens: tokens.slice(0, MOST_TOKENS).map(textOf),
          values: activations.slice(0, MOST_TOKENS),
          ...quantile,
        }));
      }),
      topLogits: raised.slice(0, MOST_LOGITS),
      bottomLogits: lowered.slice(0, MOST_LOGITS),
    };
  }
}
