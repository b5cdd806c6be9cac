/** Features changed on a text: losses, probabilities and continuations against Hugging Face with the same change. */

import assert from "node:assert/strict";
import { greedily, sampled } from "../../core/analysis/next_token.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { openGpu } from "../../core/gpu/device.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { ChangedModel, LOGIT_ROWS } from "../../core/passes/changed_model.ts";
import { changeText } from "../../core/passes/changed_text.ts";
import { textContexts } from "../../core/passes/encode_text.ts";
import type { ActivationChange } from "../../core/passes/feature_change.ts";
import { generate } from "../../core/passes/generate.ts";
import { readActivations } from "../../core/passes/readback.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { assertClose } from "../compare.ts";
import { GOLDEN } from "../model/golden.ts";
import { activationsOf } from "../transcoder/random_transcoder.ts";

const gpu = await openGpu(), files = await openModel(BUILTIN);
const golden = await openSafetensors(`${GOLDEN}changed/builtin.safetensors`);
const ints = async (name: string) => [...await golden.read(name)];
const floats = async (name: string) => [...await golden.readF32(name)];

/** What tests/reference/make_changed_golden.py changes, and how. */
const SOURCE: Tap = { layer: 3, site: "resid_mid" }, TARGET: Tap = { layer: 3, site: "mlp_out" };
const CHANGED = [3, 11], MOVERS = 12, NEW_TOKENS = 24;
const CHANGES: Record<string, ActivationChange> = {
  off: { kind: "scale", factor: 0 },
  scaled: { kind: "scale", factor: 4 },
  set: { kind: "set", value: 3, where: "everywhere" },
  set_firing: { kind: "set", value: 3, where: "firing" },
  added: { kind: "add", value: -2, where: "everywhere" },
  added_firing: { kind: "add", value: -2, where: "firing" },
};

const [bosId, ...ids] = await ints("tokens"), CONTEXT = 1 + ids.length + NEW_TOKENS;
const [features, d_in] = golden.info("encoder").shape, [, d_out] = golden.info("decoder").shape;
const transcoder: Transcoder = {
  shape: { d_in, d_out, groups: [features] },
  weights: {
    encoder: await golden.readF32("encoder"),
    encoderBias: await golden.readF32("encoder_bias"),
    decoder: await golden.readF32("decoder"),
    decoderBias: new Float32Array(d_out),
  },
  thresholds: await golden.readF32("thresholds"),
};
const decoder = await loadDecoder(gpu, files, {
  taps: [SOURCE, TARGET],
  maxTokens: CONTEXT,
  context: CONTEXT,
  head: true,
});
const options = {
  ...{ gpu, decoder, settings: { context: CONTEXT, include_bos: false, exclude_tokens: [] as number[] } },
  placed: { transcoder, config: { source: SOURCE, targets: [TARGET], k: 4 } },
};
const [text] = textContexts(Uint32Array.from(ids), bosId, 1 + ids.length);
const changesOf = (change: ActivationChange) => new Map(CHANGED.map((feature) => [feature, change]));

