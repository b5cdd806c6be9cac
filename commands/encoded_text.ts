/**
 * A text encoded with a model that is loaded, told token by token: what `mtc encode` shows of one of the command line, and `mtc browse` of one
 * of its page.
 * @module
 */

import type { Gpu } from "../core/gpu/device.ts";
import type { Decoder } from "../core/model/forward.ts";
import { encodeContexts, type EncodedContext, textContexts } from "../core/passes/encode_text.ts";
import { hasFeatures, readFeatures } from "../core/runs/features.ts";
import type { FinishedTranscoder } from "../core/runs/finished.ts";
import type { Tokenizer } from "../core/text/tokenizer.ts";
import type { HostFeatures } from "../core/transcoder/encode.ts";
import type { EncodedToken } from "../reports/encoding_table.ts";

/** A model that is loaded. */
export interface EncodingModel {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, with every source among its taps. */
  readonly decoder: Decoder;
  /** Its tokenizer. */
  readonly tokenizer: Tokenizer;
}

/** How a text is encoded. */
export interface EncodingWishes {
  /** How many features are told of each token. */
  readonly top: number;
  /** Hears how many contexts are encoded. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the work early by throwing its reason. */
  readonly signal?: AbortSignal;
}

/** A text, encoded. */
export interface EncodedText {
  /** Contexts that it took. */
  readonly contexts: number;
  /** The tokens of all contexts, for each transcoder. */
  readonly tokens: readonly EncodedToken[][];
}

/**
 * Encodes a text.
 *
 * @param model The model.
 * @param transcoders Of one run.
 * @param text The text.
 * @param wishes What is wanted.
 * @returns What each transcoder makes of it.
 * @throws {UserError} When features.csv is damaged, or the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function encodeAtHand(
  { gpu, decoder, tokenizer }: EncodingModel,
  transcoders: readonly FinishedTranscoder[],
  text: string,
  { top, onProgress, signal }: EncodingWishes,
): Promise<EncodedText> {
  const topTokens = await Promise.all(transcoders.map(readTopTokens));
  const [{ config: { context, include_bos: includeBos } }] = transcoders, skipped = includeBos ? 0 : 1;
  const contexts = textContexts(tokenizer.encode(text), tokenizer.bosId, context), total = contexts.length;
  const encoded = await encodeContexts({
    ...{ gpu, decoder, transcoders, contexts, includeBos, signal },
    onProgress: (done) => onProgress?.(done, total),
  });
  const tokens = transcoders.map((_, i) => {
    const describe = (features: HostFeatures, row: number) => ({
      features: strongest(features, row, top, topTokens[i]),
    });
    return encoded.flatMap((context, c) => describeTokens(context, c, i, skipped, describe, tokenizer));
  });
  return { contexts: total, tokens };
}

/** Each feature's top token from the run's features.csv; an empty list when the run has none. */
async function readTopTokens({ directory, config }: FinishedTranscoder): Promise<(string | null)[]> {
  if (!await hasFeatures(directory)) return [];
  const rows = await readFeatures(directory, config.groups);
  return rows.map(({ top_token, top_token_id }) => Number.isNaN(top_token_id) ? null : top_token);
}

/** The strongest features of one row, ties to the lower index. */
function strongest({ rowStart, index, value }: HostFeatures, row: number, top: number, topTokens: (string | null)[]) {
  const entries = Array.from({ length: rowStart[row + 1] - rowStart[row] }, (_, n) => rowStart[row] + n);
  return entries.sort((a, b) => value[b] - value[a] || a - b).slice(0, top).map((entry) => ({
    feature: index[entry],
    value: value[entry],
    top_token: topTokens[index[entry]] ?? null,
  }));
}

function describeTokens(
  { ids, features }: EncodedContext,
  context: number,
  transcoder: number,
  skipped: number,
  describe: (features: HostFeatures, row: number) => Pick<EncodedToken, "features">,
  tokenizer: Tokenizer,
): EncodedToken[] {
  return Array.from(ids, (token_id, position) => {
    const row = position - skipped, { rowStart } = features[transcoder];
    const token = { context, position, token_id, token: tokenizer.tokenText(token_id) };
    if (row < 0) return { ...token, excluded: true, active: 0, features: [] };
    return {
      ...token,
      excluded: false,
      active: rowStart[row + 1] - rowStart[row],
      ...describe(features[transcoder], row),
    };
  });
}
