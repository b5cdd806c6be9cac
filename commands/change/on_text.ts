/**
 * Features changed on a text that is given on the command line, and in how it goes on.
 * @module
 */

import type { MovedToken } from "../../core/analysis/next_token.ts";
import type { ChangedModelOptions } from "../../core/passes/changed_model.ts";
import type { ChangedText } from "../../core/passes/changed_text.ts";
import type { GeneratedToken } from "../../core/passes/generate.ts";
import type { Tokenizer } from "../../core/text/tokenizer.ts";
import type { ChangedTextFigures, Continuation, Continuations, TextChange } from "../../reports/change_figures.ts";
import { Progress } from "../progress.ts";
import type { ChangeOptions } from "./options.ts";
import { type ChangeRequest, noTokens, requireFits } from "./request.ts";

/**
 * Changes features on a text.
 *
 * @param request Which, and how.
 * @param options What else is given on the command line.
 * @param text The text.
 * @returns What that does.
 * @throws {UsageError} When the text does not fit into a context.
 * @throws {UserError} When the model cannot be read, or the device fails.
 */
export async function changeOnText(request: ChangeRequest, options: ChangeOptions, text: string): Promise<TextChange> {
  const { verb, transcoder, transcoder: { config }, features, change } = request;
  const { loadVisibly, openModelVisibly } = await import("../open_model.ts");
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { changeText } = await import("../../core/passes/changed_text.ts");
  const { textContexts } = await import("../../core/passes/encode_text.ts");
  const { withLimitedTaps } = await import("../../core/passes/norm_limits.ts");
  const { loadRunModel, modelOf } = await import("../../core/runs/finished.ts");
  const { tapsOf } = await import("../../core/runs/ids.ts");
  const { loadTokenizer } = await import("../../core/text/tokenizer.ts");
  const context = options.context ?? config.context, generated = options.generate ?? 0;
  const files = await openModelVisibly(options.model ?? modelOf([transcoder]));
  try {
    const tokenizer = loadTokenizer(files), ids = tokenizer.encode(text);
    if (ids.length === 0) throw noTokens(verb);
    requireFits(verb, ids.length, generated, context, context === config.context);
    using gpu = await openGpu(undefined, config.precision);
    const taps = withLimitedTaps(tapsOf([config]), config);
    const decoder = await loadVisibly((onLoading) =>
      loadRunModel(gpu, files, [transcoder], { taps, head: true, context, maxTokens: context, onLoading })
    );
    const [batch] = textContexts(ids, tokenizer.bosId, 1 + ids.length);
    const changed: ChangedModelOptions = { gpu, decoder, placed: transcoder, settings: config };
    const changes = new Map(features.map((feature) => [feature, change]));
    const found = await changeText(changed, batch, changes, options.top);
    const told = tell(batch.ids, found, tokenizer);
    if (generated === 0) return { text: told };
    const generation = await continued(changed, request, options, batch.ids, tokenizer);
    return { text: told, generation };
  } finally {
    await files.weights.close();
  }
}

function tell(ids: Uint32Array, { tokens, moved }: ChangedText, tokenizer: Tokenizer): ChangedTextFigures {
  const sum = (value: (kl: number) => number) => tokens.reduce((sum, { kl }) => sum + value(kl), 0);
  // Rounding may leave a KL of nothing a little below 0.
  const kl = sum((kl) => kl), shared = sum((kl) => Math.max(0, kl));
  const predictions = tokens.filter(({ isCounted, before }) => isCounted && before !== null);
  const mean = (of: (token: typeof tokens[number]) => number) =>
    predictions.reduce((sum, token) => sum + of(token), 0) / predictions.length;
  const named = ({ token_id, ...probabilities }: MovedToken) => {
    return { token_id, token: tokenizer.tokenText(token_id), ...probabilities };
  };
  return {
    predictions: predictions.length,
    loss_before: predictions.length > 0 ? mean(({ before }) => before!) : null,
    loss_after: predictions.length > 0 ? mean(({ after }) => after!) : null,
    kl: kl / tokens.length,
    tokens: tokens.map(({ isCounted, features, targetChange, before, after, isSame, ...token }, position) => ({
      ...{ position, token_id: ids[position], token: tokenizer.tokenText(ids[position]), counted: isCounted },
      ...{ features: [...features], target_change: targetChange, loss_before: before, loss_after: after, kl: token.kl },
      ...{ kl_share: shared > 0 ? Math.max(0, token.kl) / shared : 0, same_top: isSame },
    })),
    moved: moved.map(({ place, most_probable_before, most_probable_after, movers }) => ({
      position: place,
      next_token_id: place + 1 < ids.length ? ids[place + 1] : null,
      most_probable_before: named(most_probable_before),
      most_probable_after: named(most_probable_after),
      movers: movers.map(named),
    })),
  };
}

/** The text as it goes on without the change and with it. */
async function continued(
  changed: ChangedModelOptions,
  { features, change }: ChangeRequest,
  { generate: tokens = 0, temperature = 0, seed }: ChangeOptions,
  prompt: Uint32Array,
  tokenizer: Tokenizer,
): Promise<Continuations> {
  const { greedily, sampled } = await import("../../core/analysis/next_token.ts");
  const { ChangedModel } = await import("../../core/passes/changed_model.ts");
  const { generate } = await import("../../core/passes/generate.ts");
  const model = new ChangedModel(changed), progress = new Progress("Generating");
  let done = 0;
  const go = async (which: readonly number[]): Promise<Continuation> => {
    const generated = await generate(changed, model, model.upload(new Map(which.map((f) => [f, change]))), {
      ...{ prompt, tokens, eosId: tokenizer.eosId, choose: temperature === 0 ? greedily : sampled(temperature, seed) },
      onToken: () => progress.advance({ done: ++done, total: 2 * tokens, unit: "tokens" }),
    });
    return spelled(generated, tokenizer);
  };
  try {
    // Without features the model is edited at the same place, so that only what the change does tells the two apart.
    const before = await go([]), after = await go(features);
    const length = Math.max(before.tokens.length, after.tokens.length);
    const differs = (at: number) => before.tokens[at]?.token_id !== after.tokens[at]?.token_id;
    const first = Array.from({ length }, (_, at) => at).find(differs);
    return { temperature, seed: temperature === 0 ? null : seed, same: first ?? length, before, after };
  } finally {
    progress.stop();
  }
}

function spelled(generated: readonly GeneratedToken[], tokenizer: Tokenizer): Continuation {
  return {
    text: tokenizer.decode(generated.map(({ id }) => id)),
    tokens: generated.map(({ id, probability }) => ({ token_id: id, token: tokenizer.tokenText(id), probability })),
  };
}
