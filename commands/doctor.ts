/**
 * `mtc doctor`: what this machine offers, a small product on its GPU, and what to install when something is missing.
 * @module
 */

import { Command } from "commander";
import { statfs } from "node:fs/promises";
import process from "node:process";
import pc from "picocolors";
import { builtinModel } from "../core/builtin/model.ts";
import { builtinDocuments } from "../core/builtin/text.ts";
import { UserError } from "../core/errors.ts";
import { driverManifests, listAdapters, requestAdapter } from "../core/gpu/adapters.ts";
import { type Gpu, openGpu } from "../core/gpu/device.ts";
import { unusedNvidia } from "../core/gpu/missing_driver.ts";
import { candidateTiles } from "../core/gpu/products.ts";
import { measureRoofline, type Roofline } from "../core/gpu/roofline.ts";
import { wrongProducts } from "../core/gpu/smoke.ts";
import configuration from "../deno.json" with { type: "json" };
import { bytes } from "./bytes.ts";
import { jsonOption } from "./options.ts";
import { readCommit } from "./version.ts";

/** Something that stops mtc from working here, and what mends it. */
interface Problem {
  readonly what: string;
  readonly remedy: string;
}

/** Everything `--json` prints. Sizes are bytes. */
interface Diagnosis {
  readonly mtc: string;
  /** What the executable was made of; null when mtc runs from its sources. */
  readonly commit: string | null;
  readonly deno: string;
  readonly platform: string;
  readonly cores: number;
  readonly memory: { readonly total: number; readonly available: number };
  readonly disk: { readonly folder: string; readonly free: number };
  /** Vulkan driver manifests; empty outside Linux. */
  readonly drivers: readonly string[];
  /** The names of the adapters among which --adapter chooses. */
  readonly adapters: readonly string[];
  /** The one that is used. */
  readonly adapter: Adapter | null;
  readonly builtin: { readonly model: number; readonly documents: number };
  readonly problems: readonly Problem[];
  /** What could be better: mtc works without. */
  readonly notes: readonly Problem[];
}

interface Adapter {
  readonly name: string;
  readonly isSoftware: boolean;
  readonly limits: Readonly<Record<Limit, number>>;
  /** What a device has that was opened to have it. */
  readonly features: Readonly<Record<Feature, boolean>>;
  /** The fewest and the most lanes of a subgroup; null where kernels may not use subgroups. */
  readonly subgroup_lanes: readonly [least: number, most: number] | null;
  /** True when matrix products pass numbers from lane to lane of a subgroup. */
  readonly uses_subgroups: boolean;
  /** GFLOP/s of the fastest large matrix product; null when the kernels do not work. */
  readonly gflops: number | null;
  /** GB/s, read and written, of a copy beyond the caches; null when the kernels do not work. */
  readonly copy_gbytes_per_s: number | null;
}

type Limit = keyof typeof LIMITS;

/** The least that mtc needs, which is what WebGPU guarantees, and what the limit bounds. */
const LIMITS = {
  maxStorageBufferBindingSize: { least: 134217728, unit: "bytes", bounds: "largest tensor" },
  maxBufferSize: { least: 268435456, unit: "bytes", bounds: "largest buffer" },
  maxComputeWorkgroupStorageSize: { least: 16384, unit: "bytes", bounds: "workgroup memory" },
  maxComputeInvocationsPerWorkgroup: { least: 256, unit: "", bounds: "invocations per workgroup" },
  maxStorageBuffersPerShaderStage: { least: 8, unit: "", bounds: "buffers per kernel" },
} as const;

/** What mtc can use where a device has it, and for what; it works without. */
const FEATURES = {
  "timestamp-query": "times of single kernels: mtc bench, MTC_TRACE=1",
  "subgroups": "matrix products pass numbers from lane to lane",
  "shader-f16": "matrix products of --precision f16",
} as const;

type Feature = keyof typeof FEATURES;

const FEATURE_NAMES = Object.keys(FEATURES) as Feature[];
const LIMIT_NAMES = Object.keys(LIMITS) as Limit[];

