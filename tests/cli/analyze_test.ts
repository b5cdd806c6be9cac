/** `mtc analyze`: each analysis as a table, as JSON and as CSV, what is kept of it, and what is refused. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { csvParse } from "d3-dsv";
import { ABSORPTION_DEFINITIONS } from "../../core/analysis/absorption.ts";
import { ATTRIBUTION_DEFINITIONS } from "../../core/analysis/attribution.ts";
import type { FeatureRow } from "../../core/analysis/feature_rows.ts";
import { IMPORTANCE_DEFINITIONS } from "../../core/analysis/importance.ts";
import { SILENT_DEFINITIONS } from "../../core/analysis/silent.ts";
import { readAbsorption } from "../../core/runs/absorption.ts";
import { readAttribution } from "../../core/runs/attribution.ts";
import { readConfig } from "../../core/runs/config.ts";
import { writeFeatures } from "../../core/runs/features.ts";
import { readImportance } from "../../core/runs/importance.ts";
import { readTranscoder } from "../../core/runs/transcoder.ts";
import { inDirectory, mtc, writeTinyLayer } from "./tiny_run.ts";

const FEW = ["--tokens", "100", "--top", "3", "--random", "4"];

Deno.test("mtc analyze without a name, or with a wrong one, tells what there is", async () => {
  const none = await mtc("analyze"), wrong = await mtc("analyze", "importanse", "--run", "x");
  assert.deepEqual([none.code, wrong.code], [2, 2]);
  assert.match(wrong.stderr, /unknown command 'importanse'.*Did you mean importance\?/);
});

Deno.test("mtc analyze importance: a table with its definitions, and the figures are kept for the reports", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const { code, stdout, stderr } = await mtc("analyze", "importance", "--run", layer, ...FEW);
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^mtc: Layer 2: switching off [3-7] features, each in the contexts that it fires in, \d+ in all, takes about \d+ s/m,
    );
    // 100 tokens are rounded up to whole contexts of 15 tokens behind BOS; 14 of these are followed by another.
    assert.match(
      stdout,
      /^Layer 2: 98 held-out predictions in 7 contexts of 6 documents, mean cross-entropy \d\.\d{3} nats\. \d+ of 32 features fire/,
    );
    assert.match(stdout, /bootstrap over documents/);
    assert.match(stdout, /^\| Ranks by +\| top by FVU rise \(3\) \| drawn at random \(4\) \|$/m);
    for (const key of ["mass", "fvu_rise", "ce_rise", "reliability", "ci95"]) {
      assert.ok(stdout.includes(IMPORTANCE_DEFINITIONS[key]), key);
    }
    const stored = await readImportance(layer, await readConfig(layer));
    assert.equal(stored!.features.length, 32);
    const off = stored!.features.filter(({ effect }) => effect !== null);
    assert.equal(stdout.match(/^\| +\d+ \| +\d+ \| +[01] \|/gm)!.length, off.length);
    // After more training it is another transcoder's.
    assert.equal(await readImportance(layer, { steps: 11 }), undefined);
  }));

Deno.test("mtc analyze importance --json and --csv: the same figures of every feature, of a run's transcoders together", () =>
  inDirectory(async (run) => {
    await writeTinyLayer(run, 2);
    await writeTinyLayer(run, 3, { source: { layer: 3, site: "mlp_in" } });
    const json = await mtc("analyze", "importance", "--run", run, ...FEW, "--json");
    assert.equal(json.code, 0, json.stderr);
    const found = JSON.parse(json.stdout);
    assert.deepEqual(found.map(({ run, layer }: { run: string; layer: number }) => [run, layer]), [
      [join(run, "layer2"), 2],
      [join(run, "layer3"), 3],
    ]);
    assert.deepEqual(found[0].definitions, IMPORTANCE_DEFINITIONS);
    const { run: _, layer: __, ...kept } = found[1];
    const stored = await Deno.readTextFile(join(run, "layer3", "importance.json"));
    assert.deepEqual(JSON.parse(stored), kept, "what is kept is what was told");
    const csv = await mtc("analyze", "importance", "--run", run, ...FEW, "--csv");
    const rows: Record<string, string>[] & { columns?: string[] } = csvParse(csv.stdout);
    assert.deepEqual(rows.columns!.slice(0, 5), ["run", "feature", "group", "fires", "density"]);
    assert.equal(rows.length, 64);
    rows.forEach((row, i) => {
      const { feature, fires, mass, effect } = found[Math.floor(i / 32)].features[i % 32];
      assert.deepEqual([row.feature, row.fires, row.mass], [feature, fires, mass].map(String));
      assert.equal(row.ce_rise, effect ? String(effect.ce_rise) : "");
      assert.deepEqual(
        [row.in_top, row.in_random],
        ["top", "random"].map((set) => String(effect?.sets.includes(set) ?? false)),
      );
    });
    for (const set of ["in_top", "in_random"]) {
      const members = rows.filter((row) => row.run.endsWith("layer2") && row[set] === "true");
      assert.equal(members.length, set === "in_top" ? 3 : 4);
    }
  }));

Deno.test("mtc analyze importance: features that the final pass hardly saw are explained by what they do on held-out text", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2), config = await readConfig(layer);
    const { weights } = await readTranscoder(layer, config);
    const rows = Array.from({ length: 32 }, (_, feature): FeatureRow => ({
      ...{ feature, group: feature < 12 ? 0 : 1, fires: feature === 5 ? 0 : 9, density: feature === 5 ? 0 : 0.01 },
      ...{ encoder_norm: 1, encoder_bias: weights.encoderBias[feature], dead: feature === 5, decoder_norm: 1 },
      ...{ mean_activation: 1, max_activation: 1, sample_count: 1, encoder_decoder_cosine: 0, token_entropy_bits: 0 },
      ...{ top_token_id: 1, top_token: "a", top_token_share: 1, main_token_id: 1, main_token: "a" },
      ...{ main_token_share: 1, main_token_share_most: 1, main_token_occurrences: 1 },
    }));
    await writeFeatures(layer, rows);
    const { stdout } = await mtc("analyze", "importance", "--run", layer, ...FEW);
    assert.match(
      stdout,
      /^In the run's final pass 1 feature never fired, and 0 on at most one of 10,000 tokens\. Why they/m,
    );
    assert.match(stdout, /^\| +5 \| +0 \| +0 \| .* (rare input|out of reach) \|$/m);
    assert.ok(stdout.includes(SILENT_DEFINITIONS.gap));
    const stored = await readImportance(layer, config), { features: [silent], living } = stored!.silent!;
    assert.deepEqual([living.features, silent.feature, silent.threshold], [31, 5, 0.5]);
    assert.ok(silent.largest > silent.mean && silent.std > 0 && silent.neighbour !== 5);
    // Where it fires on the held-out text after all, its largest pre-activation is above its threshold.
    assert.equal(stored!.features[5].fires > 0, silent.largest > 0.5);
  }));

Deno.test("mtc analyze importance: bad input is told in a sentence", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const refused = async (expected: RegExp, code: number, ...args: string[]) => {
      const outcome = await mtc("analyze", "importance", ...args);
      assert.match(outcome.stderr, expected);
      assert.deepEqual([outcome.code, outcome.stdout], [code, ""]);
    };
    await refused(/option '-r, --run <dir>' is required/, 2);
    await refused(/option '--json' cannot be used with option '--csv'/, 2, "--run", layer, "--json", "--csv");
    await refused(/Cannot read --top: it must be a whole number from 3/, 2, "--run", layer, "--top", "2");
    await refused(/Cannot open the run .*nowhere: it must be a directory/, 1, "--run", join(run, "nowhere"));
    const silent = await writeTinyLayer(run, 4, {}, Infinity);
    await refused(/a feature must fire on the held-out text, none fires on its 105 tokens/, 1, "--run", silent, ...FEW);
    const damaged = join(layer, "importance.json");
    await Deno.writeTextFile(damaged, '{"steps": 10}');
    await assert.rejects(
      async () => await readImportance(layer, await readConfig(layer)),
      /importance\.json: tokens must be there/,
    );
  }));

Deno.test("mtc analyze attribution: tables with their definitions, and the figures are kept for the reports", () =>
  inDirectory(async (run) => {
    await writeTinyLayer(run, 1);
    await writeTinyLayer(run, 3, { source: { layer: 3, site: "mlp_in" } });
    const few = ["--tokens", "100", "--top", "3"];
    const { code, stdout, stderr } = await mtc("analyze", "attribution", "--run", run, ...few);
    assert.equal(code, 0, stderr);
    const [one, three] = stdout.split(/^(?=Layer 3)/m);
    assert.match(
      one,
      /^Layer 1: 105 held-out tokens in 7 contexts of 6 documents: \d+ features fire [\d,]+ times\. Each/,
    );
    assert.match(one, /which sum to it within \de-[789] of their sizes\. What lifts/);
    assert.match(three, /of their sizes; the norm of each token is held fixed\. What lifts/);
    assert.match(one, /bootstrap over documents/);
    assert.equal(one.match(/^\| (embedding|layer[01]\.\w+) +\|/gm)!.length, 4);
    assert.equal(three.match(/^\| (embedding|layer[0123]\.\w+) +\|/gm)!.length, 8);
    for (const key of ["parts", "shares", "whole", "norm", "reads", "writes", "cosine"]) {
      assert.ok(three.includes(ATTRIBUTION_DEFINITIONS[key]), key);
    }
    const layer = join(run, "layer3"), stored = await readAttribution(layer, await readConfig(layer));
    assert.ok(stored!.is_norm_fixed && stored!.largest_error < 1e-5);
    const told = stored!.features.filter(({ tokens }) => tokens !== null);
    assert.deepEqual([told.length, told[0].tokens!.reads.length, told[0].tokens!.writes!.lowered.length], [3, 10, 10]);
    for (const { parts, bias, activation, shares } of stored!.features) {
      const sum = parts.reduce((total, part) => total + part, bias);
      assert.ok(Math.abs(sum - activation) < 1e-4 * parts.reduce((size, part) => size + Math.abs(part), 0));
      assert.ok(Math.abs(Object.values(shares).reduce((total, share) => total + share) - 1) < 1e-6);
    }
    assert.equal(
      await readAttribution(layer, { steps: 11 }),
      undefined,
      "after more training it is another transcoder's",
    );

    const json = await mtc("analyze", "attribution", "--run", layer, ...few, "--json");
    const { run: _, layer: __, ...kept } = JSON.parse(json.stdout);
    assert.deepEqual(
      JSON.parse(await Deno.readTextFile(join(layer, "attribution.json"))),
      kept,
      "what is kept was told",
    );
    const csv = await mtc("analyze", "attribution", "--run", run, ...few, "--csv");
    const rows: Record<string, string>[] = csvParse(csv.stdout);
    assert.equal(rows.filter(({ run }) => run === layer).length, kept.features.length);
    assert.equal(rows.filter(({ reads }) => reads !== "").length, 6);
    const last = rows.at(-1)!, { feature, activation, shares, cosine } = kept.features.at(-1);
    assert.deepEqual(
      [last.feature, last.activation, last.share_own_attention, last.cosine],
      [feature, activation, shares.own_attention, cosine].map(String),
    );
  }));

Deno.test("mtc analyze attribution --feature: component by component, or token by token of a text", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 1), tokens = ["--tokens", "100"];
    const all = JSON.parse((await mtc("analyze", "attribution", "--run", layer, ...tokens, "--json")).stdout);
    const { feature, parts, bias } = all.features[0], named = ["--run", layer, "--feature", String(feature)];
    const kept = await Deno.readTextFile(join(layer, "attribution.json"));
    const table = await mtc("analyze", "attribution", ...named, ...tokens);
    assert.equal(table.code, 0, table.stderr);
    assert.match(
      table.stdout,
      new RegExp(`^Layer 1, feature ${feature} \\(group 0\\), which reads layer1\\.resid_mid: it fires`),
    );
    assert.match(table.stdout, /^\| layer1\.attn_out +\|.* % \|$/m);
    assert.match(table.stdout, /^Raises the logits of .*\nLowers the logits of: .*\nCosine of what it reads/m);
    const json = JSON.parse((await mtc("analyze", "attribution", ...named, ...tokens, "--json")).stdout);
    assert.deepEqual(json.components.map(({ part }: { part: number }) => part), parts);
    assert.deepEqual(json.found.tokens, all.features[0].tokens);
    assert.equal(
      await Deno.readTextFile(join(layer, "attribution.json")),
      kept,
      "one feature is not kept in place of all",
    );
    const rows: Record<string, string>[] = csvParse(
      (await mtc("analyze", "attribution", ...named, ...tokens, "--csv")).stdout,
    );
    assert.deepEqual(rows.map(({ name }) => name), [
      "embedding",
      "layer0.attn_out",
      "layer0.mlp_out",
      "layer1.attn_out",
    ]);

    const text = ["--text", "My fellow citizens of the Senate and of the House of Representatives, the state of"];
    const shown = await mtc("analyze", "attribution", ...named, ...text);
    assert.match(shown.stdout, /^\| context \| position \| token +\| activation \|/m);
    const found = JSON.parse((await mtc("analyze", "attribution", ...named, ...text, "--json")).stdout);
    const encoded = JSON.parse((await mtc("encode", "--run", layer, ...text, "--top", "32", "--json")).stdout);
    const counted = encoded.tokens.filter(({ excluded }: { excluded: boolean }) => !excluded);
    assert.equal(found.tokens.length, counted.length);
    for (const [i, { context, position, token, activation, pre_activation, parts }] of found.tokens.entries()) {
      const same = counted[i], active = same.features.find((one: { feature: number }) => one.feature === feature);
      assert.deepEqual([context, position, token, activation], [
        ...[same.context, same.position, same.token],
        active?.value ?? 0,
      ]);
      const sum = parts.reduce((total: number, part: number) => total + part, bias);
      assert.ok(Math.abs(sum - pre_activation) < 1e-9);
      assert.ok(active === undefined ? pre_activation < 0.5 + 1e-4 : Math.abs(active.value - sum) < 1e-4);
    }
    const byToken: Record<string, string>[] = csvParse(
      (await mtc("analyze", "attribution", ...named, ...text, "--csv")).stdout,
    );
    assert.deepEqual(
      byToken.map((row) => row["layer0.mlp_out"]),
      found.tokens.map((one: { parts: number[] }) => String(one.parts[2])),
    );
  }));

Deno.test("mtc analyze attribution: bad input is told in a sentence", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const refused = async (expected: RegExp, code: number, ...args: string[]) => {
      const outcome = await mtc("analyze", "attribution", ...args);
      assert.match(outcome.stderr, expected);
      assert.deepEqual([outcome.code, outcome.stdout], [code, ""]);
    };
    await refused(/option '-r, --run <dir>' is required/, 2);
    await refused(
      /the 32 features of Layer 2 are counted from 0 to 31; use --feature 31 or less/,
      2,
      "--run",
      layer,
      "--feature",
      "32",
    );
    await refused(/--text goes with --feature, no feature is named/, 2, "--run", layer, "--text", "x");
    await refused(/option '--text <text>' must not be empty$/, 2, "--run", layer, "--feature", "1", "--text", "");
    const other = await writeTinyLayer(run, 3, { source: { layer: 3, site: "attn_out" } });
    await refused(
      /source must be the residual stream or the norm of it \(resid_pre, attn_in, resid_mid, mlp_in, resid_post\)/,
      1,
      "--run",
      other,
    );
    const silent = await writeTinyLayer(run, 4, {}, Infinity), few = ["--tokens", "100"];
    await refused(/a feature must fire on the held-out text, none fires on its 105 tokens/, 1, "--run", silent, ...few);
  }));

Deno.test("mtc analyze absorption: of the embedded model nothing can be said, which is; JSON, CSV and what is kept agree", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 1);
    await writeTinyLayer(run, 3, { source: { layer: 3, site: "mlp_in" } });
    const few = ["--words", "100", "--examples", "1"];
    const { code, stdout, stderr } = await mtc("analyze", "absorption", "--run", run, ...few);
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /^Layer 3: 100 of the vocabulary's 3,721 words, each behind 1 example: 80 fitted probes, 20 judged\. Probes on layer3\.mlp_in know \d of 26 letters; 26 have fewer than 10 judged words, too few for an F1 to say much\.$/m,
    );
    assert.match(stdout, /^Nothing can be said of absorption: fewer than 20 letters .* \(--words, up to 3,721\)/m);
    assert.equal(stdout.match(/^\| [a-z] +\| +\d+ \| +[01]\.\d\d \|$/gm)!.length, 52);
    assert.ok(stdout.includes(ABSORPTION_DEFINITIONS.probe_f1) && !stdout.includes(ABSORPTION_DEFINITIONS.carries));
    const stored = await readAbsorption(layer, await readConfig(layer));
    assert.deepEqual([stored!.mean, stored!.vocabulary_words, stored!.examples], [null, 3721, 1]);
    assert.equal(await readAbsorption(layer, { steps: 11 }), undefined);
    const { run: _, layer: __, ...told } = JSON.parse(
      (await mtc("analyze", "absorption", "--run", layer, ...few, "--json")).stdout,
    );
    assert.deepEqual(told, stored);
    const rows: Record<string, string>[] = csvParse(
      (await mtc("analyze", "absorption", "--run", layer, ...few, "--csv")).stdout,
    );
    assert.deepEqual(
      rows.map(({ first_letter, test_words, probe_f1, split_f1 }) => [first_letter, test_words, probe_f1, split_f1]),
      stored!.letters.map(({ first_letter, test_words, probe_f1 }) => [
        ...[first_letter, String(test_words), String(probe_f1), ""],
      ]),
    );
    const refused = async (expected: RegExp, code: number, ...args: string[]) => {
      const outcome = await mtc("analyze", "absorption", "--run", layer, ...args);
      assert.match(outcome.stderr, expected);
      assert.deepEqual([outcome.code, outcome.stdout], [code, ""]);
    };
    await refused(/Cannot read --words: it must be a whole number from 100/, 2, "--words", "99");
    await refused(
      /at most 512 tokens, 100 examples and a word have \d+; use --examples \d+ or less/,
      1,
      "--examples",
      "100",
    );
  }));
