/** `mtc export` on small finished runs: what it writes, what it says, and what it refuses. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { gunzipSync, inflateSync } from "node:zlib";
import { builtinModel } from "../../core/builtin/model.ts";
import { readConfig } from "../../core/runs/config.ts";
import { readRecord } from "../../core/runs/record.ts";
import { readTranscoder } from "../../core/runs/transcoder.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { readMetrics } from "../../core/runs/metrics.ts";
import { eventFileTime } from "../../core/files/tensorboard.ts";
import { readEvents } from "../files/event_reader.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import type { TracedFeature } from "../../core/transcoder/formats/circuit_tracer_features.ts";
import { loadTranscoder } from "../../core/transcoder/formats/native.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";
import { TOKENS, writePlantedLayer } from "./planted_layer.ts";
import { GROUPS, inDirectory, mtc, writeTinyLayer } from "./tiny_run.ts";
import { names } from "./small_train.ts";

const { bosId: BOS } = loadTokenizer(await builtinModel());
const whole = (layer: number) => randomTranscoder({ d_in: 128, d_out: 128, groups: GROUPS }, 0.5, layer);

Deno.test("mtc export --to saelens: one transcoder is the directory itself, several and prefixes are directories in it", () =>
  inDirectory(async (directory) => {
    const run = join(directory, "run"), layer = await writeTinyLayer(run, 2), out = join(directory, "out", "one");
    const one = await mtc("export", "--to", "saelens", "--run", layer, "--out", out);
    assert.deepEqual([one.code, one.stderr], [0, ""]);
    assert.equal(
      one.stdout,
      `${layer} -> ${out}: 32 features, the whole dictionary; --prefix 12 or all exports its prefixes`,
    );
    assert.deepEqual(names(out), ["cfg.json", "sae_weights.safetensors"]);
    assert.deepEqual((await loadTranscoder(join(out, "sae_weights.safetensors"))).weights, whole(2).weights);
    await writeTinyLayer(run, 4);
    const all = join(directory, "all");
    const { code, stdout } = await mtc(
      "export",
      "--to",
      "saelens",
      "--run",
      run,
      "--prefix",
      "all",
      "--out",
      all,
      "--json",
    );
    assert.equal(code, 0);
    assert.deepEqual(
      JSON.parse(stdout).exported.map((
        { directory, features }: { directory: string; features: number },
      ) => [directory, features]),
      [["layer2-prefix12", 12], ["layer2-prefix32", 32], ["layer4-prefix12", 12], ["layer4-prefix32", 32]],
    );
    const prefix = await loadTranscoder(join(all, "layer4-prefix12", "sae_weights.safetensors"));
    assert.deepEqual(prefix.weights.decoder, whole(4).weights.decoder.slice(0, 12 * 128));
    const { metadata } = JSON.parse(await Deno.readTextFile(join(all, "layer4-prefix12", "cfg.json")));
    assert.deepEqual(metadata.matryoshka_widths, [12]);
    assert.deepEqual([metadata.hook_name, metadata.hook_name_out], [
      "blocks.4.hook_resid_mid",
      "blocks.4.hook_mlp_out",
    ]);
  }));

Deno.test("mtc export: a source behind a norm is exported in front of the gain, which is folded into the encoder", () =>
  inDirectory(async (directory) => {
    const layer = await writeTinyLayer(directory, 2, { source: { layer: 2, site: "mlp_in" } }),
      out = join(directory, "out");
    const { code, stdout } = await mtc("export", "--to", "saelens", "--run", layer, "--out", out);
    assert.equal(code, 0);
    assert.match(stdout, /the gain of the norm in front of the MLP is folded into W_enc$/);
    const { metadata } = JSON.parse(await Deno.readTextFile(join(out, "cfg.json")));
    assert.equal(metadata.hook_name, "blocks.2.ln2.hook_normalized");
    const { weights } = await loadTranscoder(join(out, "sae_weights.safetensors")), { encoder } = whole(2).weights;
    const gain = weights.encoder.subarray(0, 128).map((value, i) => value / encoder[i]);
    assert.ok(gain.some((value) => Math.abs(value - 1) > 0.01));
    weights.encoder.forEach((value, at) =>
      assert.ok(Math.abs(value - encoder[at] * gain[at % 128]) <= 1e-6 * Math.abs(value))
    );
  }));

/** A feature as a client of circuit-tracer's server gets it: the index, then a range of bytes. */
async function tracedFeature(directory: string, layer: number, feature: number): Promise<TracedFeature> {
  const json = gunzipSync(await Deno.readFile(join(directory, "index.json.gz"))).toString();
  const { filename, offsets } = JSON.parse(json)[layer];
  const record = (await Deno.readFile(join(directory, filename))).slice(offsets[feature], offsets[feature + 1]);
  assert.equal(new DataView(record.buffer).getUint32(0, true), record.length - 4);
  return JSON.parse(inflateSync(record.subarray(4)).toString());
}

