/** absorption.json, and what is said of it. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { ABSORPTION_DEFINITIONS } from "../../core/analysis/absorption.ts";
import { readAbsorption, writeAbsorption } from "../../core/runs/absorption.ts";
import { absorptionNotes, absorptionSentence, absorptionTable, meanSentence } from "../../reports/absorption_table.ts";
import { inDirectory } from "../cli/tiny_run.ts";
import { storedAbsorption as stored } from "../reports/stored_absorption.ts";

Deno.test("absorption.json holds all figures, null for those that are no number; a broken one is told", () =>
  inDirectory(async (directory) => {
    assert.equal(await readAbsorption(directory, { steps: 10 }), undefined);
    await writeAbsorption(directory, stored);
    assert.deepEqual(await readAbsorption(directory, { steps: 10 }), stored);
    assert.equal(await readAbsorption(directory, { steps: 11 }), undefined, "it is that of fewer steps");
    await Deno.writeTextFile(join(directory, "absorption.json"), '{"steps": 10}');
    await assert.rejects(readAbsorption(directory, { steps: 10 }), /absorption\.json: vocabulary_words must be there/);
  }));

Deno.test("what is said of absorption where enough letters are known", () => {
  assert.equal(
    absorptionSentence(stored, "layer2.resid_mid"),
    "1,000 of the vocabulary's 5,000 words, each behind 10 examples: 800 fitted probes, 200 judged. Probes on layer2.resid_mid know 20 of 26 letters.",
  );
  assert.match(
    meanSentence(stored),
    /^Absorbed in full: 25\.0 % of .* \(by chance 1\.3 %\); absorption fraction 0\.375 \(by chance 0\.063\); .* among 2\.0 features, which tell it with an F1 of 0\.50\. .* no merit here\.$/,
  );
  const telling = { ...stored, mean: { ...stored.mean!, mean_split_f1: 0.7 } };
  assert.match(meanSentence(telling), /F1 of 0\.70\. Means over the letters that are known\.$/);
  const scarce = { ...stored, examples: 0, letters: stored.letters.map((one, i) => ({ ...one, test_words: 9 + i })) };
  assert.match(
    absorptionSentence(scarce, "layer2.resid_mid"),
    /words, without examples in front: .*; 1 has fewer than 10 judged words, too few for an F1 to say much\.$/,
  );
  const cells = absorptionTable(stored, 1, (word) => `<${word}>`).split("\n").map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  );
  assert.deepEqual(cells[2], [
    "t",
    "12",
    "0.81",
    "7 3",
    "0.50",
    "8",
    "25.0 %",
    "1.3 %",
    "0.375",
    "0.063",
    "< tea> 5, 1 more",
  ]);
  assert.deepEqual(cells[3], ["x", "12", "0.25", ...Array(8).fill("–")]);
  assert.deepEqual(cells[4], ["mean", "", "", "2.0", "0.50", "", "25.0 %", "1.3 %", "0.375", "0.063", ""]);
  assert.equal(absorptionNotes([stored]).length, Object.keys(ABSORPTION_DEFINITIONS).length);
});

Deno.test("what is said of absorption where nothing can be", () => {
  const few = { ...stored, mean: null, known_letters: 19 };
  assert.match(meanSentence(few), /fewer than 20 letters have .* More words .* \(--words, up to 5,000\)/);
  assert.match(
    meanSentence({ ...few, vocabulary_words: 1000 }),
    /All words were read: the model does not hold the letters/,
  );
  assert.match(meanSentence({ ...few, known_letters: 20 }), /no feature speaks for any letter/);
  assert.match(absorptionTable(few, 3, String), /^\| x +\| +12 \| +0\.25 \|$/m);
  assert.equal(absorptionNotes([few]).length, 2);
});
