/**
 * attribution.json: what the features of a finished transcoder are made of, as `mtc analyze attribution` measured it.
 * @module
 */

import { join } from "node:path";
import * as v from "valibot";
import {
  type Attribution,
  COMPONENT_KINDS,
  type ComponentKind,
  type FeatureAttribution,
  type FeatureTokens,
} from "../analysis/attribution.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import type { TranscoderConfig } from "./config.ts";
import { readJsonIfThere } from "./json.ts";
import { requireSum, writeSummed } from "./sums.ts";

/** The file's name. */
export const ATTRIBUTION_FILE = "attribution.json";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** JSON has no NaN: a `null` is read as one. */
const measured = v.pipe(v.nullable(v.number()), v.transform((value): number => value ?? NaN));
const whole = { share: measured, ci95: v.tuple([measured, measured]) };
const kind = v.picklist(COMPONENT_KINDS);
const told = v.array(v.object({ id: count, token: v.string(), value: measured }));

/** Runs that an older mtc attributed have none. */
const histogram = v.optional(v.nullable(v.object({ from: measured, to: measured, counts: v.array(count) })));

/** A feature, with what the weights alone say of it. */
export interface StoredFeatureAttribution extends FeatureAttribution {
  /** Cosine of what it reads with what it writes; null where its target is not added to the residual stream as it is. */
  cosine: number | null;
  /** What it reads and writes in tokens; null where that was not asked for. */
  tokens: FeatureTokens | null;
}

/** What the file holds. */
export interface StoredAttribution extends Attribution {
  /** The transcoder's training steps when it was measured: after more of them it is another transcoder. */
  steps: number;
  /** Where the features read, for example `layer2.resid_mid`. */
  source: string;
  /** Whether a norm stands between sum and source, which was held fixed. */
  is_norm_fixed: boolean;
  /** What 95 of 100 cosines of unrelated directions stay within, on either side of 0. */
  cosine_chance: number;
  /** The features that fire, in the order of the dictionary. */
  features: StoredFeatureAttribution[];
  /** One sentence per figure that says exactly what it is. */
  definitions: Record<string, string>;
}

const shares = Object.fromEntries(COMPONENT_KINDS.map((kind) => [kind, measured])) as Record<
  ComponentKind,
  typeof measured
>;

const schema: v.GenericSchema<unknown, StoredAttribution> = v.object({
  steps: count,
  source: v.string(),
  is_norm_fixed: v.boolean(),
  cosine_chance: measured,
  tokens: count,
  contexts: count,
  documents: count,
  resampled: v.picklist(["documents", "contexts"]),
  firings: count,
  largest_error: measured,
  components: v.array(v.object({ name: v.string(), kind, ...whole })),
  kinds: v.array(v.object({ kind, ...whole })),
  features: v.array(v.object({
    feature: count,
    group: count,
    fires: count,
    activation: measured,
    bias: measured,
    parts: v.array(measured),
    typical: v.array(measured),
    shares: v.object(shares),
    cosine: v.nullable(v.number()),
    tokens: v.nullable(v.object({
      reads: told,
      chance: measured,
      writes: v.nullable(v.object({ raised: told, lowered: told, chance: measured, std: measured, histogram })),
    })),
  })),
  definitions: v.record(v.string(), v.string()),
});

/**
 * Writes the file.
 *
 * @param directory The transcoder's directory.
 * @param attribution The figures; NaN becomes null.
 * @throws {UserError} When the disk does not take it.
 */
export function writeAttribution(directory: string, attribution: StoredAttribution): Promise<void> {
  const path = join(directory, ATTRIBUTION_FILE);
  return writeSummed(path, () => writeFileAtomic(path, JSON.stringify(attribution) + "\n"));
}

/**
 * Reads the file.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @returns The figures; undefined where there are none, or those of the transcoder after fewer steps.
 * @throws {UserError} When the file is cut off, or a figure is absent.
 */
export async function readAttribution(
  directory: string,
  { steps }: Pick<TranscoderConfig, "steps">,
): Promise<StoredAttribution | undefined> {
  await requireSum(directory, ATTRIBUTION_FILE, "remove it; `mtc analyze attribution` makes it anew");
  const stored = await readJsonIfThere(v.safeParser(schema), join(directory, ATTRIBUTION_FILE));
  return stored?.steps === steps ? stored : undefined;
}