Deno.test("mtc export --to circuit-tracer: a set of all layers, and what is shown of each feature of those that were trained", () =>
  inDirectory(async (directory) => {
    const run = join(directory, "run"), out = join(directory, "cache", "me", "first");
    await writePlantedLayer(run, 2);
    await writePlantedLayer(run, 4);
    const { code, stdout, stderr } = await mtc("export", "--to", "circuit-tracer", "--run", run, "--out", out);
    assert.equal(code, 0, stderr);
    assert.equal(
      stdout,
      `${run} -> ${out}: 32 features in each of layers 2, 4; layers 0, 1, 3, 5 have no transcoder: their MLPs are errors as a whole`,
    );
    const layers = [0, 1, 2, 3, 4, 5].map((layer) => `layer_${layer}.safetensors`);
    assert.deepEqual(names(out), ["config.yaml", "features", ...layers]);
    assert.match(await Deno.readTextFile(join(out, "config.yaml")), new RegExp(`^scan: "${out}"$`, "m"));
    const file = await openSafetensors(join(out, "layer_4.safetensors"));
    assert.deepEqual(await file.readF32("W_enc"), whole(4).weights.encoder);
    await file.close();
    const features = join(out, "features"),
      shown = await tracedFeature(features, 4, 20),
      never = await tracedFeature(features, 4, 31);
    assert.equal(shown.index, 20);
    assert.deepEqual([shown.top_logits.length, shown.bottom_logits.length], [10, 10]);
    assert.match(shown.clerp, /, prefix 32/);
    assert.ok(
      shown.examples_quantiles[0].quantile_name.startsWith(shown.clerp) && shown.examples_quantiles.length === 5,
    );
    const fires = shown.histogram.reduce((sum, count) => sum + count, 0);
    assert.equal(shown.activation_frequency, fires / TOKENS);
    for (
      const { tokens, tokens_acts_list: acts, train_token_ind: at } of shown.examples_quantiles.flatMap((
        { examples },
      ) => examples)
    ) {
      assert.equal(tokens.length, acts.length);
      assert.ok(acts[at] > 0 && acts[at] <= shown.act_max);
    }
    assert.deepEqual([never.clerp, never.examples_quantiles, never.act_max], ["never fires, prefix 32", [], 0]);
    // A prefix has the first records of the whole.
    const prefix = join(directory, "prefix");
    const first = await mtc("export", "--to", "circuit-tracer", "--run", run, "--prefix", "12", "--out", prefix);
    assert.match(first.stdout, /: 12 features in each of layers 2, 4;/);
    const own = await tracedFeature(join(prefix, "features"), 2, 11), same = await tracedFeature(features, 2, 11);
    assert.deepEqual({ ...own, transcoder_id: "" }, { ...same, transcoder_id: "" });
    const bare = join(directory, "bare");
    assert.equal((await mtc("export", "--to", "circuit-tracer", "--run", run, "--no-features", "--out", bare)).code, 0);
    assert.deepEqual(names(bare), ["config.yaml", ...layers]);
  }));

