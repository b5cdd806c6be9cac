/**
 * Features changed on a text, in a model that is loaded: what `mtc ablate` and `mtc steer` do with one of the command line, and `mtc browse`
 * with one of its page.
 * @module
 */

import { greedily, type MovedToken, sampled } from "../../core/analysis/next_token.ts";
import type { Gpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import type { Decoder } from "../../core/model/forward.ts";
import { ChangedModel, type ChangedModelOptions } from "../../core/passes/changed_model.ts";
import { type ChangedText, changeText } from "../../core/passes/changed_text.ts";
import { textContexts } from "../../core/passes/encode_text.ts";
import { generate, type GeneratedToken } from "../../core/passes/generate.ts";
import type { Tokenizer } from "../../core/text/tokenizer.ts";
import type { ChangedTextFigures, Continuation, Continuations, TextChange } from "../../reports/change_figures.ts";
import type { ChangeRequest } from "./request.ts";

/** A model that is loaded. */
export interface ModelAtHand {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, with the head, and the taps of the transcoders among its own. */
  readonly decoder: Decoder;
  /** Its tokenizer. */
  readonly tokenizer: Tokenizer;
}

/** What is wanted of a change. */
export interface ChangeWishes {
  /** At how many tokens the next one's distribution is told, and how many movers there. */
  readonly top: number;
  /** Tokens to continue the text by; 0 for none. */
  readonly generate: number;
  /** 0 for the most probable token. */
  readonly temperature: number;
  /** What sampled tokens are drawn by. */
  readonly seed: number;
  /** Hears how many tokens of both continuations there are. */
  readonly onToken?: (done: number) => void;
  /** Ends the work early by throwing its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Changes features on a text.
 *
 * @param model The model.
 * @param request Which, and how.
 * @param ids The text's tokens, at least one, without BOS; with it and the continuation they fit into a context of the model.
 * @param wishes What is wanted.
 * @returns What that does.
 * @throws {UserError} When no token counts, or the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function changeAtHand(
  { gpu, decoder, tokenizer }: ModelAtHand,
  { transcoder, features, change }: ChangeRequest,
  ids: Uint32Array,
  wishes: ChangeWishes,
): Promise<TextChange> {
  using scope = openScope(gpu);
  const changed: ChangedModelOptions = {
    ...{ gpu: scope, decoder, placed: transcoder, settings: transcoder.config, signal: wishes.signal },
  };
  const [batch] = textContexts(ids, tokenizer.bosId, 1 + ids.length);
  const changes = new Map(features.map((feature) => [feature, change]));
  const text = tell(batch.ids, await changeText(changed, batch, changes, wishes.top), tokenizer);
  if (wishes.generate === 0) return { text };
  return { text, generation: await continued(changed, { features, change }, batch.ids, wishes, tokenizer) };
}

function tell(ids: Uint32Array, { tokens, moved }: ChangedText, tokenizer: Tokenizer): ChangedTextFigures {
  const sum = (value: (kl: number) => number) => tokens.reduce((sum, { kl }) => sum + value(kl), 0);
  // Rounding may leave a KL of nothing a little below 0.
  const shared = sum((kl) => Math.max(0, kl)), counted = tokens.filter(({ isCounted }) => isCounted);
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
    kl: counted.reduce((sum, { kl }) => sum + kl, 0) / Math.max(1, counted.length),
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
  { features, change }: Pick<ChangeRequest, "features" | "change">,
  prompt: Uint32Array,
  { generate: tokens, temperature, seed, onToken }: ChangeWishes,
  tokenizer: Tokenizer,
): Promise<Continuations> {
  const model = new ChangedModel(changed);
  let done = 0;
  const go = async (which: readonly number[]): Promise<Continuation> => {
    const generated = await generate(changed, model, model.upload(new Map(which.map((f) => [f, change]))), {
      ...{ prompt, tokens, eosId: tokenizer.eosId, choose: temperature === 0 ? greedily : sampled(temperature, seed) },
      onToken: () => onToken?.(++done),
    });
    return spelled(generated, tokenizer);
  };
  // Without features the model is edited at the same place, so that only what the change does tells the two apart.
  const before = await go([]), after = await go(features);
  const length = Math.max(before.tokens.length, after.tokens.length);
  const differs = (at: number) => before.tokens[at]?.token_id !== after.tokens[at]?.token_id;
  const first = Array.from({ length }, (_, at) => at).find(differs);
  return { temperature, seed: temperature === 0 ? null : seed, same: first ?? length, before, after };
}

function spelled(generated: readonly GeneratedToken[], tokenizer: Tokenizer): Continuation {
  return {
    text: tokenizer.decode(generated.map(({ id }) => id)),
    tokens: generated.map(({ id, probability }) => ({ token_id: id, token: tokenizer.tokenText(id), probability })),
  };
}
