/** `mtc train` from the command line: the files of a run, and that equal seeds give equal bytes. */

import assert from "node:assert/strict";
import { csvParse } from "d3-dsv";
import { join } from "node:path";
import { openModel } from "../../core/model/files.ts";
import { SUMS_FILE } from "../../core/runs/sums.ts";
import { openTokenSource } from "../../core/text/source.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { CHECKPOINT_FILES } from "../../core/training/checkpoint.ts";
import { loadTranscoder } from "../../core/transcoder/formats/native.ts";
import { FINISHED, finishedContent, names, SMALL } from "./small_train.ts";
import { mtc } from "./tiny_run.ts";

const runs = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(runs, { recursive: true }));

async function train(name: string, ...changes: string[]): Promise<string> {
  const { code, stderr } = await mtc("train", ...SMALL, "--runs", runs, "--name", name, ...changes);
  assert.equal(code, 0, stderr);
  return join(runs, name);
}

const lines = async (...path: string[]) => (await Deno.readTextFile(join(...path))).trimEnd().split("\n");

const first = await train("first");

Deno.test("a run leaves the files of its layers and its newest checkpoints, nothing else", () => {
  assert.deepEqual(names(runs).filter((name) => name.startsWith(".")), []);
  assert.deepEqual(names(first), ["layer2", "layer4"]);
  for (const layer of ["layer2", "layer4"]) {
    assert.deepEqual(names(join(first, layer)), ["checkpoints", SUMS_FILE, ...FINISHED].sort());
    assert.deepEqual(names(join(first, layer, "checkpoints")), ["step_000020", "step_000030"]);
    for (const checkpoint of names(join(first, layer, "checkpoints"))) {
      assert.deepEqual(names(join(first, layer, "checkpoints", checkpoint)), [...CHECKPOINT_FILES].sort());
    }
  }
});

/** What a transcoder's files say of itself: not what the model does with others of the run in place as well. */
async function ownContent(run: string, name: string): Promise<Record<string, string>> {
  const content = await finishedContent(join(run, name)), evaluation = JSON.parse(content["evaluation.json"]);
  delete evaluation.loss.replacement_model;
  return { ...content, "evaluation.json": JSON.stringify(evaluation) };
}

for (const layer of ["layer2", "layer4"]) {
  Deno.test(`the same seed gives ${layer} the same bytes, trained alone or with another`, async () => {
    const alone = await train(`alone-${layer}`, "--layers", layer.replace("layer", ""));
    assert.deepEqual(names(alone), [layer]);
    assert.deepEqual(await ownContent(alone, layer), await ownContent(first, layer));
  });
}

Deno.test("several sources of a layer share one harvest, and each has the bytes that it has alone", async () => {
  const both = await train("sources", "--layers", "4", "--source", "resid_mid,mlp_in,resid_mid");
  const alone = await train("mlp-in", "--layers", "4", "--source", "mlp_in");
  const ends = ["layer4.mlp_in-to-layer4.mlp_out", "layer4.resid_mid-to-layer4.mlp_out"];
  assert.deepEqual(names(both), ends);
  assert.deepEqual(await ownContent(both, ends[0]), await ownContent(alone, "layer4"));
  assert.deepEqual(await ownContent(both, ends[1]), await ownContent(first, "layer4"));
});

Deno.test("another seed gives other bytes", async () => {
  const other = await train("other", "--seed", "1", "--layers", "4");
  const [a, b] = [await finishedContent(join(other, "layer4")), await finishedContent(join(first, "layer4"))];
  for (const name of FINISHED) assert.notEqual(a[name], b[name], name);
});

Deno.test("training ends with the loss that mtc evaluate --loss measures, unless it is not wanted", async () => {
  const read = async (run: string) => JSON.parse(await Deno.readTextFile(join(run, "layer4", "evaluation.json")));
  const { loss, ...others } = await read(first);
  assert.deepEqual([loss.documents, loss.per_prefix.length, loss.replacement_model.transcoders.length], [6, 3, 2]);
  assert.ok(loss.tokens > 512 && loss.tokens < 640, "whole contexts of six addresses");
  const { code, stdout, stderr } = await mtc("evaluate", "--run", first, "--tokens", "100", "--loss", "--json");
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout)[1].loss, loss);
  const without = await train("without-loss", "--layers", "4", "--loss-tokens", "0");
  assert.deepEqual(await read(without), others);
});

Deno.test("contexts without a prediction are refused while their loss is wanted", async () => {
  const { code, stderr } = await mtc("train", "--context", "2", "--runs", runs);
  assert.equal(code, 2);
  assert.match(stderr, /^mtc: Cannot train with --loss-tokens \d+: it must be 0 .* for --context 2$/m);
});