async function examineAdapter(problems: Problem[]): Promise<Adapter | null> {
  using gpu = await openGpu().catch((error) => {
    if (!(error instanceof UserError)) throw error;
    const { found, remedy = "update the graphics driver" } = error.parts;
    problems.push({ what: `WebGPU finds no usable adapter: ${found}`, remedy });
    return null;
  });
  if (gpu === null) return null;
  const limits = Object.fromEntries(LIMIT_NAMES.map((name) => [name, gpu.limits[name]])) as Record<Limit, number>;
  for (const name of LIMIT_NAMES) {
    if (limits[name] >= LIMITS[name].least) continue;
    problems.push({
      what: `${gpu.adapter} offers ${name} = ${limits[name]}, mtc needs ${LIMITS[name].least}`,
      remedy: "choose another adapter or a newer driver",
    });
  }
  const features = await examineFeatures();
  const roofline = await tryKernels(gpu, problems);
  return {
    name: gpu.adapter,
    isSoftware: gpu.isCpu,
    limits,
    ...features,
    uses_subgroups: candidateTiles(gpu).some((tile) => tile.startsWith("broadcast")),
    gflops: roofline && roofline.flops / 1e9,
    copy_gbytes_per_s: roofline && roofline.bytes / 1e9,
  };
}

/** Deno's adapters do not list all that they grant, so a device is opened for each feature. */
async function examineFeatures(): Promise<Pick<Adapter, "features" | "subgroup_lanes">> {
  const features = { "timestamp-query": false, "subgroups": false, "shader-f16": false };
  let subgroup_lanes: Adapter["subgroup_lanes"] = null;
  for (const name of FEATURE_NAMES) {
    // The same adapter as openGpu's; one serves for a single device.
    const adapter = await requestAdapter();
    const feature = name as GPUFeatureName;
    const device = adapter && await deviceWith(adapter, feature);
    if (!device) continue;
    features[name] = device.features.has(feature);
    device.destroy();
    const { subgroupMinSize, subgroupMaxSize } = adapter.info;
    if (name === "subgroups" && features[name]) subgroup_lanes = [subgroupMinSize, subgroupMaxSize];
  }
  return { features, subgroup_lanes };
}

/** A device with a feature; null where it is refused. Deno 2.6 refuses by throwing, and gives no promise. */
async function deviceWith(adapter: GPUAdapter, feature: GPUFeatureName): Promise<GPUDevice | null> {
  try {
    return await adapter.requestDevice({ requiredFeatures: [feature] });
  } catch {
    return null;
  }
}

async function tryKernels(gpu: Gpu, problems: Problem[]): Promise<Roofline | null> {
  const remedy = "update the graphics driver";
  try {
    const wrong = await wrongProducts(gpu);
    if (wrong === 0) return await measureRoofline(gpu);
    problems.push({ what: `a small matrix product has ${wrong} wrong elements on ${gpu.adapter}`, remedy });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    problems.push({ what: error.message, remedy });
  }
  return null;
}

async function examineBuiltin(problems: Problem[]): Promise<Diagnosis["builtin"]> {
  const { weights } = await builtinModel();
  try {
    return { model: weights.length, documents: (await builtinDocuments()).length };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    problems.push({ what: "the built-in text is missing", remedy: "run `deno run -A core/builtin/pack_text.ts`" });
    return { model: weights.length, documents: 0 };
  }
}

/** A card beside the software driver that is used in its place. */
async function findUnused(): Promise<Problem[]> {
  const unused = await unusedNvidia();
  return unused ? [{ what: unused.found, remedy: unused.remedy }] : [];
}

async function diagnose(): Promise<Diagnosis> {
  const problems: Problem[] = [];
  const memory = Deno.systemMemoryInfo();
  const folder = process.cwd();
  const space = await statfs(folder);
  const drivers = await driverManifests(), adapter = await examineAdapter(problems);
  return {
    mtc: configuration.version,
    commit: await readCommit(),
    deno: Deno.version.deno,
    platform: `${Deno.build.os} ${Deno.build.arch}`,
    cores: navigator.hardwareConcurrency,
    memory: { total: memory.total, available: memory.available },
    disk: { folder, free: space.bavail * space.bsize },
    drivers,
    adapters: (await listAdapters()).map(({ name }) => name),
    adapter,
    builtin: await examineBuiltin(problems),
    problems,
    notes: adapter?.isSoftware && Deno.build.os === "linux" ? await findUnused() : [],
  };
}

