import assert from "node:assert/strict";
import { builtinModel } from "../../core/builtin/model.ts";
import { UserError } from "../../core/errors.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { ASCII, asciiBorders, splitsAtSpaces, type TokenizerSpec } from "../../core/text/tokenizer_spec.ts";
import golden from "../golden/tokenizer.json" with { type: "json" };

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const names = { bos_token: "<bos>", eos_token: { content: "<eos>" } };
const files = await builtinModel();
const embedded = loadTokenizer(files);
const embeddedSpec = (): TokenizerSpec => JSON.parse(new TextDecoder().decode(files.tokenizerJson));
const crossing = loadTokenizer({ tokenizerJson: bytes(golden.crossing_spec), tokenizerConfig: bytes(names) });

Deno.test("encode and decode agree with the Rust library, word by word and as a whole", () => {
  assert.equal(splitsAtSpaces(embeddedSpec()), true);
  assert.equal(splitsAtSpaces(golden.crossing_spec as unknown as TokenizerSpec), false);
  for (const [tokenizer, table] of [[embedded, golden.embedded], [crossing, golden.crossing]] as const) {
    for (const { text, ids, decoded } of table) {
      assert.deepEqual([...tokenizer.encode(text)], ids, JSON.stringify(text));
      assert.deepEqual([...tokenizer.encode(text)], ids, "from the cache");
      assert.equal(tokenizer.decode(ids), decoded.replace("\ufeff", ""), JSON.stringify(text));
    }
  }
});

Deno.test("decode: runs that begin or end inside a character keep the whole characters", () => {
  const ids = [...new TextEncoder().encode("é👍")].map((byte) => byte + 4); // <0x00> has id 4
  assert.equal(embedded.decode([]), "");
  assert.equal(embedded.decode(ids), "é👍");
  assert.equal(embedded.decode(Uint32Array.from(ids.slice(1))), "\ufffd👍");
  assert.equal(embedded.decode(ids.slice(0, 1)), "\ufffd");
  assert.equal(embedded.decode(ids.slice(0, 3)), "é\ufffd");
});

Deno.test("special ids and vocabulary size of the embedded tokenizer", () => {
  assert.deepEqual([embedded.bosId, embedded.eosId, embedded.vocabSize], [2, 1, 4096]);
  assert.deepEqual([embedded.specialIds, crossing.specialIds], [[2, 1, 0], [crossing.bosId, crossing.eosId]]);
});

Deno.test("idOf: tokens as the vocabulary and as reports spell them", () => {
  for (const id of [0, 1, 2, 300, 2000, 4095]) assert.equal(embedded.idOf(embedded.tokenText(id)), id);
  assert.equal(embedded.idOf("▁the"), embedded.encode(" the")[0]);
  assert.equal(embedded.idOf("<0x0A>"), 14);
  assert.equal(embedded.idOf("no such token"), undefined);
});

Deno.test("tokenText: spaces, ASCII bytes, other bytes and special tokens", () => {
  const id = (token: string) => embeddedSpec().model!.vocab![token];
  assert.equal(embedded.tokenText(id("▁the")), " the");
  assert.equal(embedded.tokenText(id("<0x0A>")), "\n");
  assert.equal(embedded.tokenText(id("<0x09>")), "\t");
  assert.equal(embedded.tokenText(id("<0xE2>")), "<0xE2>");
  assert.equal(embedded.tokenText(2), "<bos>");
  assert.throws(() => embedded.tokenText(4096), RangeError);
});

Deno.test("splitsAtSpaces: every step that could look across a space refuses it", () => {
  const refused: ((spec: TokenizerSpec) => void)[] = [
    (spec) => spec.model!.vocab!["s▁t"] = 4096,
    (spec) => delete spec.model!.vocab!["▁"],
    (spec) => spec.model!.type = "Unigram",
    (spec) => spec.model!.dropout = 0.1,
    (spec) => spec.model!.ignore_merges = true,
    (spec) => spec.model!.end_of_word_suffix = "</w>",
    (spec) => spec.normalizer = null,
    (spec) => spec.normalizer!.content = "_",
    (spec) => spec.pre_tokenizer!.pattern!.Regex = "\\w+",
    (spec) => spec.pre_tokenizer!.behavior = "MergedWithPrevious",
    (spec) => spec.pre_tokenizer!.invert = true,
    (spec) => spec.added_tokens!.push({ content: "New York" }),
    (spec) => spec.added_tokens![0].lstrip = true,
  ];
  for (const change of refused) {
    const spec = embeddedSpec();
    change(spec);
    assert.equal(splitsAtSpaces(spec), false, change.toString());
  }
  const gemma = embeddedSpec();
  gemma.pre_tokenizer = { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false };
  gemma.added_tokens!.push({ content: "▁▁▁" }, { content: "\n\n" });
  assert.equal(splitsAtSpaces(gemma), true, "as in Gemma-2's own file");
});

