/** The analyses of records: as text, as JSON and as CSV, and the record that is made for them. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { csvParse } from "d3-dsv";
import { readAttribution } from "../../core/runs/attribution.ts";
import { readCoherence } from "../../core/runs/coherence.ts";
import { readConfig } from "../../core/runs/config.ts";
import { writePreparation } from "../../core/runs/preparation.ts";
import { readRecord, RECORD_FILE, writeRecord } from "../../core/runs/record.ts";
import { readTranscoder } from "../../core/runs/transcoder.ts";
import { openCorpus } from "../../core/text/corpus.ts";
import { scaledBy } from "../../core/transcoder/weights.ts";
import { bursty, chanceOf, plantedRecord, type Rule } from "../analysis/planted_record.ts";
import { jsonl } from "../text/corpora.ts";
import { GROUPS, inDirectory, mtc, writeTinyLayer } from "./tiny_run.ts";

const TOKENS = 2048;

/** A layer whose record is planted: features 12 to 19 fire under 0 to 7, the others alone. */
async function plantedLayer(run: string, layer: number, groups = GROUPS): Promise<string> {
  const directory = await writeTinyLayer(run, layer, { groups });
  const rules: Rule[] = Array.from({ length: 32 }, (_, i) => bursty(i + 100 * layer, TOKENS, 0.06));
  for (let n = 0; n < 8; n++) {
    const parent = rules[n], within = chanceOf(500 + n, TOKENS);
    rules[12 + n] = (t) => within[t] < 0.5 ? parent(t) : 0;
  }
  await writeRecord(
    directory,
    await readTranscoder(directory, await readConfig(directory)),
    plantedRecord(groups, TOKENS, rules),
  );
  return directory;
}

Deno.test("a record is made on all of a small text, for the transcoders that lack one, once", () =>
  inDirectory(async (folder) => {
    const path = join(folder, "text.jsonl"), run = join(folder, "run");
    await Deno.writeTextFile(
      path,
      jsonl(Array.from({ length: 42 }, (_, i) => `The state of the Union ${i} is strong and free.`)),
    );
    const { summary } = await openCorpus([path], "test");
    const data = { name: "text", files: [path], ...summary };
    const layers = [await writeTinyLayer(run, 2, { data }), await writeTinyLayer(run, 4, { data })];
    const made = await mtc("analyze", "hierarchy", "--run", run);
    assert.equal(made.code, 0, made.stderr);
    const records = await Promise.all(layers.map(async (layer) => {
      return (await readRecord(layer, await readTranscoder(layer, await readConfig(layer))))!;
    }));
    const [first, second] = records;
    assert.deepEqual([first.place, first.id, first.documents], [second.place, second.id, second.documents]);
    assert.deepEqual(first.documents.map(({ split }) => split).filter((split) => split !== "train").length, 3);
    const text = [...first.id.slice(0, 8)].map((id) => first.tokenTexts.get(id)).join("");
    assert.match(text, /^The state of the Union|^ ?The state/);
    const counts = records.map(({ index }) => index.length), denser = counts[0] > counts[1] ? 0 : 1;
    const unequal = await mtc("analyze", "compare", ...layers);
    assert.equal(unequal.code, 0, unequal.stderr);
    assert.match(
      unequal.stdout,
      /^Not yet at equal L0: A has .*`mtc analyze compare .*layer2 .*layer4 --equal-l0` measures/m,
    );
    const equal = await mtc("analyze", "compare", ...layers, "--equal-l0", "--json");
    assert.equal(equal.code, 0, equal.stderr);
    const { at_equal_l0: found, reconstructions: as_they_are, evolution } = JSON.parse(equal.stdout);
    assert.deepEqual([found.raised, found.a.l0, found.b.l0], [
      "ab"[denser],
      ...layers.map(() => {
        return Math.min(...counts) / first.place.length;
      }),
    ]);
    assert.deepEqual([found.b, found.a][denser].fvus, [as_they_are.b, as_they_are.a][denser].fvus, "that one stays");
    assert.notDeepEqual([found.a, found.b][denser].fvus, [as_they_are.a, as_they_are.b][denser].fvus);
    assert.deepEqual([evolution.from, evolution.figures.histogram_by_chance.counts.length], ["a", 50]);
    const before = await Deno.readFile(join(layers[0], RECORD_FILE)),
      again = await mtc("analyze", "hierarchy", "--run", run);
    assert.equal(again.stdout, made.stdout);
    await Deno.writeTextFile(path, jsonl(Array.from({ length: 42 }, (_, i) => `Another text, number ${i}.`)));
    assert.equal((await mtc("analyze", "hierarchy", "--run", layers[0])).code, 0, "the text is not read again");
    const kept = await mtc("analyze", "compare", layers[1], layers[0], "--json");
    assert.deepEqual(JSON.parse(kept.stdout).at_equal_l0[denser === 0 ? "b" : "a"], [found.a, found.b][denser]);
    assert.deepEqual(await Deno.readFile(join(layers[0], RECORD_FILE)), before);
    await Deno.remove(join(layers[0], RECORD_FILE));
    const other = await mtc("analyze", "hierarchy", "--run", layers[0]);
    assert.equal(other.code, 1);
    assert.match(
      other.stderr,
      /^mtc: Cannot analyze .*layer2: the text's contents must be the .* that the run began with, they are/m,
    );
  }));

