/**
 * Follows container/Dockerfile in a system made by debootstrap: `deno run -A scripts/try_container.ts [EXECUTABLE]`, as root on Debian.
 *
 * For machines without a container engine. Its RUN, COPY, ENV, USER, WORKDIR and ENTRYPOINT lines are obeyed as they stand; then, as that
 * user, doctor is asked, and training runs as process 1 of its own process namespace until TERM ends it, saved, and `--resume` ends it well.
 * What an engine and NVIDIA's toolkit add to that is not shown.
 * @module
 */

import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { commandInside, must, runInside, withMachine } from "./machine.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const [executable = join(ROOT, "dist", "mtc")] = Deno.args;

/** What stands in a Dockerfile, a line each, continued lines put together. */
async function instructions(): Promise<[word: string, rest: string][]> {
  const text = await Deno.readTextFile(join(ROOT, "container", "Dockerfile"));
  const lines = text.replace(/^#.*\n/gm, "").replace(/\\\n/g, " ").split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const [word, ...rest] = line.split(" ");
    return [word, rest.join(" ")];
  });
}

/** What the image says of how it is run. */
interface Image {
  readonly env: Record<string, string>;
  user: string;
  folder: string;
  entry: string[];
}

async function copy(root: string, rest: string): Promise<void> {
  const [, mode, from, to] = /^(?:--chmod=(\d+) )?(\S+) (\S+)$/.exec(rest)!;
  const path = join(root, to);
  await must("mkdir", "-p", join(path, ".."));
  await Deno.copyFile(from === "dist/mtc" ? resolve(executable) : join(ROOT, from), path);
  await Deno.chmod(path, parseInt(mode ?? "644", 8));
}

async function build(root: string): Promise<Image> {
  const image: Image = { env: {}, user: "root", folder: "/", entry: [] };
  for (const [word, rest] of await instructions()) {
    console.log(`${word} ${rest}`);
    if (word === "RUN") {
      const { code, stdout, stderr } = await runInside(root, rest, image);
      assert.equal(code, 0, stderr || stdout);
    } else if (word === "COPY") await copy(root, rest);
    else if (word === "ENV") image.env[rest.split("=")[0]] = rest.split("=")[1];
    else if (word === "USER") image.user = rest;
    else if (word === "WORKDIR") image.folder = rest;
    else if (word === "ENTRYPOINT") image.entry = JSON.parse(rest);
    else assert.ok(["FROM", "CMD"].includes(word), `${word} is not followed here`);
  }
  return image;
}

/** Begins training as process 1, sends TERM once there is a checkpoint, and expects it to end with everything saved. */
async function stopped(root: string, line: string, image: Image): Promise<void> {
  const [command, args] = commandInside(root, line, image);
  const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  const output = child.output(), checkpoints = join(root, image.folder, "runs/first/layer2/checkpoints");
  while (await Deno.stat(checkpoints).then(() => false, () => true)) await new Promise((done) => setTimeout(done, 500));
  Deno.kill(Number((await must("pgrep", "--parent", String(child.pid))).trim()), "SIGTERM");
  const { code, stderr } = await output;
  console.log(`$ ${line}\n${new TextDecoder().decode(stderr)}exit code ${code}`);
  assert.equal(code, 75);
}

await withMachine("trixie", async (root) => {
  const image = await build(root), mtc = image.entry.join(" ");
  const step = async (line: string, expected: number) => {
    const { code, stdout, stderr } = await runInside(root, line, image);
    console.log(`$ ${line}\n${stdout}${stderr}exit code ${code}`);
    assert.equal(code, expected);
    return { stdout, stderr };
  };
  const { stdout } = await step(`${mtc} doctor`, 0);
  assert.match(stdout, /^drivers .*nvidia/m);
  assert.match(stdout, /^Everything that mtc needs is here\.$/m);
  await step("id -un && touch /usr/local/bin/x", 1);
  await stopped(root, `exec ${mtc} train --steps 60 --loss-tokens 0 --checkpoint-every 5 --name first`, image);
  await step(`${mtc} train --resume runs/first`, 0);
});
