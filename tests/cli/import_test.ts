/** `mtc import` of a transcoder in Gemma Scope's layout onto the embedded model, and what else is done with it then. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { readGain } from "../../core/model/weights.ts";
import { loadTranscoder } from "../../core/transcoder/formats/native.ts";
import { scaleInputs, type Transcoder } from "../../core/transcoder/weights.ts";
import { assertClose } from "../compare.ts";
import { gemmaScope, saelens, sparsify, writeForeign } from "../transcoder/formats/foreign_files.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";
import { names } from "./small_train.ts";
import { CONTEXT, GROUPS, inDirectory, mtc, writeTinyLayer } from "./tiny_run.ts";

const model = await openModel(BUILTIN);
const gain = await readGain(model.weights, "layers.4.pre_feedforward_layernorm", 128);
await model.weights.close();
/** What a tiny run of layer 4 holds, and the same for what lies before the norm's gain. */
const whole = randomTranscoder({ d_in: 128, d_out: 128, groups: GROUPS }, 0.5, 4);
const one: Transcoder = { ...whole, shape: { ...whole.shape, groups: [32] } };
const before: Transcoder = { ...one, weights: scaleInputs(one.weights, gain) };
const SMALL = ["--context", `${CONTEXT}`, "--sample-tokens", "320", "--evaluation-tokens", "300"];

async function json(...args: string[]) {
  const { code, stdout, stderr } = await mtc(...args);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

Deno.test("mtc import: a transcoder of Gemma Scope is a run that is evaluated, encoded with and reported on", () =>
  inDirectory(async (directory) => {
    const scope = join(directory, "layer_4/width_32/average_l0_8"), out = join(directory, "runs/scope");
    await writeForeign(scope, gemmaScope(before));
    const told = await json("import", scope, "--out", out, ...SMALL, "--json");
    const run = join(out, "layer4"), site = (site: string) => ({ layer: 4, site });
    assert.deepEqual([told.run, told.source, told.target], [run, site("mlp_in"), site("mlp_out")]);
    const { imported, k, ...config } = JSON.parse(await Deno.readTextFile(join(run, "config.json")));
    assert.deepEqual([config.format, config.groups, "learning_rate" in config, "steps" in config], [
      4,
      [32],
      false,
      false,
    ]);
    assert.deepEqual([imported.tool, imported.from, imported.unfolded_gain], [
      "gemma-scope",
      join(scope, "params.npz"),
      true,
    ]);
    assert.deepEqual(names(run), [
      "config.json",
      "evaluation.json",
      "features.csv",
      "preparation.safetensors",
      "samples.jsonl",
      "sums.json",
      "transcoder.safetensors",
    ]);
    const sums = JSON.parse(await Deno.readTextFile(join(run, "sums.json")));
    assert.deepEqual(Object.keys(sums), names(run).filter((name) => name !== "sums.json"));
    assert.equal(k, Math.round(told.l0));
    const read = await loadTranscoder(join(run, "transcoder.safetensors"));
    assertClose("W_enc", read.weights.encoder, whole.weights.encoder, { floor: 1e-7, relative: 1e-6 });
    assert.deepEqual([read.weights.decoder, read.thresholds], [whole.weights.decoder, whole.thresholds]);

    const native = await writeTinyLayer(join(directory, "native"), 4, { source: { layer: 4, site: "mlp_in" } });
    const [ours, theirs] = [
      await json("evaluate", "--run", native, "--json"),
      await json("evaluate", "--run", run, "--json"),
    ];
    assert.equal(theirs.l0, ours.l0);
    assertClose("FVU", [theirs.fvu], [ours.fvu], { floor: 0, relative: 1e-5 });
    assert.match(theirs.definitions.k, /measured when the transcoder was imported/);
    const features = async (run: string) => {
      const { tokens } = await json(
        "encode",
        "--run",
        run,
        "--text",
        "the receipts of the year",
        "--top",
        "32",
        "--json",
      );
      return tokens.flatMap((token: { features: { feature: number; value: number }[] }) =>
        token.features.toSorted((a, b) => a.feature - b.feature)
      );
    };
    const [expected, actual] = [await features(native), await features(run)];
    const column = <Key extends string>(rows: Record<Key, number>[], key: Key) => rows.map((row) => row[key]);
    assert.deepEqual(column(actual, "feature"), column(expected, "feature"));
    assertClose("features", column(actual, "value"), column(expected, "value"), { floor: 1e-6, relative: 1e-5 });

    for (const option of ["--start-from", "--resume"]) {
      const refused = await mtc(
        "train",
        option,
        out,
        ...option === "--resume" ? [] : ["--runs", join(directory, "new")],
      );
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /it must have been trained by mtc, it was imported from gemma-scope/);
    }

    const results = join(directory, "results");
    const { code, stdout, stderr } = await mtc("report", "--runs", out, "--out", results, "--quick");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Layer 4: Imported\. Its training is not known here\./m);
    assert.ok(!names(results).includes("layer4_training_curves.png"));
    const report = await Deno.readTextFile(join(results, "layer4_analysis_report.md"));
    assert.match(report, /\*\*Imported From:\*\* gemma-scope/);
    assert.doesNotMatch(report, /Learning Rate|Training Steps|training_curves|NaN|Infinity|undefined/);

    const weights = join(run, "transcoder.safetensors"), bytes = await Deno.readFile(weights);
    bytes[bytes.length - 9] ^= 1;
    await Deno.writeFile(weights, bytes);
    const { code: ended, stderr: said } = await mtc("encode", "--run", run, "--text", "hello");
    assert.equal(ended, 1);
    assert.match(
      said,
      /transcoder\.safetensors: its bytes must be those that were written, .*; restore it, or train the run or import it again$/m,
    );
  }));

