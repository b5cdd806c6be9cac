/** README and docs/ against the program and the files: every command is named, every link leads somewhere. */

import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { mtc } from "./cli/tiny_run.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

Deno.test("README names every command and stays short", async () => {
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const { stdout: page } = await mtc("man");
  const commands = [...page.matchAll(/^\.SS mtc ([a-z]+)/gm)].map(([, name]) => name);
  assert.ok(commands.length > 10);
  for (const name of commands) assert.ok(readme.includes(`\`mtc ${name}\``), `README does not name mtc ${name}`);
  assert.ok(readme.split("\n").length < 180, "long text belongs into docs/");
});

Deno.test("links between documents lead somewhere", async () => {
  const dead: string[] = [];
  for await (const file of glob("{README,CHANGELOG,docs/*,docs/example/*,bench/*}.md", { cwd: ROOT })) {
    const text = await Deno.readTextFile(join(ROOT, file));
    for (const [, link] of text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const isThere = await Deno.stat(join(ROOT, dirname(file), link)).then(() => true, () => false);
      if (!isThere) dead.push(`${file}: ${link}`);
    }
  }
  assert.deepEqual(dead, []);
});

Deno.test("workflows compile with the Deno that ./run fetches, and pin every action by its commit", async () => {
  const version = /^DENO_PINNED=(\S+)$/m.exec(await Deno.readTextFile(join(ROOT, "run")))![1];
  for await (const file of glob(".github/workflows/*.yml", { cwd: ROOT })) {
    const text = await Deno.readTextFile(join(ROOT, file));
    const versions = [...text.matchAll(/^ *(?:DENO|deno-version): v(\S+)$/gm)].map(([, found]) => found);
    assert.deepEqual([...new Set(versions)], [version], file);
    for (const [, action] of text.matchAll(/^ *- uses: (.*)$/gm)) assert.match(action, /@[0-9a-f]{40} # v\d/, file);
  }
});

Deno.test("each fault that faults.md names has the test that it names", async () => {
  const rows = [
    ...(await Deno.readTextFile(join(ROOT, "tests/faults.md"))).matchAll(
      /^\| ([A-Z]\d+[^|]*) \|[^|]*\| (tests\/\S+) \| (.*?) \|$/gm,
    ),
  ];
  const letters = new Set(rows.flatMap(([, faults]) => faults.split(", ")));
  const known = { F: 16, W: 4, L: 3, D: 5, E: 5, T: 1, R: 4, M: 11 };
  for (const [kind, count] of Object.entries(known)) {
    for (let n = 1; n <= count; n++) assert.ok(letters.has(`${kind}${n}`), `${kind}${n} has no row`);
  }
  for (const [, faults, file, test] of rows) {
    assert.ok((await Deno.readTextFile(join(ROOT, file))).includes(test), `${faults}: ${file} has no ${test}`);
  }
});
