/**
 * What switching features off does to the model's predictions around tokens of the reading set. The record has the tokens; the model reads each
 * context from its beginning to a little behind the token.
 * @module
 */

import type { SharedTokens } from "../../core/analysis/matching.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { ChangedModel } from "../../core/passes/changed_model.ts";
import { NO_DOCUMENT, type TokenBatch } from "../../core/text/contexts.ts";
import type { MeasuredEffects, MeasuredWindow } from "../../reports/browser/served.ts";
import type { ModelAtHand } from "../change/at_hand.ts";
import type { ChangeRequest } from "../change/request.ts";

/** Tokens on either side that are measured: those that an example shows. */
const BEFORE = 16, BEHIND = 10;

/** A context as far as it is read, and which of its tokens are told. */
interface Window {
  readonly batch: TokenBatch;
  /** The first token that is told, an index of the record, */
  readonly first: number;
  /** and its column. */
  readonly column: number;
}

/**
 * Measures what a change does.
 *
 * @param model The model.
 * @param request Which features, and what becomes of them.
 * @param record The tokens of the reading set.
 * @param tokens Indices of them.
 * @param onWindow Hears of those done so far.
 * @param signal Ends it early by throwing its reason.
 * @returns The losses around each.
 * @throws {UserError} When the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function effectsAt(
  { gpu, decoder, tokenizer: { bosId } }: ModelAtHand,
  { transcoder, features, change }: ChangeRequest,
  record: SharedTokens,
  tokens: readonly number[],
  onWindow: (done: number) => void,
  signal: AbortSignal,
): Promise<MeasuredEffects> {
  using scope = openScope(gpu);
  const model = new ChangedModel({ gpu: scope, decoder, placed: transcoder, settings: transcoder.config, signal });
  const uploaded = model.upload(new Map(features.map((feature) => [feature, change])));
  const windows: (MeasuredWindow | null)[] = [];
  for (const token of tokens) {
    const window = windowAround(record, token, bosId);
    let measured: MeasuredWindow | null = null;
    if (window !== null) {
      const { batch, first, column } = window, last = batch.context - 1;
      await model.compare([batch], [uploaded], (_, { before, comparison }) => {
        const columns = Array.from({ length: batch.context - column }, (_, n) => column + n);
        measured = {
          first,
          before: columns.map((at) => at === last ? null : before[at]),
          after: columns.map((at) => at === last ? null : comparison[3 * at]),
        };
      });
    }
    windows.push(measured);
    onWindow(windows.length);
  }
  return { windows };
}

/**
 * The context of a token as the model read it. A record has the counted tokens alone: where others than BOS are left out in front of it, what
 * the model read there is not known.
 */
function windowAround({ context, place, id }: SharedTokens, token: number, bosId: number): Window | null {
  if (token >= place.length) return null;
  const row = Math.floor(place[token] / context), columnOf = (t: number) => place[t] - row * context;
  const isHere = (t: number) => t >= 0 && t < place.length && Math.floor(place[t] / context) === row;
  let begin = token, end = token + 1;
  while (isHere(begin - 1)) begin--;
  while (isHere(end) && end <= token + BEHIND && columnOf(end) === columnOf(end - 1) + 1) end++;
  const hasBos = columnOf(begin) === 0;
  if (columnOf(begin) > 1 || columnOf(token) - columnOf(begin) !== token - begin) return null;
  const ids = Uint32Array.from([...hasBos ? [] : [bosId], ...id.subarray(begin, end)]),
    first = Math.max(begin, token - BEFORE);
  return {
    batch: {
      ...{ contexts: 1, context: ids.length, ids },
      document: Uint32Array.from(ids, (_, column) => column === 0 ? NO_DOCUMENT : 0),
      position: Uint32Array.from(ids.keys()),
    },
    first,
    column: first - begin + (hasBos ? 0 : 1),
  };
}