Deno.test("mtc export --to circuit-tracer refuses what its sets cannot hold", () =>
  inDirectory(async (directory) => {
    const layer = await writeTinyLayer(directory, 2, { source: { layer: 2, site: "resid_pre" } }),
      out = join(directory, "out");
    const crossing = await mtc("export", "--to", "circuit-tracer", "--run", layer, "--out", out);
    assert.equal(crossing.code, 1);
    assert.equal(
      crossing.stderr,
      `mtc: Cannot export ${layer} to circuit-tracer: a transcoder must read resid_mid or mlp_in and predict mlp_out of the same layer, it is layer2.resid_pre -> layer2.mlp_out; train one for these`,
    );
    await writeTinyLayer(directory, 2);
    const other = await writeTinyLayer(directory, 4, { source: { layer: 4, site: "mlp_in" } });
    const mixed = await mtc("export", "--to", "circuit-tracer", "--run", directory, "--out", out);
    assert.equal(
      mixed.stderr,
      `mtc: Cannot export ${other} to circuit-tracer: all transcoders of a set must be like that of layer 2, with 32 features on resid_mid, it has 32 features on mlp_in; give one of them with --run`,
    );
    assert.deepEqual(names(directory), ["layer2", "layer4"]);
  }));

Deno.test("mtc export --to circuit-tracer: one set of the runs of a sweep, once it is said which of each layer", () =>
  inDirectory(async (directory) => {
    const runs = join(directory, "runs"), place = (layer: number, seed: number) => join(runs, `${layer}-${seed}`);
    for (const layer of [0, 1]) {
      await writePlantedLayer(place(layer, 1), layer);
      await writePlantedLayer(place(layer, 2), layer, { seed: 2 });
    }
    const unfinished = await writeTinyLayer(place(3, 2), 3, { seed: 2 });
    await Deno.remove(join(unfinished, "transcoder.safetensors"));
    const exported = (to: string, ...args: string[]) =>
      mtc("export", "--to", "circuit-tracer", "--out", join(directory, to), ...args);
    const undecided = await exported("set", "--runs", runs);
    assert.equal(undecided.code, 2);
    assert.equal(
      undecided.stderr.split("\n").at(-1),
      `mtc: Cannot export ${runs} to circuit-tracer: a set has one transcoder of each layer, all of the same settings, those found have seed 1 or 2; choose one, as with --seed 1`,
    );
    const { code, stdout, stderr } = await exported("set", "--runs", runs, "--seed", "2");
    assert.equal(code, 0, stderr);
    assert.ok(
      stderr.startsWith(`mtc: ${unfinished} was skipped: transcoder.safetensors is missing; finish it with `),
      stderr,
    );
    assert.equal(
      stdout,
      `${runs} -> ${
        join(directory, "set")
      }: 32 features in each of layers 0, 1; layers 2, 3, 4, 5 have no transcoder: their MLPs are errors as a whole`,
    );
    // Run by run or all in one run, it is the same set.
    const lone = join(directory, "lone");
    for (const layer of [0, 1]) await writePlantedLayer(lone, layer, { seed: 2 });
    assert.equal((await exported("other", "--run", lone)).code, 0);
    const [one, other] = await Promise.all(["set", "other"].map(async (name) => {
      const set = join(directory, name), shown = await tracedFeature(join(set, "features"), 1, 20);
      const files = names(set).filter((file) => file.startsWith("layer_"));
      return {
        shown: { ...shown, transcoder_id: "" },
        files: await Promise.all(files.map((file) => Deno.readFile(join(set, file)))),
      };
    }));
    assert.equal(one.files.length, 6);
    assert.deepEqual(one, other);
    const named = ["--run", place(0, 1), place(1, 2)], mixed = await exported("mixed", ...named, "--no-features");
    assert.match(mixed.stdout, /; they were not trained alike: seed 1 or 2$/);
    const twins = await exported("twins", "--run", place(0, 1), place(0, 2));
    assert.equal(
      twins.stderr,
      `mtc: Cannot export ${
        place(0, 2)
      }/layer0 to circuit-tracer: a set has one transcoder of each layer, of layer 0 there is ${
        place(0, 1)
      }/layer0 too: seed 1 or 2; choose one, as with --seed 1`,
    );
    const model = { name: "tiny-gemma2", path: null, layers: 6, d_model: 128, vocab_size: 4096, fingerprint: "0123" };
    await writeTinyLayer(place(1, 3), 1, { seed: 2, model });
    const strange = await exported("strange", "--run", place(0, 2), place(1, 3));
    assert.match(strange.stderr, /: all transcoders of a set must be of the model of that of layer 0, tiny-gemma2 /);
    assert.deepEqual(names(directory), ["lone", "mixed", "other", "runs", "set"]);
  }));