Deno.test("mtc analyze hierarchy: planted parents as text, JSON and CSV, beside another run", () =>
  inDirectory(async (folder) => {
    const run = join(folder, "nested"), flat = join(folder, "flat");
    const layer = await plantedLayer(run, 2);
    await plantedLayer(flat, 2, [32]);
    const text = await mtc("analyze", "hierarchy", "--run", layer, "--against", flat);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^Layer 2: 2,048 tokens of the reading set\.$/m);
    assert.match(text.stdout, /^\| groups as trained +\| +20 \| +4\d\.\d % \|/m);
    assert.match(text.stdout, /^4\d\.\d % of the children have a parent, where shuffled contexts give 1 %\./m);
    assert.match(
      text.stdout,
      /trained without nesting, has 0\.\d+ ± 0\.\d+ by how often its features fire\. FVU is 0\.\d+ at L0 /,
    );
    const json = await mtc("analyze", "hierarchy", "--run", layer, "--json"), found = JSON.parse(json.stdout);
    assert.deepEqual([found.run, found.layer, found.tokens, found.flat], [layer, 2, TOKENS, null]);
    for (let n = 0; n < 8; n++) {
      const { parent, containment } = found.parents.find(({ child }: { child: number }) => child === 12 + n);
      assert.deepEqual([parent, containment], [n, 1]);
    }
    const csv = await mtc("analyze", "hierarchy", "--run", run, "--csv"),
      rows: Record<string, string>[] & { columns?: string[] } = csvParse(csv.stdout);
    assert.deepEqual(rows.columns!.slice(0, 4), ["run", "child", "parent", "together"]);
    assert.deepEqual(
      rows.map(({ child }) => Number(child)),
      found.parents.map(({ child }: { child: number }) => child),
    );
  }));

Deno.test("mtc analyze hierarchy: a dictionary of one group, and a run without the same layer, are told", () =>
  inDirectory(async (folder) => {
    const run = join(folder, "nested"), flat = join(folder, "flat");
    await plantedLayer(run, 2);
    const other = await plantedLayer(flat, 4, [32]);
    const one = await mtc("analyze", "hierarchy", "--run", other);
    assert.equal(one.code, 1);
    assert.match(
      one.stderr,
      /Cannot look for a hierarchy in .*: the dictionary must have two groups or more, it has one; /,
    );
    const stranger = await mtc("analyze", "hierarchy", "--run", run, "--against", flat);
    assert.equal(stranger.code, 1);
    assert.match(
      stranger.stderr,
      /it must have a transcoder layer2\.resid_mid -> layer2\.mlp_out, it has layer 4; /,
    );
  }));