/** `/usr/share/vulkan/icd.d/lvp_icd.json` -> `lvp`. */
function driverName(driver: string): string {
  return driver.replace(/^.*\/|(_icd)?(\.[a-z0-9_]+)?\.json$/g, "");
}

/** `yes, 8 lanes (matrix products pass numbers from lane to lane)`. */
function featureText(adapter: Adapter, name: Feature): string {
  if (!adapter.features[name]) return pc.dim(`no (${FEATURES[name]})`);
  if (name !== "subgroups") return `yes ${pc.dim(`(${FEATURES[name]})`)}`;
  const lanes = [...new Set(adapter.subgroup_lanes)].join(" to ");
  const unused = adapter.isSoftware
    ? "not used: products want 4, 8 or 16, always as many"
    : "not used: products share their factors in workgroup memory";
  return `yes, ${lanes} lanes ${pc.dim(`(${adapter.uses_subgroups ? FEATURES[name] : unused})`)}`;
}

function renderAdapter(adapter: Adapter): [string, string][] {
  const rows: [string, string][] = [["adapter", adapter.name + (adapter.isSoftware ? " (software, on the CPU)" : "")]];
  for (const name of LIMIT_NAMES) {
    const value = adapter.limits[name];
    rows.push([`  ${LIMITS[name].bounds}`, LIMITS[name].unit === "bytes" ? bytes(value) : String(value)]);
  }
  for (const name of FEATURE_NAMES) rows.push([`  ${name}`, featureText(adapter, name)]);
  const { gflops, copy_gbytes_per_s } = adapter;
  if (gflops !== null) rows.push(["  matrix product", `exact; ${gflops.toPrecision(3)} GFLOP/s`]);
  if (copy_gbytes_per_s !== null) rows.push(["  copy", `${copy_gbytes_per_s.toPrecision(3)} GB/s, read and written`]);
  return rows;
}

function render(found: Diagnosis): string {
  const rows: [string, string][] = [
    ["mtc", found.mtc + (found.commit ? pc.dim(` (${found.commit})`) : "")],
    ["Deno", `${found.deno}, ${found.platform}, ${found.cores} cores`],
    ["memory", `${bytes(found.memory.available)} free of ${bytes(found.memory.total)}`],
    ["disk", `${bytes(found.disk.free)} free in ${found.disk.folder}`],
    ["drivers", found.drivers.map(driverName).join(", ") || "none found"],
    ...found.adapters.length > 1 ? found.adapters.map((name, i): [string, string] => [`--adapter ${i}`, name]) : [],
    ...(found.adapter ? renderAdapter(found.adapter) : [["adapter", pc.red("none")] as [string, string]]),
    ["built in", `model of ${bytes(found.builtin.model)}, text of ${found.builtin.documents} documents`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  const lines = rows.map(([name, value]) => pc.bold(name.padEnd(width)) + value);
  lines.push("");
  if (found.problems.length === 0) lines.push(pc.green("Everything that mtc needs is here."));
  for (const { what, remedy } of found.notes) lines.push(pc.yellow(`Unused: ${what}`), `  ${remedy}`);
  for (const { what, remedy } of found.problems) lines.push(pc.red(`Missing: ${what}`), `  ${remedy}`);
  return lines.join("\n");
}

/**
 * Builds the `doctor` command.
 *
 * @returns The command, ready to be added to the program.
 */
export function doctorCommand(): Command {
  return new Command("doctor")
    .description(
      "Shows the adapter, its limits and speed, memory, disk and what is built in, and says what to install.",
    )
    .addOption(jsonOption("the findings as JSON (sizes in bytes)"))
    .addHelpText("after", "\nExample:\n  mtc doctor --json | jq .adapter.name")
    .action(async ({ json }: { json?: boolean }) => {
      const found = await diagnose();
      console.log(json ? JSON.stringify(found, null, 2) : render(found));
      const [first] = found.problems;
      if (first) throw new UserError({ action: "run on this machine", found: first.what, remedy: first.remedy });
    });
}