Deno.test("mtc export --to sparsify: a directory per hookpoint, and what keeping the largest activations costs", () =>
  inDirectory(async (directory) => {
    const layer = await writeTinyLayer(directory, 2), out = join(directory, "out"), tokens = ["--tokens", "128"];
    const args = ["export", "--to", "sparsify", "--run", layer, ...tokens];
    const { code, stdout, stderr } = await mtc(...args, "--prefix", "12,32", "--out", out);
    assert.equal(code, 0, stderr);
    const [inner, all] = stdout.split("\n");
    assert.ok(
      inner.startsWith(
        `${layer} -> ${join(out, "prefix12", "layers.2.pre_feedforward_layernorm")}: the first 12 of 32 features; `,
      ),
    );
    assert.match(
      all,
      /; thresholds are lost: sparsify keeps the 4 largest activations of each token; FVU is [\d.]+ so, /,
    );
    // With thresholds it is what an evaluation of the same tokens finds.
    const { fvu_per_prefix } = JSON.parse((await mtc("evaluate", "--run", layer, ...tokens, "--json")).stdout);
    const told = [inner, all].map((line) =>
      / so, ([\d.]+) with thresholds, both on \d+ held-out tokens$/.exec(line)![1]
    );
    assert.deepEqual(told, fvu_per_prefix.map(({ fvu }: { fvu: number }) => fvu.toFixed(4)));
    const hookpoint = join(out, "prefix12", "layers.2.pre_feedforward_layernorm");
    const { num_latents, k, d_in } = JSON.parse(await Deno.readTextFile(join(hookpoint, "cfg.json")));
    assert.deepEqual([num_latents, k, d_in], [12, 4, 128]);
    const unknown = await mtc(...args, "--model", "/nowhere", "--out", join(directory, "unmeasured"));
    assert.equal(unknown.code, 0);
    assert.match(unknown.stdout, /; the FVU that remains is not known \(Cannot .*\/nowhere.*\)$/);
    const read = await writeTinyLayer(directory, 2, { source: { layer: 2, site: "attn_out" } });
    const refused = await mtc("export", "--to", "sparsify", "--run", read, "--out", join(directory, "refused"));
    assert.match(
      refused.stderr,
      /^mtc: Cannot export .* to sparsify: its source must be what a module of the model reads, none reads layer2.attn_out as it is;/,
    );
  }));

