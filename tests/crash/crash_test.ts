/** `mtc report` killed while it writes; training is killed in tests/cli/resume_test.ts, both at length by `deno task crash`. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { inDirectory } from "../cli/tiny_run.ts";
import { writeSyntheticRun } from "../reports/synthetic_run.ts";
import { Kills, type Moment, type Tally } from "./kills.ts";

Deno.test("a report killed while it writes leaves whole files alone, and the next one has the same bytes", () =>
  inDirectory(async (root) => {
    const runs = join(root, "runs"), tallies = new Map<Moment, Tally>();
    await writeSyntheticRun(runs, "run", { groups: [4, 8, 4], dIn: 6, dOut: 5, steps: 100 });
    await new Kills(root, 1).killReports(runs, 2, tallies);
    assert.deepEqual([...tallies.values()], [{ kills: 2, ends: 1, same: 1 }]);
  }));
