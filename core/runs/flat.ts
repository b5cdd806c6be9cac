/**
 * Transcoders that were trained without nesting, beside nested ones that are the same otherwise: what nesting adds to a hierarchy is told by both.
 * @module
 */

import { featureCount } from "../transcoder/shape.ts";
import type { TranscoderAnalysis } from "./analysed.ts";
import type { TranscoderConfig } from "./config.ts";
import { idOf } from "./ids.ts";

/**
 * The transcoder without nesting that differs from a nested one in nothing else: of the same model, text, places, size, k, learning rate, seeds and
 * steps.
 *
 * @param one A transcoder.
 * @param all Those to look among.
 * @returns It; undefined where there is none, or where the one has one group itself.
 */
export function flatCounterpart<T extends { readonly config: TranscoderConfig }>(
  one: T,
  all: readonly T[],
): T | undefined {
  if (one.config.groups.length < 2) return undefined;
  const key = ({ config }: T) =>
    JSON.stringify([
      idOf({ ...config, groups: [featureCount(config.groups)] }),
      config.steps,
      config.context,
      config.data.fingerprint,
    ]);
  return all.find((other) => other.config.groups.length === 1 && key(other) === key(one));
}

/**
 * The groups that the features of a transcoder without nesting are to be put into, for those that it is the counterpart of.
 *
 * @param flat A transcoder.
 * @param all Those of a report.
 * @returns The groups of each such one.
 */
export function regroupingsFor<T extends { readonly config: TranscoderConfig }>(
  flat: T,
  all: readonly T[],
): (readonly number[])[] {
  return all.filter((one) => flatCounterpart(one, all) === flat).map(({ config: { groups } }) => groups);
}

/**
 * Puts the figures of transcoders without nesting beside those of the nested ones.
 *
 * @param transcoders All of a report.
 * @returns The same, in their order.
 */
export function withFlat(transcoders: readonly TranscoderAnalysis[]): TranscoderAnalysis[] {
  return transcoders.map((one) => {
    const other = flatCounterpart(one, transcoders), { recorded, config } = one;
    const parents = other?.recorded?.regrouped.get(config.groups.join());
    if (recorded === undefined || other?.recorded === undefined || parents === undefined) return one;
    const flat = {
      ...{ run: other.path, features: other.config.features, groups: other.config.groups, parents },
      ...{ fvu: other.recorded.overview.fvu, nested_fvu: recorded.overview.fvu },
      ...{ l0: other.recorded.l0, nested_l0: recorded.l0 },
    };
    return { ...one, recorded: { ...recorded, flat } };
  });
}
