/**
 * What works where files are written once, as in object storage: runs that were copied there are listed, told and reported on; a task that is
 * to work there is refused, and leaves nothing. The file system is a double at the C library's calls, see write_once.c; bench/object_storage.md has
 * what real mounts made of it.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MAIN, names } from "./small_train.ts";
import { inDirectory, mtc } from "./tiny_run.ts";

const scratch = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(scratch, { recursive: true }));
const double = join(scratch, "write_once.so");
const source = fileURLToPath(new URL("./write_once.c", import.meta.url));
const isMade = Deno.build.os === "linux" &&
  await new Deno.Command("cc", { args: ["-shared", "-fPIC", "-o", double, source, "-ldl"] }).output()
    .then(({ success }) => success, () => false);
if (!isMade) console.error("tests/cli: without Linux and a C compiler no write-once file system is tried");

const PLAN = {
  ...{
    "layers": [2],
    "dictionary": [64],
    "k": 8,
    "seed": [0, 1],
    "lease": 2,
    "steps": 20,
    "batch": 256,
    "buffer": 1024,
  },
  ...{ "checkpoint-every": 10, "sample-every": 10, "samples": 10, "sample-tokens": 1024, "evaluation-tokens": 512 },
  ...{ "loss-tokens": 0, "passes": 2 },
};

Deno.test({
  name: "a bucket is listed, told and reported on, and no place to train in",
  ignore: !isMade,
  fn: () =>
    inDirectory(async (root) => {
      const [disk, bucket] = ["disk", "bucket"].map((name) => join(root, name));
      for (const place of [disk, bucket]) {
        await Deno.mkdir(place);
        await Deno.writeTextFile(join(place, "plan.json"), JSON.stringify(PLAN));
      }
      const there = async (...args: string[]) => {
        const env = { LD_PRELOAD: double, WRITE_ONCE: `${bucket}/` };
        const command = new Deno.Command(Deno.execPath(), { args: ["run", "--no-check", "-A", MAIN, ...args], env });
        const { code, stdout, stderr } = await command.output(), text = new TextDecoder();
        return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
      };
      const plan = join(bucket, "plan.json"), runs = join(bucket, "runs");
      const listed = await there("sweep", plan, "--list");
      assert.equal(listed.code, 0, `tasks are numbered without links: ${listed.stderr}`);
      const [list] = names(runs).filter((name) => !name.startsWith("."));
      assert.match(list, /^plan-[0-9a-f]+\.json$/);

      const refused = await there("sweep", plan, "--task", "0");
      assert.equal(refused.code, 1, refused.stderr);
      assert.match(refused.stderr, /^mtc: Cannot /m);
      assert.doesNotMatch(refused.stderr, /defect/);
      assert.deepEqual(names(runs), [list], "neither a run was begun nor a lock left");

      const done = await mtc("sweep", join(disk, "plan.json"), "--task", "1");
      assert.equal(done.code, 0, done.stderr);
      const copied = await new Deno.Command("cp", {
        args: ["-rn", `${join(disk, "runs")}/.`, runs],
        env: { LD_PRELOAD: double, WRITE_ONCE: `${bucket}/` },
      }).output();
      assert.ok(copied.success, new TextDecoder().decode(copied.stderr));
      const told = await there("sweep", plan, "--status");
      assert.equal(told.code, 0, told.stderr);
      assert.match(told.stdout, /2 tasks: 1 done, /);
      const report = (from: string, out: string) => there("report", "--runs", from, "--out", out, "--tasks");
      const merged = await report(runs, join(root, "out"));
      assert.equal(merged.code, 0, merged.stderr);
      assert.match(merged.stdout, /2 tasks, 1 finished transcoders/);
      assert.ok(names(join(root, "out")).includes("sweep_tasks.md"));
    }),
});
