/**
 * A machine that has nothing, and mtc on it: `deno run -A scripts/fresh_machine.ts SUITE [EXECUTABLE] [--quick]`, as root on Debian.
 *
 * Makes the smallest system of Debian's bookworm or trixie or of Ubuntu's noble or jammy (debootstrap, kept for the next time), copies the one file
 * into a copy of it, and works there as a user without rights: `mtc doctor`, what doctor asks for as root, doctor again, 20 steps of training and
 * the reports. On the way doctor is asked on machines that lack something else. Prints each step's messages and minutes.
 *
 * With --quick nothing is measured of the model's loss, which takes most of the time on a busy machine.
 * @module
 */

import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import { must, type Outcome, runInside, withMachine } from "./machine.ts";

const HOME = "/home/researcher";
const isQuick = Deno.args.includes("--quick");
const [suite, executable = "dist/mtc"] = Deno.args.filter((arg) => arg !== "--quick");

const begun = performance.now();
let last = begun;

/** Prints a step: what was asked, what came, and the minutes that it took. */
function tell(step: string, { code, stdout, stderr }: Outcome, lines = 3): void {
  const now = performance.now();
  console.log(`\n== ${step}: exit code ${code}, ${((now - last) / 60_000).toFixed(2)} min`);
  for (const text of [stdout, stderr]) {
    if (text !== "") console.log(text.trimEnd().split("\n").slice(-lines).join("\n"));
  }
  last = now;
}

function asResearcher(root: string, line: string): Promise<Outcome> {
  return runInside(root, line, { user: "researcher", folder: HOME, env: { HOME } });
}

/** The one sentence that doctor ends with. */
async function refusal(root: string, step: string, expected: RegExp): Promise<string> {
  const outcome = await asResearcher(root, "./mtc doctor");
  tell(step, outcome, 1);
  assert.equal(outcome.code, 1);
  const sentence = outcome.stderr.trimEnd();
  assert.match(sentence, /^mtc: Cannot run on this machine: [^\n]*$/);
  assert.match(sentence, expected);
  return sentence;
}

/** What doctor says of machines that lack something, one after the other, each put back. */
async function lacking(root: string): Promise<void> {
  const manifest = join(root, "usr/share/vulkan/icd.d");
  await refusal(
    root,
    "doctor without any Vulkan",
    /no Vulkan driver is installed; as root: apt-get update && apt-get install/,
  );
  await Deno.mkdir(manifest, { recursive: true });
  const driver = (library: string) =>
    JSON.stringify({ file_format_version: "1.0.0", ICD: { library_path: library, api_version: "1.3.0" } });
  await Deno.writeTextFile(join(manifest, "broken_icd.json"), driver("libnothing.so"));
  await refusal(
    root,
    "doctor with a broken driver",
    /broken_icd\.json names libnothing\.so, which is not on this machine/,
  );
  await Deno.remove(join(manifest, "broken_icd.json"));
  // The files of NVIDIA's kernel driver, as a container has them that was started with compute capability alone.
  await must("mknod", join(root, "dev/nvidiactl"), "c", "195", "255");
  await refusal(
    root,
    "doctor with an NVIDIA card and no driver",
    /an NVIDIA card is here without its Vulkan driver; install libnvidia-gl/,
  );
  await Deno.writeTextFile(join(manifest, "nvidia_icd.json"), driver("libGLX_nvidia.so.0"));
  await refusal(
    root,
    "doctor with NVIDIA's manifest and no library",
    /nvidia_icd\.json names libGLX_nvidia\.so\.0, which is not on/,
  );
  await Deno.remove(join(manifest, "nvidia_icd.json"));
  await Deno.remove(join(root, "dev/nvidiactl"));
}

async function work(root: string): Promise<void> {
  const step = async (name: string, line: string, lines?: number) => {
    const outcome = await asResearcher(root, line);
    tell(name, outcome, lines);
    assert.equal(outcome.code, 0, outcome.stderr);
    return outcome;
  };
  await step("mtc --version", "./mtc --version", 5);
  await lacking(root);
  const asked = await refusal(root, "doctor, again", /as root: apt-get/);
  const installation = /as root: (apt-get .*)$/.exec(asked)![1];
  const installed = await runInside(root, `${installation} 2>&1`, { user: "root", folder: "/root" });
  tell(`as root: ${installation}`, installed, 1);
  assert.equal(installed.code, 0, installed.stdout);
  await step("mtc doctor", "./mtc doctor", 20);
  await step("mtc train --steps 20", `./mtc train --steps 20 --name fresh${isQuick ? " --loss-tokens 0" : ""}`);
  await step("mtc report", `./mtc report --out analysis_results${isQuick ? " --quick" : ""}`);
  await step("its files", "ls analysis_results | wc -l; du -sh analysis_results runs", 3);
}

await withMachine(suite, async (root) => {
  await must("chroot", root, "useradd", "--create-home", "researcher");
  await Deno.copyFile(resolve(executable), join(root, HOME, "mtc"));
  await Deno.chmod(join(root, HOME, "mtc"), 0o755);
  tell(`a fresh ${suite}`, { code: 0, stdout: await Deno.readTextFile(join(root, "etc/os-release")), stderr: "" }, 1);
  await work(root);
  console.log(`\n${suite}: all of it took ${((performance.now() - begun) / 60_000).toFixed(1)} min`);
});