Deno.test("mtc analyze weights: tensors, groups and features, without a text", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const text = await mtc("analyze", "weights", "--run", layer);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^Layer 2: groups of 12 \+ 20 features\.$/m);
    assert.match(text.stdout, /^\| W_enc +\| 128 × 32 +\|/m);
    assert.match(text.stdout, /^\| +all \| +-?0\.\d\d \(-?0\.\d\d to -?0\.\d\d\) \| +± 0\.\d\d \|/m);
    assert.match(text.stdout, /^\d+\.\d % of the features write along what they read and \d+\.\d % against it,/m);
    const { stdout } = await mtc("analyze", "weights", "--run", layer, "--json"), found = JSON.parse(stdout);
    assert.deepEqual([found.run, found.layer, found.tensors.W_dec.shape], [layer, 2, [32, 128]]);
    assert.deepEqual(found.groups.map(({ features }: { features: number }) => features), [32, 12, 20]);
    const rows: Record<string, string>[] = csvParse((await mtc("analyze", "weights", "--run", run, "--csv")).stdout);
    assert.deepEqual(rows.map(({ feature }) => Number(feature)), Array.from({ length: 32 }, (_, i) => i));
    const mean = rows.reduce((sum, row) => sum + Number(row.decoder_norm), 0) / 32;
    assert.ok(Math.abs(mean - found.groups[0].decoder_norm.mean) < 1e-9);
    assert.match(text.stdout, /^\| ≥ 0\.80 +\|( +0 \|){4}$/m);
    assert.match(text.stdout, /^\| W_enc +\| +\d+ \| +\d+ \| +0\.\d{3} \| +[\d.]+ \|$/m);
    const counted = Object.values<{ counts: number[] }>(found.histograms).map(({ counts }) =>
      counts.reduce((a, b) => a + b)
    );
    assert.deepEqual(counted.map((count, t) => count > [4000, 30, 4000, 120][t]), [true, true, true, true]);
    const without = await mtc("analyze", "weights", "--run", layer, "--no-pairs");
    assert.doesNotMatch(without.stdout, /Nearest rows|≥/);
  }));

Deno.test("mtc evaluate --scores: the original project's scores beside chance, and SAEBench's names for them", () =>
  inDirectory(async (run) => {
    const layer = await plantedLayer(run, 2), args = ["evaluate", "--run", layer, "--tokens", "30", "--scores"];
    const text = await mtc(...args);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^Scores of the original project, on 2,048 tokens of the reading set:$/m);
    assert.match(text.stdout, /^\| absorption_score \(pairs\) +\| +0 \(0\) \| +0 \|$/m);
    assert.match(text.stdout, /^\| between_similarity, groups 0 and 1 +\| 0\.\d{4} \| +0\.\d{4} \|$/m);
    assert.match(text.stdout, /^monosemanticity: .*A feature that never fires has the best score, 1\.$/m);
    const found = JSON.parse((await mtc(...args, "--json")).stdout), { original_scores, saebench } = found;
    assert.deepEqual([original_scores.tokens, original_scores.group_stats[1].size], [TOKENS, 20]);
    assert.ok(saebench.misc_metrics.average_max_decoder_cosine_sim > 0);
    assert.ok("average_max_encoder_cosine_sim" in saebench.definitions && !("ce_loss_score" in saebench.definitions));
  }));

Deno.test("mtc analyze similarity: planted features that fire only under others, and ten neighbours by each measure", () =>
  inDirectory(async (run) => {
    const layer = await plantedLayer(run, 2);
    const text = await mtc("analyze", "similarity", "--run", layer);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^Layer 2: 2,048 tokens of the reading set\.$/m);
    assert.match(text.stdout, /^\| correlation +\|( +0\.\d{3} \|){6}$/m);
    assert.match(text.stdout, /^\| ≥ 0\.95 \|( +0 \|){4}$/m);
    assert.match(
      text.stdout,
      /No two features are duplicates .*\. 8 pairs have one feature that fires only where the other/,
    );
    const { stdout } = await mtc("analyze", "similarity", "--run", layer, "--json"),
      { firing, ...found } = JSON.parse(stdout);
    assert.deepEqual([found.run, found.layer, firing.tokens, firing.absorbed_by_chance], [layer, 2, TOKENS, 0]);
    const pairs = firing.absorbed.map(({ inner, outer }: { inner: number; outer: number }) => [inner, outer]);
    assert.deepEqual(pairs.sort(), Array.from({ length: 8 }, (_, n) => [12 + n, n]));
    assert.deepEqual(found.decoder.by_chance.neighbours, undefined);
    assert.match(text.stdout, /^Words around: .* with texts around random tokens it is 0\.\d{3}\.$/m);
    assert.equal(firing.nearest[0].context_cosine, 0, "planted tokens run into one word, another one at each place");
    const csv = await mtc("analyze", "similarity", "--run", run, "--csv");
    const rows: Record<string, string>[] = csvParse(csv.stdout), near = rows.filter(({ feature }) => feature === "13");
    for (const measure of ["decoder_cosine", "encoder_cosine", "correlation", "jaccard"]) {
      const ranks = near.filter((row) => row.measure === measure).map(({ rank }) => Number(rank));
      assert.deepEqual(ranks, Array.from({ length: 10 }, (_, i) => i + 1), measure);
    }
    assert.equal(near.find(({ measure }) => measure === "correlation")!.other, "1");
  }));

