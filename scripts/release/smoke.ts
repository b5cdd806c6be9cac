/**
 * Runs an executable as a user would on a new machine: `deno run -A scripts/release/smoke.ts EXECUTABLE TARGET [--gpu-optional]`.
 *
 * Version, help, `mtc doctor`, 20 steps of training and the reports of them, in an empty directory with an empty home. Ends with each step's
 * seconds, or with the first that failed. With --gpu-optional a machine without an adapter, which doctor must tell in one sentence, ends the work there.
 * @module
 */

import { join, resolve } from "node:path";
import { VERSION } from "./targets.ts";

const executable = resolve(Deno.args[0]), target = Deno.args[1] ?? Deno.build.target;
const folder = await Deno.makeTempDir({ prefix: "mtc_smoke_" });
const home = join(folder, "home");
await Deno.mkdir(home);

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a step, and prints what it says and its seconds. */
async function step(...args: string[]): Promise<Outcome> {
  const begun = performance.now();
  console.log(`$ mtc ${args.join(" ")}`);
  const { code, ...output } = await new Deno.Command(executable, {
    args,
    cwd: folder,
    env: { HOME: home, USERPROFILE: home, XDG_CACHE_HOME: join(home, "cache"), NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const stdout = new TextDecoder().decode(output.stdout), stderr = new TextDecoder().decode(output.stderr);
  console.log(`${stdout}${stderr}# ${((performance.now() - begun) / 1000).toFixed(2)} s`);
  return { code, stdout, stderr };
}

/** Runs a step that must succeed. */
async function mtc(...args: string[]): Promise<string> {
  const { code, stdout } = await step(...args);
  if (code !== 0) throw new Error(`mtc ${args[0]} ended with ${code}`);
  return stdout;
}

/** Whether this machine has a GPU; one that may lack it must say so in one sentence. */
async function hasGpu(): Promise<boolean> {
  const { code, stdout, stderr } = await step("doctor");
  if (code === 0) {
    require(stdout, "Everything that mtc needs is here.");
    return true;
  }
  const isTold = /^mtc: Cannot run on this machine: WebGPU finds no usable adapter: [^\n]*\n$/.test(stderr);
  if (!isTold || !Deno.args.includes("--gpu-optional")) throw new Error(`mtc doctor ended with ${code}`);
  console.log("::warning::there is no GPU here: nothing was trained");
  return false;
}

/** Throws where the step's output lacks something. */
function require(text: string, expected: string): void {
  if (!text.includes(expected)) throw new Error(`"${expected}" is not in the output above`);
}

async function trainAndReport(): Promise<void> {
  await mtc("train", "--steps", "20", "--name", "smoke");
  await mtc("report", "--quick", "--out", "analysis_results");
  for (const name of ["index.md", "LAYER2_TRAINING_SUMMARY.md", "layer4_analysis_overview.png"]) {
    const { size } = await Deno.stat(join(folder, "analysis_results", name));
    console.log(`${name}: ${size} bytes`);
  }
}

try {
  const version = await mtc("--version");
  require(version, `mtc ${VERSION}\n`);
  require(version, `target ${target}\n`);
  require(await mtc("--help"), "mtc train && mtc report");
  if (await hasGpu()) await trainAndReport();
} finally {
  await Deno.remove(folder, { recursive: true });
}
