import assert from "node:assert/strict";
import { duration, progressLine } from "../../commands/progress.ts";

const training = {
  label: "Training",
  done: 120,
  total: 600,
  notes: ["FVU 0.167|0.250", "L0 32|32", "dead 23|12", "loss 0.186|0.239", "6.2k tokens/s"],
  left: "1:36 min left",
};

Deno.test("the progress line gives its words room first, then the bar", () => {
  assert.equal(
    progressLine(training, 140),
    "Training ████░░░░░░░░░░░░░░░░ 120/600  FVU 0.167|0.250  L0 32|32  dead 23|12  loss 0.186|0.239  6.2k tokens/s  1:36 min left",
  );
  assert.equal(
    progressLine(training, 100),
    "Training ██░░░░░░░░ 120/600  FVU 0.167|0.250  L0 32|32  dead 23|12  loss 0.186|0.239  1:36 min left",
  );
  assert.equal(progressLine(training, 60), "Training 120/600  FVU 0.167|0.250  L0 32|32  1:36 min left");
});

Deno.test("the progress line is shorter than any terminal is wide, and never loses the counts before the notes", () => {
  for (let columns = 20; columns < 160; columns++) {
    const line = progressLine(training, columns);
    assert.ok(line.length < columns, `${columns} columns: ${line}`);
    assert.ok(line.startsWith("Training "));
    if (columns > 35) assert.ok(line.includes("120/600") && line.endsWith("1:36 min left"), line);
  }
});

Deno.test("the bar is empty at the start and full at the end", () => {
  const bar = (done: number, total: number) => progressLine({ label: "L", done, total, notes: [], left: "" }, 80);
  assert.equal(bar(0, 9), "L ░░░░░░░░░░░░░░░░░░░░ 0/9");
  assert.equal(bar(9, 9), "L ████████████████████ 9/9");
  assert.equal(bar(12, 9), "L ████████████████████ 12/9");
  assert.equal(bar(0, 0), "L ░░░░░░░░░░░░░░░░░░░░ 0/0");
});

Deno.test("durations as a person says them", () => {
  assert.deepEqual([0, 42.4, 59.6, 187, 3600, 7500].map(duration), [
    "0 s",
    "42 s",
    "1:00 min",
    "3:07 min",
    "1:00 h",
    "2:05 h",
  ]);
});
