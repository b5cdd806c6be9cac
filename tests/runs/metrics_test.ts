/** metrics.csv: its rows, and what is kept of it when a run goes on from a checkpoint. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import {
  appendMetrics,
  type LoggedStep,
  metricsHeader,
  metricsLine,
  startMetrics,
  truncateMetrics,
} from "../../core/runs/metrics.ts";

const logged = (step: number): LoggedStep => ({
  step,
  tokens: step * 256,
  metrics: { loss: Math.fround(0.1), auxLoss: 0, fvu: [0.5, NaN], l0: 8, deadFeatures: 3, threshold: 1e-9 },
  learningRate: 0.0025,
  elapsed: 1.23456789,
  tokensPerSecond: 11_908.4,
});

async function withFile(use: (path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(join(directory, "metrics.csv"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a row has a cell for each column", () => {
  assert.equal(
    metricsHeader([16, 64]),
    "step,tokens,loss,aux_loss,fvu_prefix_16,fvu_prefix_64,l0,dead_features,learning_rate,threshold,elapsed_s,tokens_per_s\n",
  );
  assert.equal(metricsLine(logged(5)), "5,1280,0.1,0,0.5,NaN,8,3,0.0025,1e-9,1.2346,11908\n");
});

const rows = (steps: number[]) => metricsHeader([16, 64]) + steps.map((step) => metricsLine(logged(step))).join("");

for (
  const [what, tail] of [
    ["whole rows only", ""],
    ["a row broken after its first digit", "2"],
    ["a row broken inside its step", "13"],
    ["a row broken in the middle", "131,33536,0.1,0,0."],
    ["a row without its line end", metricsLine(logged(131)).trimEnd()],
  ]
) {
  Deno.test(`truncateMetrics: ${what}`, () =>
    withFile(async (path) => {
      await startMetrics(path, [16, 64]);
      await appendMetrics(path, [10, 20, 100, 120, 130].map(logged));
      await Deno.writeTextFile(path, tail, { append: true });
      await truncateMetrics(path, 120);
      assert.equal(await Deno.readTextFile(path), rows([10, 20, 100, 120]));
      await appendMetrics(path, [logged(130)]);
      assert.equal(await Deno.readTextFile(path), rows([10, 20, 100, 120, 130]));
      await truncateMetrics(path, 0);
      assert.equal(await Deno.readTextFile(path), rows([]));
    }));
}

Deno.test("truncateMetrics says when there is no file", () =>
  withFile((path) =>
    assert.rejects(truncateMetrics(path, 1), (error) => error instanceof UserError && error.message.includes(path))
  ));
