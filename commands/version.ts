/**
 * What `mtc --version` says: enough for a report of a defect, without opening a GPU.
 * @module
 */

import configuration from "../deno.json" with { type: "json" };

/** What the executable is made of; scripts/compile.ts writes it beside the bundle's chunks, among which this module then is. */
interface Build {
  /** The commit, for example `f121f67a1b2c`; ` with changes` behind it where the tree was not clean. */
  readonly commit: string;
}

/**
 * Reads which commit the executable was made of.
 *
 * @returns The commit; null when mtc runs from its sources.
 */
export async function readCommit(): Promise<string | null> {
  if (!Deno.build.standalone) return null;
  const { commit }: Build = JSON.parse(await Deno.readTextFile(new URL("./build.json", import.meta.url)));
  return commit;
}

/** What WebGPU goes through. On Windows wgpu takes the adapters of both. */
function backend(): string {
  const asked = Deno.env.get("DENO_WEBGPU_BACKEND");
  return asked || { darwin: "metal", windows: "dx12 or vulkan" }[Deno.build.os as string] || "vulkan";
}

/**
 * Says what this mtc is.
 *
 * @returns Five lines: version, commit, Deno, target, backend.
 */
export async function versionText(): Promise<string> {
  return [
    `mtc ${configuration.version}`,
    `commit ${await readCommit() ?? "unknown, run from its sources"}`,
    `Deno ${Deno.version.deno}`,
    `target ${Deno.build.target}`,
    `WebGPU on ${backend()}`,
  ].join("\n");
}
