/**
 * Kills at length: `deno task crash --kills 100` prints what came of each moment.
 * @module
 */

import { Command } from "commander";
import { wholeNumberOption } from "../../commands/options.ts";
import { Kills, type Moment, MOMENTS, type Tally } from "./kills.ts";

/** Kills of one run before it may end. */
const KILLS_PER_RUN = MOMENTS.length;
/** Of so many kills one is that of a report. */
const REPORT_EVERY = 4;

async function crash({ kills, seed }: { kills: number; seed: number }): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "mtc-crash-" }), tallies = new Map<Moment, Tally>();
  const done = () => [...tallies.values()].reduce((sum, tally) => sum + tally.kills, 0);
  const all = new Kills(root, seed), runs = await all.prepare();
  for (let round = 0; done() < kills; round++) {
    if (round % REPORT_EVERY === REPORT_EVERY - 1) await all.killReports(runs, KILLS_PER_RUN, tallies);
    else {
      // Each run meets every moment, in another order, or random times alone.
      const turned = MOMENTS.map((_, i) => MOMENTS[(i + round) % MOMENTS.length]);
      await all.killRun(round % 2 === 0 ? turned : turned.map(() => MOMENTS[0]), tallies);
    }
    console.error(`${done()} kills`);
  }
  console.log("| killed | kills | compared at their end | same bytes |\n|---|---:|---:|---:|");
  for (const [moment, { kills, ends, same }] of tallies) console.log(`| ${moment} | ${kills} | ${ends} | ${same} |`);
  const isSame = [...tallies.values()].every(({ ends, same }) => ends === same);
  if (isSame) await Deno.remove(root, { recursive: true });
  else console.error(`what differs lies in ${root}`);
  Deno.exit(isSame ? 0 : 1);
}

await new Command("crash")
  .description(
    "Kills training and reports at named and random moments and compares what is left with what was left alone.",
  )
  .addOption(wholeNumberOption("--kills <n>", "how many", { value: 100 }))
  .addOption(wholeNumberOption("--seed <n>", "of the random times", { least: 0, value: 20261127 }))
  .action(crash)
  .parseAsync(Deno.args, { from: "user" });
