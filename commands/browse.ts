/**
 * `mtc browse`: features to look at, in a web browser.
 * @module
 */

import { Command, Option } from "commander";
import { printable } from "../core/errors.ts";
import type { ChosenTranscoder } from "../core/runs/discovery.ts";
import { wholeNumberOption } from "./options.ts";

interface BrowseOptions {
  export?: string;
  port: number;
  model?: string;
  reports: string[];
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
    const { serve } = await import("./browse/server.ts");
    const { port, model, reports } = options;
    return await serve({ roots: runs, reports, model, port });
  }
  const { exportPage } = await import("./browse/export.ts");
  const { chosen, notes } = await openRuns(runs);
  for (const note of notes) console.error(`mtc: ${note}`);
  await exportPage(options.export, chosen, notes);
}

/** The command `mtc browse`. */
export function browseCommand(): Command {
  return new Command("browse")
    .description(
      "Shows runs in a web browser: how they go on while they train, their features, their reports, and with the model at hand the features " +
        "of a text and what changing some does. It answers browsers of this machine alone, and asks nobody for anything.",
    )
    .argument("[runs...]", "directories of runs, of transcoders, or that hold runs", ["runs"])
    .addOption(
      wholeNumberOption("--port <n>", "the port at 127.0.0.1; 0 for one that is free", {
        least: 0,
        most: 65_535,
        value: 0,
      }),
    )
    .addOption(
      new Option("--reports <dirs...>", "where `mtc report` wrote to").default(
        ["analysis_results"],
        "analysis_results",
      ),
    )
    .addOption(
      new Option("--model <dir>", "where the runs' model lies now, if it was moved; it is loaded when first asked for")
        .conflicts("export"),
    )
    .addOption(
      new Option(
        "--export <file>",
        "in place of serving, write one HTML file that holds all features and works offline",
      )
        .conflicts("port"),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  mtc browse\n  mtc browse runs/first runs/second --port 8017\n" +
        "  mtc browse --export features.html runs/first",
    )
    .action(browse);
}
