/**
 * Which transcoders there are to explore, and which pairs of them: from their settings and evaluations, and the tokens of their records, all
 * of which take milliseconds.
 * @module
 */

import { join } from "node:path";
import { sharedTokens } from "../../core/analysis/matching.ts";
import { printable, UserError } from "../../core/errors.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { pairsToCompare } from "../../core/runs/analysed.ts";
import type { ChosenTranscoder } from "../../core/runs/discovery.ts";
import { readEvaluation } from "../../core/runs/evaluation.ts";
import { readRecordTokens } from "../../core/runs/record.ts";
import { TRANSCODER_FILE } from "../../core/runs/transcoder.ts";
import type { BrowserIndex } from "../../reports/browser/data.ts";
import { headOf } from "../../reports/browser/entry.ts";

/** A transcoder as far as its settings tell. */
export type Described = Pick<ChosenTranscoder, "path" | "config" | "name">;

/**
 * Tells which transcoders there are.
 *
 * @param transcoders Finished ones, in the order of the reports.
 * @returns Those whose weights are there, the pairs that are matched, and a sentence for each whose weights are not.
 */
export async function headsOf(
  transcoders: readonly Described[],
): Promise<Pick<BrowserIndex, "transcoders" | "pairs" | "notes">> {
  const notes: string[] = [], readable: Described[] = [], heads = [];
  for (const one of transcoders) {
    try {
      await (await openSafetensors(join(one.path, TRANSCODER_FILE))).close();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      notes.push(error.message);
      continue;
    }
    readable.push(one);
    heads.push(headOf({ ...one, path: printable(one.path) }, await readEvaluation(one.path).catch(nothing)));
  }
  return { transcoders: heads, pairs: await matchable(readable), notes };
}

/** What cannot be read is told by the part that says what is missing. */
function nothing(error: unknown): null {
  if (error instanceof UserError) return null;
  throw error;
}

/** The pairs of transcoders whose records are of the same tokens. */
async function matchable(transcoders: readonly Described[]): Promise<[string, string][]> {
  const tokens = new Map<string, ReturnType<typeof readRecordTokens>>(), found: [string, string][] = [];
  const tokensOf = (path: string) => {
    if (!tokens.has(path)) tokens.set(path, readRecordTokens(path));
    return tokens.get(path)!;
  };
  for (const [a, b] of pairsToCompare(transcoders)) {
    const first = await tokensOf(a.path), second = await tokensOf(b.path);
    if (first && second && sharedTokens(first, second)) found.push([a.name.file, b.name.file]);
  }
  return found;
}
