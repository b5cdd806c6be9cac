import assert from "node:assert/strict";
import { join } from "node:path";
import { builtinModel } from "../../core/builtin/model.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { CONTEXT, inDirectory, mtc, writeTinyLayer } from "./tiny_run.ts";

const tokenizer = loadTokenizer(await builtinModel());
const TEXT = "Fellow-citizens of the Senate";

interface Token {
  context: number;
  position: number;
  token_id: number;
  token: string;
  excluded: boolean;
  active: number;
  features: { feature: number; value: number; top_token: string | null }[];
}

interface Encoded {
  tokens: Token[];
  threshold: number;
  threshold_range?: [number, number];
  stderr: string;
}

async function encode(...args: string[]): Promise<Encoded> {
  const { code, stdout, stderr } = await mtc("encode", ...args, "--json");
  assert.equal(code, 0, stderr);
  return { ...JSON.parse(stdout), stderr };
}

Deno.test("mtc encode --json: each token of the text behind an excluded BOS, its strongest features in order", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const { tokens, threshold } = await encode("--run", layer, "--text", TEXT);
    assert.deepEqual(tokens.map(({ token_id }) => token_id), [tokenizer.bosId, ...tokenizer.encode(TEXT)]);
    assert.equal(tokens.slice(1).map(({ token }) => token).join("").trim(), TEXT);
    assert.deepEqual(tokens.map(({ position }) => position), tokens.map((_, i) => i));
    assert.deepEqual([tokens[0].excluded, tokens[0].features], [true, []]);
    for (const { excluded, active, features } of tokens.slice(1)) {
      assert.equal(excluded, false);
      assert.equal(features.length, Math.min(5, active));
      assert.ok(features.every(({ value }) => value > threshold));
      assert.deepEqual(features.map(({ value }) => value), features.map(({ value }) => value).sort((a, b) => b - a));
    }
    assert.ok(tokens.some(({ active }) => active > 5));
    const { tokens: fewer } = await encode("--run", layer, "--text", TEXT, "--top", "1");
    assert.deepEqual(fewer.map(({ features }) => features), tokens.map(({ features }) => features.slice(0, 1)));
  }));

Deno.test("mtc encode --json: thresholds of the features' own are told by their median and range", () =>
  inDirectory(async (run) => {
    const thresholds = Float32Array.from({ length: 32 }, (_, i) => (i + 1) / 32);
    const layer = await writeTinyLayer(run, 2, {}, thresholds);
    const { tokens, threshold, threshold_range } = await encode("--run", layer, "--text", TEXT, "--top", "32");
    assert.deepEqual([threshold, threshold_range], [33 / 64, [1 / 32, 1]]);
    const active = tokens.flatMap(({ features }) => features);
    assert.ok(active.every(({ feature, value }) => value > thresholds[feature]));
    assert.ok(active.some(({ value }) => value < threshold));
  }));

Deno.test("mtc encode: a text longer than a context is encoded in several and says so", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const text = Array(9).fill(TEXT).join(" "), ids = [...tokenizer.encode(text)];
    const { tokens, stderr } = await encode("--run", layer, "--text", text);
    const contexts = Math.ceil(ids.length / (CONTEXT - 1));
    assert.match(stderr, new RegExp(`^mtc: the run's contexts hold 15 tokens.* ${contexts} contexts`, "m"));
    assert.equal(tokens.length, ids.length + contexts);
    assert.deepEqual(tokens.filter(({ excluded }) => !excluded).map(({ token_id }) => token_id), ids);
    // A context on its own gives what it gives among others.
    const second = tokens.filter(({ context }) => context === 1);
    assert.ok(second.length === CONTEXT && second[0].excluded && contexts > 2);
  }));

Deno.test("mtc encode: the table has a row per token, with the features' top tokens from features.csv", () =>
  inDirectory(async (run) => {
    const layer = await writeTinyLayer(run, 2);
    const header =
      "feature,group,fires,density,mean_activation,max_activation,sample_count,encoder_norm,decoder_norm," +
      "encoder_bias,encoder_decoder_cosine,top_token_id,top_token,top_token_share,token_entropy_bits,dead";
    const rows = Array.from({ length: 32 }, (_, i) => `${i},${i < 12 ? 0 : 1},9,0.1,1,2,2,1,1,0,0,300, tok${i},1,0,0`);
    await Deno.writeTextFile(join(layer, "features.csv"), [header, ...rows].join("\n"));
    const { code, stdout } = await mtc("encode", "--run", run, "--text", TEXT);
    assert.equal(code, 0);
    const lines = stdout.trimEnd().split("\n");
    assert.equal(lines[0], layer);
    assert.match(lines[4], /^\| +0 \| <bos> +\| +- \| \(excluded\)/);
    assert.match(lines[5], /^\| +1 \| Fellow|^\| +1 \| ␣?F/);
    const cells = [...stdout.matchAll(/#(\d+) ␣tok(\d+) [\d.]+/g)];
    assert.ok(cells.length > 5 && cells.every(([, feature, top]) => feature === top));
  }));

Deno.test("mtc encode refuses in one sentence: empty text, no run, a --top that is no count", async () => {
  const cases: [string[], number, RegExp][] = [
    [["--run", "none", "--text", ""], 2, /^mtc: option '-t, --text <text>' must not be empty$/],
    [["--run", "none", "--text", "a"], 1, /^mtc: Cannot open the run none: .* does not exist; /],
    [
      ["--run", "none", "--text", "a", "--top", "x"],
      2,
      /^mtc: Cannot read --top: it must be a whole number above 0, it is "x"; write it in digits alone$/,
    ],
    [["--run", "none"], 2, /^mtc: .*option '-t, --text <text>'/],
  ];
  for (const [args, code, message] of cases) {
    const outcome = await mtc("encode", ...args);
    assert.deepEqual([outcome.code, outcome.stdout], [code, ""]);
    assert.match(outcome.stderr, message);
  }
});
