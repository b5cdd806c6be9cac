/**
 * Copies the installers into dist/release with the repository's address in them: `deno run -A scripts/release/installers.ts OWNER/NAME`.
 * @module
 */

import { join } from "node:path";
import { RELEASE } from "./targets.ts";

const PLACE = "'@REPOSITORY@'";

const [repository] = Deno.args;
if (!/^[A-Za-z0-9-]+\/[A-Za-z0-9._-]+$/.test(repository ?? "")) {
  throw new Error(`Cannot fill in the address: it must be OWNER/NAME, it is "${repository}"`);
}
await Deno.mkdir(RELEASE, { recursive: true });
for (const name of ["install.sh", "install.ps1"]) {
  const text = await Deno.readTextFile(new URL(`../../${name}`, import.meta.url));
  if (text.split(PLACE).length !== 2) throw new Error(`Cannot fill in the address: ${name} must hold ${PLACE} once`);
  await Deno.writeTextFile(join(RELEASE, name), text.replace(PLACE, () => `'${repository}'`));
}
