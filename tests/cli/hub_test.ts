/** Models and text of the hub on the command line. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openSafetensors } from "../../core/files/safetensors.ts";
import type { Repo } from "../hub/server.ts";
import { WEIGHTS, withHub } from "../hub/with_hub.ts";
import { finishedContent, MAIN, SMALL, TINY } from "./small_train.ts";

/** The program in a process of its own. */
function start(...args: string[]): Deno.ChildProcess {
  const command = ["run", "--no-check", "-A", MAIN, ...args];
  return new Deno.Command(Deno.execPath(), { args: command, stdout: "piped", stderr: "piped" }).spawn();
}

async function mtc(...args: string[]): Promise<string> {
  const { code, stderr } = await start(...args).output(), said = new TextDecoder().decode(stderr);
  assert.equal(code, 0, said);
  return said;
}

Deno.test("mtc harvest of a model of the hub equals that of its directory; a wrong name is one sentence", () =>
  withHub(async ({ server, home }) => {
    const text = join(home, "text.txt"), sites = ["--layers", "0", "--contexts", "4", "--data", text];
    await Deno.writeTextFile(text, "We the people of this country ask for peace. ".repeat(200));
    const tensors = async (model: string, out: string) => {
      await mtc("harvest", "--model", model, ...sites, "--out", join(home, out));
      const file = await openSafetensors(join(home, out, "activations_00000.safetensors"));
      const read = await Promise.all(["tokens", "layer0.mlp_out"].map((name) => file.read(name)));
      await file.close();
      return read;
    };
    assert.deepEqual(await tensors("hf:test/tiny", "from-hub"), await tensors(TINY, "from-directory"));
    assert.equal(server.take("cdn").length, 1);
    const { code, stderr } = await start("harvest", "--model", "hf:test/none", ...sites, "--out", join(home, "no"))
      .output();
    assert.equal(code, 1);
    assert.match(new TextDecoder().decode(stderr), /^mtc: Cannot fetch hf:test\/none: [^\n]*\n$/);
  }));

Deno.test("a slow download shows rate and time left; Ctrl-C keeps what came", () =>
  withHub(async ({ server, home, cached }) => {
    server.faults.push({ match: /^cdn/, slow: 200 });
    const child = start("harvest", "--model", "hf:test/tiny", "--layers", "0", "--out", join(home, "out"));
    setTimeout(() => child.kill("SIGINT"), 8000);
    const { code, stderr } = await child.output();
    assert.equal(code, 130);
    assert.match(
      new TextDecoder().decode(stderr),
      /Downloading hf:test\/tiny \(MB\) [12]\/5 {2}0\.\d MB\/s {2}\d+ s left/,
    );
    assert.equal(cached().filter((path) => path.endsWith(".incomplete")).length, 1);
  }));

Deno.test("mtc train --resume reads the same commit although the branch has moved", () =>
  withHub(async ({ server, tiny, home }) => {
    const commit = server.commitOf(tiny), run = ["train", ...SMALL, "--layers", "2", "--runs", home];
    await mtc(...run, "--model", `hf:test/tiny@${commit}`, "--name", "whole");
    const killed = start(...run, "--model", "hf:test/tiny", "--name", "killed");
    const checkpoints = join(home, "killed", "layer2", "checkpoints");
    while (!existsSync(checkpoints)) await new Promise((resolve) => setTimeout(resolve, 10));
    killed.kill("SIGKILL");
    await killed.output();
    const config = JSON.parse(await Deno.readTextFile(join(home, "killed", "layer2", "config.json")));
    assert.deepEqual([config.model.name, config.model.path], ["tiny", `hf:test/tiny@${commit}`]);
    Object.assign(tiny, { version: 2, files: { ...tiny.files, "model.safetensors": WEIGHTS.slice().fill(0, 4e6) } });
    await mtc("train", "--resume", join(home, "killed"));
    const content = (name: string) => finishedContent(join(home, name, "layer2"));
    assert.deepEqual(await content("killed"), await content("whole"));
  }));

const lines = Array.from(
  { length: 400 },
  (_, i) => JSON.stringify({ text: `Speech ${i}. We ask for peace and work. `.repeat(9) }),
);
const speeches: Repo = {
  kind: "dataset",
  name: "test/speeches",
  files: { "data/train.jsonl": new TextEncoder().encode(lines.join("\n")), "README.md": new Uint8Array(3) },
};

Deno.test("mtc train takes its text from a dataset of the hub and records its commit", () =>
  withHub(async ({ server, home }) => {
    const data = ["--data", "hf:test/speeches"], rest = ["--layers", "2", "--runs", home, "--name", "run"];
    await mtc("train", ...SMALL, ...data, ...rest);
    const config = JSON.parse(await Deno.readTextFile(join(home, "run", "layer2", "config.json")));
    assert.deepEqual(config.data.files, [`hf:test/speeches@${server.commitOf(speeches)}`]);
    assert.equal(config.data.documents, lines.length);
  }, { repos: [speeches] }));
