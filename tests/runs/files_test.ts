import assert from "node:assert/strict";
import { join } from "node:path";
import { csvParseRows } from "d3-dsv";
import { FeatureTally } from "../../core/analysis/samples.ts";
import { UserError } from "../../core/errors.ts";
import { analysesOf } from "../../core/runs/analysed.ts";
import { FORMAT, PLAIN_FORMAT, readConfig, WIDE_FORMAT, writeConfig } from "../../core/runs/config.ts";
import { chooseTranscoders, findTranscoders } from "../../core/runs/discovery.ts";
import { readEvaluation, writeEvaluation } from "../../core/runs/evaluation.ts";
import { readFeatures, writeFeatures } from "../../core/runs/features.ts";
import { openFinishedRun } from "../../core/runs/finished.ts";
import { LINEAR_MAP_FILE, readLinearMap, writeLinearMap } from "../../core/runs/linear_map.ts";
import { lockRun } from "../../core/runs/lock.ts";
import { appendMetrics, readMetrics, startMetrics } from "../../core/runs/metrics.ts";
import { readSamples, writeSamples } from "../../core/runs/samples.ts";
import { numberColumn, parseTable } from "../../core/runs/table.ts";
import { readTranscoder, writeTranscoder } from "../../core/runs/transcoder.ts";
import { emptyBatch, NO_DOCUMENT } from "../../core/text/contexts.ts";
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

const GROUPS = [4, 8, 4];
const paths = (runs: readonly { path: string }[]) => runs.map(({ path }) => path);
const allSamples = (path: string) => Array.fromAsync(readSamples(path, GROUPS));

Deno.test("a whole run is read with its types", () =>
  withRun(async (path) => {
    const config = await readConfig(path), metrics = await readMetrics(path, GROUPS);
    const evaluation = await readEvaluation(path), features = await readFeatures(path, GROUPS);
    assert.deepEqual(config.groups, GROUPS);
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
    const { shape, weights } = await readTranscoder(path, config);
    assert.deepEqual(shape, { d_in: 6, d_out: 5, groups: GROUPS });
    assert.equal(weights.encoder.length, 6 * 16);
  }));

Deno.test("features.csv: no token begins a formula, and each is read as it was", () =>
  withRun(async (path) => {
    const tokens = ["=", "=1+1", "+", "-", "@sum", "'=", "\\u003d", "a=b", " -", "\t=", '"'];
    const rows = (await readFeatures(path, GROUPS)).map((row, i) => ({
      ...row,
      top_token: tokens[i] ?? row.top_token,
    }));
    await writeFeatures(path, rows);
    assert.deepEqual(
      (await readFeatures(path, GROUPS)).map(({ top_token }) => top_token),
      rows.map((r) => r.top_token),
    );
    const written = csvParseRows(await Deno.readTextFile(join(path, "features.csv"))).slice(1);
    const column = 12;
    assert.deepEqual(written.slice(0, 6).map((cells: string[]) => cells[column]), [
      ...["\\u003d", "\\u003d1+1", "\\u002b", "\\u002d", "\\u0040sum", "'="],
    ]);
  }));

Deno.test("null in evaluation.json is NaN", () =>
  withRun(async (path) => {
    await edit(join(path, "evaluation.json"), (text) => text.replace(/"fvu": [\d.]+/, '"fvu": null'));
    assert.ok(Number.isNaN((await readEvaluation(path)).fvu));
  }));

Deno.test("evaluation.json: a range of thresholds is read where there is one", () =>
  withRun(async (path) => {
    assert.equal((await readEvaluation(path)).threshold_range, undefined);
    await edit(
      join(path, "evaluation.json"),
      (text) => text.replace('"fvu":', '"threshold_range": [0.125, 2],\n"fvu":'),
    );
    assert.deepEqual((await readEvaluation(path)).threshold_range, [0.125, 2]);
  }));

