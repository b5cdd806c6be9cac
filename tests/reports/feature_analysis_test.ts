/** The page about what features do, of a planted world: a record that the run keeps is enough for it, without a model. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { writeAbsorption } from "../../core/runs/absorption.ts";
import { readConfig, writeConfig } from "../../core/runs/config.ts";
import { writePreparation } from "../../core/runs/preparation.ts";
import { writeRecord } from "../../core/runs/record.ts";
import { readTranscoder } from "../../core/runs/transcoder.ts";
import { openCorpus } from "../../core/text/corpus.ts";
import { scaledBy } from "../../core/transcoder/weights.ts";
import { bursty, chanceOf, plantedRecord, type Rule } from "../analysis/planted_record.ts";
import { mtc } from "../cli/tiny_run.ts";
import { jsonl } from "../text/corpora.ts";
import { storedAbsorption } from "./stored_absorption.ts";
import { writeSyntheticRun } from "./synthetic_run.ts";

const TOKENS = 4096, GROUPS = [8, 16];

/** Features 8 to 15 fire under 0 to 7 and nowhere else; 16 to 22 alone; 23 never. */
const rules: Rule[] = Array.from({ length: 24 }, (_, i) => bursty(i, TOKENS, 0.06));
for (let n = 0; n < 8; n++) {
  const parent = rules[n], within = chanceOf(500 + n, TOKENS);
  rules[8 + n] = (t) => within[t] < 0.5 ? parent(t) : 0;
}
rules[23] = () => 0;

