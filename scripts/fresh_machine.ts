/**
 * A machine that has nothing, and mtc on it: `deno run -A scripts/fresh_machine.ts SUITE [EXECUTABLE]`, as root on Debian.
 *
 * Makes the smallest system of Debian's bookworm or trixie or of Ubuntu's noble or jammy (debootstrap, kept for the next time), copies the one file
 * into a copy of it, and works there as a user without rights: `mtc doctor`, what doctor asks for as root, doctor again, 20 steps of training and
 * the reports. On the way doctor is asked on machines that lack something else. Prints each step's messages and minutes.
 *
 * It is an environment in a changed root, with this machine's kernel and cores: what it shows is what a distribution's files lack.
 * @module
 */

import assert from "node:assert/strict";
import { join, resolve } from "node:path";

const CACHE = Deno.env.get("MTC_FRESH_CACHE") ?? "/var/tmp/mtc_fresh_machines";
const SUITES: Readonly<Record<string, { mirror: string; options: string[]; script: string }>> = {
  bookworm: { mirror: "http://deb.debian.org/debian", options: [], script: "bookworm" },
  trixie: { mirror: "http://deb.debian.org/debian", options: [], script: "trixie" },
  // Debian's debootstrap may not know the newest names; Ubuntu's script is the same for all.
  jammy: ubuntu(),
  noble: ubuntu(),
};

function ubuntu() {
  const keyring = Deno.env.get("MTC_UBUNTU_KEYRING") ?? "/usr/share/keyrings/ubuntu-archive-keyring.gpg";
  const options = ["--components=main,universe", `--keyring=${keyring}`];
  return { mirror: "http://archive.ubuntu.com/ubuntu", options, script: "jammy" };
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(command: string, args: readonly string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], stdin: "null" }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function must(command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${stderr || stdout}`);
  return stdout;
}

/** The smallest system of a suite; made once, under another name until it is whole. */
async function makeBase(suite: string): Promise<string> {
  const { mirror, options, script } = SUITES[suite], base = join(CACHE, suite);
  if (await Deno.stat(base).then(() => true, () => false)) return base;
  await must("rm", "-rf", `${base}.part`);
  await must("debootstrap", "--variant=minbase", ...options, suite, `${base}.part`, mirror, script);
  await Deno.rename(`${base}.part`, base);
  return base;
}

/** Runs a line of a shell in the machine, with its own mounts, which go with it. */
async function inside(root: string, user: "root" | "researcher", line: string): Promise<Outcome> {
  const home = user === "root" ? "/root" : "/home/researcher";
  const environment = [
    "env",
    "-i",
    `HOME=${home}`,
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND=noninteractive",
  ];
  const enter = `mount -t proc proc ${root}/proc && cd ${root} && exec chroot --userspec=${user} ${root} "$@"`;
  const work = `cd ${home} && ${line}`;
  return await run("unshare", ["--mount", "--fork", "sh", "-c", enter, "sh", ...environment, "sh", "-c", work]);
}

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

/** The one sentence that doctor ends with. */
async function refusal(root: string, step: string, expected: RegExp): Promise<string> {
  const outcome = await inside(root, "researcher", "./mtc doctor");
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
    const outcome = await inside(root, "researcher", line);
    tell(name, outcome, lines);
    assert.equal(outcome.code, 0, outcome.stderr);
    return outcome;
  };
  await step("mtc --version", "./mtc --version", 5);
  await lacking(root);
  const asked = await refusal(root, "doctor, again", /as root: apt-get/);
  const installation = /as root: (apt-get .*)$/.exec(asked)![1];
  const installed = await inside(root, "root", `${installation} 2>&1`);
  tell(`as root: ${installation}`, installed, 1);
  assert.equal(installed.code, 0, installed.stdout);
  await step("mtc doctor", "./mtc doctor", 20);
  await step("mtc train --steps 20", "./mtc train --steps 20 --name fresh");
  await step("mtc report", "./mtc report --out analysis_results");
  await step("its files", "ls analysis_results | wc -l; du -sh analysis_results runs", 3);
}

const [suite, executable = "dist/mtc"] = Deno.args;
if (!(suite in SUITES)) throw new Error(`there is no suite ${suite}; there are ${Object.keys(SUITES).join(", ")}`);
await Deno.mkdir(CACHE, { recursive: true });
const base = await makeBase(suite);
const root = await Deno.makeTempDir({ dir: CACHE, prefix: `${suite}.machine.` });
try {
  await must("cp", "-a", `${base}/.`, root);
  await Deno.chmod(root, 0o755);
  await Deno.copyFile("/etc/resolv.conf", join(root, "etc/resolv.conf"));
  await must("chroot", root, "useradd", "--create-home", "researcher");
  await Deno.copyFile(resolve(executable), join(root, "home/researcher/mtc"));
  await Deno.chmod(join(root, "home/researcher/mtc"), 0o755);
  tell(`a fresh ${suite}`, { code: 0, stdout: await Deno.readTextFile(join(root, "etc/os-release")), stderr: "" }, 1);
  await work(root);
  console.log(`\n${suite}: all of it took ${((performance.now() - begun) / 60_000).toFixed(1)} min`);
} finally {
  await must("rm", "-rf", "--one-file-system", root);
}
