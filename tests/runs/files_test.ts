import assert from "node:assert/strict";
import { join } from "node:path";
import { chooseRuns, findRuns } from "../../core/runs/discovery.ts";
import { readConfig, readRun, readSamples } from "../../core/runs/files.ts";
import { readTensors } from "../../core/runs/tensors.ts";
import { UserError } from "../../core/errors.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { writeSyntheticRun } from "../reports/synthetic_run.ts";

const small = { groups: [4, 8, 4], dIn: 6, dOut: 5, steps: 100 };

async function withRun(test: (path: string, root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    await test(await writeSyntheticRun(root, "demo", small), root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

async function edit(path: string, change: (text: string) => string): Promise<void> {
  await Deno.writeTextFile(path, change(await Deno.readTextFile(path)));
}

function rejects(action: () => Promise<unknown>, ...parts: (string | RegExp)[]): Promise<void> {
  return assert.rejects(action, (error: unknown) => {
    assert.ok(error instanceof UserError, `${error}`);
    assert.ok(!error.message.includes("\n"), error.message);
    for (const part of parts) {
      assert.ok(typeof part === "string" ? error.message.includes(part) : part.test(error.message), error.message);
    }
    return true;
  });
}

const allSamples = (path: string) => Array.fromAsync(readSamples(path, { features: 16 }));

Deno.test("a whole run is read with its types", () =>
  withRun(async (path) => {
    const { config, metrics, evaluation, features } = await readRun(path);
    assert.deepEqual(config.groups, [4, 8, 4]);
    assert.equal(metrics.length, 10);
    assert.equal(metrics[9].fvu_per_prefix.length, 3);
    assert.equal(evaluation.fvu_per_prefix[2].prefix, 16);
    assert.equal(features.length, 16);
    const samples = await allSamples(path);
    assert.equal(samples.length, 16);
    for (const [i, row] of features.entries()) {
      assert.equal(row.sample_count, samples[i].top.length);
      const tokens = samples[i].top.map(({ token }) => token);
      if (tokens.length > 0) assert.ok(tokens.includes(row.top_token), `${JSON.stringify(row.top_token)} of ${i}`);
    }
    const file = await openSafetensors(join(path, "transcoder.safetensors"));
    assert.equal((await readTensors(file, config)).encoder.length, 6 * 16);
    await file.close();
  }));

Deno.test("null in evaluation.json is NaN", () =>
  withRun(async (path) => {
    await edit(join(path, "evaluation.json"), (text) => text.replace(/"fvu": [\d.]+/, '"fvu": null'));
    assert.ok(Number.isNaN((await readRun(path)).evaluation.fvu));
  }));

Deno.test("evaluation.json: a range of thresholds is read where there is one", () =>
  withRun(async (path) => {
    assert.equal((await readRun(path)).evaluation.threshold_range, undefined);
    await edit(
      join(path, "evaluation.json"),
      (text) => text.replace('"fvu":', '"threshold_range": [0.125, 2],\n"fvu":'),
    );
    assert.deepEqual((await readRun(path)).evaluation.threshold_range, [0.125, 2]);
  }));

Deno.test("config.json: cut off, a missing setting, groups that do not add up", () =>
  withRun(async (path) => {
    const file = join(path, "config.json"), whole = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, whole.slice(0, 300));
    await rejects(() => readConfig(path), file, "complete JSON");
    await Deno.writeTextFile(file, whole.replace('"k": 48', '"k": "many"'));
    await rejects(() => readConfig(path), file, "k: expected", '"many"');
    await Deno.writeTextFile(file, whole.replace('"features": 16', '"features": 17'));
    await rejects(() => readConfig(path), file, "groups", "add up");
    await Deno.writeTextFile(file, whole.replace(/"d_in": 6,/, ""));
    await rejects(() => readConfig(path), file, "d_in");
  }));

Deno.test("metrics.csv: cut off, a word for a number, a column too few, no rows", () =>
  withRun(async (path) => {
    const file = join(path, "metrics.csv"), whole = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, whole.slice(0, -40));
    await rejects(() => readRun(path), file, "row 11 must hold 13 values");
    await Deno.writeTextFile(file, whole.replace(/\n10,10240,[^,]+/, "\n10,10240,bad"));
    await rejects(() => readRun(path), file, "loss in row 2", '"bad"');
    await Deno.writeTextFile(file, whole.replace("fvu_prefix_12", "fvu_prefix_13"));
    await rejects(() => readRun(path), file, "fvu_prefix_12");
    await Deno.writeTextFile(file, whole.split("\n")[0]);
    await rejects(() => readRun(path), file, "at least one logged step");
  }));

Deno.test("features.csv: rows missing, rows of another feature", () =>
  withRun(async (path) => {
    const file = join(path, "features.csv"), whole = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, whole.split("\n").slice(0, 10).join("\n"));
    await rejects(() => readRun(path), file, "16 features", "it holds 9");
    await Deno.writeTextFile(file, whole.replace("\n3,0,", "\n4,0,"));
    await rejects(() => readRun(path), file, "row 5 must be feature 3 of group 0");
  }));

