/** Transcoders that cross layers, and those of several targets, through every command that takes a run. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { DEFINITIONS_OF_SEVERAL_TARGETS, IMPORTANCE_DEFINITIONS } from "../../core/analysis/importance.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { assertClose } from "../compare.ts";
import { finishedContent, MAIN, names, SMALL } from "./small_train.ts";
import { mtc } from "./tiny_run.ts";

const runs = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(runs, { recursive: true }));

async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await mtc(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

const json = async (...path: string[]) => JSON.parse(await Deno.readTextFile(join(...path)));

/** The small run without its layers: the sites name theirs. */
const settings = SMALL.slice(2), SOURCE = ["--source", "layer1.resid_mid"];
const TARGETS = ["layer2.mlp_out", "layer4.mlp_neurons"], WIDTHS = [128, 512];
const BOTH = [...settings, ...SOURCE, "--target", TARGETS.join(), "--runs", runs];

const trained = await done("train", ...BOTH, "--name", "both");
const both = join(runs, "both", "layer2+layer4"), config = await json(both, "config.json");
const evaluation = await json(both, "evaluation.json");

Deno.test("one transcoder is trained on both targets, says so, and learns both", () => {
  assert.deepEqual(names(join(runs, "both")).filter((name) => !name.startsWith(".")), ["layer2+layer4"]);
  const targets = TARGETS.map((target) => {
    const [layer, site] = target.split(".");
    return { layer: Number(layer.slice("layer".length)), site };
  });
  assert.deepEqual([config.format, config.targets, config.layer, config.d_out], [3, targets, 2, 640]);
  assert.match(trained, /^ {2}layers 2 and 4 {3}FVU/m);
  for (const { target, fvu, linear_map } of evaluation.fvu_per_target) {
    assert.ok(fvu < 0.95, `held-out FVU of ${target} ${fvu}`);
    const line = `    FVU of ${target} ${fvu.toFixed(3)} (linear map ${linear_map.fvu.toFixed(3)})`;
    assert.ok(trained.includes(line), trained);
  }
  const [a, b] = evaluation.fvu_per_target;
  assert.deepEqual([a.target, b.target], TARGETS);
  assert.ok(Math.abs(evaluation.fvu - (a.fvu + b.fvu) / 2) < 0.1 * evaluation.fvu, "the targets weigh about the same");
});

for (const [t, target] of TARGETS.entries()) {
  Deno.test(`${target} alone: the same means, and to rounding the same linear map as beside the other`, async () => {
    await done("train", ...settings, ...SOURCE, "--target", target, "--runs", runs, "--name", target);
    const [layer] = target.split("."), alone = join(runs, target, layer), of = 640, before = t === 0 ? 0 : WIDTHS[0];
    assert.equal((await json(alone, "config.json")).format, 2);
    const cut = (values: Float32Array) => values.filter((_, at) => at % of >= before && at % of < before + WIDTHS[t]);
    const read = async (directory: string, file: string, tensor: string) => {
      const opened = await openSafetensors(join(directory, file)), values = await opened.readF32(tensor);
      await opened.close();
      return values;
    };
    const pair = async (file: string, tensor: string) =>
      [cut(await read(both, file, tensor)), await read(alone, file, tensor)] as const;
    const [mean, expectedMean] = await pair("preparation.safetensors", "target.mean");
    assert.deepEqual(mean, expectedMean);
    // Half of the weight, whatever the width: of 640 dimensions 128 have five halves as much each as if all had the same.
    const [scale, expectedScale] = await pair("preparation.safetensors", "target.scale");
    const heavier = Math.sqrt(640 / (2 * WIDTHS[t]));
    assertClose("scale", scale, expectedScale.map((value) => value * heavier), { floor: 0, relative: 1e-6 });
    assert.deepEqual([...new Set(scale)], [config.target_scales[t]]);
    const [map, expectedMap] = await pair("linear_map.safetensors", "weight");
    assertClose("map", map, expectedMap, { floor: 1e-5 * Math.max(...expectedMap), relative: 1e-4 });
    const { linear_map } = await json(alone, "evaluation.json");
    assertClose("its FVU", [evaluation.fvu_per_target[t].linear_map.fvu], [linear_map.fvu], {
      floor: 0,
      relative: 1e-4,
    });
  });
}

