import assert from "node:assert/strict";
import { join } from "node:path";
import type { DocumentFvu } from "../../core/analysis/evaluation.ts";
import {
  DEFINITIONS_OF_LISTED_DOCUMENTS,
  DEFINITIONS_OF_THRESHOLDS,
  EVALUATION_DEFINITIONS,
} from "../../core/analysis/definitions.ts";
import { LOSS_DEFINITIONS } from "../../core/analysis/loss.ts";
import { readEvaluation } from "../../core/runs/evaluation.ts";
import { inDirectory, mtc, writeTinyLayer } from "./tiny_run.ts";

Deno.test("mtc evaluate --json: a layer's directory gives an object with every figure and its definition", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const { code, stdout, stderr } = await mtc("evaluate", "--run", layer, "--tokens", "100", "--json");
    assert.equal(code, 0, stderr);
    assert.ok(!stderr.includes("mtc:"), stderr);
    const found = JSON.parse(stdout);
    const definitions = { ...EVALUATION_DEFINITIONS, ...DEFINITIONS_OF_LISTED_DOCUMENTS };
    assert.deepEqual(found.definitions, definitions);
    for (const key of Object.keys(definitions)) assert.ok(key in found, key);
    // 100 tokens are rounded up to whole contexts of 15 tokens behind BOS; the longest address has two of the seven.
    assert.deepEqual([found.run, found.layer, found.tokens, found.contexts], [layer, 2, 105, 7]);
    assert.deepEqual([found.split, found.documents, found.split_documents, found.resampled], [
      "test",
      6,
      6,
      "documents",
    ]);
    const each = found.fvu_per_document.map((
      { document, tokens }: DocumentFvu,
    ) => [parseInt(document), tokens]);
    assert.deepEqual(each, [[1790, 15], [1830, 15], [1870, 30], [1910, 15], [1951, 15], [1989, 15]]);
    assert.deepEqual(found.fvu_per_prefix.map(({ prefix }: { prefix: number }) => prefix), [12, 32]);
    assert.equal(found.fvu, found.fvu_per_prefix[1].fvu);
    assert.ok(found.fvu_ci95[0] < found.fvu && found.fvu < found.fvu_ci95[1]);
    assert.equal(found.dead_fraction, found.dead_features / 32);
  }));

Deno.test("mtc evaluate --split validation: the other held-out addresses", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const { stdout, stderr } = await mtc(
      "evaluate",
      "--run",
      layer,
      "--split",
      "validation",
      "--tokens",
      "1",
      "--json",
    );
    const { split, tokens, documents, split_documents, resampled, fvu_per_document } = JSON.parse(stdout);
    assert.deepEqual(
      [split, tokens, documents, split_documents, resampled],
      ["validation", 15, 1, 6, "contexts"],
      stderr,
    );
    assert.equal(fvu_per_document[0].document, "1890_benjamin_harrison_r.txt", "the middle of the text");
    const refused = await mtc("evaluate", "--run", layer, "--split", "train");
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /Allowed choices are validation, test/);
  }));

Deno.test("mtc evaluate: a run's directory gives all its layers, on as many tokens as at the end of training", () =>
  inDirectory(async (run) => {
    const taps = { layer: 3, source: { layer: 1, site: "resid_mid" }, target: { layer: 3, site: "mlp_out" } } as const;
    // The order is that of the layers predicted, not of the directories' names.
    await writeTinyLayer(run, 1, taps);
    await writeTinyLayer(run, 2);
    const { code, stdout, stderr } = await mtc("evaluate", "--run", run);
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /^300 tokens in 20 contexts of all 6 test documents, BOS excluded; intervals cover 95 % \(bootstrap over documents\)/,
    );
    assert.match(stdout, /\| +layer 2 \| +layer 3 \|/);
    assert.equal(
      stdout.match(/^\| first 12 features \| +[\d.]+ \| +[\d.]+ to [\d.]+ \| +[\d.]+ \| +[\d.]+ \|/gm)!.length,
      2,
    );
    assert.doesNotMatch(stdout, /linear map|Cosine/, "these runs have no linear map");
    assert.match(stdout, /^\| Dead features +\| +\d+ \(/m);
  }));

