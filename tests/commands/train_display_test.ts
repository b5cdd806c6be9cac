import assert from "node:assert/strict";
import { TrainDisplay } from "../../commands/train/display.ts";
import { EMBEDDED, mappingsFor } from "../../commands/train/settings.ts";
import { plannedAlike } from "../training/planned.ts";
import type { TargetVariance } from "../../core/analysis/target_variance.ts";

/** What is said on stderr of a target whose largest dimension has this share of its variance. */
function said(top_1: number): string[] {
  const transcoders = plannedAlike(mappingsFor([6], "resid_mid", "mlp_out", 18), EMBEDDED),
    lines: string[] = [],
    { error } = console;
  const spread: TargetVariance = { top_1, top_5: 0.91, top_20: 0.93, largest_dimension: 443, constant_dimensions: 0 };
  console.error = (line) => lines.push(line);
  try {
    new TrainDisplay(EMBEDDED, transcoders).observer.measured(transcoders[0].target, spread);
  } finally {
    console.error = error;
  }
  return lines;
}

Deno.test("mtc train warns in one sentence where one dimension decides, and nowhere else", () => {
  assert.deepEqual(said(0.74), [
    "mtc: dimension 443 holds 74 % of the variance of layer6.mlp_out, so that FVU mostly says how well that one is predicted; " +
    "FVU at unit variance counts all dimensions alike",
  ]);
  assert.equal(said(0.251).length, 1);
  assert.deepEqual([said(0.25), said(0.01), said(NaN)], [[], [], []]);
});
