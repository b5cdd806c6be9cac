/**
 * Makes a wheel that carries the executable: `deno run -A scripts/release/wheel.ts TARGET [EXECUTABLE]`.
 *
 * The executable is one of the wheel's scripts, which pip and uv copy into `bin` (`Scripts` on Windows) as they are, so no Python runs
 * when `mtc` is called.
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { glibcFloor, macosFloor } from "./binary.ts";
import { executableName, readTarget, RELEASE, type Target, VERSION } from "./targets.ts";
import { type Entry, zip } from "./zip.ts";

const SUMMARY = "Trains Matryoshka transcoders on layers of Gemma-2 and Gemma-3 and explains what they learned";

/** The systems on which pip takes the wheel. A macOS of 11 and more counts by its major number alone. */
function platformTag(target: Target, executable: Uint8Array): string {
  const arm = target.startsWith("aarch64");
  if (target.includes("windows")) return arm ? "win_arm64" : "win_amd64";
  const [major, minor] = target.includes("linux") ? glibcFloor(executable) : macosFloor(executable);
  if (target.includes("linux")) return `manylinux_${major}_${minor}_${arm ? "aarch64" : "x86_64"}`;
  return `macosx_${major}_${major >= 11 ? 0 : minor}_${arm ? "arm64" : "x86_64"}`;
}

function metadata(readme: string): string {
  return [
    "Metadata-Version: 2.4",
    "Name: mtc",
    `Version: ${VERSION}`,
    `Summary: ${SUMMARY}`,
    "License-Expression: MIT",
    "License-File: LICENSE",
    "Description-Content-Type: text/markdown",
    "",
    readme,
  ].join("\n");
}

/** `sha256=...` in base64 for URLs, without padding, as RECORD has it. */
function recorded({ name, bytes }: Entry): string {
  return `${name},sha256=${createHash("sha256").update(bytes).digest("base64url")},${bytes.length}\n`;
}

/**
 * Makes a wheel.
 *
 * @param target What the executable was compiled for.
 * @param executable The executable.
 * @param texts README.md, where links lead nowhere, and LICENSE.
 * @returns Its name and bytes.
 */
export function makeWheel(
  target: Target,
  executable: Uint8Array,
  texts: { readonly readme: string; readonly license: string },
): { name: string; bytes: Uint8Array<ArrayBuffer> } {
  const tag = `py3-none-${platformTag(target, executable)}`;
  const info = `mtc-${VERSION}.dist-info`, encode = (text: string) => new TextEncoder().encode(text);
  const entries: Entry[] = [
    { name: `mtc-${VERSION}.data/scripts/${executableName(target)}`, bytes: executable, isExecutable: true },
    { name: `${info}/METADATA`, bytes: encode(metadata(texts.readme)) },
    {
      name: `${info}/WHEEL`,
      bytes: encode(`Wheel-Version: 1.0\nGenerator: mtc (${VERSION})\nRoot-Is-Purelib: false\nTag: ${tag}\n`),
    },
    { name: `${info}/licenses/LICENSE`, bytes: encode(texts.license) },
  ];
  const record = `${entries.map(recorded).join("")}${info}/RECORD,,\n`;
  return {
    name: `mtc-${VERSION}-${tag}.whl`,
    bytes: zip([...entries, { name: `${info}/RECORD`, bytes: encode(record) }]),
  };
}

if (import.meta.main) {
  const target = readTarget(Deno.args[0]);
  const executable = await Deno.readFile(Deno.args[1] ?? join(RELEASE, "..", target, executableName(target)));
  const text = (name: string) => Deno.readTextFile(new URL(`../../${name}`, import.meta.url));
  const { name, bytes } = makeWheel(target, executable, {
    readme: await text("docs/wheel.md"),
    license: await text("LICENSE"),
  });
  await Deno.mkdir(RELEASE, { recursive: true });
  await Deno.writeFile(join(RELEASE, name), bytes);
  console.log(`${name} ${bytes.length} bytes`);
}