Deno.test("mtc export --to neuronpedia: batches as its API takes them", () =>
  inDirectory(async (directory) => {
    const layer = await writePlantedLayer(join(directory, "run"), 2), out = join(directory, "out");
    const args = ["--run", layer, "--prefix", "12,32", "--model-name", "gemma-2-2b", "--set-name", "first"];
    const { code, stderr, stdout } = await mtc("export", "--to", "neuronpedia", ...args, "--out", out);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /the first 12 of 32 features; 1 batches for gemma-2-2b\/2-first$/m);
    const { modelId, source, features } = JSON.parse(
      await Deno.readTextFile(join(out, "layer2-prefix32", "batch-0.json")),
    );
    assert.deepEqual([modelId, source, features.length], ["gemma-2-2b", "2-first", 32]);
    const [first] = features, never = features[31];
    assert.deepEqual(Object.keys(first), [
      "index",
      "density",
      "explanations",
      "activations",
      "topLogits",
      "bottomLogits",
    ]);
    assert.ok(first.topLogits.length === 10 && first.topLogits[0].value > first.topLogits[9].value);
    for (const { tokens, values, quantileMin, quantileMax, quantileFraction } of first.activations) {
      assert.equal(tokens.length, values.length);
      assert.ok(
        quantileFraction === null || values.some((value: number) => value >= quantileMin && value <= quantileMax),
      );
    }
    assert.deepEqual([never.density, never.activations], [0, []]);
    const prefix = JSON.parse(await Deno.readTextFile(join(out, "layer2-prefix12", "batch-0.json")));
    assert.deepEqual(prefix.features, features.slice(0, 12));
  }));

Deno.test("mtc export --to delphi: every firing of the record at its place, over whole contexts with their BOS", () =>
  inDirectory(async (directory) => {
    const layer = await writePlantedLayer(join(directory, "run"), 4), out = join(directory, "out");
    const { code, stdout, stderr } = await mtc("export", "--to", "delphi", "--run", layer, "--out", out);
    assert.equal(code, 0, stderr);
    const hookpoint = join(out, "layers.4.pre_feedforward_layernorm");
    assert.equal(
      stdout,
      `${layer} -> ${hookpoint}: 32 features, the whole dictionary; --prefix 12 or all exports its prefixes; 1024 tokens in 32 contexts of 33; activations are float16`,
    );
    assert.deepEqual(names(hookpoint), ["0_31.safetensors", "config.json"]);
    const file = await openSafetensors(join(hookpoint, "0_31.safetensors"));
    const tokens = await file.read("tokens"),
      locations = await file.read("locations"),
      activations = await file.readF32("activations");
    await file.close();
    const config = await readConfig(layer), record = (await readRecord(layer, await readTranscoder(layer, config)))!;
    assert.deepEqual([tokens.length, tokens[0], tokens[33], tokens[1]], [33 * 32, BOS, BOS, record.id[0]]);
    assert.equal(activations.length, record.index.length);
    const firings = new Map<string, number>();
    for (let at = 0; at < activations.length; at++) {
      firings.set(locations.slice(3 * at, 3 * at + 3).join(), activations[at]);
    }
    for (let token = 0; token < TOKENS; token++) {
      const [context, position] = [Math.floor(record.place[token] / 33), record.place[token] % 33];
      for (let e = record.rowStart[token]; e < record.rowStart[token + 1]; e++) {
        const found = firings.get([context, position, record.index[e]].join())!;
        assert.ok(Math.abs(found - record.value[e]) <= 2 ** -11 * record.value[e]);
      }
    }
    // Within a feature they ascend, as delphi takes windows in the order of the file.
    for (let at = 3; at < locations.length; at += 3) {
      const [before, here] = [locations.slice(at - 3, at), locations.slice(at, at + 3)];
      assert.ok(here[2] > before[2] || 33 * here[0] + here[1] > 33 * before[0] + before[1]);
    }
    const { model_name, cache_ctx_len } = JSON.parse(await Deno.readTextFile(join(hookpoint, "config.json")));
    assert.deepEqual([model_name, cache_ctx_len], ["tiny-gemma2", 33]);
  }));