Deno.test("mtc analyze features: every feature as JSON and CSV, the first of an order as text", () =>
  inDirectory(async (run) => {
    const layer = await plantedLayer(run, 2), { stdout } = await mtc("analyze", "features", "--run", layer, "--json");
    const { features, ...found } = JSON.parse(stdout);
    assert.deepEqual([found.run, found.tokens, found.silent, features.length], [layer, TOKENS, 0, 32]);
    assert.deepEqual(features[5].strongest.token, `t${(features[5].strongest.position) % 50}`);
    assert.match(features[5].strongest.context, new RegExp(`⟦${features[5].strongest.token}⟧`));
    const rows: Record<string, string>[] = csvParse((await mtc("analyze", "features", "--run", run, "--csv")).stdout);
    assert.deepEqual(rows.map(({ fires }) => Number(fires)), features.map(({ fires }: { fires: number }) => fires));
    const text = await mtc("analyze", "features", "--run", layer, "--by", "fires", "--top", "3");
    assert.equal(text.code, 0, text.stderr);
    assert.match(
      text.stdout,
      /^Layer 2: 2,048 tokens of the reading set, FVU 0\.\d{4}\. All 32 features fire there\./m,
    );
    const shown = [...text.stdout.matchAll(/^\| +(\d+) \| +[01] \| /gm)].map(([, feature]) => Number(feature));
    const most = rows.toSorted((a, b) => Number(b.fires) - Number(a.fires) || Number(a.feature) - Number(b.feature));
    assert.deepEqual(shown, most.slice(0, 3).map(({ feature }) => Number(feature)));
    assert.match(text.stdout, /^\| +\d+ \| [▁-█]{10} +\| [▁-█]{8} +\| [▁-█]{8} +\| .* \|$/m);
    assert.match(text.stdout, /^Which tokens features read, .* once `mtc analyze attribution` has measured it\.$/m);
    assert.deepEqual([features[5].reads_and_writes, features[5].around.excerpts], [null, 10]);
    assert.equal((await mtc("analyze", "attribution", "--run", layer, "--tokens", "64")).code, 0);
    const [{ feature, tokens, cosine }] = (await readAttribution(layer, await readConfig(layer)))!.features;
    const after = await mtc("analyze", "features", "--run", layer, "--json");
    assert.deepEqual(JSON.parse(after.stdout).features[feature].reads_and_writes, { tokens, cosine });
    const measured = await mtc("analyze", "features", "--run", layer);
    assert.match(measured.stdout, /^\| Feature \| Activations \| .* \| Reads +\| Raises +\| Lowers +\| Cosine \|$/m);
    assert.match(measured.stdout, /^Reads, raises, lowers: /m);
    const profile = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => Number(rows[5][`context_${n}`]));
    assert.deepEqual(profile, features[5].context_profile);
    assert.equal((await mtc("analyze", "features", "--run", layer, "--by", "size")).code, 2);
  }));

Deno.test("mtc analyze patterns: bursts, clusters and company of planted features", () =>
  inDirectory(async (run) => {
    const layer = await plantedLayer(run, 2), text = await mtc("analyze", "patterns", "--run", layer);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^Layer 2: 2,048 tokens of the reading set\.$/m);
    assert.match(
      text.stdout,
      /^Features that fire alike form clusters beyond chance: mean silhouette 0\.\d+, 0\.\d+ with /m,
    );
    assert.match(text.stdout, /^\| +2 \| .*\| 0, 12 +\|$/m);
    const { stdout } = await mtc("analyze", "patterns", "--run", layer, "--json");
    const { patterns, clusters, graph, ...found } = JSON.parse(stdout);
    assert.deepEqual([found.run, found.tokens, patterns.length, clusters.clustered], [layer, TOKENS, 32, 32]);
    const strongest = graph.edges.slice(0, 8).map(({ a, b }: { a: number; b: number }) => b - a);
    assert.deepEqual(strongest, new Array(8).fill(12), "children with their parents");
    const rows: Record<string, string>[] = csvParse((await mtc("analyze", "patterns", "--run", run, "--csv")).stdout);
    assert.deepEqual(rows.map(({ fires }) => Number(fires)), patterns.map(({ fires }: { fires: number }) => fires));
    for (let n = 0; n < 8; n++) assert.ok(rows[n].cluster !== "" && rows[n].cluster === rows[12 + n].cluster);
    assert.ok(Math.abs(Number(rows[3].position_1) - patterns[3].position_profile[0]) < 1e-12);
  }));