Deno.test("evaluation.json of a version without references and spread is read, and one with them keeps every figure", () =>
  withRun(async (path, root) => {
    await writeSyntheticRun(root, "demo", { ...small, linearFvu: NaN });
    const { cosine, fvu_unit_variance, target_variance, linear_map, ...old } = await readEvaluation(path);
    assert.deepEqual([cosine, fvu_unit_variance, target_variance, linear_map], [
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    const interval: [number, number] = [0.25, 0.5], figures = { fvu: 0.375, ci95: interval, fvu_unit_variance: 0.5 };
    const cosines = { cosine: 0.75, cosine_ci95: interval };
    const spread = { top_1: 0.5, top_5: 0.75, top_20: 1, largest_dimension: 3, constant_dimensions: 1 };
    const evaluation = {
      ...old,
      fvu_per_prefix: [{ prefix: 16, ...figures, ...cosines, l0: 3, l0_ci95: interval }],
      ...{ fvu_unit_variance: NaN, fvu_unit_variance_ci95: interval, target_variance: spread, ...cosines },
      linear_map: { tokens: 77, ...figures, ...cosines },
    };
    await writeEvaluation(path, evaluation);
    assert.deepEqual(await readEvaluation(path), evaluation);
  }));

Deno.test("linear_map.safetensors: none, whole, and what cannot be", () =>
  withRun(async (path) => {
    const sizes = { d_in: 6, d_out: 5 }, numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => i);
    assert.equal(await readLinearMap(path, sizes), null);
    const map = { weight: numbers(30), bias: numbers(5), targetMean: numbers(5).map((x) => -x), tokens: 81_920 };
    await writeLinearMap(path, map);
    assert.deepEqual(await readLinearMap(path, sizes), map);
    await rejects(
      () => readLinearMap(path, { ...sizes, d_in: 7 }),
      LINEAR_MAP_FILE,
      "weight must have 35 numbers",
      "30",
    );
    await writeLinearMap(path, { ...map, bias: numbers(5).fill(Infinity, 2) });
    await rejects(() => readLinearMap(path, sizes), "bias must have 5 numbers, each finite, number 2 is Infinity");
    await writeLinearMap(path, { ...map, tokens: 0 });
    await rejects(() => readLinearMap(path, sizes), "its metadata must say on how many tokens", "it says 0");
  }));

Deno.test("config.json: cut off, a missing setting, groups that do not add up", () =>
  withRun(async (path) => {
    const file = join(path, "config.json"), whole = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, whole.slice(0, 300));
    await rejects(() => readConfig(path), file, "complete JSON");
    await Deno.writeTextFile(file, whole.replace('"k": 48', '"k": "many"'));
    await rejects(() => readConfig(path), file, "k: expected", '"many"');
    await Deno.writeTextFile(file, whole.replace('"features": 16', '"features": 17'));
    await rejects(() => readConfig(path), file, "groups: the groups' sizes must add up to `features`, it is [4,8,4]");
    await Deno.writeTextFile(file, whole.replace('"exclude_norm_above": 0', '"exclude_norm_above": 6'));
    await rejects(() => readConfig(path), file, "median_norms must be there, it is missing");
    await Deno.writeTextFile(file, whole.replace(`"format": ${PLAIN_FORMAT}`, `"format": ${FORMAT + 1}`));
    await rejects(() => readConfig(path), file, `its format must be ${FORMAT} or less, it is ${FORMAT + 1}`, "0.1.0");
    await Deno.writeTextFile(file, whole.replace('"resid_mid"', '"resid_middle"'));
    await rejects(() => readConfig(path), file, "source.site", "resid_middle");
    await Deno.writeTextFile(file, whole.replace(/"d_in": 6,/, ""));
    await rejects(() => readConfig(path), file, "d_in");
  }));

