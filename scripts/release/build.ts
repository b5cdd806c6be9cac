/**
 * Compiles mtc for a target and packs it: `deno run -A scripts/release/build.ts TARGET [EXECUTABLE]`.
 *
 * Leaves dist/TARGET/mtc, and in dist/release the archive with its .sha256. An executable that is named is packed as it is. The archive
 * of Linux and macOS is made by GNU tar, with the same bytes for the same files.
 * @module
 */

import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { archiveName, executableName, readTarget, RELEASE, type Target } from "./targets.ts";
import { type Entry, zip } from "./zip.ts";

const ROOT = join(RELEASE, "..", "..");

/** Ends with the program's message above where it fails. */
async function run(command: string, args: readonly string[], cwd = ROOT): Promise<Uint8Array> {
  const { success, stdout } = await new Deno.Command(command, { args: [...args], cwd, stderr: "inherit" }).output();
  if (!success) throw new Error(`${command} ${args[0]} failed; its message stands above`);
  return stdout;
}

async function compile(target: Target): Promise<string> {
  const folder = join(ROOT, "dist", target);
  await Deno.mkdir(folder, { recursive: true });
  const executable = join(folder, executableName(target));
  await run(Deno.execPath(), ["run", "-A", "scripts/compile.ts", "--target", target, "--output", executable]);
  return executable;
}

/** What lies in an archive beside the executable. The manual and the completions come from the sources that it was compiled of. */
async function companions(): Promise<Entry[]> {
  const mtc = (...args: string[]) => run(Deno.execPath(), ["run", "-A", "main.ts", ...args]);
  return [
    { name: "LICENSE", bytes: await Deno.readFile(join(ROOT, "LICENSE")) },
    { name: "CHANGELOG.md", bytes: await Deno.readFile(join(ROOT, "CHANGELOG.md")) },
    { name: "mtc.1", bytes: await mtc("man") },
    { name: "completions/mtc.bash", bytes: await mtc("completions", "bash") },
    { name: "completions/_mtc", bytes: await mtc("completions", "zsh") },
    { name: "completions/mtc.fish", bytes: await mtc("completions", "fish") },
    { name: "completions/mtc.ps1", bytes: await mtc("completions", "powershell") },
  ];
}

async function tar(archive: string, entries: readonly Entry[]): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(folder, "completions"));
    for (const { name, bytes, isExecutable } of entries) {
      await Deno.writeFile(join(folder, name), bytes, { mode: isExecutable ? 0o755 : 0o644 });
    }
    const owner = ["--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX", "--mtime=@0", "--format=ustar"];
    await run("tar", ["--create", "--xz", ...owner, "--file", archive, ...entries.map(({ name }) => name)], folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const target = readTarget(Deno.args[0]);
const executable = Deno.args[1] ?? await compile(target);
const archive = join(RELEASE, archiveName(target));
await Deno.mkdir(RELEASE, { recursive: true });
const program = { name: executableName(target), bytes: await Deno.readFile(executable), isExecutable: true };
const entries = [program, ...await companions()];
if (target.includes("windows")) await Deno.writeFile(archive, zip(entries));
else await tar(archive, entries);
const packed = await Deno.readFile(archive);
const sum = createHash("sha256").update(packed).digest("hex");
await Deno.writeTextFile(`${archive}.sha256`, `${sum}  ${basename(archive)}\n`);
console.log(`${basename(archive)} ${packed.length} bytes of an executable of ${program.bytes.length}, sha256 ${sum}`);