Deno.test("mtc evaluate: features with thresholds of their own are told as such, to readers and to programs", () =>
  inDirectory(async (run) => {
    const thresholds = Float32Array.from({ length: 32 }, (_, i) => (i + 1) / 8);
    const layer = await writeTinyLayer(run, 2, {}, thresholds);
    const args = ["evaluate", "--run", layer, "--tokens", "100"];
    assert.match((await mtc(...args)).stdout, /^\| Threshold +\| 2\.063 \(median; 0\.1250 to 4\.000\) \|$/m);
    const found = JSON.parse((await mtc(...args, "--json")).stdout);
    assert.deepEqual([found.threshold, found.threshold_range], [33 / 16, [1 / 8, 4]]);
    assert.equal(found.definitions.threshold, DEFINITIONS_OF_THRESHOLDS.threshold);
  }));

Deno.test("mtc evaluate --loss: every figure of each layer and of both at once, kept in evaluation.json", () =>
  inDirectory(async (run) => {
    const layers = [await writeTinyLayer(run, 2), await writeTinyLayer(run, 4)];
    const { code, stdout, stderr } = await mtc(
      "evaluate",
      "--run",
      run,
      "--tokens",
      "75",
      "--loss-tokens",
      "100",
      "--json",
    );
    assert.equal(code, 0, stderr);
    const found = JSON.parse(stdout);
    for (const [i, directory] of layers.entries()) {
      const { run: _, layer: __, saebench: told, ...evaluation } = found[i], { loss } = evaluation;
      assert.deepEqual(loss.definitions, LOSS_DEFINITIONS);
      // 100 tokens are rounded up to 7 contexts, each with 14 counted tokens that have a successor.
      assert.deepEqual([evaluation.tokens, loss.tokens, loss.contexts], [75, 98, 7]);
      assert.deepEqual(loss.per_prefix.map(({ prefix }: { prefix: number }) => prefix), [12, 32]);
      const mappings = [2, 4].map((layer) => `layer${layer}.resid_mid -> layer${layer}.mlp_out`);
      assert.deepEqual(loss.replacement_model.transcoders, mappings);
      assert.ok(loss.zero.kl_ci95[0] < loss.zero.kl && loss.zero.kl < loss.zero.kl_ci95[1]);
      const { saebench, ...kept } = await readEvaluation(directory);
      assert.deepEqual(kept, evaluation, "a run without the file gets what was measured");
      const { model_behavior_preservation: { kl_div_with_sae }, model_performance_preservation, ...others } = told;
      assert.deepEqual(
        [kl_div_with_sae, model_performance_preservation.ce_loss_score],
        [loss.per_prefix[1].kl, loss.per_prefix[1].recovered_zero],
      );
      assert.deepEqual({ ...others, definitions: saebench!.definitions }, saebench, "the loss has the other names");
      assert.equal(saebench!.sparsity.l0, evaluation.l0);
    }
  }));

Deno.test("mtc evaluate --loss: a table for readers; what training measured stays in evaluation.json", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2), path = join(layer, "evaluation.json");
    assert.equal((await mtc("evaluate", "--run", layer, "--tokens", "30", "--loss-tokens", "15")).code, 0);
    const { loss: _, ...trained } = JSON.parse(await Deno.readTextFile(path));
    await Deno.writeTextFile(path, JSON.stringify({ ...trained, k: 77 }));
    const { code, stdout, stderr } = await mtc("evaluate", "--run", layer, "--tokens", "45", "--loss-tokens", "75");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^70 held-out predictions in 5 contexts of 4 documents; .*intervals cover 95 %/m);
    assert.match(stdout, /^\| 12 features +\| +[\d.]+ \[[\d.]+, [\d.]+\] \| .* % \[.*\] \|$/m);
    const { loss, ...stored } = JSON.parse(await Deno.readTextFile(path));
    assert.deepEqual([stored, loss.tokens], [{ ...trained, k: 77 }, 70]);
  }));

Deno.test("mtc evaluate --loss: a run that cannot be written to is measured all the same, and one sentence says so", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const args = ["run", "-A", `--deny-write=${layer}`, new URL("../../main.ts", import.meta.url).pathname];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...args, "evaluate", "--run", layer, "--tokens", "15", "--loss-tokens", "15"],
    }).output();
    const [told, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.equal(code, 0, said);
    assert.match(told, /^\| zeros /m);
    assert.match(said, /^mtc: the loss is not kept for the reports: Cannot write .*evaluation.json: [^\n]*\n$/m);
  }));

