/**
 * What a change of features does to a text that is at hand, token by token.
 * @module
 */

import { Largest } from "../analysis/largest.ts";
import { type MovedTokens, movedTokens } from "../analysis/next_token.ts";
import { UserError } from "../errors.ts";
import { openScope } from "../gpu/scope.ts";
import type { TokenBatch } from "../text/contexts.ts";
import type { HostFeatures } from "../transcoder/encode.ts";
import type { Transcoder } from "../transcoder/weights.ts";
import { ChangedModel, type ChangedModelOptions, type FeatureChanges, LOGIT_ROWS } from "./changed_model.ts";
import { changedActivation } from "./feature_change.ts";
import { FeatureReader } from "./features.ts";
import { activationsAt } from "./over_text.ts";
import { readActivations } from "./readback.ts";

/** A feature's activation at a token, without the change and with it. */
export interface ChangedFeature {
  /** Its index. */
  readonly feature: number;
  /** f */
  readonly before: number;
  /** f' */
  readonly after: number;
}

/** A token of the text. */
export interface ChangedToken {
  /** Whether it counts, so that the target is changed there. */
  readonly isCounted: boolean;
  /** The features whose activation becomes another there, ascending. */
  readonly features: readonly ChangedFeature[];
  /** |y' - y| / |y| of the target; 0 where nothing changes. */
  readonly targetChange: number;
  /** The loss of the token that follows without the change; null for the last one. */
  readonly before: number | null;
  /** The loss with it. */
  readonly after: number | null;
  /** KL(without || with). */
  readonly kl: number;
  /** Whether both think the same token the most probable. */
  readonly isSame: boolean;
}

/** A token behind which the distribution over the next one is told. */
export interface MovedPlace extends MovedTokens {
  /** Its place in the context. */
  readonly place: number;
}

/** What a change does to a text. */
export interface ChangedText {
  /** Its tokens, BOS first. */
  readonly tokens: readonly ChangedToken[];
  /** Those with the largest KL, the largest first, and the last one. */
  readonly moved: readonly MovedPlace[];
}

/**
 * Changes features on a text.
 *
 * @param options The transcoder in its model, which must have source and target among its taps.
 * @param batch The text: one context.
 * @param changes What becomes of which features.
 * @param top At how many tokens the distribution over the next one is told, beside the last one, and how many movers there.
 * @returns What it does.
 * @throws {UserError} When no token counts, or the device fails.
 */
export async function changeText(
  options: ChangedModelOptions,
  batch: TokenBatch,
  changes: FeatureChanges,
  top: number,
): Promise<ChangedText> {
  const { placed, decoder } = options;
  using gpu = openScope(options.gpu);
  const model = new ChangedModel({ ...options, gpu }), uploaded = model.upload(changes);
  const rows = await readRows(model, { ...options, gpu }, batch), { transcoder, config: { targets } } = placed;
  if (rows.size === 0) throw nothingCounts();
  const constant = constantChange(transcoder, changes);
  let y: readonly Float32Array[] = [];
  const reader = readActivations(gpu, decoder, ({ activations }, taken) => {
    y = targets.map((target) => taken[activations.indexOf(activationsAt({ activations }, target))]);
  });
  await model.over([batch], [reader]);

  const tokens: ChangedToken[] = [];
  await model.compare([batch], [uploaded], (_, { before, comparison }) => {
    for (let place = 0; place < batch.ids.length; place++) {
      const features = rows.get(place), isLast = place === batch.ids.length - 1;
      const [after, kl, same] = comparison.subarray(3 * place, 3 * place + 3);
      tokens.push({
        isCounted: features !== undefined,
        features: features ? changedFeatures(features, changes) : [],
        targetChange: features
          ? relativeChange(transcoder, changes, features, constant, targetOf(y, place, batch.ids.length))
          : 0,
        before: isLast ? null : before[place],
        after: isLast ? null : after,
        kl,
        isSame: same === 1,
      });
    }
  });
  const moved = await movedPlaces(model, batch, tokens, uploaded, top);
  return { tokens, moved };
}

