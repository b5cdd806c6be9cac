/**
 * Makes the explorer's parts of a transcoder, and of two that are matched: reports/browser/data.ts lists them. That takes seconds to minutes,
 * so they are kept in files; shelf.ts has those.
 * @module
 */

import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { FeatureSamples } from "../../core/analysis/sample_statistics.ts";
import { UserError } from "../../core/errors.ts";
import { exists } from "../../core/files/exists.ts";
import type { ChosenTranscoder } from "../../core/runs/discovery.ts";
import { readRecord } from "../../core/runs/record.ts";
import { readSamples, SAMPLES_FILE } from "../../core/runs/samples.ts";
import { readTranscoder } from "../../core/runs/transcoder.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { FEATURES_PER_PART, isPacked } from "../../reports/browser/data.ts";
import { detailMaker, type Details } from "../../reports/browser/details.ts";
import { aboutOf } from "../../reports/browser/entry.ts";
import { mapPart, matchPart } from "../../reports/browser/matches.ts";
import { pack } from "../../reports/browser/packed.ts";
import { examplesOfAll, tableOf } from "../../reports/browser/table.ts";
import { tokenStream } from "../../reports/browser/tokens.ts";
import { visibly } from "../analyze/recorded.ts";
import { Progress } from "../progress.ts";
import type { Multiplier } from "../report/dictionary.ts";
import { comparedOf, overviewOf, readHeld, readRecorded, shapeOf, staged } from "./held.ts";

/** Parts by name, without the transcoder's key in front; gzipped. */
export type MadeParts = ReadonlyMap<string, Uint8Array>;

/**
 * Packs a part as it is kept, sent and exported.
 *
 * @param name Its name, which says how.
 * @param value What it holds.
 * @returns It, gzipped.
 */
export function packedPart(name: string, value: object): Uint8Array {
  return gzipSync(isPacked(`/${name}`) ? pack(value) : JSON.stringify(value));
}

/**
 * Makes all parts of a transcoder.
 *
 * @param chosen The transcoder.
 * @param multiplier Opens what compares rows; it is called when they are compared for the first time.
 * @returns Its parts, those that a reader needs first in front.
 * @throws {UserError} When its weights cannot be read.
 */
export async function makeParts(
  chosen: ChosenTranscoder,
  multiplier: () => Promise<Multiplier>,
): Promise<MadeParts> {
  const { config, name: { title } } = chosen, count = featureCount(config.groups);
  const { overviewed, compared, shape, held } = await madeOf(chosen, multiplier), { recorded } = held;
  const parts = new Map<string, Uint8Array>();
  const add = (name: string, value: object) => parts.set(name, packedPart(name, value));
  add("about", aboutOf(held, shape !== null));
  add("table", tableOf(held, overviewed));
  if (recorded !== null) {
    add("tokens", tokenStream(recorded.record));
    add("examples", examplesOfAll(recorded));
  }
  if (shape !== null) add("map", mapPart(shape));
  const detailsOf = detailMaker({ held, overviewed, compared, shape });
  const samples = recorded === null ? samplesReader(chosen) : () => Promise.resolve(new Map<number, FeatureSamples>());
  const progress = new Progress(`${title}: pages of features`);
  try {
    for (let first = 0; first < count; first += FEATURES_PER_PART) {
      const wanted = Array.from({ length: Math.min(FEATURES_PER_PART, count - first) }, (_, i) => first + i);
      add(`features/${first / FEATURES_PER_PART}`, detailsOf(wanted, await samples(wanted)));
      progress.advance({ done: first + wanted.length, total: count });
    }
  } finally {
    progress.stop();
  }
  return parts;
}

/** What parts are made of. The weights and what the arithmetic took are given back behind it. */
async function madeOf(chosen: ChosenTranscoder, multiplier: () => Promise<Multiplier>): Promise<Details> {
  const { path, config, name: { title } } = chosen, missing: { what: string; command: string }[] = [];
  const transcoder = await staged(`${title}: reading weights`, () => readTranscoder(path, config, true));
  const recorded = await staged(`${title}: reading its record`, () => readRecorded(chosen, transcoder, missing));
  const overviewed = recorded && await overviewOf(title, recorded, transcoder);
  const compared = recorded && await comparedOf(title, recorded, transcoder);
  const shape = await shapeOf(chosen, transcoder, multiplier);
  const held = await staged(`${title}: reading analyses`, () => readHeld(chosen, recorded, missing));
  return { overviewed, compared, shape, held };
}

/**
 * Matches two transcoders.
 *
 * @param a The first.
 * @param b The second.
 * @returns One part, `match`.
 * @throws {UserError} When they have no records of the same tokens any more, or one cannot be read.
 */
export async function makeMatch(a: ChosenTranscoder, b: ChosenTranscoder): Promise<MadeParts> {
  const { matchFeatures, sameTokens } = await import("../../core/analysis/matching.ts");
  const recordOf = async ({ path, config }: ChosenTranscoder) =>
    await readRecord(path, await readTranscoder(path, config, true));
  const first = await recordOf(a), second = await recordOf(b), shared = first && second && sameTokens(first, second);
  if (!shared) {
    throw new UserError({
      action: `match ${a.name.phrase} and ${b.name.phrase}`,
      requirement: "they must have records of the same tokens",
      found: "one has none that belongs to its weights",
      remedy: "make it with `mtc analyze features`",
    });
  }
  const found = visibly(
    `${a.name.title} and ${b.name.phrase}: matching features`,
    (onProgress) => matchFeatures(...shared, onProgress),
  );
  return new Map([["match", packedPart("match", matchPart(found))]]);
}

/** Reads samples of some features; the file is gone through once as long as they are asked for in their order. */
function samplesReader(
  { path, config }: ChosenTranscoder,
): (wanted: readonly number[]) => Promise<Map<number, FeatureSamples>> {
  let lines: AsyncGenerator<FeatureSamples> | null = null, next = 0;
  return async (wanted) => {
    const found = new Map<number, FeatureSamples>(), last = wanted[wanted.length - 1];
    if (!await exists(join(path, SAMPLES_FILE))) return found;
    lines ??= readSamples(path, config.groups);
    while (next <= last) {
      const { done, value } = await lines.next();
      if (done) break;
      if (next++ >= wanted[0]) found.set(value.feature, value);
    }
    return found;
  };
}
