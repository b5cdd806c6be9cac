/** `mtc ablate` and `mtc steer` as they are called: what they print for programs and for readers, and what they refuse. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { builtinModel } from "../../core/builtin/model.ts";
import { CHANGE_DEFINITIONS } from "../../core/analysis/change_effect.ts";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { textContexts } from "../../core/passes/encode_text.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { saveTranscoder } from "../../core/transcoder/formats/native.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { CONTEXT, GROUPS, inDirectory, mtc, writeTinyLayer } from "./tiny_run.ts";

const tokenizer = loadTokenizer(await builtinModel());
const TEXT = "Fellow-citizens of the Senate", IDS = [...tokenizer.encode(TEXT)];

interface Probabilities {
  token_id: number;
  token: string;
  before: number;
  after: number;
}

interface Moved {
  most_probable_before: Probabilities;
  most_probable_after: Probabilities;
  movers: Probabilities[];
}

interface Found {
  run: string;
  layer: number;
  source: string;
  target: string;
  change: { kind: string; features: number[]; what: string; factor?: number; value?: number; where?: string };
  known: { feature: number; top_token: string | null }[];
  text: {
    predictions: number;
    loss_before: number;
    loss_after: number;
    kl: number;
    tokens: {
      position: number;
      token_id: number;
      token: string;
      counted: boolean;
      features: { feature: number; before: number; after: number }[];
      target_change: number;
      loss_before: number | null;
      loss_after: number | null;
      kl: number;
      kl_share: number;
      same_top: boolean;
    }[];
    moved: (Moved & { position: number; next_token_id: number | null })[];
  };
  generation?: {
    temperature: number;
    seed: number | null;
    same: number;
    before: { text: string; tokens: { token_id: number; token: string; probability: number }[] };
    after: Found["generation"] extends infer G ? G extends { before: infer C } ? C : never : never;
  };
  definitions: Record<string, string>;
}

async function json(...args: string[]) {
  const { code, stdout, stderr } = await mtc(...args, "--json");
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

const sum = (values: number[]) => values.reduce((sum, value) => sum + value, 0);

Deno.test("mtc ablate --text --json: each token's loss, KL and activations, and the next tokens that moved, with definitions", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const found: Found = await json("ablate", "--run", layer, "--group", "1", "--text", TEXT, "--top", "3");
    const group = Array.from({ length: GROUPS[1] }, (_, i) => GROUPS[0] + i);
    assert.deepEqual([found.run, found.layer, found.source, found.target], [
      layer,
      2,
      "layer2.resid_mid",
      "layer2.mlp_out",
    ]);
    assert.deepEqual(found.change, { kind: "scale", factor: 0, features: group, what: "group 1 (20 features)" });
    assert.deepEqual(found.definitions, CHANGE_DEFINITIONS);
    const { tokens, moved, ...figures } = found.text;
    assert.deepEqual(tokens.map(({ token_id }) => token_id), [tokenizer.bosId, ...IDS]);
    assert.deepEqual(tokens.map(({ position }) => position), tokens.map((_, i) => i));
    assert.deepEqual(tokens.map(({ counted }) => counted), tokens.map((_, i) => i > 0));
    assert.deepEqual([tokens[0].kl, tokens[0].target_change, tokens.at(-1)!.loss_before], [0, 0, null]);
    for (const { features, target_change } of tokens.slice(1)) {
      assert.ok(features.every(({ feature, before, after }) => group.includes(feature) && before > 0.5 && after === 0));
      assert.ok(target_change > 0 === features.length > 0);
    }
    assert.ok(tokens.some(({ features }) => features.length > 1));
    const counted = tokens.slice(1, -1);
    assert.equal(figures.predictions, counted.length);
    const mean = sum(tokens.slice(1).map(({ kl }) => kl)) / (tokens.length - 1);
    assert.ok(Math.abs(figures.kl - mean) < 1e-12, "BOS, which nothing is changed at, thins the mean out");
    assert.ok(Math.abs(figures.loss_after - sum(counted.map(({ loss_after }) => loss_after!)) / counted.length) < 1e-9);
    assert.ok(Math.abs(sum(tokens.map(({ kl_share }) => kl_share)) - 1) < 1e-9);

    const farthest = tokens.toSorted((a, b) => b.kl - a.kl).slice(0, 3).map(({ position }) => position);
    assert.deepEqual(moved.map(({ position }) => position), [...new Set([...farthest, tokens.length - 1])]);
    for (const { position, next_token_id, movers, most_probable_before, most_probable_after } of moved) {
      assert.equal(next_token_id, tokens[position + 1]?.token_id ?? null);
      const distances = movers.map(({ before, after }) => Math.abs(after - before));
      assert.deepEqual([movers.length, distances], [3, distances.toSorted((a, b) => b - a)]);
      for (const { token_id, token, before, after } of [...movers, most_probable_before, most_probable_after]) {
        assert.equal(token, tokenizer.tokenText(token_id));
        assert.ok(before <= most_probable_before.before && after <= most_probable_after.after);
      }
      assert.equal(most_probable_before.token_id === most_probable_after.token_id, tokens[position].same_top);
    }
  }));

Deno.test("mtc steer: scale, set and add do what they say, everywhere or where the feature fires", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const steer = async (...args: string[]) => {
      const found: Found = await json(
        "steer",
        "--run",
        run,
        "--layer",
        "2",
        "--features",
        "3",
        "--text",
        TEXT,
        ...args,
      );
      assert.equal(found.run, layer);
      return { change: found.change, features: found.text.tokens.slice(1).map(({ features }) => features[0]) };
    };
    const off = (await json("ablate", "--run", layer, "--features", "3", "--text", TEXT)) as Found;
    const f = off.text.tokens.slice(1).map(({ features }) => features[0]?.before ?? 0);
    assert.ok(f.some((value) => value > 0) && f.some((value) => value === 0));
    const cases: [args: string[], after: (f: number) => number, change: object][] = [
      [["--scale", "3"], (f) => 3 * f, { kind: "scale", factor: 3 }],
      [["--set", "8"], () => 8, { kind: "set", value: 8, where: "everywhere" }],
      [["--set", "8", "--where", "firing"], (f) => f > 0 ? 8 : 0, { kind: "set", value: 8, where: "firing" }],
      [["--add", "-2"], (f) => f - 2, { kind: "add", value: -2, where: "everywhere" }],
    ];
    for (const [args, after, expected] of cases) {
      const { change, features } = await steer(...args);
      assert.deepEqual(change, { ...expected, features: [3], what: "feature 3" });
      const changed = f.map((before) =>
        after(before) === before ? undefined : ({ feature: 3, before, after: after(before) })
      );
      assert.deepEqual(features, changed);
    }
  }));

Deno.test("mtc ablate --prefix: all features beyond it are off", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const { change }: Found = await json("ablate", "--run", layer, "--prefix", "30", "--text", TEXT);
    assert.deepEqual([change.features, change.what], [[30, 31], "the 2 features beyond the first 30"]);
  }));

Deno.test("mtc steer --generate: both continuations with the probability of each token, sampled the same twice", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const args = ["steer", "--run", layer, "--features", "3,9", "--set", "20", "--text", TEXT, "--generate", "9"];
    args.push("--context", "32");
    const { generation: greedy }: Found = await json(...args);
    const { temperature, seed, same, before, after } = greedy!;
    assert.deepEqual([temperature, seed], [0, null]);
    for (const { text, tokens } of [before, after]) {
      assert.equal(tokens.length, 9);
      assert.equal(text, tokenizer.decode(tokens.map(({ token_id }) => token_id)));
      assert.ok(tokens.every(({ probability }) => probability > 0 && probability <= 1));
    }
    const ids = ({ tokens }: typeof before) => tokens.map(({ token_id }) => token_id);
    assert.deepEqual(ids(before).slice(0, same), ids(after).slice(0, same));
    assert.ok(same < 9 && ids(before)[same] !== ids(after)[same], "so large a change is seen");
    const sampled = [...args, "--temperature", "1.5", "--seed", "7"];
    const first: Found = await json(...sampled);
    assert.deepEqual((await json(...sampled)).generation, first.generation);
    assert.deepEqual([first.generation!.temperature, first.generation!.seed], [1.5, 7]);
    assert.notDeepEqual(ids(first.generation!.before), ids(before));
    const none: Found = await json(...args.map((arg) => arg === "--set" ? "--scale" : arg === "20" ? "1" : arg));
    assert.deepEqual([none.generation!.same, none.text.kl], [9, 0]);
    assert.deepEqual(none.generation!.before, before);
  }));

Deno.test("mtc ablate on held-out text: figures beside random features, documents and predictions, for programs and readers", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2), args = ["ablate", "--run", layer, "--group", "0", "--tokens", "100"];
    const { held_out: found, change, definitions } = await json(...args, "--rivals", "1", "--top", "4", "--seed", "3");
    assert.deepEqual([change.what, definitions], ["group 0 (12 features)", CHANGE_DEFINITIONS]);
    // 100 tokens are rounded up to 7 contexts, each with 14 counted tokens that have a successor.
    assert.deepEqual([found.split, found.seed, found.contexts, found.changed.predictions], ["test", 3, 7, 98]);
    const { changed, clean, rivals: [rival], firing } = found;
    for (const figures of [changed, rival, firing]) {
      for (const key of ["ce", "ce_change", "kl", "top1"]) {
        const [low, high] = figures[`${key}_ci95`];
        assert.ok(low <= figures[key] && figures[key] <= high, key);
      }
    }
    assert.ok(Math.abs(changed.ce - clean.ce - changed.ce_change) < 1e-12 && changed.kl > 0);
    assert.deepEqual([changed.features.length, rival.features.length], [12, 12]);
    assert.ok(rival.features.every((feature: number) => feature >= 12));
    assert.equal(sum(found.per_document.map(({ predictions }: { predictions: number }) => predictions)), 98);
    assert.ok(found.per_document.every(({ document }: { document: string }) => document.endsWith(".txt")));
    const { moved, gained, lost } = found.next_tokens;
    assert.deepEqual([moved > 0 && moved < 1, gained.length, lost.length], [true, 4, 4]);
    for (const { token_id, token } of [...gained, ...lost]) assert.equal(token, tokenizer.tokenText(token_id));
    const kls = found.affected.map(({ kl }: { kl: number }) => kl);
    assert.deepEqual([kls.length, kls], [4, kls.toSorted((a: number, b: number) => b - a)]);
    for (const { loss_before, token_id, token, next_token_id, movers, most_probable_before } of found.affected) {
      assert.equal(token, tokenizer.tokenText(token_id));
      assert.ok(loss_before >= -Math.log(most_probable_before.before) - 1e-5);
      for (const mover of movers.filter((mover: Probabilities) => mover.token_id === next_token_id)) {
        assert.ok(Math.abs(Math.exp(-loss_before) - mover.before) < 1e-5);
      }
    }
    const { code, stdout } = await mtc(...args, "--rivals", "1", "--top", "2");
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^Layer 2 \(layer2\.resid_mid -> layer2\.mlp_out\), group 0 \(12 features\) off; the rest of the/m,
    );
    assert.match(stdout, /^98 held-out predictions in 7 contexts of \d test documents; .*intervals cover 95 %/m);
    for (
      const row of ["nothing", "group 0 (12 features)", "at \\d+ tokens where one of them fires", "12 random features"]
    ) {
      assert.match(stdout, new RegExp(`^\\| ${row.replaceAll(/[()]/g, "\\$&")} +\\|.*\\[`, "m"));
    }
    assert.match(stdout, /^1 .*⟦.*⟧.*\n2 .*⟦.*⟧/m);
    assert.match(stdout, /^\| gains \|.*% \| +\+[\d.]+ \|\n\| +\|.*\n\| loses \|.*% \| +-[\d.]+ \|$/m);
  }));

Deno.test("mtc ablate: the table has a row per token, what features.csv knows of the feature, and the continuations", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const header =
      "feature,group,fires,density,mean_activation,max_activation,sample_count,encoder_norm,decoder_norm," +
      "encoder_bias,encoder_decoder_cosine,top_token_id,top_token,top_token_share,token_entropy_bits,dead";
    const rows = Array.from({ length: 32 }, (_, i) => `${i},${i < 12 ? 0 : 1},9,0.1,1,2,2,1,1,0,0,300, tok${i},1,0,0`);
    await Deno.writeTextFile(join(layer, "features.csv"), [header, ...rows].join("\n"));
    const args = ["--features", "3", "--text", TEXT, "--generate", "3"];
    const { code, stdout, stderr } = await mtc("ablate", "--run", run, ...args);
    assert.equal(code, 0, stderr);
    const lines = stdout.split("\n");
    assert.equal(lines[0], layer);
    assert.match(stdout, /^ {2}#3 {2}strongest on ␣tok3, fires on 10\.00 % of tokens, mean 1\.00, largest 2\.00$/m);
    const at = lines.findIndex((line) => line.startsWith("| position |"));
    assert.match(lines[at + 2], /^\| +0 \| <bos> +\| +- \| +- \| +- \| +[\d.]+ \| +[\d.]+ \| +0 \| +\|$/);
    assert.equal(lines.slice(at + 2).findIndex((line) => !line.startsWith("|")), 1 + IDS.length);
    assert.match(
      stdout,
      /^Mean loss of \d+ predictions of the token that follows: [\d.]+ before, [\d.]+ after; mean KL /m,
    );
    assert.match(stdout, /^Continued by 3 tokens \(the most probable token\), .*:\n\nwithout {2}.*\n\nwith {5}.*$/m);
  }));

/** A transcoder of the last layer whose feature 0 fires on one token of the text and decodes to all of the target there. */
async function planted(place: number): Promise<Transcoder> {
  using gpu = await openGpu();
  const files = await openModel(BUILTIN),
    taps = (["resid_mid", "mlp_out"] as const).map((site) => ({ layer: 5, site }));
  const [batch] = textContexts(Uint32Array.from(IDS), tokenizer.bosId, 1 + IDS.length), { context } = batch;
  const decoder = await loadDecoder(gpu, files, { taps, maxTokens: context, context });
  const pass = new Pass(gpu), taken = decoder.forward(pass, batch);
  pass.submit();
  const [x, y] = await Promise.all(taken.map(({ tensor }) => downloadF32(gpu, tensor))), width = 128;
  const at = (values: Float32Array, row: number) => values.subarray(row * width, (row + 1) * width);
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, d) => sum + value * b[d], 0);
  const activations = Array.from({ length: context }, (_, row) => dot(at(x, row), at(x, place)));
  const own = activations[place], next = Math.max(...activations.filter((_, row) => row > 0 && row !== place));
  assert.ok(next < 0.99 * own, "one token alone is above the threshold");
  const features = sum(GROUPS);
  return {
    shape: { d_in: width, d_out: width, groups: GROUPS },
    weights: {
      encoder: Float32Array.from({ length: features * width }, (_, i) => i < width ? x[place * width + i] : 0),
      encoderBias: new Float32Array(features),
      decoder: Float32Array.from({ length: features * width }, (_, i) => i < width ? y[place * width + i] / own : 1),
      decoderBias: new Float32Array(width),
    },
    thresholds: new Float32Array(features).fill((next + own) / 2),
  };
}

