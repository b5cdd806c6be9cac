import assert from "node:assert/strict";
import { TrainDisplay } from "../../commands/train/display.ts";
import { EMBEDDED, mappingsFor } from "../../commands/train/settings.ts";
import { planned, plannedAlike } from "../training/planned.ts";
import type { TargetVariance } from "../../core/analysis/target_variance.ts";

/** What is said on stderr of a target whose largest dimension has this share of its variance. */
function said(top_1: number): string[] {
  const transcoders = plannedAlike(
      mappingsFor({ layers: [6], source: "resid_mid", target: "mlp_out" }, 18, []),
      EMBEDDED,
    ),
    lines: string[] = [],
    { error } = console;
  const spread: TargetVariance = { top_1, top_5: 0.91, top_20: 0.93, largest_dimension: 443, constant_dimensions: 0 };
  console.error = (line) => lines.push(line);
  try {
    new TrainDisplay(EMBEDDED, transcoders).observer.measured(transcoders[0].targets[0], spread);
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

/** The lines on stderr while a step of so many transcoders is shown to a reader who has no terminal. */
function shown(count: number): string[] {
  const settings = Array.from({ length: count }, (_, seed) => ({ ...EMBEDDED, seed }));
  const transcoders = planned(
    settings.map((settings) => ({
      ...mappingsFor({ layers: [2], source: "resid_mid", target: "mlp_out" }, 6, [])[0],
      settings,
    })),
  );
  const lines: string[] = [], { error } = console;
  console.error = (line) => lines.push(line);
  try {
    const display = new TrainDisplay(EMBEDDED, transcoders);
    display.observer.stepped(
      EMBEDDED.steps,
      transcoders.map(({ name }, i) => {
        const fvu = [0.9, (i * 5 % count + 1) / 100];
        return { name, metrics: { loss: 1, auxLoss: 0.5, fvu, l0: 10 + i, deadFeatures: i % 2, threshold: 0 } };
      }),
      4321,
    );
    lines.unshift(...display.header("Training", "tiny-gemma2", "some adapter", "runs/x"));
  } finally {
    console.error = error;
  }
  return lines;
}

Deno.test("of four transcoders each is shown, of twelve the best, the worst and the ranges, in a line", () => {
  assert.match(
    shown(4).at(-1)!,
    /^Training 480\/480 {2}layer2-seed0 loss 0.500 FVU 0.010 L0 10.0 dead 0 {2}layer2-seed1 /,
  );
  const lines = shown(12);
  assert.match(
    lines.at(-1)!,
    /^Training 480\/480 {2}FVU 0.010 \(layer2-seed0\) to 0.120 \(layer2-seed7\) {2}L0 10 to 21 {2}dead 0 to 1 {2}4,321 tokens\/s/,
  );
  assert.ok(lines.every((line) => line.length < 130), lines.join("\n"));
  assert.deepEqual(lines.slice(0, 4), [
    "Training 12 transcoders of tiny-gemma2",
    "  layer2.resid_mid -> layer2.mlp_out",
    "  512 features in groups 128 + 256 + 128, k 32",
    "  seeds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
  ]);
});