Deno.test("mtc analyze compare: the same features are found again, others are not; layers of two runs beside each other", () =>
  inDirectory(async (folder) => {
    const first = join(folder, "first"), second = join(folder, "second");
    const layers = [await plantedLayer(first, 2), await plantedLayer(first, 4)], twin = await plantedLayer(second, 2);
    const text = await mtc("analyze", "compare", layers[0], twin);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^A is .*first\/layer2, B is .*second\/layer2; 2,048 tokens of the reading set\.$/m);
    assert.match(text.stdout, /^\| found in the other \(above 0\.7\) +\| +32 \(100\.0 %\) \| +32 \(100\.0 %\) \|$/m);
    assert.match(
      text.stdout,
      /^Features are found again: 100\.0 % of the judged features of A have a match above 0\.7 in B, .*; of shuffled contexts 0\.0 %/m,
    );
    assert.match(text.stdout, /^1\.000 +\d+ .*⟦t\d+⟧.*\n +\d+ .*⟦t\d+⟧/m);
    assert.match(
      text.stdout,
      /^How features go on is not told: neither predicts what the other's source is computed from/m,
    );
    assert.match(
      text.stdout,
      /^\| features, were they equally active +\| +\d+\.\d \| +\d+\.\d \| +0\.0 \| +0\.0 to 0\.0 \|$/m,
    );
    const csv: Record<string, string>[] = csvParse((await mtc("analyze", "compare", layers[0], twin, "--csv")).stdout);
    assert.ok(csv.length === 32 && csv.every(({ a, b, correlation }) => a === b && Number(correlation) > 1 - 1e-9));
    await plantedLayer(second, 4);
    const { stdout } = await mtc("analyze", "compare", first, second, "--json"), both = JSON.parse(stdout);
    assert.deepEqual(
      both.map(({ layer, sides }: { layer: number; sides: { run: string }[] }) => {
        return [layer, ...sides.map(({ run }) => run)];
      }),
      [[2, layers[0], twin], [4, layers[1], join(second, "layer4")]],
    );
    const other = await mtc("analyze", "compare", layers[1], layers[0], "--json"),
      { matching, evolution, examples } = JSON.parse(other.stdout);
    assert.ok(matching.a.same === 0 && matching.a.unique > 16, `${matching.a.same}, ${matching.a.unique}`);
    assert.deepEqual([evolution.from, evolution.figures.judged, examples.unique[0].length], ["b", 32, 2]);
    assert.ok(examples.unique[1][1].every(({ feature }: { feature: number }) => feature >= 12));
    const itself = await mtc("analyze", "compare", first, layers[0]);
    assert.equal(itself.code, 1);
    assert.match(itself.stderr, /Cannot compare .*layer2: there must be two transcoders, both are this one; name /);
  }));

Deno.test("mtc analyze compare: runs on other texts are told", () =>
  inDirectory(async (folder) => {
    const one = await plantedLayer(join(folder, "one"), 2), other = await plantedLayer(join(folder, "other"), 2);
    const transcoder = await readTranscoder(other, await readConfig(other)),
      record = (await readRecord(other, transcoder))!;
    await writeRecord(other, transcoder, { ...record, id: record.id.map((id) => (id + 1) % 50) });
    const { code, stderr } = await mtc("analyze", "compare", one, other);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /both must have been recorded on the same tokens, their reading sets have others; compare runs /,
    );
  }));

