/**
 * `mtc analyze hierarchy`: whether the nested groups of a transcoder make a hierarchy.
 * @module
 */

import type { Command } from "commander";
import type { FlatFigures, Hierarchy, HierarchyVerdict } from "../../core/analysis/hierarchy.ts";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import { UserError } from "../../core/errors.ts";
import { type Analysed, type CsvRow, print } from "./output.ts";
import {
  counterpart,
  openRecorded,
  type Recorded,
  recordedCommand,
  type RecordedOptions,
  visibly,
} from "./recorded.ts";

interface HierarchyOptions extends RecordedOptions {
  against?: string;
}

/** What is told of one transcoder. */
interface Result extends Omit<Hierarchy, "parents"> {
  readonly flat: FlatFigures | null;
  readonly verdict: HierarchyVerdict;
  readonly parents: readonly NonNullable<Hierarchy["parents"][number]>[];
}

function requireGroups({ directory, config: { groups } }: Recorded["transcoder"]): void {
  if (groups.length > 1) return;
  throw new UserError({
    action: `look for a hierarchy in ${directory}`,
    requirement: "the dictionary must have two groups or more",
    found: "it has one",
    remedy: "train with --groups, and give this one to --against",
  });
}

async function analyze(
  { transcoder, record }: Recorded,
  others: readonly Recorded[] | null,
  run: string,
): Promise<Result> {
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { densityParents, hierarchy, hierarchyVerdict } = await import("../../core/analysis/hierarchy.ts");
  const { prefixFvus } = await import("../../core/analysis/record.ts");
  const directions = async ({ transcoder: { read, shape } }: Recorded["transcoder"]) => {
    const decoder = await read("decoder");
    return directionsOf(decoder, shape.d_out, decoder);
  };
  const l0 = ({ index, place }: FeatureRecord) => index.length / place.length;
  requireGroups(transcoder);
  const other = others && counterpart(transcoder, others, run);
  const own = await directions(transcoder);
  const found = visibly(
    `${transcoder.name.title}: looking for parents`,
    (onProgress) => hierarchy(record, own, onProgress),
  );
  // Not both dictionaries are held.
  own.rows.buffer.transfer(0);
  const against = other && await directions(other.transcoder);
  const flat = other && against && {
    run: other.transcoder.directory,
    features: other.transcoder.config.features,
    groups: other.transcoder.config.groups,
    ...{ fvu: prefixFvus(other.record).at(-1)!, nested_fvu: prefixFvus(record).at(-1)! },
    ...{ l0: l0(other.record), nested_l0: l0(record) },
    parents: visibly(
      `${other.transcoder.directory}: looking for parents`,
      (onProgress) => densityParents(other.record, against, transcoder.config.groups, onProgress),
    ),
  };
  const verdict = hierarchyVerdict(found, flat && flat.parents);
  return { ...found, flat, verdict, parents: found.parents.filter((parent) => parent !== null) };
}

function csvRows({ result: { parents } }: Analysed<Result>): CsvRow[] {
  return parents.map((parent) => ({ ...parent }));
}

async function hierarchyOf(options: HierarchyOptions): Promise<void> {
  const { hierarchyText } = await import("../../reports/hierarchy_table.ts");
  const { featureNames } = await import("../../reports/feature_names.ts");
  const { against = "" } = options, recorded = await openRecorded(options);
  const others = against === "" ? null : await openRecorded({ ...options, run: against });
  const analysed: Analysed<Result>[] = [];
  for (const one of recorded) {
    analysed.push({ transcoder: one.transcoder, result: await analyze(one, others, against) });
  }
  const text = ({ transcoder: { name: { title } }, result }: Analysed<Result>) => {
    const { record } = recorded.find(({ transcoder }) => transcoder.name.title === title)!;
    return `${title}: ${hierarchyText(result, featureNames(record))}`;
  };
  await print(options.run, options, analysed, text, csvRows);
}

/** The command `mtc analyze hierarchy`. */
export function hierarchyCommand(): Command {
  return recordedCommand(
    "hierarchy",
    "Finds for each feature of a later group the feature of an earlier one that it fires under, if there is one beyond chance, and tells " +
      "whether the nested groups order features better than their frequency does, and better than a transcoder trained without nesting.",
    "a row per feature that has a parent",
  )
    .option(
      "--against <dir>",
      "a run of the same layers without nesting, trained with --groups of one number, to compare with",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  mtc analyze hierarchy --run runs/first\n" +
        "  mtc train --name flat --groups 512 && mtc analyze hierarchy --run runs/first --against runs/flat",
    )
    .action(hierarchyOf);
}