Deno.test("config.json: several targets make it of a newer format, which keeps them and what each is multiplied by; so does a skip connection", () =>
  withRun(async (path) => {
    const file = join(path, "config.json"), plain = await readConfig(path), { targets: [first], layer } = plain;
    const written = async () => JSON.parse(await Deno.readTextFile(file));
    const { target, ...one } = await written();
    assert.deepEqual([one.format, target, "targets" in one], [PLAIN_FORMAT, first, false]);
    const targets = [first, { layer: layer + 2, site: "mlp_out" }] as const, target_scales = [0.5, 0.125];
    await writeConfig(path, { ...plain, targets, target_scales });
    const several = await written();
    assert.deepEqual([several.format, several.targets, "target" in several], [WIDE_FORMAT, targets, false]);
    assert.deepEqual(await readConfig(path), { ...plain, format: WIDE_FORMAT, targets, target_scales });
    await writeConfig(path, { ...plain, skip: true });
    assert.deepEqual([(await written()).format, (await readConfig(path)).skip], [WIDE_FORMAT, true]);
    await writeConfig(path, { ...plain, targets });
    await rejects(() => readConfig(path), file, "target_scales must be there, it is missing");
    for (
      const bad of [{ targets, target_scales: [1] }, { targets, target_scales: [1, 2, 3] }, { target_scales: [1] }]
    ) {
      await writeConfig(path, { ...plain, ...bad });
      await rejects(() => readConfig(path), file, "target_scales: there must be one for each of several targets");
    }
  }));

Deno.test("metrics.csv: cut off, a word for a number, a column too few, no rows", () =>
  withRun(async (path) => {
    const file = join(path, "metrics.csv"), whole = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, whole.slice(0, -40));
    await rejects(() => readMetrics(path, GROUPS), file, "row 11 must hold 13 values");
    await Deno.writeTextFile(file, whole.replace(/\n10,10240,[^,]+/, "\n10,10240,bad"));
    await rejects(() => readMetrics(path, GROUPS), file, "loss in row 2", '"bad"');
    await Deno.writeTextFile(file, whole.replace("fvu_prefix_12", "fvu_prefix_13"));
    await rejects(() => readMetrics(path, GROUPS), file, "fvu_prefix_12");
    await Deno.writeTextFile(file, whole.split("\n")[0]);
    await rejects(() => readMetrics(path, GROUPS), file, "at least one logged step");
  }));