Deno.test("samples.jsonl: cut off inside a line, lines missing", () =>
  withRun(async (path) => {
    const file = join(path, "samples.jsonl"), whole = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, whole.slice(0, -50));
    await rejects(() => allSamples(path), file, "line 16", "complete JSON");
    await Deno.writeTextFile(file, whole.split("\n").slice(0, 5).join("\n"));
    await rejects(() => allSamples(path), file, "it holds 5");
    await Deno.writeTextFile(file, whole.split("\n").slice(1).join("\n"));
    await rejects(() => allSamples(path), file, "line 1 must be feature 0");
    await Deno.writeTextFile(file, whole.replace(/"token_id":\d+/, '"token_id":"x"'));
    await rejects(() => allSamples(path), file, "token_id");
  }));

Deno.test("weights of another shape are refused", () =>
  withRun(async (path) => {
    const { config } = await readRun(path);
    const file = await openSafetensors(join(path, "transcoder.safetensors"));
    await rejects(() => readTensors(file, { ...config, d_in: 7 }), "W_enc", "[7, 16]", "[6, 16]");
    await file.close();
  }));

Deno.test("runs are found below --runs and when --runs is a run itself", () =>
  withRun(async (_, root) => {
    await writeSyntheticRun(root, "demo", { ...small, layer: 10 });
    await Deno.mkdir(join(root, "empty"));
    await Deno.writeTextFile(join(root, "notes.txt"), "");
    const layers = async (directory: string) => (await findRuns(directory)).map(({ config }) => config.layer).sort();
    assert.deepEqual(await layers(root), [10, 2]);
    assert.deepEqual(await layers(join(root, "demo")), [10, 2]);
    await rejects(() => findRuns(join(root, "empty")), "Cannot find a run", "mtc train");
    await rejects(() => findRuns(join(root, "nowhere")), "does not exist");
    await rejects(() => findRuns(join(root, "notes.txt")), "it is a file");
  }));

Deno.test("of several runs of a layer the newest finished one is chosen", () =>
  withRun(async (first, root) => {
    const newer = await writeSyntheticRun(root, "newer", { ...small, created: "2026-02-01T00:00:00.000Z" });
    const newest = await writeSyntheticRun(root, "newest", { ...small, created: "2026-03-01T00:00:00.000Z" });
    await Deno.remove(join(newest, "evaluation.json"));
    const { chosen, passedOver, unfinished } = chooseRuns(await findRuns(root));
    const paths = (runs: { path: string }[]) => runs.map(({ path }) => path);
    assert.deepEqual(paths(chosen), [newer]);
    assert.deepEqual(paths(passedOver), [first]);
    assert.deepEqual(paths(unfinished), [newest]);
    assert.deepEqual(unfinished[0].missing, ["evaluation.json"]);
  }));

Deno.test("when no run is finished the error says what is missing and how to go on", () =>
  withRun(async (path, root) => {
    await Deno.remove(join(path, "transcoder.safetensors"));
    await Deno.remove(join(path, "samples.jsonl"));
    const runs = await findRuns(root);
    await rejects(
      () => Promise.resolve().then(() => chooseRuns(runs)),
      path,
      "transcoder.safetensors, samples.jsonl are missing",
      `mtc train --resume ${join(root, "demo")}`,
    );
  }));
