/**
 * Prints the section of CHANGELOG.md of this version, the text of a release: `deno run -A scripts/release/notes.ts [TAG]`.
 * @module
 */

import { VERSION } from "./targets.ts";

const [tag] = Deno.args;
if (tag !== undefined && tag !== `v${VERSION}`) {
  throw new Error(`Cannot release ${tag}: deno.json says ${VERSION}; tag v${VERSION}, or change deno.json`);
}
const text = await Deno.readTextFile(new URL("../../CHANGELOG.md", import.meta.url));
const section = text.split(/^(?=## )/m).find((section) => section.startsWith(`## ${VERSION} `));
if (section === undefined) {
  throw new Error(`Cannot release ${VERSION}: CHANGELOG.md has no section "## ${VERSION} (date)"; write it`);
}
console.log(section.replace(/^## .*\n+/, "").trimEnd());
