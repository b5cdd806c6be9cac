/** metrics.csv followed while it grows, is cut off, is written anew, or is no such file. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { MetricsTail } from "../../core/runs/metrics_tail.ts";
import { inDirectory } from "../cli/tiny_run.ts";

const HEADER = "step,tokens,loss,elapsed_s\n";
const line = (step: number, loss = 1 / step) => `${step},${step * 64},${loss},${step / 10}\n`;

function inRun(use: (tail: MetricsTail, path: string, append: (text: string) => Promise<void>) => Promise<void>) {
  return inDirectory((directory) => {
    const path = join(directory, "metrics.csv");
    return use(new MetricsTail(directory), path, (text) => Deno.writeTextFile(path, text, { append: true }));
  });
}

Deno.test("rows are taken in as they are appended, half a row once it is whole", () =>
  inRun(async (tail, _, append) => {
    const steps = async () => (await tail.read()).values[0];
    await append("step,tok");
    assert.deepEqual((await tail.read()).columns, []);
    await append(HEADER.slice("step,tok".length) + line(1) + line(2) + "3,19");
    assert.deepEqual(await steps(), [1, 2]);
    await append("2,0.5,0.3\n");
    const { columns, values, generation, passedOver } = await tail.read();
    assert.deepEqual([columns, values], [["step", "tokens", "loss", "elapsed_s"], [
      [1, 2, 3],
      [64, 128, 192],
      [1, 0.5, 0.5],
      [0.1, 0.2, 0.3],
    ]]);
    assert.deepEqual([generation, passedOver], [1, 0]);
  }));

Deno.test("what a resume writes anew is read anew, however it is written", () =>
  inRun(async (tail, path, append) => {
    await append(HEADER + line(1) + line(2) + line(3) + line(4));
    const before = await tail.read();
    await Deno.writeTextFile(`${path}.new`, HEADER + line(1) + line(2));
    await Deno.rename(`${path}.new`, path);
    const replaced = await tail.read();
    assert.deepEqual([replaced.values[0], replaced.generation], [[1, 2], before.generation + 1]);
    // In place, as long as before, with another last row.
    await Deno.writeTextFile(path, HEADER + line(1) + line(5, 0.5));
    const rewritten = await tail.read();
    assert.deepEqual([rewritten.values[0], rewritten.generation], [[1, 5], before.generation + 2]);
    await Deno.truncate(path, HEADER.length);
    await append(line(1));
    assert.deepEqual((await tail.read()).values[0], [1]);
  }));

Deno.test("NaN, a cell that is none, rows of another length, and steps that do not ascend", () =>
  inRun(async (tail, _, append) => {
    await append(HEADER + "1,64,NaN,\n2,128,x,0.2\n3,1\n2,64,0.5,0.1\n\n4,256,0.5,0.4,7\n5,320,0.25,0.5\n");
    const { values, passedOver } = await tail.read();
    assert.deepEqual([values[0], values[2]], [[1, 2, 5], [NaN, NaN, 0.25]]);
    assert.equal(passedOver, 4);
  }));

Deno.test("what is no table of steps is refused in a sentence, as is what is not there", () =>
  inRun(async (tail, path) => {
    const refused = async (message: RegExp) => {
      await assert.rejects(() => tail.read(), (error) => error instanceof UserError && message.test(error.message));
    };
    await refused(/there is no such file/);
    for (const text of ["\x89PNG\r\n\x1a\n", "loss,tokens\n1,2\n", "x".repeat(100_000)]) {
      await Deno.writeTextFile(path, text);
      await refused(/the first must name the columns step and loss/);
    }
    await Deno.writeTextFile(path, HEADER + line(7));
    assert.deepEqual((await tail.read()).values[0], [7]);
    await Deno.remove(path);
    await Deno.mkdir(path);
    await refused(/metrics\.csv/);
  }));

Deno.test("100,000 rows are read in pieces, and rows behind them without the others", () =>
  inRun(async (tail, _, append) => {
    await append(HEADER + Array.from({ length: 100_000 }, (_, i) => line(i + 1)).join(""));
    const [first, again] = await Promise.all([tail.read(), tail.read()]);
    assert.equal(first, again, "calls at once share one reading");
    assert.deepEqual([first.values[0].length, first.values[1].at(-1)], [100_000, 6_400_000]);
    await append(line(100_001));
    assert.equal((await tail.read()).values[0].at(-1), 100_001);
  }));
