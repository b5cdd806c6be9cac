/**
 * `mtc browse`: features to look at, in a web browser.
 * @module
 */

import { Command, Option } from "commander";
import { printable, UsageError } from "../core/errors.ts";
import type { ChosenTranscoder } from "../core/runs/discovery.ts";

interface BrowseOptions {
  export?: string;
}

/** The finished transcoders of some runs, and a sentence for each that is passed over. */
async function openRuns(runs: readonly string[]): Promise<{ chosen: readonly ChosenTranscoder[]; notes: string[] }> {
  const { chooseTranscoders, findTranscoders, whyUnfinished } = await import("../core/runs/discovery.ts");
  const { TRANSCODER_FILE } = await import("../core/runs/transcoder.ts");
  const notes: string[] = [], found = [];
  for (const run of runs) {
    found.push(
      ...await findTranscoders(run, (path, { message }) => notes.push(`${printable(path)} was skipped: ${message}`)),
    );
  }
  // What else a run lacks is said on its pages; one that was imported has no more than its weights.
  const { chosen, passedOver, unfinished } = chooseTranscoders(
    found.map((one) => ({ ...one, missing: one.missing.filter((file) => file === TRANSCODER_FILE) })),
  );
  for (const { older, newer } of passedOver) {
    notes.push(
      `${printable(older.path)} was passed over: ${printable(newer.path)} is the newest run of the same transcoder`,
    );
  }
  for (const directory of unfinished) {
    const { found, remedy } = whyUnfinished(directory);
    notes.push(`${printable(directory.path)} was skipped: ${found}; ${remedy}`);
  }
  return { chosen, notes };
}

async function browse(runs: readonly string[], options: BrowseOptions): Promise<void> {
  if (options.export === undefined) {
    throw new UsageError({
      action: "browse",
      requirement: "--export must be given",
      found: "it is not",
      remedy: "name an HTML file",
    });
  }
  const { exportPage } = await import("./browse/export.ts");
  const { chosen, notes } = await openRuns(runs);
  for (const note of notes) console.error(`mtc: ${note}`);
  await exportPage(options.export, chosen, notes);
}

/** The command `mtc browse`. */
export function browseCommand(): Command {
  return new Command("browse")
    .description("Shows the features of finished transcoders in a web browser.")
    .argument("[runs...]", "directories of runs, or of transcoders", ["runs"])
    .addOption(new Option("--export <file>", "write one HTML file that holds all of it and works without a network"))
    .addHelpText(
      "after",
      "\nExample:\n  mtc browse --export features.html runs/first",
    )
    .action(browse);
}
