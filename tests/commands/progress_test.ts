import assert from "node:assert/strict";
import { Pace, perSecond, Progress, progressLine, timeToCome } from "../../commands/progress.ts";

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

Deno.test("a time to come as a person says it", () => {
  const times = [0, 42.4, 59.6, 187, 3600, 7500, 172_799, 172_800, 475_200, 864_000, 8_640_000];
  assert.deepEqual(times.map(timeToCome), [
    ...["0 s", "42 s", "1 min 0 s", "3 min 7 s", "1 h 0 min", "2 h 5 min"],
    ...["47 h 59 min", "2.0 days", "5.5 days", "10 days", "100 days"],
  ]);
});

Deno.test("rates as a person reads them", () => {
  assert.deepEqual([0.52, 12.34, 812.3, 62_013.4].map((rate) => perSecond(rate, "tokens")), [
    ...["0.5 tokens/s", "12.3 tokens/s", "812 tokens/s", "62,013 tokens/s"],
  ]);
});

/** Sets the clock that paces read, in seconds. */
function withClock(use: (set: (seconds: number) => void) => void): void {
  const { now } = performance;
  let milliseconds = 5000;
  performance.now = () => milliseconds;
  try {
    use((seconds) => milliseconds = 5000 + 1000 * seconds);
  } finally {
    performance.now = now;
  }
}

Deno.test("the rest takes as long as what is done took, unit for unit; in the first second nothing is known", () =>
  withClock((set) => {
    const pace = new Pace();
    set(0.99);
    assert.deepEqual([pace.rate(40), pace.left(40, 100)], [null, null]);
    set(4);
    assert.deepEqual([pace.rate(40), pace.left(40, 100), pace.left(0, 100)], [10, 6, null]);
    // 60 of 100 were there before: only 20 took the four seconds.
    assert.equal(pace.left(80, 100, 20), 4);
    assert.deepEqual([pace.left(100, 100), pace.left(120, 100)], [0, 0]);
  }));

const onLines = { ignore: Deno.stderr.isTerminal() };
Deno.test(
  "progress says count, rate and time left; before the first second nothing",
  onLines,
  () =>
    withClock((set) => {
      const { error } = console, lines: string[] = [];
      console.error = (line) => lines.push(line);
      try {
        const progress = new Progress("Harvesting contexts"), context = 64;
        const at = (seconds: number, done: number) => {
          set(seconds);
          progress.advance({ done, total: 256, unit: "tokens", each: context });
        };
        at(0.5, 1);
        at(6, 60);
        at(7, 64); // too soon after the last line
        at(12, 128);
        at(20, 256);
      } finally {
        console.error = error;
      }
      assert.deepEqual(lines, [
        "Harvesting contexts 60/256  640 tokens/s  20 s left",
        "Harvesting contexts 128/256  683 tokens/s  12 s left",
        "Harvesting contexts 256/256  819 tokens/s  0 s left",
      ]);
    }),
);

Deno.test(
  "where nothing comes on, the last line is said again every ten seconds, until the work is stopped",
  onLines,
  () => {
    const { setInterval: set, clearInterval: clear } = globalThis, { error } = console;
    const timers = new Map<number, () => void>(), lines: string[] = [];
    Object.assign(globalThis, {
      setInterval: (again: () => void) => timers.set(7, again) && 7,
      clearInterval: (id: number) => timers.delete(id),
    });
    console.error = (line) => lines.push(line);
    try {
      withClock((seconds) => {
        const progress = new Progress("Estimating");
        progress.show(0, 2, "memory and disk", null);
        for (const at of [5, 10, 15, 20]) {
          seconds(at);
          timers.get(7)!();
        }
        progress.show(1, 2, "time", null);
        progress.stop();
      });
    } finally {
      Object.assign(globalThis, { setInterval: set, clearInterval: clear });
      console.error = error;
    }
    assert.deepEqual(lines, ["Estimating 0/2  memory and disk", "Estimating 0/2  memory and disk"]);
    assert.equal(timers.size, 0);
  },
);