for (const [name, change] of Object.entries(CHANGES)) {
  Deno.test(`${name}: losses, KL and the probabilities of the farthest movers at every token are Hugging Face's`, async () => {
    const { tokens, moved } = await changeText(options, text, changesOf(change), MOVERS);
    const bound = { floor: 1e-5, relative: 1e-5 };
    const followed = tokens.slice(0, -1);
    assertClose("clean loss", followed.map(({ before }) => before!), await floats("clean.loss"), bound);
    assertClose("loss", followed.map(({ after }) => after!), await floats(`${name}.loss`), bound);
    assertClose("KL", tokens.map(({ kl }) => kl), await floats(`${name}.kl`), bound);
    assert.deepEqual(tokens.map(({ isSame }) => Number(isSame)), await floats(`${name}.same`));
    assert.deepEqual([tokens.at(-1)!.before, tokens.at(-1)!.after], [null, null]);

    // The movers are asked for at as many tokens as there are, BOS aside, where nothing moves.
    assert.ok(moved.length > LOGIT_ROWS, "logits come in several blocks");
    const kls = moved.slice(0, -1).map(({ place }) => tokens[place].kl);
    assert.deepEqual(kls, kls.toSorted((a, b) => b - a), "the largest KL first");
    const [before, after] = [await floats(`${name}.before`), await floats(`${name}.after`)];
    for (const { place, movers, most_probable_before, most_probable_after } of moved) {
      const at = (values: number[]) => values.slice(place * MOVERS, (place + 1) * MOVERS);
      const distances = (p: number[], q: number[]) => p.map((_, i) => Math.abs(q[i] - p[i]));
      const found = distances(movers.map(({ before }) => before), movers.map(({ after }) => after));
      const probability = { floor: 2e-6, relative: 2e-5 };
      assertClose(`movers at ${place}`, found, distances(at(before), at(after)), probability);
      const expected = new Map((at(await ints(`${name}.movers`))).map((id, i) => [id, [at(before)[i], at(after)[i]]]));
      // The last ones may be about as far as the first that are not named.
      for (const { token_id, before, after } of movers.slice(0, 6)) {
        assertClose(`token ${token_id} at ${place}`, [before, after], expected.get(token_id)!, probability);
      }
      assert.equal(most_probable_before.token_id === most_probable_after.token_id, tokens[place].isSame);
    }
  });

  Deno.test(`${name}: greedy continuation and the probabilities of its tokens are Hugging Face's`, async () => {
    const model = new ChangedModel(options);
    const generation = { prompt: text.ids, tokens: NEW_TOKENS, eosId: 1, choose: greedily };
    for (const [who, changes] of [["clean", new Map()], [name, changesOf(change)]] as const) {
      const found = await generate(options, model, model.upload(changes), generation);
      assert.deepEqual(found.map(({ id }) => id), await ints(`${who}.greedy`));
      assertClose(who, found.map(({ probability }) => probability), await floats(`${who}.chance`), {
        floor: 2e-6,
        relative: 2e-5,
      });
    }
  });
}

/** Source and target of the text. */
async function sourceAndTarget(): Promise<readonly Float32Array[]> {
  let taken: readonly Float32Array[] = [];
  await new ChangedModel(options).over([text], [readActivations(gpu, decoder, (_, found) => taken = found)]);
  return taken;
}

Deno.test("activations before and after, and how far the target moves, are those of the definition", async () => {
  const [x, y] = await sourceAndTarget();
  for (const change of Object.values(CHANGES)) {
    const { tokens } = await changeText(options, text, changesOf(change), 1);
    for (const [place, { isCounted, features, targetChange }] of tokens.entries()) {
      assert.equal(isCounted, place > 0);
      const a = activationsOf(transcoder, x.subarray(place * d_in, (place + 1) * d_in));
      const expected = CHANGED.map((feature) => {
        const f = a[feature] > transcoder.thresholds[feature] ? a[feature] : 0;
        if (!isCounted) return { feature, before: f, after: f };
        if (change.kind === "scale") return { feature, before: f, after: change.factor * f };
        if (change.where === "firing" && f === 0) return { feature, before: f, after: f };
        return { feature, before: f, after: change.kind === "set" ? change.value : f + change.value };
      }).filter(({ before, after }) => before !== after);
      assert.deepEqual(features.map(({ feature }) => feature), expected.map(({ feature }) => feature));
      const bound = { floor: 1e-5, relative: 1e-5 };
      assertClose("f", features.map(({ before }) => before), expected.map(({ before }) => before), bound);
      assertClose("f'", features.map(({ after }) => after), expected.map(({ after }) => after), bound);
      const squares = [0, 0];
      for (let d = 0; d < d_out; d++) {
        const moved = expected.reduce(
          (sum, { feature, before, after }) => sum + (after - before) * transcoder.weights.decoder[feature * d_out + d],
          0,
        );
        squares[0] += moved ** 2;
        squares[1] += y[place * d_out + d] ** 2;
      }
      assertClose("moved by", [targetChange], [Math.sqrt(squares[0] / squares[1])], bound);
    }
  }
});