Deno.test("mtc import: groups of SAELens, the k of sparsify, and the text of a run that they are to be compared with", () =>
  inDirectory(async (directory) => {
    const native = await writeTinyLayer(join(directory, "native"), 4, { data_seed: 3 });
    const widths = saelens(whole, "jumprelu_transcoder", { matryoshka_widths: [12, 32] });
    await writeForeign(join(directory, "saelens"), widths);
    await writeForeign(join(directory, "sparsify"), sparsify(whole, 3));
    const common = ["--like", native, "--sample-tokens", "320", "--evaluation-tokens", "300", "--json"];
    const nested = await json("import", join(directory, "saelens"), "--out", join(directory, "a"), ...common);
    assert.deepEqual([nested.groups, nested.imported.activation], [GROUPS, "jump-relu"]);
    const config = JSON.parse(await Deno.readTextFile(join(nested.run, "config.json")));
    assert.deepEqual([config.context, config.data.fingerprint.length], [CONTEXT, 64]);
    assert.deepEqual((await loadTranscoder(join(nested.run, "transcoder.safetensors"))).weights, whole.weights);
    const place = ["--layer", "4", "--source", "resid_mid", "--target", "mlp_out"];
    const kept = await json("import", join(directory, "sparsify"), "--out", join(directory, "b"), ...place, ...common);
    assert.deepEqual([kept.k, kept.imported.activation], [3, "top-k"]);
    assert.ok(kept.l0 > 2 && kept.l0 <= 3, `${kept.l0}`);
    assert.equal((await loadTranscoder(join(kept.run, "transcoder.safetensors"))).topK, 3);
    for (
      const [tool, said] of [["saelens", /keeps the 3 largest activations/], ["tensorboard", /trained by mtc/]] as const
    ) {
      const { code, stderr } = await mtc("export", "--to", tool, "--run", kept.run, "--out", join(directory, "c"));
      assert.equal(code, 1);
      assert.match(stderr, said);
    }
  }));

Deno.test("mtc import refuses what does not fit, and leaves nothing", () =>
  inDirectory(async (directory) => {
    const scope = join(directory, "layer_4"), out = join(directory, "out");
    await writeForeign(scope, gemmaScope(before));
    const narrow = join(directory, "narrow");
    await writeForeign(narrow, gemmaScope(randomTranscoder({ d_in: 64, d_out: 128, groups: [8] }, 0.5, 1)));
    const deep = join(directory, "layer_17");
    await writeForeign(deep, gemmaScope(before));
    const cases: [args: string[], code: number, said: RegExp][] = [
      [[narrow, "--layer", "4"], 1, /it reads 64 numbers of a token, mlp_in of tiny-gemma2 has 128; give the model/],
      [[narrow], 2, /its layer must be known/],
      [[deep], 2, /the model's 6 layers are counted from 0 to 5/],
      [[scope, "--layer", "3"], 2, /its files or its path say that it is of layer 4/],
      [
        [scope, "--source", "hook_mlp_in"],
        2,
        /its source must be a site of mtc, "hook_mlp_in" is none, or not the same for every tool/,
      ],
      [[scope, "--source", "mlp_out"], 2, /the target must come after the source/],
      [[join(directory, "nothing")], 1, /nothing/],
    ];
    for (const [args, code, said] of cases) {
      const outcome = await mtc("import", ...args, "--out", out, ...SMALL);
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, said);
    }
    assert.deepEqual(names(directory).filter((name) => /out|tmp/.test(name)), []);
  }));
