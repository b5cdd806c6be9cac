import assert from "node:assert/strict";
import { join } from "node:path";
import { endAll } from "../../core/ending.ts";
import { replaceFile, writeAll, writeFileAtomic } from "../../core/files/atomic.ts";
import { UserError } from "../../core/errors.ts";

const names = (directory: string) => [...Deno.readDirSync(directory)].map(({ name }) => name).sort();

Deno.test("writes text and bytes, replaces what was there", async () => {
  const directory = await Deno.makeTempDir();
  const path = join(directory, "a.txt");
  await writeFileAtomic(path, "ä");
  assert.equal(await Deno.readTextFile(path), "ä");
  await writeFileAtomic(path, new Uint8Array([1, 2]));
  assert.deepEqual(await Deno.readFile(path), new Uint8Array([1, 2]));
  assert.deepEqual(names(directory), ["a.txt"]);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("hidden files beside the target are nobody's business, and a link is replaced, not followed", async () => {
  const directory = await Deno.makeTempDir();
  const path = join(directory, "a.txt"), elsewhere = join(directory, "elsewhere");
  await Deno.writeTextFile(elsewhere, "mine");
  await Deno.writeTextFile(join(directory, ".a.txt.tmp"), "mine");
  await Deno.symlink("elsewhere", join(directory, ".b.txt.tmp"));
  await Deno.symlink("elsewhere", path);
  for (const name of ["a.txt", "b.txt"]) await writeFileAtomic(join(directory, name), "new");
  assert.deepEqual(names(directory), [".a.txt.tmp", ".b.txt.tmp", "a.txt", "b.txt", "elsewhere"]);
  assert.equal(await Deno.readTextFile(path), "new");
  assert.ok((await Deno.lstat(path)).isFile && (await Deno.lstat(join(directory, ".b.txt.tmp"))).isSymlink);
  for (const name of [".a.txt.tmp", "elsewhere"]) {
    assert.equal(await Deno.readTextFile(join(directory, name)), "mine");
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a failure while writing keeps the old file and removes the temporary one", async () => {
  const directory = await Deno.makeTempDir();
  const path = join(directory, "a.txt");
  await writeFileAtomic(path, "old");
  const full = Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" });
  await assert.rejects(replaceFile(path, () => Promise.reject(full)), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /^Cannot write .*a\.txt: the disk is full; free some space/);
    return true;
  });
  await assert.rejects(replaceFile(path, () => Promise.reject(new RangeError("a defect"))), RangeError);
  assert.equal(await Deno.readTextFile(path), "old");
  assert.deepEqual(names(directory), ["a.txt"]);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a file used as a directory, a missing directory and an occupied name are refused", async () => {
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(join(directory, "file"), "");
  await assert.rejects(writeFileAtomic(join(directory, "file", "a"), ""), /a part of the path is a file/);
  await assert.rejects(writeFileAtomic(join(directory, "absent", "a"), ""), /no such file or directory/);
  await Deno.mkdir(join(directory, "taken"));
  await assert.rejects(writeFileAtomic(join(directory, "taken"), ""), UserError);
  assert.deepEqual(names(directory), ["file", "taken"]);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("several writers of one file at once are in nobody's way, and one of them has it", async () => {
  const directory = await Deno.makeTempDir(), path = join(directory, "a.txt");
  const contents = ["a", "b", "c", "d"].map((letter) => letter.repeat(100_000));
  await Promise.all(contents.map((content) => writeFileAtomic(path, content)));
  assert.ok(contents.includes(await Deno.readTextFile(path)));
  assert.deepEqual(names(directory), ["a.txt"]);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a file that is being written is removed when the process ends first", async () => {
  const directory = await Deno.makeTempDir(), path = join(directory, "a.txt");
  await Deno.writeTextFile(path, "old");
  await assert.rejects(replaceFile(path, async (file) => {
    await writeAll(file, new Uint8Array(10));
    assert.equal(names(directory).length, 2);
    await endAll();
    assert.deepEqual(names(directory), ["a.txt"]);
  }));
  assert.equal(await Deno.readTextFile(path), "old");
  await Deno.remove(directory, { recursive: true });
});
