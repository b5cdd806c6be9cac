/** `--exclude-tokens`: which tokens a run leaves out. */

import assert from "node:assert/strict";
import { excludedTokens } from "../../commands/train/settings.ts";
import { builtinModel } from "../../core/builtin/model.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";

const tokenizer = loadTokenizer(await builtinModel());

Deno.test("excludedTokens: the special ones unless others are named, BOS only where it does not count", () => {
  assert.deepEqual(excludedTokens(undefined, tokenizer, false), [0, 1, 2]);
  assert.deepEqual(excludedTokens(undefined, tokenizer, true), [0, 1]);
  assert.deepEqual(excludedTokens(["none"], tokenizer, false), []);
  const [the] = tokenizer.encode(" the");
  assert.deepEqual(excludedTokens(["<eos>", "▁the", "17", "1"], tokenizer, false), [1, 17, the].sort((a, b) => a - b));
});

Deno.test("excludedTokens: a token that the model lacks is refused in one sentence", () => {
  for (const name of ["4096", "nonesuch word", "", "-1"]) {
    assert.throws(() => excludedTokens([name], tokenizer, false), {
      name: "UsageError",
      message:
        /^Cannot leave out token ".*": it must be an id below 4096 or a token .*, the model has no such token; give another/,
    });
  }
});
