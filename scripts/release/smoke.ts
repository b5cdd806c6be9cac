/**
 * Runs an executable as a user would on a new machine: `deno run -A scripts/release/smoke.ts EXECUTABLE [TARGET]`.
 *
 * Version, help, `mtc doctor`, 20 steps of training and the reports of them, in an empty directory with an empty home. Ends with each step's
 * seconds, or with the first that failed.
 * @module
 */

import { join, resolve } from "node:path";
import { VERSION } from "./targets.ts";

const executable = resolve(Deno.args[0]), target = Deno.args[1] ?? Deno.build.target;
const folder = await Deno.makeTempDir({ prefix: "mtc_smoke_" });
const home = join(folder, "home");
await Deno.mkdir(home);

/** The step's output; its errors are shown as they come. */
async function mtc(...args: string[]): Promise<string> {
  const begun = performance.now();
  console.log(`$ mtc ${args.join(" ")}`);
  const { code, stdout } = await new Deno.Command(executable, {
    args,
    cwd: folder,
    env: { HOME: home, USERPROFILE: home, XDG_CACHE_HOME: join(home, "cache"), NO_COLOR: "1" },
    stdin: "null",
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  console.log(text.trimEnd());
  if (code !== 0) throw new Error(`mtc ${args[0]} ended with ${code}`);
  console.log(`# ${((performance.now() - begun) / 1000).toFixed(2)} s`);
  return text;
}

/** Throws where the step's output lacks something. */
function require(text: string, expected: string): void {
  if (!text.includes(expected)) throw new Error(`"${expected}" is not in the output above`);
}

try {
  const version = await mtc("--version");
  require(version, `mtc ${VERSION}\n`);
  require(version, `target ${target}\n`);
  require(await mtc("--help"), "mtc train && mtc report");
  require(await mtc("doctor"), "Everything that mtc needs is here.");
  await mtc("train", "--steps", "20", "--name", "smoke");
  await mtc("report", "--quick", "--out", "analysis_results");
  for (const name of ["index.md", "LAYER2_TRAINING_SUMMARY.md", "layer4_analysis_overview.png"]) {
    const { size } = await Deno.stat(join(folder, "analysis_results", name));
    console.log(`${name}: ${size} bytes`);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
