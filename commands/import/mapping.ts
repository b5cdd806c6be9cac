/**
 * Where an imported transcoder belongs in the model.
 * @module
 */

import { UsageError, UserError } from "../../core/errors.ts";
import { placeOfName } from "../../core/model/hooks.ts";
import type { DecoderConfig } from "../../core/model/config.ts";
import { checkLayer, depthOf, SITES, type Tap, tapName, widthOf } from "../../core/model/sites.ts";
import type { ForeignTranscoder } from "../../core/transcoder/formats/layout.ts";
import type { ImportOptions } from "./options.ts";

/** Its place. */
export interface ImportedMapping {
  /** Where it reads, */
  readonly source: Tap;
  /** and whether its own weights are for what lies there before the gain of the norm. */
  readonly isBeforeGain: boolean;
  /** What it predicts. */
  readonly target: Tap;
}

/**
 * Finds the sites of a transcoder.
 *
 * @param path What to call it in messages.
 * @param foreign The transcoder.
 * @param options `--layer`, `--source` and `--target`, which count for more than what files say of their hooks.
 * @returns Its place.
 * @throws {UsageError} When it cannot be told, or options and files name different layers.
 */
export function mappingFor(
  path: string,
  { source, target, layer }: Pick<ForeignTranscoder, "source" | "target" | "layer">,
  options: Pick<ImportOptions, "source" | "target" | "layer">,
): ImportedMapping {
  const placed = (flag: "source" | "target", own: string | null) => {
    const name = options[flag] ?? own,
      refuse = (requirement: string, found: string) =>
        new UsageError({
          action: `import ${path}`,
          requirement,
          found,
          remedy: `say it with --${flag}: ln2.hook_normalized, or one of ${SITES.join(", ")}`,
        });
    if (name === null) {
      throw refuse(`its files must say what it ${flag === "source" ? "reads" : "predicts"}`, "they do not");
    }
    const place = placeOfName(name);
    if (place === null) {
      throw refuse(`its ${flag} must be a site of mtc`, `"${name}" is none, or not the same for every tool`);
    }
    if (flag === "target" && place.isBeforeGain) throw refuse("its target must lie behind the gain", `it is "${name}"`);
    return place;
  };
  const from = placed("source", source), to = placed("target", target);
  const told = to.layer ?? from.layer ?? layer;
  if (told !== null && options.layer !== undefined && options.layer !== told) {
    throw new UsageError({
      action: `import ${path} with --layer ${options.layer}`,
      requirement: `its files or its path say that it is of layer ${told}`,
      remedy: "leave --layer out, or name another file",
    });
  }
  const own = options.layer ?? told;
  if (own === null) {
    throw new UsageError({
      action: `import ${path}`,
      requirement: "its layer must be known",
      found: "neither its files nor their path say it",
      remedy: "give --layer",
    });
  }
  return {
    source: { layer: from.layer ?? own, site: from.site },
    isBeforeGain: from.isBeforeGain,
    target: { layer: to.layer ?? own, site: to.site },
  };
}

/**
 * Makes sure that a transcoder fits a model.
 *
 * @param path What to call it in messages.
 * @param mapping Its place.
 * @param foreign Its sizes.
 * @param config The model,
 * @param name and what it is called.
 * @throws {UsageError} When the model lacks a layer, or the target does not come after the source.
 * @throws {UserError} When the widths differ.
 */
export function requireFits(
  path: string,
  { source, target }: ImportedMapping,
  { shape: { d_in, d_out } }: Pick<ForeignTranscoder, "shape">,
  config: DecoderConfig,
  name: string,
): void {
  for (const { layer } of [source, target]) {
    checkLayer(layer, config.layers, "give the model that it was trained on with --model, or another --layer");
  }
  if (depthOf(target) <= depthOf(source)) {
    throw new UsageError({
      action: `import ${path} as ${tapName(source)} -> ${tapName(target)}`,
      requirement: "the target must come after the source in the model",
      remedy: "an autoencoder is no transcoder; else give --source and --target",
    });
  }
  for (const [tap, width, does] of [[source, d_in, "reads"], [target, d_out, "predicts"]] as const) {
    const has = widthOf(config, tap.site);
    if (has === width) continue;
    throw new UserError({
      action: `import ${path}`,
      requirement: `it ${does} ${width} numbers of a token`,
      found: `${tap.site} of ${name} has ${has}`,
      remedy: "give the model that it was trained on with --model, or what it reads with --source and --target",
    });
  }
}
