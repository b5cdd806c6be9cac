/** metrics.csv: its rows, and what is kept of it when a run goes on from a checkpoint. */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { MetricsRow } from "../../core/analysis/convergence.ts";
import { appendMetrics, copyMetrics, readMetrics, restoreMetrics, startMetrics } from "../../core/runs/metrics.ts";

const GROUPS = [16, 48];
const HEADER =
  "step,tokens,loss,aux_loss,fvu_prefix_16,fvu_prefix_64,l0,dead_features,learning_rate,threshold,elapsed_s,tokens_per_s\n";

const logged = (step: number): MetricsRow => ({
  ...{ step, tokens: step * 256, loss: Math.fround(0.1), aux_loss: 0, fvu_per_prefix: [0.5, NaN], l0: 8 },
  ...{ dead_features: 3, learning_rate: 0.0025, threshold: 1e-9, elapsed_s: 1.23456789, tokens_per_s: 11_908.4 },
});
const line = (step: number) => `${step},${step * 256},0.1,0,0.5,NaN,8,3,0.0025,1e-9,1.2346,11908\n`;

async function inDirectory(use: (directory: string, path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(directory, join(directory, "metrics.csv"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a row has a cell for each column, and is read as it was written, to seven digits", () =>
  inDirectory(async (directory, path) => {
    await startMetrics(directory, GROUPS);
    await appendMetrics(directory, GROUPS, [logged(5), { ...logged(10), loss: Infinity, elapsed_s: NaN }]);
    const broken = line(10).replace(",0.1,", ",NaN,").replace("1.2346", "NaN");
    assert.equal(await Deno.readTextFile(path), HEADER + line(5) + broken);
    const [first, second] = await readMetrics(directory, GROUPS);
    assert.deepEqual(first, { ...logged(5), loss: 0.1, elapsed_s: 1.2346, tokens_per_s: 11_908 });
    assert.deepEqual([second.loss, second.elapsed_s], [NaN, NaN]);
  }));

const rows = (steps: number[]) => HEADER + steps.map(line).join("");

for (
  const [what, tail] of [
    ["whole rows only", ""],
    ["a row broken after its first digit", "2"],
    ["a row broken inside its step", "13"],
    ["a row broken in the middle", "131,33536,0.1,0,0."],
    ["a row without its line end", line(131).trimEnd()],
  ]
) {
  Deno.test(`restoreMetrics without a copy: ${what}`, () =>
    inDirectory(async (directory, path) => {
      const restore = (last: number) => restoreMetrics(directory, join(directory, "checkpoint"), { after: 0, last });
      await startMetrics(directory, GROUPS);
      await appendMetrics(directory, GROUPS, [10, 20, 100, 120, 130].map(logged));
      await Deno.writeTextFile(path, tail, { append: true });
      assert.ok(await restore(120));
      assert.equal(await Deno.readTextFile(path), rows([10, 20, 100, 120]));
      await appendMetrics(directory, GROUPS, [logged(130)]);
      assert.equal(await Deno.readTextFile(path), rows([10, 20, 100, 120, 130]));
      assert.ok(await restore(0));
      assert.equal(await Deno.readTextFile(path), rows([]));
    }));
}

Deno.test("restoreMetrics takes a checkpoint's copy whatever became of the file, and of a run that goes on its own rows", () =>
  inDirectory(async (directory, path) => {
    const checkpoint = join(directory, "checkpoint"),
      damages = [
        () => Deno.remove(path),
        () => Deno.writeTextFile(path, rows([10, 20]).replace("0.1", "\0\0\0")),
        () => Deno.writeTextFile(path, ""),
      ];
    await Deno.mkdir(checkpoint);
    await startMetrics(directory, GROUPS);
    await appendMetrics(directory, GROUPS, [10, 20, 30].map(logged));
    await copyMetrics(directory, checkpoint);
    for (const damage of damages) {
      await damage();
      assert.ok(await restoreMetrics(directory, checkpoint, { after: 0, last: 30 }));
      assert.equal(await Deno.readTextFile(path), rows([10, 20, 30]));
    }
    assert.ok(await restoreMetrics(directory, checkpoint, { after: 20, last: 30 }));
    assert.equal(await Deno.readTextFile(path), rows([30]));
  }));

Deno.test("restoreMetrics writes nothing where there is neither a copy nor the file", () =>
  inDirectory(async (directory) => {
    assert.ok(!await restoreMetrics(directory, join(directory, "checkpoint"), { after: 0, last: 1 }));
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  }));
