/** What mtc did not make stays as it is, whatever it is called and wherever the run is to go. */

import assert from "node:assert/strict";
import { basename, dirname, join } from "node:path";
import { checkName } from "../../commands/train/place.ts";
import { UsageError } from "../../core/errors.ts";
import { makeTemporaryDirectory, temporaryPath } from "../../core/files/temporary.ts";
import { writeSyntheticRun } from "../reports/synthetic_run.ts";
import { names, SMALL } from "./small_train.ts";
import { inDirectory, mtc, writeTinyLayer } from "./tiny_run.ts";

/** Two steps, a checkpoint after each. */
const TINY_RUN = [...SMALL, "--steps", "2", "--checkpoint-every", "1", "--layers", "2"];

/** Makes files that hold "mine". */
async function put(root: string, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    await Deno.mkdir(dirname(join(root, path)), { recursive: true });
    await Deno.writeTextFile(join(root, path), "mine");
  }
}

async function assertMine(root: string, ...paths: string[]): Promise<void> {
  for (const path of paths) assert.equal(await Deno.readTextFile(join(root, path)), "mine", path);
}

for (const [name, files] of [["git", ["HEAD", "objects/pack/a"]], ["ssh", ["id_ed25519"]]] as const) {
  const mine = files.map((file) => `.${name}/${file}`);
  Deno.test(`--name ${name} leaves .${name} alone, also when the run is refused afterwards`, () =>
    inDirectory(async (directory) => {
      await put(directory, ...mine);
      const { code, stderr } = await mtc("train", "--runs", directory, "--name", name, "--layers", "99");
      assert.equal(code, 2, stderr);
      assert.match(stderr, /the deepest is 5/);
      await assertMine(directory, ...mine);
      assert.deepEqual(names(directory), [`.${name}`]);
    }));
}

Deno.test("a run, its resumption and its report leave what lies around and among them as it is", () =>
  inDirectory(async (directory) => {
    const runs = join(directory, "runs"), layer = join(runs, "run", "layer2"), out = join(directory, "out");
    const around = ["runs/.run/HEAD", "runs/.run.lock", "elsewhere.txt"];
    await put(directory, ...around);
    const begun = await mtc("train", ...TINY_RUN, "--runs", runs, "--name", "run");
    assert.equal(begun.code, 0, begun.stderr);
    assert.deepEqual(names(runs), [".run", ".run.lock", "run"]);

    // Killed before its last file, with the rest of another file; a user's things have the names of temporary ones.
    await Deno.remove(join(layer, "transcoder.safetensors"));
    await Deno.writeTextFile(temporaryPath(join(layer, "transcoder.safetensors")), "half");
    const among = [".samples.jsonl.tmp", "checkpoints/.partial/notes.txt", "checkpoints/.discarded/notes.txt"];
    await put(layer, ...among);
    for (const name of [".features.csv.tmp", ".transcoder.safetensors.tmp"]) {
      await Deno.symlink(join(directory, "elsewhere.txt"), join(layer, name));
    }
    const resumed = await mtc("train", "--resume", join(runs, "run"));
    assert.equal(resumed.code, 0, resumed.stderr);
    await assertMine(layer, ...among);
    assert.deepEqual(
      names(layer).filter((name) => name.startsWith(".")),
      [".features.csv.tmp", ".samples.jsonl.tmp", ".transcoder.safetensors.tmp"],
      "what the killed process left is gone",
    );

    // Killed before it had its name: a run that is not there yet.
    const unborn = join(await makeTemporaryDirectory(join(runs, "unborn")), "layer4");
    await Deno.mkdir(unborn);
    await Deno.copyFile(join(layer, "config.json"), join(unborn, "config.json"));
    await Deno.mkdir(out);
    for (const name of [".index.md.tmp", "layer2_analysis_report.md"]) {
      await Deno.symlink(join(directory, "elsewhere.txt"), join(out, name));
    }
    for (let time = 1; time <= 2; time++) {
      const reported = await mtc("report", "--quick", "--runs", runs, "--out", out);
      assert.equal(reported.code, 0, reported.stderr);
      assert.ok(!reported.stderr.includes("skipped"), reported.stderr);
    }
    assert.match(await Deno.readTextFile(join(out, "layer2_analysis_report.md")), /^# /);
    await assertMine(directory, ...around);
  }));

Deno.test("of an earlier report those files go that the next one has no place for, and nothing else", () =>
  inDirectory(async (directory) => {
    const first = join(directory, "first"), second = join(directory, "second"), out = join(directory, "out");
    await writeSyntheticRun(first, "run", { groups: [4, 8, 4], dIn: 6, dOut: 5, steps: 100, layer: 1 });
    await writeSyntheticRun(first, "run", { groups: [4, 8, 4], dIn: 6, dOut: 5, steps: 100, layer: 2 });
    await writeSyntheticRun(second, "run", { groups: [4, 8, 4], dIn: 6, dOut: 5, steps: 100, layer: 2 });
    const report = (runs: string) => mtc("report", "--quick", "--runs", runs, "--out", out);
    assert.equal((await report(second)).code, 0);
    const alone = names(out);
    assert.equal((await report(first)).code, 0);
    const both = names(out).filter((name) => !alone.includes(name));
    assert.ok(both.length > 6 && both.includes("layer1_analysis_report.md"), both.join());
    // A user's own, one of them linked from the report; and what a killed process left, just now and long ago.
    const mine = ["layer1_notes.md", "notes.md", "layer9_analysis_report.md"];
    await put(out, ...mine);
    await Deno.writeTextFile(join(out, "layer1_analysis_report.md"), "\n[see](notes.md)\n", { append: true });
    const [old, fresh] = [0, 1].map(() => temporaryPath(join(out, "layer2_analysis_report.md")));
    for (const path of [old, fresh]) await Deno.writeTextFile(path, "half");
    await Deno.utime(old, new Date(0), new Date(0));
    const { code, stderr } = await report(second);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^mtc: removed what an earlier report left in .*: .*layer1_analysis_report\.md/m);
    assert.deepEqual(names(out), [...alone, ...mine, basename(fresh)].sort());
    await assertMine(out, ...mine);
  }));