Deno.test("asciiBorders: where no token goes on and both characters are known", () => {
  const spec: TokenizerSpec = {
    model: {
      vocab: Object.fromEntries(
        ["▁", "a", "b", ",", ".", "ab", "▁a", "▁▁", "..", "é,"].map((token, id) => [token, id]),
      ),
    },
    added_tokens: [{ content: ",." }],
  };
  const borders = asciiBorders(spec);
  const between = (pair: string) => borders[pair.charCodeAt(0) * ASCII + pair.charCodeAt(1)];
  assert.deepEqual(["ba", "a,", "b.", ".a", "aa", " b", "a "].map(between), [1, 1, 1, 1, 1, 1, 1]);
  assert.deepEqual(["ab", " a", "  ", "..", ",."].map(between), [0, 0, 0, 0, 0], "a token goes on");
  assert.deepEqual(["ac", "c,", "?a", "\x01a"].map(between), [0, 0, 0, 0], "unknown characters may be joined");
});

Deno.test("loadTokenizer: malformed files are refused in one sentence", () => {
  const refuses = (tokenizerJson: unknown, tokenizerConfig: unknown, message: RegExp) =>
    assert.throws(
      () => loadTokenizer({ tokenizerJson: bytes(tokenizerJson), tokenizerConfig: bytes(tokenizerConfig) }),
      (error: Error) => {
        assert.ok(error instanceof UserError, `${error.stack}`);
        assert.match(error.message, message);
        assert.ok(!error.message.includes("\n"), error.message);
        return true;
      },
    );
  refuses('{"model"', names, /^Cannot read tokenizer\.json: it must be JSON/);
  refuses([], names, /tokenizer\.json: it must hold a JSON object/);
  refuses({}, names, /tokenizer\.json: it must have a vocabulary under model\.vocab, it has none/);
  refuses({ model: { vocab: {} } }, names, /it must have a vocabulary/);
  refuses({ model: { type: "Unheard", vocab: { a: 0 } } }, names, /^Cannot read tokenizer\.json: .*Gemma's layout/);
  refuses(golden.crossing_spec, "", /^Cannot read tokenizer_config\.json: it must be JSON/);
  refuses(
    golden.crossing_spec,
    { bos_token: "<bos>" },
    /tokenizer_config\.json: it must name the eos_token, it has none/,
  );
  refuses(golden.crossing_spec, { ...names, bos_token: "<s>" }, /tokenizer\.json: it must hold the bos_token "<s>"/);
});

Deno.test("loadTokenizer: what the library would take for nothing, or for a place, is refused", () => {
  type Changed = Record<"model" | "normalizer" | "pre_tokenizer" | "decoder", Record<string, unknown>> & {
    added_tokens: Record<string, unknown>[];
    model: { vocab: Record<string, unknown>; merges: unknown[] };
    post_processor: unknown;
  };
  const load = (change: (spec: Changed) => void, vocabSize?: number) => {
    const spec = embeddedSpec() as unknown as Changed;
    change(spec);
    return loadTokenizer({ ...files, tokenizerJson: bytes(spec), vocabSize });
  };
  const word = "▁the",
    refused: [change: (spec: Changed) => void, message: RegExp][] = [
      [
        ({ model }) => model.vocab[word] = 1e9,
        /ids must be below the model's vocab_size 4096, that of "▁the" is 1000000000/,
      ],
      [({ model }) => model.vocab[word] = 1.5, /ids must be whole numbers from 0, that of "▁the" is 1\.5/],
      [({ model }) => model.vocab[word] = "7", /ids must be whole numbers from 0, that of "▁the" is "7"/],
      [({ model }) => model.vocab[word] = null, /that of "▁the" is null/],
      [({ model }) => model.vocab[word] = 7, /each token must have an id of its own, "<0x03>" and "▁the" share 7/],
      [({ model }) => delete model.vocab[word], /merges must make tokens, merge \d+ makes "▁the", which is none/],
      [({ model }) => model.merges[5] = ["a"], /each merge must name two pieces, merge 6 does not/],
      [({ model }) => model.unk_token = "<none>", /the unk_token "<none>" must be in the vocabulary/],
      [({ model }) => model.dropout = 0.1, /Gemma's layout, model\.dropout: /],
      [({ model }) => model.type = "Unigram", /Gemma's layout, model\.type: /],
      [(spec) => spec.added_tokens[0].content = 5, /Gemma's layout, added_tokens\.0\.content: /],
      [
        (spec) => spec.added_tokens[0].single_word = true,
        /added tokens must not ask for single_word, "<pad>" does; take the one that belongs to a Gemma model$/,
      ],
      [(spec) => spec.added_tokens[0].id = 9, /each token must have one id, "<pad>" has 0 and 9/],
      [
        (spec) => spec.normalizer.pattern = { Foo: " " },
        /Gemma's layout, normalizer\.pattern: it must be a "String" or a "Regex"/,
      ],
      [(spec) => spec.normalizer.type = "Lowercase", /Gemma's layout, normalizer\.type: /],
      [(spec) => spec.pre_tokenizer.behavior = 5, /Gemma's layout, pre_tokenizer\.behavior: /],
      [(spec) => spec.pre_tokenizer.behavior = "MergedWithNext", /"Isolated" or "Removed", it is "MergedWithNext"/],
      [(spec) => spec.pre_tokenizer.invert = true, /Gemma's layout, pre_tokenizer\.invert: /],
      [(spec) => spec.pre_tokenizer.pattern = { Regex: "(" }, /Gemma's layout/],
      [(spec) => spec.decoder.decoders = [{ type: "Replace" }], /Gemma's layout, decoder\.decoders\.0\.pattern: /],
    ];
  for (const [change, message] of refused) {
    assert.throws(() => load(change, 4096), { name: "UserError", message }, change.toString());
  }
  for (const behavior of [undefined, {}, 5, { type: "TemplateProcessing", single: {} }]) {
    const { encode } = load((spec) => spec.post_processor = behavior);
    assert.deepEqual(encode("the Union"), embedded.encode("the Union"), "nothing of it is read");
  }
  const texts = load(({ model }) => model.merges = model.merges.map((pair) => (pair as string[]).join(" ")));
  assert.deepEqual(texts.encode("the state of the Union"), embedded.encode("the state of the Union"));
});

Deno.test("special tokens that the model does not embed are text like any other; other tokens stay and are refused", () => {
  const spec = embeddedSpec(), image = "<image_soft_token>";
  const load = (special: boolean, vocabSize?: number) => {
    const added_tokens = [...spec.added_tokens!, { id: 4096, content: image, special }];
    return loadTokenizer({ ...files, tokenizerJson: bytes({ ...spec, added_tokens }), vocabSize });
  };
  const whole = load(true), text = load(true, 4096);
  assert.deepEqual([...whole.encode(image)], [4096]);
  assert.throws(() => whole.checkFitsModel(4096, 2), /ids must be below .* 4096, they go up to 4096/);
  text.checkFitsModel(4096, 2);
  assert.equal(text.vocabSize, 4096);
  assert.deepEqual(text.encode(`see ${image}`), embedded.encode(`see ${image}`));
  assert.deepEqual([...load(true, 4160).encode(image)], [4096], "a model with room for images has it");
  assert.throws(() => load(false, 4096), /ids must be below .* 4096, that of "<image_soft_token>" is 4096; take/);
});

Deno.test("checkFitsModel: ids beyond the embedding and another BOS are refused", () => {
  embedded.checkFitsModel(4096, 2);
  embedded.checkFitsModel(5000, 2);
  const refuses = (vocabSize: number, bosId: number, message: RegExp) =>
    assert.throws(() => embedded.checkFitsModel(vocabSize, bosId), { name: "UserError", message });
  refuses(4095, 2, /ids must be below the model's vocab_size 4095, they go up to 4095; take tokenizer\.json/);
  refuses(4096, 1, /its bos_token must have the model's bos_token_id 1, it has id 2; take/);
});
