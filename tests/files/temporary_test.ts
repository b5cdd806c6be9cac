import assert from "node:assert/strict";
import { basename, dirname, join } from "node:path";
import {
  makeDirectories,
  makeTemporaryDirectory,
  nameInTheEnd,
  removeEmpty,
  removeFiles,
  temporaryPath,
} from "../../core/files/temporary.ts";
import { names } from "../cli/small_train.ts";
import { inDirectory } from "../cli/tiny_run.ts";

Deno.test("temporary names lie beside the path, differ each time and say what they are for; other names do not", () => {
  const path = join("runs", "a name.x"), [one, other] = [temporaryPath(path), temporaryPath(path)];
  assert.notEqual(one, other);
  assert.equal(dirname(one), "runs");
  assert.equal(nameInTheEnd(basename(one)), "a name.x");
  for (const name of ["run", ".run", ".run.tmp", ".run.lock", `${basename(one)}.txt`, basename(one).slice(1)]) {
    assert.equal(nameInTheEnd(name), null, name);
  }
});

Deno.test("a temporary directory is a new one beside its path", () =>
  inDirectory(async (directory) => {
    const made = await makeTemporaryDirectory(join(directory, "run"));
    assert.deepEqual(names(directory), [basename(made)]);
    await assert.rejects(makeTemporaryDirectory(join(directory, "absent", "run")), { code: "ENOENT" });
  }));

Deno.test("missing directories are made and known; only they are removed, and only while they are empty", () =>
  inDirectory(async (directory) => {
    const at = (...parts: string[]) => join(directory, ...parts);
    const made = await makeDirectories(at("a", "b", "c"));
    assert.deepEqual(made, [at("a", "b", "c"), at("a", "b"), at("a")]);
    assert.deepEqual(await makeDirectories(at("a", "b")), []);
    await Deno.writeTextFile(at("a", "another's"), "");
    await removeEmpty(made);
    assert.deepEqual([names(directory), names(at("a"))], [["a"], ["another's"]]);
    await assert.rejects(makeDirectories(at("d", "n".repeat(300))), { code: "ENAMETOOLONG" });
    assert.deepEqual(names(directory), ["a"], "nothing is left of what could not be made");
  }));

Deno.test("of the files to be removed, only plain ones right in the directory go", () =>
  inDirectory(async (directory) => {
    await Deno.mkdir(join(directory, "b"));
    for (const path of ["a", join("b", "a"), "c"]) await Deno.writeTextFile(join(directory, path), "");
    await Deno.symlink("c", join(directory, "d"));
    await removeFiles(directory, (name) => name !== "c");
    assert.deepEqual(names(directory), ["b", "c", "d"]);
    assert.deepEqual(names(join(directory, "b")), ["a"]);
  }));
