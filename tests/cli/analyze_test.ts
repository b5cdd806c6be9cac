/** `mtc analyze`: each analysis as a table, as JSON and as CSV, what is kept of it, and what is refused. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { csvParse } from "d3-dsv";
import { IMPORTANCE_DEFINITIONS } from "../../core/analysis/importance.ts";
import { readConfig } from "../../core/runs/config.ts";
import { readImportance } from "../../core/runs/importance.ts";
import { inDirectory, mtc, writeTinyLayer } from "./tiny_run.ts";

const FEW = ["--tokens", "100", "--top", "3", "--random", "4"];

Deno.test("mtc analyze without a name, or with a wrong one, tells what there is", async () => {
  const none = await mtc("analyze"), wrong = await mtc("analyze", "importanse", "--run", "x");
  assert.deepEqual([none.code, wrong.code], [2, 2]);
  assert.match(wrong.stderr, /unknown command 'importanse'.*Did you mean importance\?/);
});

Deno.test("mtc analyze importance: a table with its definitions, and the figures are kept for the reports", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const { code, stdout, stderr } = await mtc("analyze", "importance", "--run", layer, ...FEW);
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^mtc: Layer 2: switching off [3-7] features, each in the contexts that it fires in, \d+ in all, takes about \d+ s/m,
    );
    // 100 tokens are rounded up to whole contexts of 15 tokens behind BOS; 14 of these are followed by another.
    assert.match(
      stdout,
      /^Layer 2: 98 held-out predictions in 7 contexts of 6 documents, mean cross-entropy \d\.\d{3} nats\. \d+ of 32 features fire/,
    );
    assert.match(stdout, /bootstrap over documents/);
    assert.match(stdout, /^\| Ranks by +\| top by FVU rise \(3\) \| drawn at random \(4\) \|$/m);
    for (const key of ["mass", "fvu_rise", "ce_rise", "reliability", "ci95"]) {
      assert.ok(stdout.includes(IMPORTANCE_DEFINITIONS[key]), key);
    }
    const stored = await readImportance(layer, await readConfig(layer));
    assert.equal(stored!.features.length, 32);
    const off = stored!.features.filter(({ effect }) => effect !== null);
    assert.equal(stdout.match(/^\| +\d+ \| +\d+ \| +[01] \|/gm)!.length, off.length);
    // After more training it is another transcoder's.
    assert.equal(await readImportance(layer, { steps: 11 }), undefined);
  }));

Deno.test("mtc analyze importance --json and --csv: the same figures of every feature, of a run's transcoders together", () =>
  inDirectory(async (run) => {
    await writeTinyLayer(run, 2);
    await writeTinyLayer(run, 3, { source: { layer: 3, site: "mlp_in" } });
    const json = await mtc("analyze", "importance", "--run", run, ...FEW, "--json");
    assert.equal(json.code, 0, json.stderr);
    const found = JSON.parse(json.stdout);
    assert.deepEqual(found.map(({ run, layer }: { run: string; layer: number }) => [run, layer]), [
      [join(run, "layer2"), 2],
      [join(run, "layer3"), 3],
    ]);
    assert.deepEqual(found[0].definitions, IMPORTANCE_DEFINITIONS);
    const { run: _, layer: __, ...kept } = found[1];
    const stored = await Deno.readTextFile(join(run, "layer3", "importance.json"));
    assert.deepEqual(JSON.parse(stored), kept, "what is kept is what was told");
    const csv = await mtc("analyze", "importance", "--run", run, ...FEW, "--csv");
    const rows: Record<string, string>[] & { columns?: string[] } = csvParse(csv.stdout);
    assert.deepEqual(rows.columns!.slice(0, 5), ["run", "feature", "group", "fires", "density"]);
    assert.equal(rows.length, 64);
    rows.forEach((row, i) => {
      const { feature, fires, mass, effect } = found[Math.floor(i / 32)].features[i % 32];
      assert.deepEqual([row.feature, row.fires, row.mass], [feature, fires, mass].map(String));
      assert.equal(row.ce_rise, effect ? String(effect.ce_rise) : "");
      assert.deepEqual(
        [row.in_top, row.in_random],
        ["top", "random"].map((set) => String(effect?.sets.includes(set) ?? false)),
      );
    });
    for (const set of ["in_top", "in_random"]) {
      const members = rows.filter((row) => row.run.endsWith("layer2") && row[set] === "true");
      assert.equal(members.length, set === "in_top" ? 3 : 4);
    }
  }));

Deno.test("mtc analyze importance: bad input is told in a sentence", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const refused = async (expected: RegExp, code: number, ...args: string[]) => {
      const outcome = await mtc("analyze", "importance", ...args);
      assert.match(outcome.stderr, expected);
      assert.deepEqual([outcome.code, outcome.stdout], [code, ""]);
    };
    await refused(/option '-r, --run <dir>' is required/, 2);
    await refused(/option '--json' cannot be used with option '--csv'/, 2, "--run", layer, "--json", "--csv");
    await refused(/Cannot read --top: it must be a whole number from 3/, 2, "--run", layer, "--top", "2");
    await refused(/Cannot open the run .*nowhere: it must be a directory/, 1, "--run", join(run, "nowhere"));
    const silent = await writeTinyLayer(run, 4, {}, Infinity);
    await refused(/a feature must fire on the held-out text, none fires on its 105 tokens/, 1, "--run", silent, ...FEW);
    const damaged = join(layer, "importance.json");
    await Deno.writeTextFile(damaged, '{"steps": 10}');
    await assert.rejects(
      async () => await readImportance(layer, await readConfig(layer)),
      /importance\.json: tokens must be there/,
    );
  }));