Deno.test("a feature that alone carries a token: switched off, no other token's prediction moves, and its target is gone", () =>
  inDirectory(async (run) => {
    const place = 3, layer = await writeTinyLayer(run, 5);
    await saveTranscoder(join(layer, "transcoder.safetensors"), await planted(place));
    const { text }: Found = await json("ablate", "--run", layer, "--features", "0", "--text", TEXT);
    const moved = text.tokens.filter(({ kl, loss_before, loss_after }) => kl !== 0 || loss_before !== loss_after);
    assert.deepEqual(moved.map(({ position }) => position), [place]);
    assert.ok(moved[0].kl > 1e-3 && Math.abs(moved[0].target_change - 1) < 1e-4 && moved[0].kl_share === 1);
    assert.deepEqual(text.moved.map(({ position, movers }) => [position, movers.length]), [[place, 5], [
      IDS.length,
      0,
    ]]);
    const { text: other }: Found = await json("ablate", "--run", layer, "--features", "5", "--text", TEXT);
    assert.deepEqual([other.kl, other.loss_after], [0, other.loss_before], "one that never fires moves nothing");
  }));

type Refusal = [what: string, args: string[], code: number, message: RegExp];

const NEVER_OPENED: Refusal[] = [
  [
    "no features",
    [],
    2,
    /Cannot ablate: features must be named in one way, they are not named; give either --features/,
  ],
  [
    "features named in two ways",
    ["--features", "1", "--prefix", "3"],
    2,
    /Cannot ablate: features must be named in one way, there are --features and --prefix; /,
  ],
  ["a negative feature", ["--features", "-1"], 2, /Cannot read --features: it must be whole numbers.* it is "-1"/],
  [
    "a feature twice",
    ["--features", "4,1,4"],
    2,
    /Cannot ablate: each of --features must be named once, 4 is named twice; name it once$/,
  ],
  ["a group twice", ["--group", "1,1"], 2, /each of --group must be named once, 1 is named twice/],
  [
    "an empty text",
    ["--features", "1", "--text", ""],
    2,
    /option '-t, --text <text>' must not be empty$/,
  ],
  [
    "a continuation of nothing",
    ["--features", "1", "--generate", "5"],
    2,
    /Cannot ablate: --generate needs --text, which is not given; give --text$/,
  ],
  [
    "a temperature without a continuation",
    ["--features", "1", "--text", "a", "--temperature", "1"],
    2,
    /--temperature needs --generate/,
  ],
  [
    "a temperature below 0",
    ["--features", "1", "--text", "a", "--generate", "2", "--temperature", "-1"],
    2,
    /--temperature must not be negative, it is -1/,
  ],
  [
    "text and held-out text",
    ["--features", "1", "--text", "a", "--tokens", "5"],
    2,
    /option '-t, --text <text>' cannot be used with option '--tokens <n>'/,
  ],
  ["no run", ["--features", "1"], 1, /Cannot open the run none: .* does not exist; check --run$/],
];