Deno.test("metrics.csv has every logged step, and training lowers the loss", async () => {
  for (const layer of ["layer2", "layer4"]) {
    const [header, ...rows] = await lines(first, layer, "metrics.csv");
    assert.equal(
      header,
      "step,tokens,loss,aux_loss,fvu_prefix_16,fvu_prefix_48,fvu_prefix_64,l0,dead_features,learning_rate,threshold," +
        "elapsed_s,tokens_per_s",
    );
    const cells = rows.map((row) => row.split(",").map(Number));
    assert.deepEqual(cells.map(([step, tokens]) => [step, tokens]), cells.map((_, i) => [i + 1, (i + 1) * 256]));
    assert.equal(cells.length, 30);
    assert.ok(cells.flat().every(Number.isFinite));
    assert.ok(cells[29][2] < 0.9 * cells[0][2], `loss ${cells[0][2]} became ${cells[29][2]}`);
    assert.deepEqual(new Set(cells.map((row) => row[7])), new Set([8]), "batch top-k keeps k per token");
  }
});

Deno.test("the last checkpoint's transcoder is the finished one", async () => {
  for (const layer of ["layer2", "layer4"]) {
    const finished = await loadTranscoder(join(first, layer, "transcoder.safetensors"));
    const last = await loadTranscoder(join(first, layer, "checkpoints", "step_000030", "transcoder.safetensors"));
    assert.deepEqual(finished, last);
    assert.deepEqual(finished.shape, { d_in: 128, d_out: 128, groups: [16, 32, 16] });
  }
});

Deno.test("samples.jsonl has a line per feature: the strongest first, no token twice, all above the threshold", async () => {
  const { thresholds: [threshold] } = await loadTranscoder(join(first, "layer4", "transcoder.safetensors"));
  const features = (await lines(first, "layer4", "samples.jsonl")).map((line) => JSON.parse(line));
  assert.deepEqual(features.map(({ feature, group }) => [feature, group]), groupsOf([16, 32, 16]));
  for (const { top, quantiles, fires } of features) {
    const activations: number[] = top.map(({ activation }: { activation: number }) => activation);
    assert.deepEqual(activations, activations.toSorted((a, b) => b - a));
    assert.ok(activations.every((activation) => activation > threshold));
    assert.equal(activations.length, Math.min(20, fires));
    const places = top.map(({ document, position }: { document: string; position: number }) =>
      `${document} ${position}`
    );
    assert.equal(new Set(places).size, places.length);
    const strata: number[] = quantiles.map(({ activation }: { activation: number }) => activation);
    assert.deepEqual(strata, strata.toSorted((a, b) => a - b));
    assert.ok(strata.length === 0 || fires >= strata.length);
  }
});

Deno.test("training samples carry the sampled steps", async () => {
  const features = (await lines(first, "layer2", "training_samples.jsonl")).map((line) => JSON.parse(line));
  const steps = new Set(features.flatMap(({ top }) => top.map(({ step }: { step: number }) => step)));
  assert.deepEqual([...steps].sort((a, b) => a - b), [10, 20, 30]);
});

Deno.test("features.csv agrees with samples.jsonl and evaluation.json", async () => {
  const rows = csvParse(await Deno.readTextFile(join(first, "layer2", "features.csv")));
  const samples = (await lines(first, "layer2", "samples.jsonl")).map((line) => JSON.parse(line));
  assert.equal(rows.length, samples.length);
  samples.forEach(({ feature, fires, top }, i) => {
    const row = rows[i];
    assert.deepEqual([row.feature, row.fires, row.sample_count].map(Number), [feature, fires, top.length]);
    assert.equal(row.dead, fires === 0 ? "1" : "0");
    if (fires > 0) assert.equal(Number(row.max_activation), top[0].activation);
  });
  const evaluation = JSON.parse(await Deno.readTextFile(join(first, "layer2", "evaluation.json")));
  const config = JSON.parse(await Deno.readTextFile(join(first, "layer2", "config.json")));
  assert.equal(evaluation.fvu_per_prefix.length, 3);
  assert.equal(evaluation.k, config.k);
  assert.ok(evaluation.tokens >= 1024);
});

