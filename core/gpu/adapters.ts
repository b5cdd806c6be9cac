/**
 * Which adapters a machine has, and the choice of one.
 *
 * WebGPU lists none: it gives one for a power preference. On Linux each Vulkan driver can be asked by itself, as the Vulkan loader reads from the
 * environment which drivers there are. Equal cards of one driver cannot be told apart in this way; to use the second one, the first must be hidden
 * from the process, as Slurm's `--gres` and containers do.
 * @module
 */

import { UsageError } from "../errors.ts";

/** An adapter, and how it is come by. */
export interface ListedAdapter {
  /** What it is called. */
  readonly name: string;
  /** The manifest of its Vulkan driver; null where WebGPU is not asked driver by driver. */
  readonly driver: string | null;
  /** What is asked for. */
  readonly preference: GPUPowerPreference;
}

/** Names the manifests of the Vulkan drivers that are looked at, with colons between them. */
const DRIVER_FILES = "VK_DRIVER_FILES";
/** Where they lie. */
const MANIFEST_FOLDERS = ["/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/usr/share/vulkan/icd.d"];
const PREFERENCES: readonly GPUPowerPreference[] = ["high-performance", "low-power"];

/** What {@link chooseAdapter} chose. */
let chosen: GPUPowerPreference = "high-performance";

/**
 * The manifests of the Vulkan drivers of this machine.
 *
 * @returns Their paths, sorted; empty outside Linux.
 */
export async function driverManifests(): Promise<string[]> {
  const found: string[] = [];
  for (const folder of MANIFEST_FOLDERS) {
    try {
      for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".json")) found.push(`${folder}/${name}`);
    } catch { /* Absent on systems without Vulkan drivers and on those without Vulkan. */ }
  }
  return found.sort();
}

/**
 * Lists the adapters: of each driver the faster one first, software last.
 *
 * @returns Each adapter once.
 */
export async function listAdapters(): Promise<ListedAdapter[]> {
  const set = Deno.env.get(DRIVER_FILES);
  const named = (set ?? Deno.env.get("VK_ICD_FILENAMES"))?.split(":") ?? await driverManifests();
  if (Deno.build.os !== "linux") return await adaptersOf(null, []);
  const isSoftware = (driver: string) => driver.includes("lvp");
  const software = named.filter(isSoftware), found: ListedAdapter[] = [], last: ListedAdapter[] = [];
  try {
    for (const driver of software) last.push(...await adaptersOf(driver, []));
    // Beside a driver that works, one without a device is passed over in silence.
    for (const driver of named.filter((path) => !isSoftware(path))) {
      const beside = await adaptersOf(driver, software);
      found.push(...beside.filter(({ name }) => !last.some((other) => other.name === name)));
    }
  } finally {
    if (set !== undefined) Deno.env.set(DRIVER_FILES, set);
    else Deno.env.delete(DRIVER_FILES);
  }
  return [...found, ...last];
}

/** What WebGPU gives with a driver and others beside it. */
async function adaptersOf(driver: string | null, beside: readonly string[]): Promise<ListedAdapter[]> {
  if (driver !== null) Deno.env.set(DRIVER_FILES, [driver, ...beside].join(":"));
  const found = new Map<string, ListedAdapter>();
  for (const preference of PREFERENCES) {
    const name = await nameOf(preference);
    if (name !== null && !found.has(name)) found.set(name, { name, driver, preference });
  }
  return [...found.values()];
}

/** The adapter that WebGPU gives with the environment as it is; null where it gives none. */
async function nameOf(preference: GPUPowerPreference): Promise<string | null> {
  const worker = new Worker(new URL("./adapter_worker.ts", import.meta.url), { type: "module" });
  try {
    return await new Promise((resolve) => {
      worker.onmessage = ({ data }: MessageEvent<string | null>) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        resolve(null);
      };
      worker.postMessage(preference);
    });
  } finally {
    worker.terminate();
  }
}

/**
 * Chooses the adapter that this process opens. It must not have opened one before.
 *
 * @param wanted A number of {@link listAdapters}, counted from 0, or a part of a name.
 * @throws {UsageError} When there is none of these.
 */
export async function chooseAdapter(wanted: string): Promise<void> {
  const adapters = await listAdapters();
  const adapter = pickAdapter(adapters, wanted);
  if (adapter.driver !== null) Deno.env.set(DRIVER_FILES, adapter.driver);
  chosen = adapter.preference;
}

/**
 * Picks an adapter.
 *
 * @param adapters The adapters there are.
 * @param wanted A number, counted from 0, or a part of a name in whatever case.
 * @returns That of the number, or the first with such a name.
 * @throws {UsageError} When there is none.
 */
export function pickAdapter(adapters: readonly ListedAdapter[], wanted: string): ListedAdapter {
  const adapter = /^\d+$/.test(wanted)
    ? adapters[Number(wanted)]
    : adapters.find(({ name }) => name.toLowerCase().includes(wanted.toLowerCase()));
  if (adapter) return adapter;
  const there = adapters.map(({ name }, i) => `${i} ${name}`).join(", ");
  throw new UsageError({
    action: `use the adapter "${wanted}"`,
    requirement: "it must be the number or a part of the name of one that is here",
    found: there === "" ? "WebGPU finds none" : `they are ${there}`,
    remedy: "see `mtc doctor`, or leave --adapter out",
  });
}

/**
 * Asks WebGPU for the adapter that was chosen, the fastest where none was.
 *
 * @returns The adapter; null where there is none.
 */
export async function requestAdapter(): Promise<GPUAdapter | null> {
  return await navigator.gpu?.requestAdapter({ powerPreference: chosen }) ?? null;
}
