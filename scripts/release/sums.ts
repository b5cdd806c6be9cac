/**
 * Writes SHA256SUMS over all files of dist/release, once each has been made: `deno run -A scripts/release/sums.ts`.
 *
 * An archive whose .sha256 says otherwise stops it, so what a release holds is what was built.
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { archiveName, RELEASE, TARGETS } from "./targets.ts";

const SUMS = "SHA256SUMS";

const names = (await Array.fromAsync(Deno.readDir(RELEASE))).map(({ name }) => name).sort();
const missing = TARGETS.map(archiveName).filter((name) => !names.includes(name));
if (missing.length > 0 && !Deno.args.includes("--some")) {
  throw new Error(`Cannot sum the release: ${missing.join(", ")} are missing; --some takes what is there`);
}
let lines = "";
for (const name of names.filter((name) => name !== SUMS && !name.endsWith(".sha256"))) {
  const line = `${createHash("sha256").update(await Deno.readFile(join(RELEASE, name))).digest("hex")}  ${name}\n`;
  if (names.includes(`${name}.sha256`) && await Deno.readTextFile(join(RELEASE, `${name}.sha256`)) !== line) {
    throw new Error(`Cannot sum the release: ${name} is not what its .sha256 says; build it again`);
  }
  lines += line;
}
await Deno.writeTextFile(join(RELEASE, SUMS), lines);
console.log(lines.trimEnd());