Deno.test("killed at a checkpoint and resumed, it ends with the same bytes", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", MAIN, "train", ...BOTH, "--name", "killed"],
    ...{ stdout: "null", stderr: "null" },
  }).spawn();
  const killed = join(runs, "killed", "layer2+layer4");
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  while (!hasEnded && !names(join(killed, "checkpoints")).includes("step_000020")) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(!hasEnded, "it was still going");
  child.kill("SIGKILL");
  await child.status;
  await done("train", "--resume", join(runs, "killed"));
  assert.deepEqual(await finishedContent(killed), await finishedContent(both));
});

Deno.test("it is evaluated as at the end of training, with both targets in place at once, encoded and reported", async () => {
  const measured = JSON.parse(await done("evaluate", "--run", both, "--loss-tokens", "256", "--json"));
  const { loss, run: _, layer: __, ...figures } = measured,
    { training_sample: ___, token_counts: ____, ...stored } = evaluation;
  for (const key of ["fvu", "fvu_per_prefix", "fvu_per_target", "linear_map"]) {
    assert.deepEqual(figures[key], stored[key], key);
  }
  assert.ok(loss.zero.kl > loss.per_prefix.at(-1).kl, "better than zeros at both");
  assert.equal(loss.replacement_model, undefined);
  const text = await done("evaluate", "--run", both, "--tokens", "256");
  for (const target of TARGETS) assert.match(text, new RegExp(`^\\| ${target} +\\| +0\\.\\d{4} \\|`, "m"));
  const { tokens } = JSON.parse(await done("encode", "--run", both, "--text", "We the people", "--json"));
  assert.ok(tokens.some(({ features }: { features: unknown[] }) => features.length > 0));

  const out = join(runs, "reports");
  await done("report", "--quick", "--runs", both, "--out", out);
  const report = await Deno.readTextFile(join(out, "layer2+layer4_analysis_report.md"));
  assert.match(report, /^# Layers 2 and 4 Matryoshka Transcoder Analysis Report$/m);
  assert.match(
    report,
    /\*\*Layers:\*\* 2 and 4 \(`resid_mid` of layer 1 → `mlp_out` of layer 2 and `mlp_neurons` of layer 4\)/,
  );
  assert.match(
    report,
    /of the variance of all targets stays unexplained \(.*% of `layer2\.mlp_out` and .*% of `layer4\.mlp_neurons`/,
  );
  assert.match(report, /^\| layer4\.mlp_neurons +\| +0\.\d{4} \|/m);
});

Deno.test("features are switched off at both targets, one at a time as several at once", async () => {
  const text = ["--run", both, "--tokens", "128", "--json"];
  const importance = JSON.parse(await done("analyze", "importance", ...text, "--top", "3", "--random", "3"));
  assert.deepEqual(importance.definitions, { ...IMPORTANCE_DEFINITIONS, ...DEFINITIONS_OF_SEVERAL_TARGETS });
  const off = importance.features.filter(({ effect }: { effect: unknown }) => effect !== null);
  const { feature, effect } = off.toSorted((a: typeof off[0], b: typeof off[0]) => b.effect.kl - a.effect.kl)[0];
  const { held_out } = JSON.parse(await done("ablate", ...text, "--features", String(feature), "--rivals", "0"));
  const { predictions, ce_change, kl } = held_out.changed;
  assert.equal(importance.predictions, predictions);
  // The one goes on from what a whole forward pass has left, the other runs it so that it can be gone on from to the bit.
  const bound = { floor: 1e-6, relative: 1e-3 };
  assertClose("feature", [effect.ce_rise, effect.kl], [ce_change, kl], bound);
  assert.ok(kl > 1e-4, `it matters: ${kl}`);
});

Deno.test("to the deepest layer from one far below: trained, named by where it goes, compared with one of two layers", async () => {
  const few = ["--runs", runs, "--steps", "10", "--sample-tokens", "512", "--evaluation-tokens", "512"];
  await done(
    "train",
    ...settings,
    ...few,
    "--source",
    "layer0.resid_mid",
    "--target",
    "layer5.mlp_out",
    "--name",
    "far",
  );
  const { source, target, format } = await json(runs, "far", "layer5", "config.json");
  assert.deepEqual([source.layer, target, format], [0, { layer: 5, site: "mlp_out" }, 2]);
  const each = join(runs, "each"), out = join(each, "reports");
  await Deno.mkdir(each);
  for (const name of ["far", "both"]) await Deno.symlink(join(runs, name), join(each, name));
  await done("report", "--quick", "--runs", each, "--out", out);
  const compared = await Deno.readTextFile(join(out, "layer2+layer4_vs_layer5_comparison.md"));
  assert.match(compared, /^# Layers 2 and 4 vs Layer 5$/m);
  assert.match(
    compared,
    /layer1\.resid_mid` → `layer2\.mlp_out` \+ `layer4\.mlp_neurons`\) and .*layer0\.resid_mid` → `layer5\.mlp_out`/,
  );
});

Deno.test("a skip connection to two targets: killed and resumed to the same bytes, kept in the file, measured alone, told apart", async () => {
  const skip = [...BOTH, "--skip"],
    [few, own] = [["--steps", "12", "--checkpoint-every", "4"], join(runs, "skip", "layer2+layer4")];
  const told = await done("train", ...skip, ...few, "--name", "skip");
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", MAIN, "train", ...skip, ...few, "--name", "skip-killed"],
    ...{ stdout: "null", stderr: "null" },
  }).spawn();
  const killed = join(runs, "skip-killed", "layer2+layer4");
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  while (!hasEnded && !names(join(killed, "checkpoints")).includes("step_000004")) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(!hasEnded, "it was still going");
  child.kill("SIGKILL");
  await child.status;
  await done("train", "--resume", join(runs, "skip-killed"));
  assert.deepEqual(await finishedContent(killed), await finishedContent(own));
  const file = await openSafetensors(join(own, "transcoder.safetensors")), weights = await file.readF32("W_skip");
  assert.deepEqual(file.info("W_skip").shape, [640, 128]);
  assert.ok(weights.some((weight) => weight !== 0));
  await file.close();
  const { format, skip: isThere } = await json(own, "config.json"),
    { skip_alone, fvu } = await json(own, "evaluation.json");
  assert.deepEqual([format, isThere], [3, true]);
  assert.ok(skip_alone.fvu > fvu && skip_alone.fvu < 1, `alone ${skip_alone.fvu}, with features ${fvu}`);
  assert.ok(told.includes(`    FVU ${skip_alone.fvu.toFixed(3)} of the skip connection alone; `), told);
  const measured = JSON.parse(await done("evaluate", "--run", own, "--loss-tokens", "256", "--json"));
  assert.deepEqual([measured.skip_alone, measured.fvu], [skip_alone, fvu]);
  assert.ok(measured.loss.zero.kl > measured.loss.per_prefix.at(-1).kl);
  const all = join(runs, "skipping"), out = join(all, "reports");
  await Deno.mkdir(all);
  for (const name of ["skip", "both"]) await Deno.symlink(join(runs, name), join(all, name));
  await done("report", "--quick", "--runs", all, "--out", out);
  const report = await Deno.readTextFile(join(out, "layer2+layer4-skip_analysis_report.md"));
  assert.match(report, /^\| skip connection alone +\| +0\.\d{4} \|/m);
  assert.match(report, /\*\*Skip connection: alone it leaves/);
});
