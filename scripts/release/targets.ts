/**
 * What mtc is released for, and what each of these is called by Deno, by wheels, and in a release.
 * @module
 */

import { fileURLToPath } from "node:url";
import configuration from "../../deno.json" with { type: "json" };

/** Where the release's files are gathered. */
export const RELEASE = fileURLToPath(new URL("../../dist/release/", import.meta.url));

/** The version of deno.json, which a release's tag repeats behind a `v`. */
export const VERSION = configuration.version;

/** Deno's names of what it compiles for. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
] as const;

/** One of them. */
export type Target = typeof TARGETS[number];

/**
 * Reads a target from the command line.
 *
 * @param text What stands there.
 * @returns The target.
 * @throws {Error} When it is none of them.
 */
export function readTarget(text: string | undefined): Target {
  const target = TARGETS.find((name) => name === text);
  if (target) return target;
  throw new Error(`"${text}" is no target; there are ${TARGETS.join(", ")}`);
}

/**
 * Tells what the executable is called there.
 *
 * @param target The target.
 * @returns `mtc`, or `mtc.exe`.
 */
export function executableName(target: Target): string {
  return target.includes("windows") ? "mtc.exe" : "mtc";
}

/**
 * Tells what the archive is called. It has no version, so that one address leads to the latest release's.
 *
 * @param target The target.
 * @returns For example `mtc-aarch64-apple-darwin.tar.xz`.
 */
export function archiveName(target: Target): string {
  return `mtc-${target}${target.includes("windows") ? ".zip" : ".tar.xz"}`;
}
