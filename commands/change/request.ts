/**
 * Which features of which transcoder are to be changed: from the options to what can be done, or one sentence on why it cannot.
 * @module
 */

import { UsageError, UserError } from "../../core/errors.ts";
import type { ActivationChange } from "../../core/passes/feature_change.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import { featureCount, groupOf } from "../../core/transcoder/shape.ts";
import type { ChangeOptions } from "./options.ts";

/** What is to be done. */
export interface ChangeRequest {
  /** What the command does, behind "Cannot": `ablate`. */
  readonly verb: string;
  /** The transcoder. */
  readonly transcoder: FinishedTranscoder;
  /** The features, ascending. */
  readonly features: readonly number[];
  /** What they are, for readers: `feature 12`, `group 1 (256 features)`. */
  readonly phrase: string;
  /** What becomes of each. */
  readonly change: ActivationChange;
}

/**
 * Makes sure that options fit together, before anything is opened.
 *
 * @param verb What the command does.
 * @param options The options.
 * @throws {UsageError} When they do not.
 */
export function checkOptions(verb: string, options: ChangeOptions): void {
  const { features, group, prefix, text, generate, context, temperature } = options;
  const named = Object.entries({ "--features": features, "--group": group, "--prefix": prefix })
    .flatMap(([flag, value]) => value === undefined ? [] : [flag]);
  if (named.length !== 1) {
    throw new UsageError({
      action: verb,
      requirement: "features must be named in one way",
      found: named.length === 0 ? "they are not named" : `there are ${named.join(" and ")}`,
      remedy: "give either --features, --group or --prefix",
    });
  }
  for (const [flag, list] of Object.entries({ "--features": features ?? [], "--group": group ?? [] })) {
    const twice = list.find((entry, i) => list.indexOf(entry) < i);
    if (twice === undefined) continue;
    const requirement = `each of ${flag} must be named once`;
    throw new UsageError({ action: verb, requirement, found: `${twice} is named twice`, remedy: "name it once" });
  }
  const idle = text === undefined
    ? [generate === undefined ? [] : ["--generate"], context === undefined ? [] : ["--context"]].flat()
    : [];
  if (idle.length > 0 || temperature !== undefined && generate === undefined) {
    const [flag, needed] = idle.length > 0 ? [idle[0], "--text"] : ["--temperature", "--generate"];
    const requirement = `${flag} needs ${needed}`;
    throw new UsageError({ action: verb, requirement, found: "which is not given", remedy: `give ${needed}` });
  }
  if (temperature !== undefined && temperature < 0) {
    throw new UsageError({
      action: verb,
      requirement: "--temperature must not be negative",
      found: `it is ${temperature}`,
      remedy: "give 0 for the most probable token, or more",
    });
  }
}

/**
 * Opens the run and finds the features.
 *
 * @param verb What the command does.
 * @param options The options; see {@link checkOptions}.
 * @param change What becomes of each feature.
 * @returns What is to be done.
 * @throws {UsageError} When the run has no such transcoder, or that no such features.
 * @throws {UserError} When there is no finished run.
 */
export async function requestOf(
  verb: string,
  options: ChangeOptions,
  change: ActivationChange,
): Promise<ChangeRequest> {
  const { openFinishedRun } = await import("../../core/runs/finished.ts");
  return chooseFeatures(verb, oneOf(verb, await openFinishedRun(options.run), options), options, change);
}

/**
 * Finds the features of a transcoder.
 *
 * @param verb What is done.
 * @param transcoder The transcoder.
 * @param which They are named by `features`, `group` or `prefix`, one of them.
 * @param change What becomes of each feature.
 * @returns What is to be done.
 * @throws {UsageError} When there are no such features.
 */
