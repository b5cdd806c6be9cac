/**
 * samples.jsonl and training_samples.jsonl: a line per feature with activations and the text around them, those that were found with
 * frozen weights, and those met while the weights moved, with their steps.
 * @module
 */

import { join } from "node:path";
import * as v from "valibot";
import type { FeatureSamples, Sample } from "../analysis/sample_statistics.ts";
import type { FeatureTally, SampledToken, SampleStore } from "../analysis/samples.ts";
import { UserError } from "../errors.ts";
import { fileError, replaceFile, writeAll } from "../files/atomic.ts";
import { requireRegular } from "../files/byte_source.ts";
import { NO_DOCUMENT } from "../text/contexts.ts";
import { featureCount, groupOf } from "../transcoder/shape.ts";
import { checked, parseJson } from "./json.ts";
import { requireSum, writeSummed } from "./sums.ts";

/** The name of the file of those found with frozen weights. */
export const SAMPLES_FILE = "samples.jsonl";
/** The name of the training's file. */
export const TRAINING_SAMPLES_FILE = "training_samples.jsonl";

/** Turns a sample's numbers into text. */
export interface SampleTexts {
  /** A token's own text. */
  tokenText(id: number): string;
  /** The text of tokens in a row. */
  decode(ids: Uint32Array): string;
  /** A document's name by its number; never asked for that of BOS, which belongs to none. */
  documentName(document: number): string;
}

/**
 * Writes samples.jsonl.
 *
 * @param directory The transcoder's directory.
 * @param groups Features per Matryoshka group.
 * @param tally The samples found with frozen weights.
 * @param texts Their text.
 * @throws {UserError} When the disk does not take it.
 */
export function writeSamples(
  directory: string,
  groups: readonly number[],
  tally: FeatureTally,
  texts: SampleTexts,
): Promise<void> {
  return writeLines(join(directory, SAMPLES_FILE), groups, (feature) => ({
    fires: tally.fires[feature],
    top: tally.top.samples(feature).map((sample) => readable(sample, texts)),
    quantiles: tally.quantiles(feature).map(({ quantile, ...sample }) => ({ quantile, ...readable(sample, texts) })),
  }));
}

/**
 * Writes training_samples.jsonl, which nothing but people reads.
 *
 * @param directory The transcoder's directory.
 * @param groups Features per Matryoshka group.
 * @param store The samples of training batches.
 * @param texts Their text.
 * @throws {UserError} When the disk does not take it.
 */
export function writeTrainingSamples(
  directory: string,
  groups: readonly number[],
  store: SampleStore,
  texts: SampleTexts,
): Promise<void> {
  return writeLines(join(directory, TRAINING_SAMPLES_FILE), groups, (feature) => ({
    top: store.samples(feature).map((sample) => ({ step: sample.step, ...readable(sample, texts) })),
  }));
}

function writeLines(path: string, groups: readonly number[], line: (feature: number) => object): Promise<void> {
  const encoder = new TextEncoder();
  return writeSummed(path, () =>
    replaceFile(path, async (file) => {
      for (let feature = 0; feature < featureCount(groups); feature++) {
        const group = groupOf(groups, feature);
        await writeAll(file, encoder.encode(JSON.stringify({ feature, group, ...line(feature) }) + "\n"));
      }
    }));
}

function readable({ activation, token, before, after, document, position }: SampledToken, texts: SampleTexts): Sample {
  return {
    activation: Number(activation.toPrecision(7)),
    token_id: token,
    token: texts.tokenText(token),
    before: texts.decode(before),
    after: texts.decode(after),
    document: document === NO_DOCUMENT ? "" : texts.documentName(document),
    position,
  };
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** JSON has no NaN: a `null` is read as one, so that a diverged run can still be reported. */
const measured = v.pipe(
  v.nullable(v.pipe(v.number(), v.finite())),
  v.transform((value): number => value ?? NaN),
);
const sampleEntries = {
  activation: measured,
  token_id: count,
  token: v.string(),
  before: v.string(),
  after: v.string(),
  // Empty where the token is BOS, which belongs to none; mtc 0.1.0 left it out there, or made a name up.
  document: v.optional(v.string(), ""),
  position: count,
};

const schema: v.GenericSchema<unknown, FeatureSamples> = v.object({
  feature: count,
  group: count,
  fires: count,
  top: v.array(v.object(sampleEntries)),
  quantiles: v.array(v.object({ ...sampleEntries, quantile: v.pipe(v.number(), v.minValue(0), v.maxValue(1)) })),
});

/**
 * Streams samples.jsonl feature by feature; the whole file is never in memory.
 *
 * @param directory The transcoder's directory.
 * @param groups Features per Matryoshka group.
 * @yields The samples of each feature, ascending.
 * @throws {UserError} When the file is missing, a line is cut off or not the next feature, or lines are missing.
 */
export async function* readSamples(directory: string, groups: readonly number[]): AsyncGenerator<FeatureSamples> {
  const path = join(directory, SAMPLES_FILE), features = featureCount(groups), remedy = "train the run again";
  await requireSum(directory, SAMPLES_FILE);
  let next = 0;
  for await (const line of readLines(path)) {
    const where = `${path}, line ${next + 1}`;
    const samples = checked(v.safeParser(schema), parseJson(line, where), where);
    if (samples.feature !== next) {
      throw new UserError({
        action: `read ${path}`,
        requirement: `line ${next + 1} must be feature ${next}`,
        found: `it is feature ${samples.feature}`,
        remedy,
      });
    }
    yield samples;
    next++;
  }
  if (next === features) return;
  throw new UserError({
    action: `read ${path}`,
    requirement: `it must hold one line for each of the ${features} features of config.json`,
    found: `it holds ${next}`,
    remedy,
  });
}

async function* readLines(path: string): AsyncGenerator<string> {
  using file = await openText(path);
  let rest = "";
  for await (const chunk of file.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function openText(path: string): Promise<Deno.FsFile> {
  try {
    await requireRegular(path);
    return await Deno.open(path);
  } catch (error) {
    throw fileError("read", path, error);
  }
}
