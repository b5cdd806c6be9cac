/**
 * `deno task fuzz`: fuzzes at length and prints the table.
 *
 *     deno task fuzz --cases 20000                     about so many in all, shared among the readers
 *     deno task fuzz --reader .jsonl.zst --case 417    one case again, its files left for a look at them
 * @module
 */

import { parseArgs } from "node:util";
import { dirname, join } from "node:path";
import { damage, prepare, runCase } from "./case.ts";
import { fuzz, fuzzTable } from "./fuzz.ts";
import { READERS } from "./readers.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    cases: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    reader: { type: "string" },
    case: { type: "string" },
  },
});
const names = values.reader === undefined ? Object.keys(READERS) : [values.reader];

if (values.case !== undefined) {
  const prepared = await prepare(READERS[names[0]]),
    seed = Number(values.case),
    { files, what } = damage(prepared, seed);
  const directory = await Deno.makeTempDir({ prefix: "mtc-fuzz-case-" });
  for (const [path, bytes] of Object.entries(files)) {
    await Deno.mkdir(dirname(join(directory, path)), { recursive: true });
    await Deno.writeFile(join(directory, path), bytes);
  }
  console.log(`${what}\n${directory}`);
  console.log(await runCase(prepared, seed));
} else {
  const each = Math.ceil(Number(values.cases) / names.length), started = performance.now();
  const { rows, faults } = await fuzz(each, Number(values.seed), names, ({ reader, seed, ending, what, message }) => {
    console.error(
      `${ending}: --reader '${reader}' --case ${seed} (${what})\n  ${message.split("\n").slice(0, 4).join("\n  ")}`,
    );
  });
  console.log(fuzzTable(rows));
  console.log(`\nSeed ${values.seed}, ${Math.round((performance.now() - started) / 1000)} s, ${faults.length} faults.`);
  Deno.exit(faults.length === 0 ? 0 : 1);
}
