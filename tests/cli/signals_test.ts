/** Signals as clusters and containers send them, to commands that have nothing to save. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { MAIN, names } from "./small_train.ts";
import { inDirectory } from "./tiny_run.ts";

const isLinux = Deno.build.os === "linux";
/** Whether processes may have a numbering of their own here, in which the first is process 1 as in a container. */
const hasNamespaces = isLinux &&
  await new Deno.Command("unshare", { args: ["-pf", "--mount-proc", "true"], stderr: "null" }).output()
    .then(({ success }) => success, () => false);

/** A harvest without an end, started by another program; what it says is awaited. */
async function startHarvest(out: string, program: string, ...args: string[]): Promise<Deno.ChildProcess> {
  const harvest = ["harvest", "--layers", "0", "--contexts", "50000", "--out", out];
  const child = new Deno.Command(program, {
    args: [...args, Deno.execPath(), "run", "--no-check", "-A", MAIN, ...harvest],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let stderr = "";
  while (!stderr.includes("Harvesting ")) stderr += (await reader.read()).value ?? assert.fail(stderr);
  await reader.cancel();
  return child;
}

Deno.test("what nohup started outlives a hang-up; SIGTERM ends it with 75, and no half of a file is left", {
  ignore: !isLinux,
}, () =>
  inDirectory(async (directory) => {
    const child = await startHarvest(join(directory, "out"), "nohup");
    child.kill("SIGHUP");
    const late = new Promise((resolve) => setTimeout(resolve, 300, "goes on"));
    assert.equal(await Promise.race([child.status, late]), "goes on");
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 75);
    assert.deepEqual(names(join(directory, "out")).filter((name) => name.startsWith(".")), []);
  }));

Deno.test("process 1 of a container ends at Ctrl-C and at SIGTERM", { ignore: !hasNamespaces }, async () => {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 75]] as const) {
    await inDirectory(async (directory) => {
      const child = await startHarvest(join(directory, "out"), "unshare", "-pf", "--mount-proc");
      const { stdout } = await new Deno.Command("pgrep", { args: ["-P", String(child.pid)] }).output();
      Deno.kill(Number(new TextDecoder().decode(stdout)), signal);
      assert.equal((await child.status).code, code);
    });
  }
});