type Fault = [name: string, spoil: (layer: string, run: string) => Promise<string[]>, code: number, message: RegExp];

const FAULTS: Fault[] = [
  [
    "no such directory",
    (_, run) => Promise.resolve([join(run, "none")]),
    1,
    /must be a directory .* does not exist; check/,
  ],
  ["a file", (layer) => Promise.resolve([join(layer, "config.json")]), 1, /must be a directory .* is a file; check/],
  [
    "the directory above the runs",
    async (_, run) => {
      await writeTinyLayer(join(run, "above/demo"), 2);
      return [join(run, "above")];
    },
    1,
    /holds neither; give one of the runs in it: .*above\/demo$/,
  ],
  [
    "an unfinished run",
    async (layer) => {
      await Deno.remove(join(layer, "transcoder.safetensors"));
      return [layer];
    },
    1,
    /must be finished, transcoder.safetensors is missing; finish it with `mtc train --resume/,
  ],
  [
    "a config cut off",
    async (layer) => {
      await Deno.writeTextFile(join(layer, "config.json"), '{"mtc_version":');
      return [layer];
    },
    1,
    /Cannot read .*config.json: it must be complete JSON/,
  ],
  [
    "weights of another dictionary",
    async (layer, run) => {
      await writeTinyLayer(run, 2, { groups: [12, 21], features: 33 });
      return [layer];
    },
    1,
    /asks for d_in, features, d_out = 128, 33, 128, the file has 128, 32, 128/,
  ],
  [
    "a truncated transcoder",
    async (layer) => {
      await Deno.truncate(join(layer, "transcoder.safetensors"), 5000);
      return [layer];
    },
    1,
    /Cannot read .*transcoder.safetensors: the header promises \d+ bytes, the file has 5000/,
  ],
  [
    "another model",
    async (layer, run) => {
      await writeTinyLayer(run, 2, { model: { name: "m", path: null, layers: 26, d_model: 2304, vocab_size: 256000 } });
      return [layer];
    },
    1,
    /must be the 26, 2304, 256000 that the run began with, they are 6, 128, 4096/,
  ],
  [
    "a transcoder that lost its config.json, beside which its checkpoints are no runs",
    async (_, run) => {
      await writeTinyLayer(join(run, "lost/checkpoints"), 2);
      return [join(run, "lost")];
    },
    1,
    /it must hold config.json or .*, it holds neither; check --run$/,
  ],
  [
    "contexts longer than any model has",
    async (layer, run) => {
      await writeTinyLayer(run, 2, { context: 1e9 });
      return [layer];
    },
    1,
    /Cannot run tiny-gemma2: its contexts have at most \d+ tokens, asked for 1000000000; /,
  ],
  [
    "a text that has changed",
    async (layer, run) => {
      const counts = { documents: 234, train_documents: 222, held_out_documents: 12 };
      const data = { name: "text", files: [], ...counts, bytes: 123, file_count: 1, fingerprint: "0123456789abcdef" };
      await writeTinyLayer(run, 2, { data });
      return [layer];
    },
    1,
    /contents must be the 234 documents, 123 bytes, fingerprint 0123456789ab that the run began with, they are 233 documents, \d+ /,
  ],
  [
    "transcoders of different texts",
    async (_, run) => {
      await writeTinyLayer(run, 3, { context: 32 });
      return [run];
    },
    1,
    /transcoders must share model, text and context, those of .*layer3 are not those of .*layer2/,
  ],
  [
    "no tokens of loss",
    (layer) => Promise.resolve([layer, "--loss-tokens", "0"]),
    2,
    /--loss-tokens: it must be a whole number above 0, it is "0"/,
  ],
  [
    "no tokens",
    (layer) => Promise.resolve([layer, "--tokens", "0"]),
    2,
    /--tokens: it must be a whole number above 0, it is "0"/,
  ],
];

for (const [name, spoil, code, message] of FAULTS) {
  Deno.test(`mtc evaluate refuses in one sentence: ${name}`, () =>
    inDirectory(async (run) => {
      const args = await spoil(await writeTinyLayer(run, 2), run);
      const outcome = await mtc("evaluate", "--run", ...args);
      assert.deepEqual([outcome.code, outcome.stdout], [code, ""], outcome.stderr);
      assert.match(outcome.stderr, /^mtc: Cannot [^\n]*$/);
      assert.match(outcome.stderr, message);
    }));
}