Deno.test("features.csv: rows missing, rows of another feature", () =>
  withRun(async (path) => {
    const file = join(path, "features.csv"), whole = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, whole.split("\n").slice(0, 10).join("\n"));
    await rejects(() => readFeatures(path, GROUPS), file, "16 features", "it holds 9");
    await Deno.writeTextFile(file, whole.replace("\n3,0,", "\n4,0,"));
    await rejects(() => readFeatures(path, GROUPS), file, "row 5 must be feature 3 of group 0");
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

Deno.test("samples.jsonl: BOS belongs to no document, in files of mtc 0.1.0 too, which left the name out", () =>
  withRun(async (path) => {
    const batch = {
      ...emptyBatch(1, 3),
      document: Uint32Array.of(NO_DOCUMENT, 0, 0),
      position: Uint32Array.of(0, 0, 1),
    };
    const tally = new FeatureTally(16, 2, 0);
    const rows = { rowStart: Uint32Array.of(0, 1, 2), index: Uint32Array.of(0, 0), value: Float32Array.of(2, 1) };
    tally.add(rows, batch, Uint32Array.of(0, 1));
    const texts = { tokenText: String, decode: String, documentName: (document: number) => ["speech.txt"][document] };
    await writeSamples(path, GROUPS, tally, texts);
    const documents = async () => (await allSamples(path))[0].top.map(({ document }) => document);
    assert.deepEqual(await documents(), ["", "speech.txt"]);
    await edit(join(path, "samples.jsonl"), (text) => text.replace('"document":"",', ""));
    assert.deepEqual(await documents(), ["", "speech.txt"]);
  }));

Deno.test("weights of another shape are refused; what is not finite only where it is not looked for", () =>
  withRun(async (path, root) => {
    const config = await readConfig(path);
    await rejects(() => readTranscoder(path, { ...config, d_in: 7 }), "d_in, features, d_out = 7, 16, 5", "6, 16, 5");
    const diverged = await writeSyntheticRun(root, "diverged", { ...small, divergesAt: 10 });
    await rejects(() => readTranscoder(diverged, config), "every weight must be finite");
    assert.ok((await readTranscoder(diverged, config, true)).weights.encoder.every(Number.isNaN));
  }));

Deno.test("each analysis can be had without the files that it does not need", () =>
  withRun(async (path) => {
    const config = await readConfig(path);
    for (const name of ["features.csv", "samples.jsonl", "transcoder.safetensors"]) await Deno.remove(join(path, name));
    const analyses = analysesOf({ path, config }, 3);
    assert.equal((await analyses.course())?.lastStep, 100);
    assert.equal(await analyses.course(), await analyses.course());
    await rejects(() => analyses.samples(), "features.csv");
  }));

Deno.test("a run of mtc 0.1.0 is read, and written again as the same but for what has come since", async () => {
  const old = new URL("../golden/run_0.1.0/layer2/", import.meta.url).pathname;
  const config = await readConfig(old), { groups } = config, directory = await Deno.makeTempDir();
  const same = async (name: string, change = (text: string) => text) =>
    assert.equal(
      await Deno.readTextFile(join(directory, name)),
      change(await Deno.readTextFile(join(old, name))),
      name,
    );
  try {
    assert.deepEqual([config.format, config.mtc_version, groups], [0, "0.1.0", [4, 8, 4]]);
    await writeConfig(directory, config);
    assert.equal((await readConfig(directory)).format, PLAIN_FORMAT);
    // The keys of the new file are in the order of the schema.
    const { format, ...rest } = JSON.parse(await Deno.readTextFile(join(directory, "config.json")));
    const before = JSON.parse(await Deno.readTextFile(join(old, "config.json")));
    const added = {
      ...{ exclude_tokens: [], exclude_norm_above: 0, data_seed: before.seed },
      ...{ encoder_norm: 0.3, encoder_bias_rate: 1, whole_weight: 1, revival_rate: 0, skip: false, loss_tokens: 0 },
    };
    assert.deepEqual([format, rest], [PLAIN_FORMAT, { ...before, ...added }]);
    const metrics = await readMetrics(old, groups);
    await startMetrics(directory, groups);
    await appendMetrics(directory, groups, metrics);
    await same("metrics.csv");
    assert.deepEqual(metrics.map(({ step }) => step), [1, 5, 10, 15, 20, 25, 30]);
    await writeFeatures(directory, await readFeatures(old, groups));
    const since = "main_token_id,main_token,main_token_share,main_token_share_most,main_token_occurrences";
    const grown = (line: string, i: number) => line === "" ? "" : i === 0 ? `${line},${since}` : `${line},,,,,`;
    await same("features.csv", (text) => text.split("\n").map(grown).join("\n"));
    await writeEvaluation(directory, await readEvaluation(old));
    await same("evaluation.json");
    await writeTranscoder(directory, await readTranscoder(old, config));
    const bytes = (root: string) => Deno.readFile(join(root, "transcoder.safetensors"));
    assert.deepEqual(await bytes(directory), await bytes(old));
    const samples = await Array.fromAsync(readSamples(old, groups));
    assert.deepEqual(samples.map(({ top }) => top.length), new Array(16).fill(3));
    const { chosen } = chooseTranscoders(await findTranscoders(old));
    assert.deepEqual(chosen.map(({ name }) => name.file), ["layer2"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a run that is older than tiles and --precision is one of float32 that was not tuned", () =>
  withRun(async (path) => {
    const before = await readConfig(path);
    await edit(join(path, "config.json"), (text) => {
      const { precision: _, tiles: __, precision_errors: ___, ...older } = JSON.parse(text);
      return JSON.stringify(older);
    });
    assert.deepEqual(await readConfig(path), { ...before, precision: "f32", tiles: {}, precision_errors: {} });
  }));

Deno.test("a table that is older than a column has the column's first value; unknown columns are passed over", () => {
  const start = () => ({}) as { n: number; later: number };
  const columns = [numberColumn("n", "any"), {
    ...numberColumn<"later", ReturnType<typeof start>>("later", "any"),
    since: "7",
  }];
  assert.deepEqual(parseTable("n,newer\n1,x\n", "t.csv", columns, start), [{ n: 1, later: 7 }]);
  assert.deepEqual(parseTable("later,n\n2,1\n", "t.csv", columns, start), [{ n: 1, later: 2 }]);
});

Deno.test("numbers that cannot be are named, with what they may be, in tables and in JSON", () =>
  withRun(async (path) => {
    const wrong = async (
      name: string,
      from: RegExp,
      to: string,
      read: () => Promise<unknown>,
      ...parts: (string | RegExp)[]
    ) => {
      const whole = await Deno.readTextFile(join(path, name));
      await edit(join(path, name), (text) => text.replace(from, to));
      await rejects(read, name, ...parts);
      await Deno.writeTextFile(join(path, name), whole);
    };
    const features = () => readFeatures(path, GROUPS), metrics = () => readMetrics(path, GROUPS);
    const evaluation = () => readEvaluation(path), config = () => readConfig(path);
    const cell = (column: number) => new RegExp(`(?<=\\n(?:[^,\\n]*,){${column}})[^,]*`);
    await wrong("features.csv", cell(2), "-1", features, 'fires in row 2 must be a whole number from 0, it is "-1"');
    await wrong("features.csv", cell(2), "1.5", features, "fires in row 2 must be a whole number from 0");
    await wrong("features.csv", cell(2), "0x10", features, 'it is "0x10"');
    await wrong("features.csv", cell(3), "2", features, 'density in row 2 must be a number from 0 to 1, it is "2"');
    await wrong(
      "features.csv",
      cell(7),
      "1e999",
      features,
      'encoder_norm in row 2 must be a number from 0, it is "1e999"',
    );
    await wrong("metrics.csv", cell(1), "1e999", metrics, "tokens in row 2 must be a whole number from 0");
    await wrong("metrics.csv", cell(0), "0", metrics, "its steps must ascend from 1, row 2 is of step 0");
    await wrong("metrics.csv", /(?<=\n)20,/, "10,", metrics, "its steps must ascend from 1, row 3 is of step 10");
    await wrong("evaluation.json", /"fvu": [^,]*/, '"fvu": -1', evaluation, "fvu");
    await wrong(
      "evaluation.json",
      /"fvu": [^,]*/,
      '"fvu": 1e999',
      evaluation,
      "fvu must be a finite number, it is larger",
    );
    await wrong("evaluation.json", /"dead_fraction": [^,]*/, '"dead_fraction": 1.5', evaluation, "dead_fraction");
    await wrong(
      "evaluation.json",
      /"l0_ci95": \[[^\]]*\]/,
      '"l0_ci95": [2, 1]',
      evaluation,
      "its ends must be in their order",
    );
    await wrong(
      "config.json",
      /"learning_rate": [^,]*/,
      '"learning_rate": 1e999',
      config,
      "learning_rate must be a finite",
    );
    await edit(join(path, "evaluation.json"), (text) => text.replace(/"fvu": [^,]*/, '"fvu": null'));
    assert.ok(Number.isNaN((await readEvaluation(path)).fvu), "a figure that is none stays one");
  }));

Deno.test("transcoders are found by their config.json, whatever their directories are called", () =>
  withRun(async (path, root) => {
    await writeSyntheticRun(root, "demo", { ...small, layer: 10 });
    await Deno.rename(path, join(root, "demo", "my favourite"));
    await Deno.mkdir(join(root, "empty"));
    await Deno.writeTextFile(join(root, "notes.txt"), "");
    for (const directory of ["gemma-2-2b", "demo/gemma-2-2b", "demo/.unfinished"]) {
      await Deno.mkdir(join(root, directory));
      await Deno.writeTextFile(join(root, directory, "config.json"), '{ "model_type": "gemma2" }');
    }
    const layers = async (directory: string) => (await findTranscoders(directory)).map(({ config }) => config.layer);
    assert.deepEqual(await layers(root), [10, 2]);
    assert.deepEqual(await layers(join(root, "demo")), [10, 2]);
    assert.deepEqual(await layers(join(root, "demo", "my favourite")), [2]);
    await rejects(() => findTranscoders(join(root, "empty")), "Cannot find a run", "mtc train");
    await rejects(() => findTranscoders(join(root, "nowhere")), "does not exist");
    await rejects(() => findTranscoders(join(root, "notes.txt")), "it is a file");
    await Deno.writeTextFile(join(root, "demo", "layer10", "config.json"), "");
    await rejects(() => findTranscoders(root), "layer10", "complete JSON");
  }));

Deno.test("a config.json that cannot be read keeps nobody from the others, and is told of", () =>
  withRun(async (path, root) => {
    const damaged = await writeSyntheticRun(root, "damaged", { ...small, seed: 2 });
    const newer = await writeSyntheticRun(root, "newer", { ...small, seed: 3 });
    await edit(join(damaged, "config.json"), (text) => text.slice(0, 300));
    await edit(join(newer, "config.json"), (text) => text.replace(/"format": \d+/, '"format": 99'));
    const told: string[] = [];
    const find = (root: string) => findTranscoders(root, (path, { message }) => told.push(`${path}: ${message}`));
    assert.deepEqual(paths(await find(root)), [path]);
    assert.equal(told.length, 2);
    assert.ok(told[0].startsWith(damaged) && told[0].includes("complete JSON"), told[0]);
    assert.ok(told[1].startsWith(newer) && told[1].includes("its format must be"), told[1]);
    await rejects(() => find(newer), "its format must be");
  }));

Deno.test("of several runs of the same transcoder the newest finished one is chosen", () =>
  withRun(async (first, root) => {
    const newer = await writeSyntheticRun(root, "newer", { ...small, created: "2026-02-01T00:00:00.000Z" });
    const newest = await writeSyntheticRun(root, "newest", { ...small, created: "2026-03-01T00:00:00.000Z" });
    await Deno.remove(join(newest, "evaluation.json"));
    const { chosen, passedOver, unfinished } = chooseTranscoders(await findTranscoders(root));
    assert.deepEqual(paths(chosen), [newer]);
    assert.deepEqual(passedOver.map(({ older, newer }) => [older.path, newer.path]), [[first, newer]]);
    assert.deepEqual(paths(unfinished), [newest]);
    assert.deepEqual(unfinished[0].missing, ["evaluation.json"]);
  }));

Deno.test("different transcoders of one layer all stand for themselves, with names of their own", () =>
  withRun(async (first, root) => {
    const later = { ...small, created: "2026-02-01T00:00:00.000Z" };
    const k = await writeSyntheticRun(root, "k", { ...later, k: 96 });
    const seed = await writeSyntheticRun(root, "seed", { ...later, seed: 2 });
    const groups = await writeSyntheticRun(root, "groups", { ...later, groups: [8, 8] });
    const size = await writeSyntheticRun(root, "size", { ...later, groups: [8, 9] });
    const source = await writeSyntheticRun(root, "source", { ...later, source: { layer: 1, site: "resid_mid" } });
    const model = await writeSyntheticRun(root, "model", { ...later, model: "other" });
    const again = await writeSyntheticRun(root, "again", { ...later, seed: 2, created: "2026-04-01T00:00:00.000Z" });
    const deep = await writeSyntheticRun(root, "deep", { ...later, layer: 4 });
    const { chosen, passedOver, unfinished } = chooseTranscoders(await findTranscoders(root));
    assert.deepEqual(chosen.map(({ path, name }) => [path, name.file]), [
      [source, "layer1-to-layer2-f16-g4+8+4-k48-seed1-of-tiny-gemma2"],
      [model, "layer2-f16-g4+8+4-k48-seed1-of-other"],
      [first, "layer2-f16-g4+8+4-k48-seed1-of-tiny-gemma2"],
      [groups, "layer2-f16-g8+8-k48-seed1-of-tiny-gemma2"],
      [again, "layer2-f16-g4+8+4-k48-seed2-of-tiny-gemma2"],
      [k, "layer2-f16-g4+8+4-k96-seed1-of-tiny-gemma2"],
      [size, "layer2-f17-k48-seed1-of-tiny-gemma2"],
      [deep, "layer4"],
    ]);
    assert.deepEqual(passedOver.map(({ older, newer }) => [older.path, newer.path]), [[seed, again]]);
    assert.deepEqual(unfinished, []);
  }));

Deno.test("a run in progress is called that, by those that need it finished", () =>
  withRun(async (path, root) => {
    await Deno.remove(join(path, "transcoder.safetensors"));
    await Deno.mkdir(join(path, "checkpoints", "step_000500"), { recursive: true });
    const lock = await lockRun(join(root, "demo"));
    const said = `process ${Deno.pid} on ${Deno.hostname()} trains it, 500 of ${(await readConfig(path)).steps} steps`;
    try {
      await rejects(async () => chooseTranscoders(await findTranscoders(root)), path, said, "; wait until it ends");
      await rejects(() => openFinishedRun(path), path, said, "; wait until it ends");
    } finally {
      await lock.release();
    }
    await rejects(() => openFinishedRun(path), "finish it with `mtc train --resume");
  }));

Deno.test("directories and pipes in the place of a run's files are refused in a sentence, and not waited for", () =>
  withRun(async (path) => {
    const config = await readConfig(path), { groups } = config;
    const readers: [name: string, read: () => Promise<unknown>][] = [
      ["metrics.csv", () => readMetrics(path, groups)],
      ["features.csv", () => readFeatures(path, groups)],
      ["evaluation.json", () => readEvaluation(path)],
      ["samples.jsonl", () => Array.fromAsync(readSamples(path, groups))],
      ["transcoder.safetensors", () => readTranscoder(path, config)],
      ["config.json", () => findTranscoders(path)],
    ];
    for (const [name, read] of readers) {
      const place = join(path, name);
      await Deno.remove(place);
      await Deno.mkdir(place);
      await rejects(read, place, "it must be an ordinary file", "it is a directory");
      await Deno.remove(place);
      if (Deno.build.os === "windows") continue;
      await new Deno.Command("mkfifo", { args: [place] }).output();
      await rejects(read, place, "it must be an ordinary file", "it is a device, a pipe");
    }
  }));

Deno.test("when no run is finished the error says what is missing and how to go on", () =>
  withRun(async (path, root) => {
    await Deno.remove(join(path, "transcoder.safetensors"));
    await Deno.remove(join(path, "samples.jsonl"));
    const found = await findTranscoders(root);
    await rejects(
      () => Promise.resolve().then(() => chooseTranscoders(found)),
      path,
      "transcoder.safetensors, samples.jsonl are missing",
      `mtc train --resume ${join(root, "demo")}`,
    );
    const here = found.map((directory) => ({ ...directory, path: "." }));
    await rejects(() => Promise.resolve().then(() => chooseTranscoders(here)), "mtc train --resume ..`");
  }));
