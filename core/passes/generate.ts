/**
 * Continuing a text token by token.
 *
 * Each token takes a forward pass over all before it: keys and values are not kept, since what is changed of a model acts on prompt and
 * continuation alike, and a few tens of tokens are what one looks at.
 * @module
 */

import { type ChooseToken, probabilitiesOf } from "../analysis/next_token.ts";
import { createTensor, downloadF32 } from "../gpu/device.ts";
import { openScope } from "../gpu/scope.ts";
import { NO_DOCUMENT, type TokenBatch } from "../text/contexts.ts";
import type { ChangedModel, ChangedModelOptions } from "./changed_model.ts";
import type { UploadedChange } from "./feature_change.ts";
import type { Analysis } from "./over_text.ts";

/** A token of a continuation. */
export interface GeneratedToken {
  /** Its id. */
  readonly id: number;
  /** The probability that the model gave it, at temperature 1. */
  readonly probability: number;
}

/** How a text is continued. */
export interface GenerationOptions {
  /** The text, BOS first; it must have a token that counts. */
  readonly prompt: Uint32Array;
  /** The most tokens to append; prompt and continuation must fit into a context of the model. */
  readonly tokens: number;
  /** The token that ends a document, and a continuation. */
  readonly eosId: number;
  /** Chooses each token. */
  readonly choose: ChooseToken;
  /** Hears of each token. */
  readonly onToken?: () => void;
}

/**
 * Continues a text, the model being changed at every token that counts, of prompt and continuation alike.
 *
 * @param options The transcoder in its model.
 * @param model The same, with room for changes.
 * @param change The change; one without features gives what the model as it is does.
 * @param generation Text, length and choice.
 * @returns The tokens, the last one EOS where it came to that.
 * @throws {UserError} When the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function generate(
  { gpu, decoder }: ChangedModelOptions,
  model: ChangedModel,
  change: UploadedChange,
  { prompt, tokens, eosId, choose, onToken }: GenerationOptions,
): Promise<GeneratedToken[]> {
  using scratch = openScope(gpu);
  const logits = createTensor(scratch, "logits", [1, decoder.config.vocabSize]), ids = [...prompt];
  const generated: GeneratedToken[] = [];
  const reader: Analysis<Float32Array> = {
    taps: [],
    tokensAtOnce: Infinity,
    forward: (counted) => ({ edits: model.edits(counted, change) }),
    record: (pass, { batch }) => decoder.recordLogits(pass, [batch.ids.length - 1], logits),
    read: () => downloadF32(gpu, logits),
    take: (_, row) => {
      const id = choose(row, generated.length);
      generated.push({ id, probability: probabilitiesOf(row)[id] });
      ids.push(id);
    },
  };
  while (generated.length < tokens && generated.at(-1)?.id !== eosId) {
    await model.over([contextOf(ids)], [reader]);
    onToken?.();
  }
  return generated;
}

/** A text as one context. */
function contextOf(ids: readonly number[]): TokenBatch {
  const isBos = (i: number) => i === 0;
  return {
    contexts: 1,
    context: ids.length,
    ids: Uint32Array.from(ids),
    document: Uint32Array.from(ids, (_, i) => isBos(i) ? NO_DOCUMENT : 0),
    position: Uint32Array.from(ids, (_, i) => isBos(i) ? 0 : i - 1),
  };
}