export function chooseFeatures(
  verb: string,
  transcoder: FinishedTranscoder,
  { features, group, prefix }: Pick<ChangeOptions, "features" | "group" | "prefix">,
  change: ActivationChange,
): ChangeRequest {
  const { transcoder: { shape: { groups } } } = transcoder, total = featureCount(groups);
  const all = Array.from({ length: total }, (_, feature) => feature);
  if (features !== undefined) {
    for (const feature of features) requireBelow(`${verb} feature ${feature}`, feature, total, "features", transcoder);
    const chosen = features.toSorted((a, b) => a - b), { length } = chosen;
    const phrase = length === 1
      ? `feature ${chosen[0]}`
      : length > MOST_NAMED
      ? `${length} features`
      : `features ${[chosen.slice(0, -1).join(", "), chosen.at(-1)].join(" and ")}`;
    return { verb, transcoder, features: chosen, phrase, change };
  }
  if (group !== undefined) {
    for (const number of group) requireBelow(`${verb} group ${number}`, number, groups.length, "groups", transcoder);
    const chosen = all.filter((feature) => group.includes(groupOf(groups, feature)));
    const numbers = group.toSorted((a, b) => a - b).join(" and ");
    const phrase = `${group.length === 1 ? "group" : "groups"} ${numbers} (${chosen.length} features)`;
    return { verb, transcoder, features: chosen, phrase, change };
  }
  const chosen = all.slice(prefix);
  if (chosen.length === 0) {
    throw new UsageError({
      action: `${verb} what lies beyond the first ${prefix} features`,
      requirement: `the prefix must be below the ${total} features of ${transcoder.name.phrase}`,
      found: `it is ${prefix}`,
      remedy: `give ${total - 1} or less`,
    });
  }
  const phrase = prefix === 0 ? `all ${total} features` : `the ${chosen.length} features beyond the first ${prefix}`;
  return { verb, transcoder, features: chosen, phrase, change };
}

/** Features that are named one by one. */
const MOST_NAMED = 8;

/** The one transcoder that is meant. */
function oneOf(
  verb: string,
  transcoders: readonly FinishedTranscoder[],
  { run, layer }: ChangeOptions,
): FinishedTranscoder {
  const fitting = transcoders.filter(({ config }) => layer === undefined || config.layer === layer);
  if (fitting.length === 1) return fitting[0];
  const names = transcoders.map(({ name: { phrase } }) => phrase).join(", ");
  if (fitting.length === 0) {
    throw new UsageError({
      action: `${verb} features of layer ${layer}`,
      requirement: `${run} must have a transcoder of that layer`,
      found: `it has ${names}`,
      remedy: "choose another --layer",
    });
  }
  const isTold = new Set(fitting.map(({ config }) => config.layer)).size === fitting.length;
  throw new UsageError({
    action: `${verb} features of ${run}`,
    requirement: "one transcoder must be named",
    found: `it has ${names}`,
    remedy: isTold
      ? `give --layer, such as --layer ${fitting[0].config.layer}`
      : `give the directory of one, such as --run ${fitting[0].directory}`,
  });
}

function requireBelow(
  action: string,
  number: number,
  count: number,
  what: string,
  { name: { phrase } }: FinishedTranscoder,
): void {
  if (number < count) return;
  throw new UsageError({
    action,
    requirement: `the ${count} ${what} of ${phrase} are counted from 0 to ${count - 1}`,
    found: `so there is no ${number}`,
    remedy: `give ${count - 1} or less`,
  });
}

/**
 * Makes sure that a text fits into a context.
 *
 * @param verb What the command does.
 * @param tokens Tokens of the text, BOS not counted.
 * @param generated Tokens that it is to be continued by.
 * @param context Tokens of a context, BOS included.
 * @param isRuns Whether that is the run's own.
 * @param more How else it would fit.
 * @throws {UsageError} When it does not fit.
 */
export function requireFits(
  verb: string,
  tokens: number,
  generated: number,
  context: number,
  isRuns: boolean,
  more = (needed: number) => `, or give --context ${needed}`,
): void {
  const needed = 1 + tokens + generated;
  if (needed <= context) return;
  const what = generated > 0 ? `BOS, the text and ${generated} more tokens` : "BOS and the text";
  throw new UsageError({
    action: `${verb} on the text`,
    requirement: `${what} must fit into a context of ${context} tokens${isRuns ? ", the run's own" : ""}`,
    found: `they are ${needed}`,
    remedy: `shorten ${generated > 0 ? "either" : "it"}${more(needed)}`,
  });
}

/** A text that has no token for the model. */
export function noTokens(verb: string): UserError {
  return new UsageError({
    action: `${verb} on the text`,
    requirement: "it must have a token",
    found: "it has none",
    remedy: "give another text",
  });
}