Deno.test("mtc analyze coherence: the model on the reading set, as text, JSON and CSV, kept for the reports", () =>
  inDirectory(async (folder) => {
    const path = join(folder, "text.jsonl"), run = join(folder, "run");
    const sentence = (i: number) => `The state of the Union ${i} is strong and free, and so it was in ${1800 + i}.`;
    await Deno.writeTextFile(path, jsonl(Array.from({ length: 60 }, (_, i) => sentence(i))));
    const { summary } = await openCorpus([path], "test");
    const data = { name: "text", files: [path], ...summary };
    const layer = await writeTinyLayer(run, 2, { data });
    const none = await mtc("analyze", "coherence", "--run", layer);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /preparation\.safetensors/, "how training prepared the source is needed");
    await writePreparation(layer, { source: scaledBy(128, 1), target: scaledBy(128, 1) });
    const text = await mtc("analyze", "coherence", "--run", layer);
    assert.equal(text.code, 0, text.stderr);
    assert.match(
      text.stdout,
      /^Layer 2: [\d,]+ tokens of the reading set, the model's activations at layer2\.resid_mid\.$/m,
    );
    assert.match(
      text.stdout,
      /^\d+ of \d+ judged features \(.*\) (is|are) coherent beyond their tokens and .* (no )?more than the 1 % that chance gives\. /m,
    );
    assert.match(text.stdout, /^\| 1 +\| +\d+ \| +0\.\d{3} \| +0\.\d{3} \| +-?0\.\d{3} \| +\d\.\d bits \| +.* % \|$/m);
    const kept = (await readCoherence(layer, await readConfig(layer)))!;
    assert.ok(kept.features.length > 3 && kept.random.directions === 512);
    assert.equal(await readCoherence(layer, { steps: 11, features: 32 }), undefined);
    await assert.rejects(
      readCoherence(layer, { steps: 10, features: 3 }),
      /its features must be below 3, with examples /,
    );
    const { run: _, layer: __, ...told } = JSON.parse(
      (await mtc("analyze", "coherence", "--run", layer, "--json")).stdout,
    );
    assert.deepEqual(told, JSON.parse(JSON.stringify(kept)));
    const rows: Record<string, string>[] = csvParse((await mtc("analyze", "coherence", "--run", run, "--csv")).stdout);
    assert.deepEqual(rows.map(({ coherence }) => Number(coherence)), kept.features.map(({ coherence }) => coherence));
    assert.equal(rows.filter((row) => row.is_beyond_chance === "true").length, kept.beyond);
  }));

Deno.test("mtc analyze layer: what tells features, what lifts them, and what the other layer lacks", () =>
  inDirectory(async (run) => {
    const layers = [await plantedLayer(run, 2), await plantedLayer(run, 4)];
    const text = await mtc("analyze", "layer", "--run", run);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^Layer 2: 2,048 tokens of the reading set\.$/m);
    assert.match(text.stdout, /^Of 32 features 32 are made from context \(100 % of all activation\)\.$/m);
    assert.match(
      text.stdout,
      /^Over \d+ features the token's R2 (rises|falls|shows no relation) with the share of the embedding \(/m,
    );
    assert.match(text.stdout, /^\d+ of 32 judged features \(.*\) have no match beyond chance in layer 4\.$/m);
    const stored = (await readAttribution(layers[0], await readConfig(layers[0])))!;
    const { stdout, stderr } = await mtc("analyze", "layer", "--run", run, "--json"), [two, four] = JSON.parse(stdout);
    assert.doesNotMatch(stderr, /reading/, "what features are made of is measured once");
    assert.deepEqual([two.run, two.layer, two.tokens, two.attribution.firings], [layers[0], 2, TOKENS, stored.firings]);
    assert.deepEqual(two.others.map(({ name }: { name: string }) => name), ["layer 4"]);
    assert.deepEqual(four.others.map(({ name }: { name: string }) => name), ["layer 2"]);
    const rows: Record<string, string>[] = csvParse((await mtc("analyze", "layer", "--run", run, "--csv")).stdout);
    assert.equal(rows.length, 64);
    assert.equal(rows.filter((row) => row.run === layers[0] && row.is_own === "true").length, two.own);
    const { shares } = stored.features.find(({ feature }) => feature === Number(rows[9].feature))!;
    assert.deepEqual(
      [rows[9].share_embedding, rows[9].token_r2],
      [shares.embedding, two.features[9].explained.token.r2].map(String),
    );
    const alone = await mtc("analyze", "layer", "--run", layers[1]);
    assert.match(alone.stdout, /^There is no other layer to hold it against; give a run with several\.$/m);
  }));

Deno.test("a damaged record is told with its remedy", () =>
  inDirectory(async (run) => {
    const layer = await plantedLayer(run, 2), path = join(layer, RECORD_FILE), bytes = await Deno.readFile(path);
    await Deno.writeFile(path, bytes.subarray(0, bytes.length - 8));
    const { code, stderr } = await mtc("analyze", "hierarchy", "--run", layer);
    assert.equal(code, 1);
    assert.match(stderr, /^mtc: Cannot read .*record\.safetensors: the header promises \d+ bytes, the file has \d+;/m);
  }));
