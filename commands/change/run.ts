/**
 * What `mtc ablate` and `mtc steer` do, once it is known what becomes of the activations: on a text, or on held-out text.
 * @module
 */

import { CHANGE_DEFINITIONS } from "../../core/analysis/change_effect.ts";
import { tapName } from "../../core/model/sites.ts";
import type { ActivationChange } from "../../core/passes/feature_change.ts";
import type { FeatureRow } from "../../core/analysis/feature_rows.ts";
import type { ChangedRun } from "../../reports/change_figures.ts";
import type { ChangeOptions } from "./options.ts";
import { type ChangeRequest, checkOptions, requestOf } from "./request.ts";

/**
 * Changes features and prints what that does.
 *
 * @param verb The command: `ablate` or `steer`.
 * @param options Its options.
 * @param change What becomes of each feature.
 * @throws {UsageError} When the options cannot be.
 * @throws {UserError} When run, model or text cannot be read, or the device fails.
 */
export async function runChange(verb: string, options: ChangeOptions, change: ActivationChange): Promise<void> {
  checkOptions(verb, options);
  const request = await requestOf(verb, options, change), run = await describe(request);
  if (options.text !== undefined) {
    const { changeOnText } = await import("./on_text.ts");
    const found = await changeOnText(request, options, options.text);
    if (options.json) return printJson({ ...run, ...found });
    const { changedTextReport } = await import("../../reports/change_tables.ts");
    console.log(changedTextReport(run, found));
    return;
  }
  const { changeOnHeldOut } = await import("./on_held_out.ts");
  const held_out = await changeOnHeldOut(request, options);
  if (options.json) return printJson({ ...run, held_out });
  const { changedHeldOutReport } = await import("../../reports/change_tables.ts");
  console.log(changedHeldOutReport(run, held_out, options.top));
}

function printJson(found: object): void {
  console.log(JSON.stringify({ ...found, definitions: CHANGE_DEFINITIONS }, null, 2));
}

async function describe({ transcoder, features, phrase, change }: ChangeRequest): Promise<ChangedRun> {
  const { directory, name, config, config: { source, targets } } = transcoder;
  const { hasFeatures, readFeatures } = await import("../../core/runs/features.ts");
  const rows = await hasFeatures(directory) ? await readFeatures(directory, config.groups) : [];
  return {
    run: directory,
    name: name.title,
    layer: config.layer,
    source: tapName(source),
    target: targets.map(tapName).join(" + "),
    change: { ...change, features, what: phrase },
    known: features.flatMap((feature) => rows[feature] ? [knownOf(rows[feature])] : []),
  };
}

function knownOf({ feature, density, mean_activation, max_activation, top_token, dead }: FeatureRow) {
  const top = dead ? null : top_token;
  return { feature, density, mean_activation, max_activation, top_token: top };
}
