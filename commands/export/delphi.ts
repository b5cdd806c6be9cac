/**
 * `mtc export --to delphi`: a cache of what features do on the reading set, so that delphi explains and scores them without the model.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { columnsOf, type FeatureRecord } from "../../core/analysis/record.ts";
import { moduleReading, tapName } from "../../core/model/sites.ts";
import { type CachedFirings, writeDelphi } from "../../core/transcoder/formats/delphi.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { describePiece } from "./pieces.ts";
import type { Exported, ExportRequest } from "./request.ts";

/**
 * Writes the caches: HOOKPOINT, or prefixN/HOOKPOINT where there are several prefixes.
 *
 * @param request What is asked.
 * @returns What each of them holds.
 * @throws {UserError} When model, text or record cannot be read, or the disk does not take them.
 */
export async function exportDelphi(request: ExportRequest): Promise<Exported[]> {
  const { transcoders, modelName, model, data, write } = request;
  const { recordsOf } = await import("../analyze/records.ts");
  const { loadTokenizer } = await import("../../core/text/tokenizer.ts");
  const { modelOf } = await import("../../core/runs/finished.ts");
  const { openModelVisibly } = await import("../open_model.ts");
  const records = await recordsOf(transcoders, { model, data });
  const files = await openModelVisibly(model ?? modelOf(transcoders));
  const { bosId, specialIds } = loadTokenizer(files);
  await files.weights.close();
  const placed = withDirectories(request);
  await write(async (directory) => {
    for (const { piece, directory: name } of placed) {
      const { of: { config, transcoder: { shape } }, features } = piece,
        record = records[transcoders.indexOf(piece.of)];
      const at = join(directory, name), firings = firingsOf(record, featureCount(shape.groups));
      await mkdir(at, { recursive: true });
      await writeDelphi(at, {
        ...{ tokens: tokensOf(record, bosId, Math.min(...specialIds)), context: record.context, features, firings },
        ...{ modelName, dataset: config.data.name },
      });
    }
  });
  return placed.map(({ piece, directory }) => {
    const { place, context } = records[transcoders.indexOf(piece.of)], contexts = contextsOf(place, context);
    return {
      run: piece.of.directory,
      directory,
      features: piece.features,
      remarks: [
        describePiece(piece),
        `${place.length} tokens in ${contexts} contexts of ${context}; activations are float16`,
      ],
    };
  });
}

function withDirectories({ pieces, transcoders }: ExportRequest) {
  const hookpoints = transcoders.map(({ config: { source, model } }) =>
    moduleReading(source, model.layers) ?? tapName(source)
  );
  const isShared = hookpoints.some((hookpoint, i) => hookpoints.indexOf(hookpoint) < i);
  const isSplit = new Set(pieces.map(({ groups }) => groups)).size > 1;
  return pieces.map((piece) => {
    // delphi takes any name; where two read the same, they have the run's.
    const hookpoint = isShared ? piece.of.name.file : hookpoints[transcoders.indexOf(piece.of)];
    return { piece, directory: isSplit ? join(`prefix${piece.features}`, hookpoint) : hookpoint };
  });
}

function contextsOf(place: Uint32Array, context: number): number {
  return 1 + Math.floor(place.at(-1)! / context);
}

/** [contexts, context]: the record has no tokens that do not count. The first of a context is BOS, others are shown as the lowest special token. */
function tokensOf({ place, id, context }: FeatureRecord, bosId: number, special: number): Uint32Array {
  const tokens = new Uint32Array(contextsOf(place, context) * context).fill(special);
  for (let first = 0; first < tokens.length; first += context) tokens[first] = bosId;
  place.forEach((at, token) => tokens[at] = id[token]);
  return tokens;
}

function firingsOf(record: FeatureRecord, features: number): (feature: number) => CachedFirings {
  const { start, token, value } = columnsOf(record, features), { place, context } = record;
  return (feature) => {
    const [first, end] = [start[feature], start[feature + 1]], places = token.subarray(first, end).map((t) => place[t]);
    return {
      context: places.map((at) => Math.floor(at / context)),
      position: places.map((at) => at % context),
      activation: value.subarray(first, end),
    };
  };
}
