/**
 * What is exported of a run: transcoders, each as a whole or a prefix of it, as the hooks of another tool see them.
 * @module
 */

import { UsageError, UserError } from "../../core/errors.ts";
import { hookOf } from "../../core/model/hooks.ts";
import { type Tap, tapName } from "../../core/model/sites.ts";
import type { DescribedTranscoder, FinishedTranscoder } from "../../core/runs/finished.ts";
import { mappingName } from "../../core/runs/ids.ts";
import { prefixEnds } from "../../core/transcoder/shape.ts";
import { prefixOf, scaleInputs, type Transcoder } from "../../core/transcoder/weights.ts";
import { readWholeNumbers } from "../options.ts";

/** One of them; of a transcoder whose weights are read, unless another is said. */
export interface Piece<T extends DescribedTranscoder = FinishedTranscoder> {
  /** The transcoder that it is of. */
  readonly of: T;
  /** How many of its groups it has. */
  readonly groups: number;
  /** How many features that are. */
  readonly features: number;
  /** The name of its directory, where there are several: `layer17`, `layer17-prefix1152`. */
  readonly name: string;
  /** Whether prefixes were asked for. */
  readonly isAsked: boolean;
}

/** Every prefix, where `--prefix` says so. */
const ALL = "all";

/**
 * Chooses what is exported.
 *
 * @param transcoders Of one run.
 * @param prefix `--prefix`: features of a prefix, several with commas, or `all`; the whole if left out.
 * @returns The pieces, transcoder by transcoder.
 * @throws {UsageError} When a transcoder has no such prefix.
 */
export function piecesOf<T extends DescribedTranscoder>(
  transcoders: readonly T[],
  prefix: string | undefined,
): Piece<T>[] {
  const wanted = prefix === undefined || prefix === ALL ? null : readWholeNumbers("--prefix", prefix);
  return transcoders.flatMap((of) => {
    const ends = prefixEnds(of.config.groups), whole = ends.at(-1)!;
    const stranger = wanted?.find((end) => !ends.includes(end));
    if (stranger !== undefined) {
      throw new UsageError({
        action: `export the first ${stranger} features of ${of.directory}`,
        requirement: `its prefixes end at ${ends.join(", ")}`,
        remedy: `use --prefix ${ends[0]}, another of them, or --prefix ${ALL}`,
      });
    }
    const chosen = wanted ? ends.filter((end) => wanted.includes(end)) : prefix === ALL ? ends : [whole];
    return chosen.map((end): Piece<T> => ({
      of,
      groups: ends.indexOf(end) + 1,
      features: end,
      name: prefix === undefined ? of.name.file : `${of.name.file}-prefix${end}`,
      isAsked: prefix !== undefined,
    }));
  });
}

/**
 * Says how a dictionary was exported, and what else there is of it.
 *
 * @param piece What was exported.
 * @returns A clause: `512 features, the whole dictionary; --prefix 128, 384 or all exports its prefixes`.
 */
export function describePiece({ of: { transcoder: { shape } }, features, isAsked }: Piece): string {
  const ends = prefixEnds(shape.groups), whole = ends.at(-1)!;
  if (features < whole) return `the first ${features} of ${whole} features`;
  const inner = ends.slice(0, -1);
  const others = inner.length > 0 && !isAsked ? `; --prefix ${inner.join(", ")} or ${ALL} exports its prefixes` : "";
  return `${features} features, the whole dictionary${others}`;
}

/**
 * Refuses a transcoder that keeps only the largest activations of a token, where a tool knows thresholds alone: it would have more features active.
 *
 * @param transcoder The transcoder.
 * @param tool The tool's name.
 * @throws {UserError} When it does.
 */
export function requireThresholds({ directory, transcoder: { topK } }: FinishedTranscoder, tool: string): void {
  if (topK === undefined) return;
  throw new UserError({
    action: `export ${directory} to ${tool}`,
    requirement: "its features must be active above thresholds",
    found: `it keeps the ${topK} largest activations of each token`,
    remedy: "export it to sparsify, which does so too",
  });
}

