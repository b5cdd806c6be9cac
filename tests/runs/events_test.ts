import assert from "node:assert/strict";
import { join } from "node:path";
import type { MetricsRow } from "../../core/analysis/convergence.ts";
import { eventFileTime } from "../../core/files/tensorboard.ts";
import { appendEvents, hasEvents, startEvents } from "../../core/runs/events.ts";
import { appendMetrics, copyMetrics, restoreMetrics, startMetrics } from "../../core/runs/metrics.ts";
import { inDirectory } from "../cli/tiny_run.ts";
import { names } from "../cli/small_train.ts";
import { readEvents } from "../files/event_reader.ts";

const config = { created: "2026-01-02T03:04:05.000Z", groups: [2, 3] };

function row(step: number): MetricsRow {
  return {
    ...{ step, tokens: 64 * step, loss: 1 / step, aux_loss: NaN, fvu_per_prefix: [2 / 3 / step, 1 / 3 / step], l0: 4 },
    ...{ dead_features: 0, learning_rate: 1e-3, threshold: 0.1234567891, elapsed_s: step / 7, tokens_per_s: 1000 / 3 },
  };
}

const rows = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => row(first + i));
const eventFiles = (directory: string) => names(directory).filter((name) => eventFileTime(name) !== null);
const steps = async (path: string) => readEvents(await Deno.readFile(path)).slice(2).map(({ step }) => step);

Deno.test("an event file says what metrics.csv says, whether it was written on the way or at the end", () =>
  inDirectory(async (directory) => {
    await startMetrics(directory, config.groups);
    assert.equal(await hasEvents(directory), false);
    const path = await startEvents(directory, config);
    for (const part of [rows(1, 3), rows(4, 6)]) {
      await appendMetrics(directory, config.groups, part);
      await appendEvents(path, config, part);
    }
    assert.equal(await hasEvents(directory), true);
    const live = await Deno.readFile(path), [, , , second] = readEvents(live);
    const expected = {
      "loss": 0.5,
      "fvu/prefix_2": 0.3333333,
      "fvu/prefix_5": 0.1666667,
      "threshold": 0.1234568,
      "l0": 4,
    };
    for (const [tag, value] of Object.entries(expected)) assert.equal(second.scalars[tag], Math.fround(value), tag);
    assert.ok(Number.isNaN(second.scalars.aux_loss));
    assert.equal(second.wallTime, Date.parse(config.created) / 1000 + 0.28571);
    const out = join(directory, "out");
    await Deno.mkdir(out);
    assert.deepEqual(await Deno.readFile(await startEvents(directory, config, out)), live);
  }));

Deno.test("a run that goes on from a checkpoint forgets the events behind it, under a later name", () =>
  inDirectory(async (directory) => {
    const checkpoint = join(directory, "checkpoint");
    await Deno.mkdir(checkpoint);
    await startMetrics(directory, config.groups);
    const path = await startEvents(directory, config);
    await appendMetrics(directory, config.groups, rows(1, 4));
    await appendEvents(path, config, rows(1, 4));
    await copyMetrics(directory, checkpoint);
    // Three more steps, and the record of another that a kill cut off.
    await appendMetrics(directory, config.groups, rows(5, 7));
    await appendEvents(path, config, rows(5, 7));
    await Deno.writeFile(path, Uint8Array.of(1, 2, 3), { append: true });
    await restoreMetrics(directory, checkpoint, { after: 0, last: 4 });
    const next = await startEvents(directory, config), [only] = eventFiles(directory);
    assert.deepEqual([eventFiles(directory).length, join(directory, only)], [1, next]);
    assert.ok(next > path);
    assert.deepEqual(await steps(next), [1, 2, 3, 4]);
    await appendEvents(next, config, rows(5, 6));
    assert.deepEqual(await steps(next), [1, 2, 3, 4, 5, 6]);
  }));