Deno.test("a report does not replace an index.md that is none of its own", () =>
  inDirectory(async (directory) => {
    await put(directory, "index.md");
    const { code, stderr } = await mtc("report", "--quick", "--runs", join(directory, "runs"), "--out", directory);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^mtc: Cannot write reports to .*: an index\.md there must be that of an earlier report, it is/,
    );
    await assertMine(directory, "index.md");
  }));

Deno.test("a link in the place of a run's own directories is refused when it is resumed, and nothing behind it is touched", () =>
  inDirectory(async (directory) => {
    const run = join(directory, "runs", "run");
    const layer = await writeTinyLayer(run, 2), elsewhere = join(directory, "elsewhere");
    await Deno.remove(join(layer, "transcoder.safetensors"));
    await put(elsewhere, "step_000003/state.json", "mine.txt");
    await Deno.symlink(elsewhere, join(layer, "checkpoints"));
    const resume = () => mtc("train", "--resume", run);
    const first = await resume();
    assert.equal(first.code, 1);
    assert.match(first.stderr, /^mtc: Cannot resume .*: \S+checkpoints must be a directory, it is a link; move/);
    await Deno.rename(layer, join(directory, "layer"));
    await Deno.symlink(join(directory, "layer"), layer);
    assert.match((await resume()).stderr, /^mtc: Cannot resume .*: \S+layer2 must be a directory, it is a link; move/);
    await assertMine(elsewhere, "step_000003/state.json", "mine.txt");
  }));

Deno.test("an empty path is refused wherever one is asked for", async () => {
  const lines = [
    ...[["harvest", "--layers", "2", "--out", ""], ["report", "--out", ""], ["report", "--runs", ""]],
    ...[["train", "--runs", ""], ["train", "--resume", ""], ["train", "--data", ""], ["evaluate", "--run", ""]],
    ...[["sweep", "--runs", ""], ["encode", "--run", "", "--text", "a"], ["analyze", "weights", "--run", ""]],
  ];
  for (const line of lines) {
    const { code, stderr } = await mtc(...line);
    assert.equal(code, 2, line.join(" "));
    assert.match(
      stderr,
      /^mtc: .*--(out|runs|resume|data|run)\b.* must (not be empty|be a directory, it is "")/,
      line.join(" "),
    );
  }
});

Deno.test("a link in the place of a run is refused before any work, wherever it leads", () =>
  inDirectory(async (directory) => {
    await Deno.mkdir(join(directory, "empty"));
    for (const target of ["empty", "nowhere"]) {
      const link = join(directory, "runs", target);
      await Deno.mkdir(dirname(link), { recursive: true });
      await Deno.symlink(join("..", target), link);
      const { code, stderr } = await mtc("train", ...TINY_RUN, "--runs", join(directory, "runs"), "--name", target);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^mtc: Cannot start a run in .*: it must be an empty directory or new, it is a link; choose/,
      );
      assert.equal(await Deno.readLink(link), join("..", target));
    }
  }));

Deno.test("a name too long for the run's temporary name or lock is refused before any work", () =>
  inDirectory(async (directory) => {
    const runs = join(directory, "runs");
    for (const kind of [[], ["--dry-run"]]) {
      const { code, stderr } = await mtc("train", ...TINY_RUN, "--runs", runs, "--name", "n".repeat(220), ...kind);
      assert.equal(code, 2);
      assert.match(
        stderr,
        /^mtc: Cannot name the run .*: a name must have at most 200 bytes, this one has 220; choose /,
      );
    }
    assert.deepEqual(names(directory), []);
  }));

Deno.test("names that lead elsewhere, hide or mean something else are refused; others are not", () => {
  const strange = ["", ".", "..", "../up", ".git", "a/b", "a\\b", "/etc", "a\0b", "a\nb", "\x7f"];
  for (const name of strange) assert.throws(() => checkName(name), UsageError, JSON.stringify(name));
  for (const name of ["x".repeat(201), "ü".repeat(101)]) {
    assert.throws(
      () => checkName(name),
      /a name must have at most 200 bytes, this one has 20[12]; choose a shorter --name$/,
    );
  }
  const plain = ["run", "a name", "lr=1e-3", "gemma-2-2b-20260101-000000", "überlauf", "a..b", "-"];
  for (const name of plain) for (const isWindows of [false, true]) assert.equal(checkName(name, isWindows), name);
  for (const name of ["C:", "a:stream", "what?", "run.", "run ", "NUL", "con.txt", "Com1", "a|b"]) {
    assert.equal(checkName(name, false), name);
    assert.throws(() => checkName(name, true), UsageError, name);
  }
});
