/** The lock's file: whatever else may lie at its place is neither changed nor in the way. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { lockRun, trainerOf } from "../../core/runs/lock.ts";
import { names } from "../cli/small_train.ts";
import { inDirectory } from "../cli/tiny_run.ts";

/** What users, other programs, killed processes and mtc 0.1.0 may have left. */
const contents = ["mine", "", "4711\n", `mtc trains here: process 4711\n${"and more\n".repeat(20)}`];
for (const content of contents) {
  Deno.test(`a lock's file that holds ${JSON.stringify(content.slice(0, 40))} is locked and stays as it is`, () =>
    inDirectory(async (runs) => {
      const run = join(runs, "run"), path = join(runs, ".run.lock");
      await Deno.writeTextFile(path, content);
      const lock = await lockRun(run);
      await assert.rejects(lockRun(run), /one process at a time may, another one does; wait/);
      assert.equal(await Deno.readTextFile(path), content);
      await lock.release();
      assert.deepEqual([names(runs), await Deno.readTextFile(path)], [[".run.lock"], content]);
    }));
}

Deno.test("the file of a process that was killed is taken over and removed", () =>
  inDirectory(async (runs) => {
    await Deno.writeTextFile(join(runs, ".run.lock"), "mtc trains here: process 123456789\n");
    const lock = await lockRun(join(runs, "run"));
    const text = await Deno.readTextFile(join(runs, ".run.lock"));
    assert.equal(text, `mtc trains here: process ${Deno.pid} on ${Deno.hostname()}\n`);
    await lock.release();
    assert.deepEqual(names(runs), []);
  }));

Deno.test("a file that took the lock's place meanwhile is not removed with it", () =>
  inDirectory(async (runs) => {
    const path = join(runs, ".run.lock"), lock = await lockRun(join(runs, "run"));
    await Deno.remove(path);
    await Deno.writeTextFile(path, "mine");
    await lock.release();
    assert.equal(await Deno.readTextFile(path), "mine");
  }));

const places: [what: string, put: (path: string, mine: string) => Promise<void>][] = [
  ["a link to a file", (path, mine) => Deno.symlink(mine, path)],
  ["a link that leads nowhere", (path) => Deno.symlink("nowhere", path)],
  ["a directory", (path) => Deno.mkdir(path)],
];
for (const [what, put] of places) {
  Deno.test(`${what} in the lock's place is left alone and refused`, () =>
    inDirectory(async (runs) => {
      const mine = join(runs, "mine");
      await Deno.writeTextFile(mine, "mine");
      await put(join(runs, ".run.lock"), mine);
      await assert.rejects(lockRun(join(runs, "run")), (error) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, /^Cannot lock .*\.run\.lock: it must be a file or not be there, it is .*; move it/);
        return true;
      });
      assert.deepEqual([names(runs), await Deno.readTextFile(mine)], [[".run.lock", "mine"], "mine"]);
    }));
}

Deno.test("a run has one lock, whatever it is called", () =>
  inDirectory(async (runs) => {
    const run = join(runs, "run"), here = Deno.cwd();
    await Deno.mkdir(run);
    await Deno.symlink("run", join(runs, "alias"));
    const lock = await lockRun(run);
    try {
      Deno.chdir(run);
      for (const name of [".", join(runs, "alias"), `${run}/`, join("..", "run")]) {
        await assert.rejects(lockRun(name), new RegExp(`process ${Deno.pid} on ${Deno.hostname()} does`), name);
      }
    } finally {
      Deno.chdir(here);
      await lock.release();
    }
    assert.deepEqual([names(runs), names(run)], [["alias", "run"], []]);
  }));

Deno.test("who trains a run is known as long as it holds the lock, and asking for it is in nobody's way", () =>
  inDirectory(async (runs) => {
    const run = join(runs, "run"), path = join(runs, ".run.lock");
    assert.equal(await trainerOf(run), null);
    const lock = await lockRun(run);
    assert.equal(await trainerOf(run), `process ${Deno.pid} on ${Deno.hostname()}`);
    await lock.release();
    // What killed processes, those of older versions and users leave is locked by nobody.
    for (const text of ["mtc trains here: process 4711\n", "mtc trains here: process 4711 on node7\n", "mine", ""]) {
      await Deno.writeTextFile(path, text);
      assert.equal(await trainerOf(run), null, text);
      assert.equal(await Deno.readTextFile(path), text);
    }
    const [, held] = await Promise.all([trainerOf(run), lockRun(run)]);
    await held.release();
  }));