/** What a token of so many has at the targets, side by side. */
function targetOf(targets: readonly Float32Array[], place: number, tokens: number): Float32Array {
  return Float32Array.from(targets.flatMap((values) => {
    const width = values.length / tokens;
    return [...values.subarray(place * width, (place + 1) * width)];
  }));
}

/** The features of each counted token, by its place. */
async function readRows(
  model: ChangedModel,
  { gpu, placed, decoder }: ChangedModelOptions,
  batch: TokenBatch,
): Promise<Map<number, ReadonlyMap<number, number>>> {
  const rows = new Map<number, ReadonlyMap<number, number>>();
  const reader = new FeatureReader(gpu, [placed], decoder.maxTokens, ({ places }, [features]) => {
    places.forEach((place, row) => rows.set(place, activationsOf(features, row)));
  });
  await model.over([batch], [reader]);
  return rows;
}

/** The activations of one row, by feature. */
function activationsOf({ rowStart, index, value }: HostFeatures, row: number): ReadonlyMap<number, number> {
  const activations = new Map<number, number>();
  for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry++) activations.set(index[entry], value[entry]);
  return activations;
}

function changedFeatures(activations: ReadonlyMap<number, number>, changes: FeatureChanges): ChangedFeature[] {
  const all = [...changes].map(([feature, change]) => {
    const before = activations.get(feature) ?? 0;
    return { feature, before, after: changedActivation(change, before) };
  });
  return all.filter(({ before, after }) => before !== after).sort((a, b) => a.feature - b.feature);
}

/** What the target gets where none of the changed features fires. */
function constantChange(
  { shape: { d_out }, weights: { decoder } }: Transcoder,
  changes: FeatureChanges,
): Float64Array {
  const constant = new Float64Array(d_out);
  for (const [feature, change] of changes) {
    const value = changedActivation(change, 0);
    if (value !== 0) constant.forEach((_, d) => constant[d] += value * decoder[feature * d_out + d]);
  }
  return constant;
}

/** |y' - y| / |y| */
function relativeChange(
  { shape: { d_out }, weights: { decoder } }: Transcoder,
  changes: FeatureChanges,
  activations: ReadonlyMap<number, number>,
  constant: Float64Array,
  y: Float32Array,
): number {
  const difference = constant.slice();
  for (const [feature, f] of activations) {
    const change = changes.get(feature);
    if (change === undefined) continue;
    const value = changedActivation(change, f) - f - changedActivation(change, 0);
    for (let d = 0; d < d_out; d++) difference[d] += value * decoder[feature * d_out + d];
  }
  return Math.hypot(...difference) / Math.hypot(...y);
}

async function movedPlaces(
  model: ChangedModel,
  batch: TokenBatch,
  tokens: readonly ChangedToken[],
  change: ReturnType<ChangedModel["upload"]>,
  top: number,
): Promise<MovedPlace[]> {
  const largest = new Largest<number>(top);
  tokens.forEach(({ kl }, place) => kl > 0 && largest.add(place, kl));
  const places = [...new Set([...largest.items, tokens.length - 1])], moved: MovedPlace[] = [];
  const wanted = Array.from({ length: Math.ceil(places.length / LOGIT_ROWS) }, (_, n) => {
    return { batch, places: places.slice(n * LOGIT_ROWS, (n + 1) * LOGIT_ROWS) };
  });
  await model.logits(wanted, change, (_, place, before, after) => {
    moved.push({ place, ...movedTokens(before, after, top) });
  });
  return moved;
}

function nothingCounts(): UserError {
  return new UserError({
    action: "change features on the text",
    requirement: "it must have a token that the run does not leave out",
    found: "it has none",
    remedy: "give another text",
  });
}