Deno.test("runs' records are shown in all sections, alone and of two layers, by --quick too, and every figure is there", async () => {
  const root = await Deno.makeTempDir(), out = join(root, "out");
  try {
    for (const layer of [2, 4]) {
      const path = await writeSyntheticRun(join(root, "runs"), "demo", { groups: GROUPS, dIn: 16, dOut: 16, layer });
      const config = await readConfig(path);
      await writeRecord(
        path,
        await readTranscoder(path, config),
        plantedRecord(GROUPS, TOKENS, layer === 2 ? rules : rules.toReversed()),
      );
      await writeAbsorption(path, { ...storedAbsorption, steps: config.steps });
    }
    const { code, stdout, stderr } = await mtc(
      ...["report", "--quick", "--runs", join(root, "runs"), "--out", out, "--json"],
    );
    assert.equal(code, 0, stderr);
    const [{ not_analysed }] = JSON.parse(stdout).layers;
    assert.deepEqual(not_analysed.map(({ why }: { why: string }) => why), Array(4).fill("--quick leaves it out"));
    const page = await Deno.readTextFile(join(out, "layer2_feature_analysis.md"));
    assert.deepEqual(page.match(/^#+ .*/gm), [
      "# Layer 2 Feature Analysis",
      "## All Features",
      "## Similarity",
      "## Weights",
      "## Hierarchy",
      "## Patterns and Company",
      "## Semantic Coherence",
      "## Tokens, Context and Other Layers",
      "## Scores of the Original Project",
      "## First-Letter Absorption",
      "## Files",
    ]);
    assert.match(page, /^Absorbed in full: 25\.0 % of the words whose letter is known \(by chance 1\.3 %\)/m);
    assert.match(page, /^\| t +\| .* \| `␣tea` 5, `Tin` 9 +\|$/m);
    const layer = await Deno.readTextFile(join(out, "layer2_interpretability_report.md"));
    assert.deepEqual(layer.match(/^#+ .*/gm), [
      "# What layer 2 Does",
      "## Findings",
      "## Features to Begin With",
      "## What This Page Cannot Say",
      "## Files",
    ]);
    assert.match(layer, /^1\. \*\*Kind: mostly made from context\.\*\* Of 23 features 0 are told by the token /m);
    assert.match(layer, /^\d\. \*\*Groups: .* 5\d % of 15 features of later groups have a parent /m);
    assert.match(
      layer,
      /^- Not answered here, .*: what in the model lifts them, whether more comes from attention .* moves predictions\. `mtc /m,
    );
    assert.match(page, /reading set: 4,096 tokens in 128 contexts of 1 document, .* 0\.0 % of them held out/);
    assert.match(page, /^4,096 tokens of the reading set, FVU 0\.\d+\. 1 of 24 features never fire there\./m);
    assert.match(page, /^5\d\.\d % of the children have a parent, where shuffled contexts give 1 %\./m);
    assert.match(
      page,
      /takes a transcoder that was trained without it: `mtc analyze hierarchy --run .* --against RUN`\.$/m,
    );
    const child = page.match(/^\| +(\d+) \| `t.*? \| +(\d+) \| `t.* \| +1\.000 \|/m)!;
    assert.equal(Number(child[1]), 8 + Number(child[2]), "a planted child is under its parent");
    const written = Array.from(Deno.readDirSync(out), ({ name }) => name);
    for (const text of [page, layer]) {
      for (const [, target] of text.matchAll(/\]\(([^)#]+)\)/g)) assert.ok(written.includes(target), target);
      for (const table of text.match(/(^\|.*\n)+/gm) ?? []) {
        assert.equal(new Set(table.trim().split("\n").map((row) => row.split("|").length)).size, 1, table);
      }
      for (const word of ["undefined", "NaN"]) assert.ok(!text.includes(word), word);
    }
    const both = await Deno.readTextFile(join(out, "layer2_vs_layer4_comparison.md"));
    for (
      const title of ["On the Same Tokens", "Features Found Again", "From Layer 2 to Layer 4", "Each as a Whole"]
    ) assert.ok(both.includes(`\n## ${title}\n`), title);
    assert.match(
      both,
      /^- \*\*Features are found again:\*\* 100\.0 % of the judged features of layer 2 have a match above 0\.7 /m,
    );
    assert.match(both, /^\| +\d+ \| .*t.* \| +\d+ \| .*t.* \| +1\.000 \|$/m);
    for (const [, target] of both.matchAll(/\]\(([^)#]+)(?:#\w+)?\)/g)) assert.ok(written.includes(target), target);
    for (const text of [page, both]) for (const word of ["undefined", "NaN"]) assert.ok(!text.includes(word), word);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

/** A run of the embedded model on a small text, which nobody trained. */
async function untrained(root: string, layer: number): Promise<string> {
  const text = join(root, "text.jsonl");
  const speech = (i: number) => `Fellow citizens, the state of the Union ${i} is strong and free. `.repeat(6);
  await Deno.writeTextFile(text, jsonl(Array.from({ length: 60 }, (_, i) => speech(i))));
  const path = await writeSyntheticRun(join(root, "runs"), "demo", { groups: [8, 16], dIn: 128, dOut: 128, layer });
  const { summary } = await openCorpus([text], "test"), config = await readConfig(path);
  await writePreparation(path, { source: scaledBy(128, 1), target: scaledBy(128, 1) });
  await writeConfig(path, {
    ...{ ...config, context: 16, data: { name: "text", files: [text], ...summary } },
    model: { name: "tiny-gemma2", path: null, layers: 6, d_model: 128, vocab_size: 4096 },
  });
  return path;
}

Deno.test("what runs lack is made once, with their model and text", async () => {
  const root = await Deno.makeTempDir(), out = join(root, "out");
  try {
    const path = await untrained(root, 2), report = ["report", "--runs", join(root, "runs"), "--out", out];
    const made = await mtc(...report);
    assert.equal(made.code, 0, made.stderr);
    const lacking = "record, attribution, loss recovered, importance and coherence";
    assert.ok(made.stderr.includes(`mtc: making what layer 2 lacks (${lacking}); --quick does without`), made.stderr);
    assert.doesNotMatch(made.stderr, /not analysed yet|mtc: without/);
    for (const name of ["record.safetensors", "attribution.json", "importance.json", "coherence.json"]) {
      assert.ok((await Deno.stat(join(path, name))).isFile, name);
    }
    const { loss } = JSON.parse(await Deno.readTextFile(join(path, "evaluation.json")));
    assert.ok(loss.tokens > 0);
    const page = (name: string) => Deno.readTextFile(join(out, `layer2_${name}.md`));
    const features = await page("feature_analysis"), analysis = await page("analysis_report");
    const layer = await page("interpretability_report");
    for (const question of ["Kind", "Sources", "Attention", "Meaning", "Groups", "Writing"]) {
      assert.match(layer, new RegExp(`^\\d+\\. \\*\\*${question}: `, "m"), question);
    }
    for (const title of ["Loss Recovered", "Feature Importance", "What Features Are Made Of"]) {
      assert.ok(analysis.includes(`\n## ${title}\n`), title);
    }
    assert.doesNotMatch(analysis, /Not Analysed Yet/);
    const again = await mtc(...report);
    assert.doesNotMatch(again.stderr, /making/);
    const undated = (text: string) => text.replace(/Generated on:\*\* [^·]*/, "");
    assert.equal(undated(await page("feature_analysis")), undated(features));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
