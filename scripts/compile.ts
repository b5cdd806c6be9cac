/**
 * Makes one executable, `dist/mtc`, that carries model, text, shaders, fonts, wasm and Workers: `deno task compile`.
 *
 * `deno compile` alone embeds every npm package that the lock file names and loads their thousand files one by one, so
 * everything is bundled first: one chunk per command, assets inside.
 *
 * Arguments go to `deno compile`, for example `--target aarch64-apple-darwin`. Where the base executable cannot be downloaded,
 * DENORT_BIN names one, and MTC_COMPILE_DENO the Deno of the version it belongs to.
 * @module
 */

import { glob } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { failed, ITS_DENO } from "./failed.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BUNDLE = join(ROOT, "dist", "bundle");

/**
 * What the environment may say: how to draw and to print, where Hugging Face's own libraries look for the hub and its cache, and which of
 * many tasks this is (Slurm, Kubernetes, or a script of one's own).
 */
const ENVIRONMENT = [
  ...[
    "DENO_WEBGPU_BACKEND",
    "VK_DRIVER_FILES",
    "VK_ICD_FILENAMES",
    "MTC_ADAPTER",
    "MTC_TRACE",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "TERM",
    "CI",
  ],
  ...["HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_SYMLINKS"],
  ...["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "HOME", "USERPROFILE"],
  ...["SLURM_*", "JOB_COMPLETION_INDEX", "MTC_TASK"],
];

/**
 * Files, the network, three facts about the machine, and the environment by name; other variables seem unset.
 *
 * The network cannot be named host by host: HF_ENDPOINT may be any mirror, and the hub sends downloads on to storage whose hosts
 * differ by region and change (cdn-lfs.huggingface.co, cas-bridge.xethub.hf.co, us.aws.cdn.hf.co). It is used for `hf:` references
 * only, and the token goes to the endpoint alone (core/hub/http.ts).
 */
const PERMISSIONS = [
  "--allow-read",
  "--allow-write",
  "--allow-net",
  "--allow-sys=systemMemoryInfo,statfs,hostname",
  `--allow-env=${ENVIRONMENT.join(",")}`,
  "--ignore-env",
  "--no-prompt",
];

async function deno(executable: string, args: string[]): Promise<void> {
  const child = new Deno.Command(executable, { args, cwd: ROOT, stdout: "inherit", stderr: "inherit" }).spawn();
  if (!(await child.status).success) {
    console.error(failed(args[0]));
    Deno.exit(1);
  }
}

/** The modules that the sources start as Workers, by `new URL("./name.ts", import.meta.url)`, which a bundler does not follow. */
async function findWorkers(): Promise<string[]> {
  const workers = new Set<string>();
  for await (const file of glob("{commands,core}/**/*.ts", { cwd: ROOT })) {
    const source = await Deno.readTextFile(join(ROOT, file));
    for (const [, name] of source.matchAll(/new URL\("(\.\/[^"/]+\.ts)", import\.meta\.url\)/g)) {
      workers.add(join(dirname(file), name));
    }
  }
  return [...workers].sort();
}

/**
 * Chunks lie flat in the bundle while a Worker's own chunk keeps its folder, so each `./worker.ts` beside the chunks
 * leads to it.
 */
async function linkWorkers(workers: string[]): Promise<void> {
  const names = workers.map((worker) => basename(worker));
  if (new Set(names).size !== names.length) throw new Error(`Workers need different file names: ${workers.join(", ")}`);
  for (const worker of workers) {
    const chunk = join(BUNDLE, worker.replace(/\.ts$/, ".js"));
    await Deno.writeTextFile(join(BUNDLE, basename(worker)), `import "./${relative(BUNDLE, chunk)}";\n`);
  }
}

/**
 * CommonJS packages ask for Node's modules by `require`. The bundler's stand-in for it takes a `require` that it finds, so
 * the chunk that holds the stand-in gets the real one.
 */
async function supplyRequire(): Promise<void> {
  const real = `import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);\n`;
  for await (const file of glob("**/*.js", { cwd: BUNDLE })) {
    const source = await Deno.readTextFile(join(BUNDLE, file));
    if (source.includes("Dynamic require of")) await Deno.writeTextFile(join(BUNDLE, file), real + source);
  }
}

/** `f121f67a1b2c`, for `mtc --version`; a tree with changes says so, and so does one without a history. */
async function describeCommit(): Promise<string> {
  const git = async (...args: string[]) => {
    const { success, stdout } = await new Deno.Command("git", { args, cwd: ROOT, stderr: "null" }).output();
    if (!success) throw new Error(`git ${args[0]} failed`);
    return new TextDecoder().decode(stdout).trim();
  };
  try {
    const commit = await git("rev-parse", "--short=12", "HEAD");
    return await git("status", "--porcelain", "--untracked-files=no") === "" ? commit : `${commit} with changes`;
  } catch {
    return "unknown";
  }
}

await deno(Deno.execPath(), ["run", "-A", "core/builtin/pack_text.ts"]);
await deno(Deno.execPath(), ["run", "-A", "scripts/bundle_client.ts"]);
await Deno.remove(BUNDLE, { recursive: true }).catch(() => {});
const workers = await findWorkers();
await deno(Deno.execPath(), [
  ...["bundle", "--quiet", "--platform", "deno", "--code-splitting", "--minify", "--keep-names"],
  ...["--outdir", BUNDLE, "main.ts", ...workers],
]);
await linkWorkers(workers);
await supplyRequire();
await Deno.writeTextFile(join(BUNDLE, "build.json"), JSON.stringify({ commit: await describeCommit() }));
await deno(Deno.env.get(ITS_DENO) ?? Deno.execPath(), [
  ...["compile", "--quiet", "--no-config", "--no-lock", "--no-check", "--unstable-webgpu", ...PERMISSIONS],
  ...["--include", BUNDLE, ...Deno.args.includes("--output") ? [] : ["--output", join(ROOT, "dist", "mtc")]],
  ...[...Deno.args, join(BUNDLE, "main.js")],
]);