Deno.test("mtc train --preset mlp-in and --tensorboard: the preset's figures but for what is given, and events that --to tensorboard makes again", () =>
  inDirectory(async (directory) => {
    const run = join(directory, "first"), layer = join(run, "layer2"), out = join(directory, "events");
    const small =
      "--layers 2 --steps 12 --batch 128 --groups 48,64 --buffer 1024 --passes 1 --log-every 1 --sample-tokens 512"
        .split(" ");
    const { code, stderr } = await mtc(
      ...["train", "--preset", "mlp-in", ...small, "--evaluation-tokens", "256", "--loss-tokens", "0", "--tensorboard"],
      ...["--runs", directory, "--name", "first"],
    );
    assert.equal(code, 0, stderr);
    const config = JSON.parse(await Deno.readTextFile(join(layer, "config.json")));
    assert.deepEqual(config.source, { layer: 2, site: "mlp_in" });
    assert.deepEqual([config.k, config.learning_rate, config.aux_weight, config.context], [96, 4e-4, 1 / 64, 128]);
    assert.deepEqual(config.groups, [48, 64]);
    const [live] = names(layer).filter((name) => eventFileTime(name) !== null);
    const events = readEvents(await Deno.readFile(join(layer, live))),
      metrics = await readMetrics(layer, config.groups);
    assert.deepEqual(events.slice(2).map(({ step }) => step), metrics.map(({ step }) => step));
    assert.deepEqual(events.slice(2).map(({ scalars }) => scalars.loss), metrics.map(({ loss }) => Math.fround(loss)));
    const made = await mtc("export", "--to", "tensorboard", "--run", layer, "--out", out);
    assert.deepEqual([made.code, made.stdout], [0, `${layer} -> ${join(out, "layer2")}: 12 logged steps up to 12`]);
    const [again] = names(join(out, "layer2"));
    assert.deepEqual(await Deno.readFile(join(out, "layer2", again)), await Deno.readFile(join(layer, live)));
  }));

Deno.test("mtc export refuses what cannot be had, and leaves nothing", () =>
  inDirectory(async (directory) => {
    const layer = await writeTinyLayer(directory, 2), out = join(directory, "out");
    const refusedOf = async (run: string, code: number, message: string, ...args: string[]) => {
      const outcome = await mtc("export", "--to", "saelens", "--run", run, "--out", out, ...args);
      assert.deepEqual([outcome.code, outcome.stdout, outcome.stderr], [code, "", `mtc: ${message}`]);
    };
    const refused = (code: number, message: string, ...args: string[]) => refusedOf(layer, code, message, ...args);
    await refused(
      2,
      `Cannot export the first 13 features of ${layer}: its prefixes end at 12, 32; use --prefix 12, another of them, or --prefix all`,
      ...["--prefix", "13"],
    );
    await refusedOf(
      out,
      1,
      `Cannot open the run ${out}: it must be a directory that \`mtc train\` wrote, it does not exist; check --run`,
    );
    await refused(
      2,
      `Cannot export ${layer} ${out} to saelens: only circuit-tracer has sets of several runs; give one after the other with --run`,
      ...["--run", out],
    );
    await refused(
      2,
      `Cannot export from ${layer}: a transcoder must have k 5, seed 1, those found have k 4, seed 1; choose among these`,
      ...["--k", "5", "--seed", "1"],
    );
    await refused(
      1,
      `Cannot write ${directory}: it must be a new or an empty directory, it holds 1 entry; give another with --out, or remove it`,
      ...["--out", directory],
    );
    await writeTinyLayer(directory, 2, {
      targets: [{ layer: 2, site: "mlp_out" }, { layer: 4, site: "mlp_out" }],
      target_scales: [1, 1],
    });
    await refused(
      1,
      `Cannot export ${layer} to SAELens: a transcoder must have a single target, it is layer2.resid_mid -> layer2.mlp_out + layer4.mlp_out; train one for each target`,
    );
    await writeTinyLayer(directory, 2, { source: { layer: 2, site: "attn_heads" } });
    await refused(
      1,
      `Cannot export ${layer} to SAELens: its source must be what a hook of TransformerLens holds, token by token, layer2.attn_heads is attn.hook_z, which has the heads as an axis of their own; train one for another site`,
    );
    await Deno.remove(join(layer, "transcoder.safetensors"));
    await refused(
      1,
      `Cannot open the run ${layer}: it must be finished, transcoder.safetensors is missing; finish it with \`mtc train --resume ${directory}\``,
    );
    assert.deepEqual(names(directory), ["layer2"]);
  }));
