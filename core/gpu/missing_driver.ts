/**
 * Why WebGPU shows no adapter on Linux, once no variable hides one: what of a Vulkan driver is missing, and what brings it.
 *
 * A driver is a manifest (`/usr/share/vulkan/icd.d/lvp_icd.json`) that names a library; the loader, libvulkan.so.1, reads the one and opens the
 * other. Clouds often have an NVIDIA card and its compute library, but not the graphics library that Vulkan needs.
 * @module
 */

import { dirname, join } from "node:path";
import { driverManifests } from "./adapters.ts";
import type { Hidden } from "./hidden_drivers.ts";

/** A driver that is installed, or seems to be. */
export interface Driver {
  /** The manifest's path. */
  readonly manifest: string;
  /** The library that it names; null where it cannot be read. */
  readonly library: string | null;
  /** Whether that library is on this machine. */
  readonly isThere: boolean;
}

/** What {@link explainMissing} goes by. */
export interface Machine {
  /** Its drivers. */
  readonly drivers: readonly Driver[];
  /** Whether the Vulkan loader is there. */
  readonly hasLoader: boolean;
  /** Whether an NVIDIA card is, by the files of its kernel driver. */
  readonly hasNvidia: boolean;
  /** What installs Mesa's software driver and the loader, without "as root". */
  readonly installation: string;
}

const LOADER = "libvulkan.so.1";
const NVIDIA = ["/dev/nvidiactl", "/dev/nvidia0", "/proc/driver/nvidia/version"];

/** What installs Mesa's drivers, by the package manager that is there. */
const INSTALLATIONS: readonly [manager: string, command: string][] = [
  ["/usr/bin/apt-get", "apt-get update && apt-get install -y mesa-vulkan-drivers libvulkan1"],
  ["/usr/bin/dnf", "dnf install -y mesa-vulkan-drivers vulkan-loader"],
  ["/usr/bin/pacman", "pacman -S vulkan-swrast vulkan-icd-loader"],
  ["/usr/bin/zypper", "zypper install -y libvulkan_lvp libvulkan1"],
];

/** Where the linker looks besides what its cache names. */
const LIBRARY_FOLDERS = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/usr/local/nvidia/lib64"];
const LINKER_CACHE = "/etc/ld.so.cache";

const NVIDIA_REMEDY = "install libnvidia-gl of the kernel driver's version (nvidia-smi shows it), or in a container " +
  "start it with NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics";

/**
 * Tells why there is no adapter.
 *
 * @param machine What was found.
 * @returns The reason and what helps.
 */
export function explainMissing({ drivers, hasLoader, hasNvidia, installation }: Machine): Hidden {
  const software = `as root: ${installation}`;
  const nvidia = drivers.find(({ manifest }) => manifest.includes("nvidia"));
  if (hasNvidia && !nvidia) {
    return {
      found: "an NVIDIA card is here without its Vulkan driver",
      remedy: `${NVIDIA_REMEDY}; for the CPU in its place, ${software}`,
    };
  }
  if (drivers.length === 0) return { found: "no Vulkan driver is installed", remedy: software };
  const broken = [...nvidia ? [nvidia] : [], ...drivers].find(({ isThere }) => !isThere);
  if (broken) {
    const remedy = broken === nvidia ? NVIDIA_REMEDY : "reinstall the package that it came with, or remove it";
    return { found: describeBroken(broken), remedy: `${remedy}; for the CPU in its place, ${software}` };
  }
  if (!hasLoader) return { found: `the Vulkan loader ${LOADER} is not on this machine`, remedy: software };
  return {
    found: `the drivers of ${drivers.map(({ manifest }) => manifest).join(" and ")} give no device`,
    remedy: `look at what vulkaninfo says of them; for the CPU in their place, ${software}`,
  };
}

function describeBroken({ manifest, library }: Driver): string {
  if (library === null) return `the Vulkan driver ${manifest} cannot be read`;
  return `the Vulkan driver ${manifest} names ${library}, which is not on this machine`;
}

/**
 * Tells whether an NVIDIA card is here whose driver cannot be had, beside another driver that works.
 *
 * @returns What was found and what helps; null where there is no such card.
 */
export async function unusedNvidia(): Promise<Hidden | null> {
  const machine = await examineMachine();
  const nvidia = machine.drivers.find(({ manifest }) => manifest.includes("nvidia"));
  if (!machine.hasNvidia || nvidia?.isThere) return null;
  const found = nvidia ? describeBroken(nvidia) : "an NVIDIA card is here without its Vulkan driver";
  return { found, remedy: NVIDIA_REMEDY };
}

/**
 * Looks at this machine; for Linux.
 *
 * @returns What {@link explainMissing} goes by.
 */
export async function examineMachine(): Promise<Machine> {
  const cache = await Deno.readFile(LINKER_CACHE).then((bytes) => new TextDecoder("latin1").decode(bytes), () => "");
  const manifests = await driverManifests();
  return {
    drivers: await Promise.all(manifests.map((manifest) => examineDriver(manifest, cache))),
    hasLoader: await isLibrary(LOADER, cache),
    hasNvidia: (await Promise.all(NVIDIA.map(exists))).includes(true),
    installation: await findInstallation(),
  };
}

async function examineDriver(manifest: string, cache: string): Promise<Driver> {
  let library: unknown;
  try {
    library = JSON.parse(await Deno.readTextFile(manifest)).ICD.library_path;
  } catch { /* What is damaged is told as such. */ }
  if (typeof library !== "string") return { manifest, library: null, isThere: false };
  // A path without a slash is left to the linker, another one counts from the manifest.
  const isThere = library.includes("/")
    ? await exists(library.startsWith("/") ? library : join(dirname(manifest), library))
    : await isLibrary(library, cache);
  return { manifest, library, isThere };
}

/** Whether the linker finds a library by its name. Its cache keeps paths of libraries that are gone, too. */
async function isLibrary(name: string, cache: string): Promise<boolean> {
  const cached = [...cache.matchAll(/\/[^\0]*/g)].map(([path]) => path).filter((path) => path.endsWith(`/${name}`));
  const paths = [...cached, ...LIBRARY_FOLDERS.map((folder) => `${folder}/${name}`)];
  return (await Promise.all(paths.map(exists))).includes(true);
}

async function findInstallation(): Promise<string> {
  for (const [manager, command] of INSTALLATIONS) if (await exists(manager)) return command;
  return "(your package manager) a Vulkan loader and driver, for example Mesa's";
}

/** What is there may be a device or a link, and need not be readable. */
async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
