/** Transcoders of a run as the command line plans them. */

import { idOf, type Mapping, nameTranscoders } from "../../core/runs/ids.ts";
import { ownSettingsOf, type RunSettings } from "../../core/runs/settings.ts";
import type { PlannedTranscoder } from "../../core/training/plan.ts";

/** One transcoder per mapping, all with the same settings. */
export function plannedAlike(mappings: readonly Mapping[], settings: RunSettings): PlannedTranscoder[] {
  return planned(mappings.map((mapping) => ({ ...mapping, settings })));
}

/** Transcoders with settings of their own, named so that they are told apart. */
export function planned(wanted: readonly (Mapping & { readonly settings: RunSettings })[]): PlannedTranscoder[] {
  const model = { name: "model" };
  const names = nameTranscoders(
    wanted.map(({ source, targets, settings }) => idOf({ ...settings, source, targets, model })),
  );
  return wanted.map(({ source, targets, settings }, i) => {
    return { source, targets, name: names[i].file, settings: ownSettingsOf(settings) };
  });
}