Deno.test("a token that is left out is not changed, and what stands behind it sees the others' change", async () => {
  const [, , left] = text.ids, settings = { ...options.settings, exclude_tokens: [left] };
  const everywhere = changesOf(CHANGES.set);
  const { tokens } = await changeText({ ...options, settings }, text, everywhere, 1);
  const out = [...text.ids].flatMap((id, place) => place === 0 || id === left ? [place] : []);
  assert.deepEqual(tokens.flatMap(({ isCounted }, place) => isCounted ? [] : [place]), out);
  assert.deepEqual(tokens.filter(({ isCounted }) => !isCounted).map(({ features }) => features), out.map(() => []));
  assert.ok(tokens[2].kl > 0 && tokens[0].kl === 0, "it attends to the one before it");
  await assert.rejects(
    changeText({ ...options, settings: { ...settings, exclude_tokens: ids } }, text, everywhere, 1),
    /it must have a token that the run does not leave out, it has none/,
  );
});

Deno.test("a token that is too long at the source is not changed, in text and continuation", async () => {
  const [x] = await sourceAndTarget();
  const norms = Array.from(text.ids, (_, place) => Math.hypot(...x.subarray(place * d_in, (place + 1) * d_in)));
  const [shorter, longer] = norms.slice(1).sort((a, b) => a - b).slice(5, 7), most = (shorter + longer) / 2;
  const limited = (most: number) => {
    const median_norms = [{ ...SOURCE, norm: most / 3 }];
    return { ...options, settings: { ...options.settings, exclude_norm_above: 3, median_norms } };
  };
  const { tokens } = await changeText(limited(most), text, changesOf(CHANGES.set), 1);
  assert.deepEqual(tokens.map(({ isCounted }) => isCounted), norms.map((norm, place) => place > 0 && norm <= most));
  assert.deepEqual(tokens.map(({ features }) => features.length > 0), tokens.map(({ isCounted }) => isCounted));
  const continued = async (most: number) => {
    const model = new ChangedModel(limited(most)), change = model.upload(changesOf(CHANGES.set));
    const generation = { prompt: text.ids, tokens: NEW_TOKENS, eosId: 1, choose: greedily };
    return (await generate(limited(most), model, change, generation)).map(({ id }) => id);
  };
  assert.deepEqual(await continued(1e6), await ints("set.greedy"));
  assert.notDeepEqual(await continued(most), await ints("set.greedy"));
});

Deno.test("a continuation ends with EOS", async () => {
  const model = new ChangedModel(options), [, second] = await ints("clean.greedy");
  const generation = { prompt: text.ids, tokens: NEW_TOKENS, eosId: second, choose: greedily };
  const found = await generate(options, model, model.upload(new Map()), generation);
  assert.deepEqual(found.map(({ id }) => id), (await ints("clean.greedy")).slice(0, 2));
});

Deno.test("sampling with a seed gives the same twice, another with another seed, and without a change the same as the model", async () => {
  const model = new ChangedModel(options), nothing = model.upload(new Map());
  const go = async (seed: number, change = nothing) => {
    const generation = { prompt: text.ids, tokens: 12, eosId: 1, choose: sampled(1, seed) };
    return (await generate(options, model, change, generation)).map(({ id }) => id);
  };
  const first = await go(1);
  assert.deepEqual(await go(1), first);
  assert.notDeepEqual(await go(2), first);
  assert.deepEqual(await go(1, model.upload(changesOf({ kind: "scale", factor: 1 }))), first);
  assert.notDeepEqual(await go(1, model.upload(changesOf(CHANGES.added))), first);
});
