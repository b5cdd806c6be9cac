/** Workers beside each other. */

import assert from "node:assert/strict";
import { Workers } from "../core/workers.ts";

const ADDING = new URL("./adding_worker.ts", import.meta.url);

Deno.test("tasks are done beside each other, each with its own progress, however many Workers there are", async () => {
  for (const most of [1, 3]) {
    await using workers = new Workers<number[], number>(ADDING, most);
    const heard: unknown[][] = [];
    const tasks = Array.from({ length: 5 }, (_, n) => [n, 10, 100]);
    const sums = await Promise.all(
      tasks.map((task, n) => workers.ask(task, (...progress) => heard.push([n, ...progress]))),
    );
    assert.deepEqual(sums, [110, 111, 112, 113, 114]);
    for (const n of tasks.keys()) {
      assert.deepEqual(heard.filter(([task]) => task === n), [[n, 1, 3], [n, 2, 3], [n, 3, 3]]);
    }
  }
});

Deno.test("a task that fails is alone in that; a Worker that dies is replaced; what is not done when they are closed fails", async () => {
  const workers = new Workers<number[], number>(ADDING, 1);
  const failing = workers.ask([1, -1]), dying = workers.ask([Infinity]), next = workers.ask([1, 2]);
  await assert.rejects(failing, { message: "Cannot add -1" });
  await assert.rejects(dying, /The Worker .*adding_worker\.ts failed: .*overflowed/);
  assert.equal(await next, 3);
  const late = [workers.ask([1]), workers.ask([2])].map((asked) => assert.rejects(asked, /closed/));
  await workers[Symbol.asyncDispose]();
  await Promise.all(late);
});