Deno.test("odd sizes, another source, BOS included: the run works and says in config.json what it was", async () => {
  const { code, stdout, stderr } = await mtc(
    ...[
      "train",
      "--layers",
      "3",
      "--source",
      "layer1.attn_out",
      "--target",
      "resid_post",
      "--steps",
      "7",
      "--batch",
      "101",
    ],
    ...["--context", "33", "--passes", "3", "--buffer", "77", "--dictionary", "28", "--k", "3", "--include-bos"],
    ...["--log-every", "3", "--sample-tokens", "100", "--evaluation-tokens", "50", "--samples", "4", "--seed", "5"],
    ...["--runs", runs, "--name", "odd", "--json"],
  );
  assert.equal(code, 0, stderr);
  const directory = join(runs, "odd", "layer3");
  const result = JSON.parse(stdout);
  assert.equal(result.run, join(runs, "odd"));
  assert.deepEqual(result.layers.map(({ layer, path }: { layer: number; path: string }) => [layer, path]), [[
    3,
    directory,
  ]]);
  assert.ok(result.layers[0].evaluation.fvu > 0);
  const config = JSON.parse(await Deno.readTextFile(join(directory, "config.json")));
  const expected = {
    ...{
      layer: 3,
      source: { layer: 1, site: "attn_out" },
      target: { layer: 3, site: "resid_post" },
      d_in: 128,
      d_out: 128,
    },
    ...{ features: 28, groups: [7, 14, 7], k: 3, steps: 7, batch_tokens: 101, context: 33, seed: 5, warmup_steps: 1 },
    ...{ passes: 3, buffer_tokens: 77, include_bos: true, log_every: 3, samples_per_feature: 4, sample_tokens: 100 },
  };
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(config[name], value, name);
  const steps = (await lines(directory, "metrics.csv")).slice(1).map((row) => Number(row.split(",")[0]));
  assert.deepEqual(steps, [1, 3, 6, 7]);
  const report = await mtc("report", "--quick", "--runs", join(runs, "odd"), "--out", join(runs, "odd-report"));
  assert.equal(report.code, 0, report.stderr);
});

function groupsOf(sizes: number[]): [feature: number, group: number][] {
  return sizes.flatMap((size, group) => new Array<number>(size).fill(group)).map((group, feature) => [feature, group]);
}

Deno.test("what is left out of training and of the final pass is counted token by token, and said", async () => {
  const spellings = ["▁the", ",", "<eos>"];
  const { code, stdout, stderr } = await mtc(
    ...["train", ...SMALL, "--layers", "4", "--runs", runs, "--name", "without", "--json"],
    ...["--exclude-tokens", ...spellings],
  );
  assert.equal(code, 0, stderr);
  const { layers: [{ evaluation: { token_counts: counts, definitions } }] } = JSON.parse(stdout);
  const files = await openModel("builtin"), { idOf } = loadTokenizer(files), context = 64;
  const left = new Set(spellings.map((text) => idOf(text)!));
  const count = async (seed: number, contexts: number) => {
    const source = await openTokenSource({ tokenizer: files, data: "builtin", split: "train", context, seed });
    const { batch: { ids } } = await source.next(contexts);
    await source.close();
    const text = [...ids].filter((_, at) => at % context > 0), excluded = text.filter((id) => left.has(id)).length;
    return { tokens: text.length - excluded, excluded_tokens: excluded };
  };
  // Four buffers of 17 contexts, and the 33 that have 2,048 tokens.
  assert.deepEqual(counts, { training: await count(0, 4 * 17), samples: await count(1, 33) });
  assert.ok(counts.training.excluded_tokens > 300 && counts.samples.excluded_tokens > 150, JSON.stringify(counts));
  assert.ok("token_counts" in definitions);
  const [training, samples] = [counts.training, counts.samples].map(({ tokens, excluded_tokens }) =>
    `${excluded_tokens} of ${(tokens + excluded_tokens).toLocaleString("en-US")} tokens of`
  );
  const said = `  left out for their ids ${training} training, ${samples} the samples' pass`;
  assert.ok(stderr.split("\n").includes(said), stderr);
});

Deno.test("text shorter than the final passes ask for is read to its end, once", async () => {
  const text = join(runs, "short.txt");
  await Deno.writeTextFile(text, "We the people of this country ask for peace, and for work.\n".repeat(400));
  const { code, stdout, stderr } = await mtc(
    ...["train", "--data", text, "--layers", "0", "--steps", "2", "--batch", "64", "--groups", "8,8", "--k", "2"],
    ...["--exclude-tokens", "▁the", "--sample-every", "1"],
    ...[
      "--sample-tokens",
      "1000000000",
      "--evaluation-tokens",
      "1000000000",
      "--runs",
      runs,
      "--name",
      "short",
      "--json",
    ],
  );
  assert.equal(code, 0, stderr);
  const { layers: [{ path, evaluation: { tokens, excluded_tokens } }] } = JSON.parse(stdout);
  assert.ok(tokens > 63 && tokens < 1000, `${tokens} held-out tokens`);
  // The word that was left out stands in each of the lines, of which a fortieth are in the test.
  assert.ok(excluded_tokens >= 8 && excluded_tokens <= 12, `${excluded_tokens} tokens left out`);
  for (const name of ["samples.jsonl", "training_samples.jsonl"]) {
    const samples = (await Deno.readTextFile(join(path, name))).trim().split("\n").flatMap((line) =>
      JSON.parse(line).top
    );
    const sampled = new Set(samples.map(({ token }) => token));
    assert.ok(sampled.size > 2 && !sampled.has(" the"), `${name}: ${[...sampled].join()}`);
  }
});