Deno.test("mtc ablate refuses in one sentence, before it opens a run", async (test) => {
  for (const [what, args, code, message] of NEVER_OPENED) {
    await test.step(what, async () => {
      const outcome = await mtc("ablate", "--run", "none", ...args);
      assert.deepEqual([outcome.code, outcome.stdout], [code, ""], outcome.stderr);
      assert.match(outcome.stderr, /^mtc: [^\n]*$/);
      assert.match(outcome.stderr, message);
    });
  }
});

Deno.test("mtc steer must be told what becomes of the activations, in one way", async () => {
  const cases: [string[], RegExp][] = [
    [[], /Cannot steer: one of --scale, --set and --add must say .*, none does; give one of them$/],
    [["--set", "1", "--add", "2"], /there are --set and --add; give one of them$/],
    [["--set", "much"], /Cannot read --set: it must be a finite number, it is "much"/],
    [["--add", "1", "--where", "sometimes"], /'--where <place>' argument 'sometimes' is invalid.*everywhere, firing/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await mtc("steer", "--run", "none", "--features", "1", ...args);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, message);
  }
});

Deno.test("mtc ablate refuses what the run has not: features, groups, layers, room for the text", (test) =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2), long = Array(5).fill(TEXT).join(" ");
    await writeTinyLayer(run, 4);
    const needed = 1 + tokenizer.encode(long).length, half = 1 + IDS.length;
    const unfinished = join(run, "other"), one = await writeTinyLayer(unfinished, 2);
    await Deno.remove(join(one, "transcoder.safetensors"));
    const faults: Refusal[] = [
      [
        "no such feature",
        ["--run", layer, "--features", "1,32"],
        2,
        /Cannot ablate feature 32: the 32 features of layer 2 are counted from 0 to 31, so there is no 32; give 31 or less$/,
      ],
      [
        "no such group",
        ["--run", layer, "--group", "2"],
        2,
        /ablate group 2: the 2 groups of layer 2 .*; give 1 or less$/,
      ],
      [
        "a prefix that is all",
        ["--run", layer, "--prefix", "32"],
        2,
        /beyond the first 32 features: the prefix must be below the 32 features of layer 2, it is 32; give 31 or less$/,
      ],
      [
        "one of several transcoders",
        ["--run", run, "--features", "1"],
        2,
        /one transcoder must be named, it has layer 2, layer 4; give --layer, such as --layer 2$/,
      ],
      [
        "a layer without a transcoder",
        ["--run", run, "--layer", "3", "--features", "1"],
        2,
        /features of layer 3: .* must have a transcoder of that layer, it has layer 2, layer 4; choose another --layer$/,
      ],
      [
        "an unfinished run",
        ["--run", one, "--features", "1"],
        1,
        /must be finished, .*; finish it with `mtc train --resume/,
      ],
      [
        "a text longer than a context",
        ["--run", layer, "--features", "1", "--text", long],
        2,
        new RegExp(
          `BOS and the text must fit into a context of ${CONTEXT} tokens, the run's own, they are ${needed}; ` +
            `shorten it, or give --context ${needed}$`,
        ),
      ],
      [
        "no room for the continuation",
        ["--run", layer, "--features", "1", "--text", TEXT, "--generate", String(CONTEXT - half + 1)],
        2,
        new RegExp(
          `BOS, the text and ${CONTEXT - half + 1} more tokens must fit .*, they are ${
            CONTEXT + 1
          }; shorten either, or`,
        ),
      ],
      [
        "a context longer than the model's",
        ["--run", layer, "--features", "1", "--text", TEXT, "--context", "513"],
        1,
        /its contexts have at most 512 tokens, asked for 513; use --context 512 or less$/,
      ],
    ];
    for (const [what, args, code, message] of faults) {
      await test.step(what, async () => {
        const outcome = await mtc("ablate", ...args);
        assert.deepEqual([outcome.code, outcome.stdout], [code, ""], outcome.stderr);
        assert.match(outcome.stderr, /^mtc: [^\n]*$/);
        assert.match(outcome.stderr, message);
      });
    }
    // With room it goes.
    const { text }: Found = await json(
      "ablate",
      "--run",
      layer,
      "--features",
      "1",
      "--text",
      long,
      "--context",
      `${needed}`,
    );
    assert.equal(text.tokens.length, needed);
  }));