/**
 * Refuses a transcoder that predicts several targets, which other tools do not know.
 *
 * @param transcoder The transcoder.
 * @param tool Who is to read it.
 * @returns Its only target.
 * @throws {UserError} When it has several.
 */
export function onlyTarget({ directory, config }: DescribedTranscoder, tool: string): Tap {
  const { targets } = config;
  if (targets.length === 1) return targets[0];
  throw new UserError({
    action: `export ${directory} to ${tool}`,
    requirement: "a transcoder must have a single target",
    found: `it is ${mappingName(config)}`,
    remedy: "train one for each target",
  });
}

/**
 * Refuses a place that TransformerLens has no plain hook for.
 *
 * @param directory The transcoder's.
 * @param tap Its source or its target.
 * @param tool Who is to read it.
 * @param isTarget Whether it is the target, where a gain cannot be folded in.
 * @throws {UserError} When it is such a place.
 */
export function requireHook(directory: string, tap: Tap, tool: string, isTarget: boolean): void {
  const { name, norm } = hookOf(tap),
    refused = (found: string) =>
      new UserError({
        action: `export ${directory} to ${tool}`,
        requirement: `its ${
          isTarget ? "target" : "source"
        } must be what a hook of TransformerLens holds, token by token`,
        found,
        remedy: "train one for another site",
      });
  if (tap.site === "attn_heads") {
    throw refused(`${tapName(tap)} is ${name}, which has the heads as an axis of their own`);
  }
  if (isTarget && norm !== null) throw refused(`${tapName(tap)} is ${name} times the norm's gain`);
}

/**
 * The piece as a transcoder for the activations of its source's hook.
 *
 * @param piece The piece.
 * @param gain The gain of the norm between hook and source; null where they are the same.
 * @returns The transcoder, for raw activations.
 */
export function atHook({ of: { transcoder }, groups }: Piece, gain: Float32Array | null): Transcoder {
  const prefix = prefixOf(transcoder, groups);
  return gain ? { ...prefix, weights: scaleInputs(prefix.weights, gain) } : prefix;
}

/**
 * Reads the gains between the hooks and the sources of transcoders.
 *
 * @param transcoders Of one run.
 * @param model Where its model lies now, if not where it lay.
 * @returns One for each; null where hook and source are the same.
 * @throws {UserError} When a gain is needed, and the model cannot be read or is another one.
 */
export async function gainsOf(
  transcoders: readonly FinishedTranscoder[],
  model: string | undefined,
): Promise<(Float32Array | null)[]> {
  const norms = transcoders.map(({ config: { source } }) => hookOf(source).norm);
  if (norms.every((norm) => norm === null)) return norms.map(() => null);
  const { openModelVisibly } = await import("../open_model.ts");
  const { readGain } = await import("../../core/model/weights.ts");
  const { modelOf } = await import("../../core/runs/finished.ts");
  const { requireSameModel } = await import("../../core/runs/same_model.ts");
  const [{ directory, config }] = transcoders, files = await openModelVisibly(model ?? modelOf(transcoders));
  try {
    await requireSameModel(config.model, files, `use the model ${files.path ?? files.name} with ${directory}`);
    const gains: (Float32Array | null)[] = [];
    for (const norm of norms) {
      gains.push(norm === null ? null : await readGain(files.weights, norm, config.model.d_model));
    }
    return gains;
  } finally {
    await files.weights.close();
  }
}

/**
 * Refuses `--prefix` for what is of the whole dictionary.
 *
 * @param pieces What is to be exported.
 * @param tool Who is to read it.
 * @param because Why prefixes make no difference.
 * @throws {UsageError} When prefixes were asked for.
 */
export function refusePrefix([{ isAsked }]: readonly Piece[], tool: string, because: string): void {
  if (!isAsked) return;
  throw new UsageError({
    action: `export a prefix to ${tool}`,
    requirement: because,
    remedy: "leave --prefix out",
  });
}
