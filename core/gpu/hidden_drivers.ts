/**
 * Variables that hide a machine's GPU from WebGPU: often left over from another image or a colleague's shell.
 * @module
 */

/** Why no adapter shows, and what helps. */
export interface Hidden {
  /** What was found. */
  readonly found: string;
  /** What the user can do. */
  readonly remedy: string;
}

/** Lists of driver manifests for the Vulkan loader, which then looks nowhere else; the first that is set counts. */
const MANIFESTS = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
const BACKEND = "DENO_WEBGPU_BACKEND";
/** What mtc's kernels run on, by operating system. */
const BACKENDS: Readonly<Partial<Record<typeof Deno.build.os, string>>> = { darwin: "metal", windows: "dx12" };

/**
 * Looks for a variable that hides the adapters of this machine, once it shows none.
 *
 * @param valueOf The environment.
 * @param isThere Whether there is such a file.
 * @param os The operating system.
 * @returns The first such variable; null where there is none, and a driver may well be missing.
 */
export function hiddenDrivers(
  valueOf: (name: string) => string | undefined = (name) => Deno.env.get(name),
  isThere: (path: string) => boolean = exists,
  os: typeof Deno.build.os = Deno.build.os,
): Hidden | null {
  const wanted = BACKENDS[os] ?? "vulkan", backend = valueOf(BACKEND);
  if (backend && !backend.split(",").includes(wanted)) {
    return { found: `${BACKEND} is set to "${backend}"`, remedy: `unset it, or set it to ${wanted}` };
  }
  for (const name of MANIFESTS) {
    const value = valueOf(name);
    if (!value) continue;
    const files = value.split(os === "windows" ? ";" : ":").filter((path) => path !== "");
    const found = files.some(isThere)
      ? `${name} lets no other drivers be used than ${value}, which give none`
      : `${name} names ${value}, where there is no file`;
    return { found, remedy: `unset ${name}, which may be left from another machine` };
  }
  return null;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
