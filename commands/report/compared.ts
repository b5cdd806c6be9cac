/**
 * What a report says of two transcoders by their records.
 * @module
 */

import { UserError } from "../../core/errors.ts";
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { readRecord } from "../../core/runs/record.ts";
import { openTranscoder } from "../../core/runs/transcoder.ts";
import type { ReportedPair } from "../../reports/compared.ts";
import { tokenCode } from "../../reports/tokens.ts";
import { compareRecorded } from "../analyze/compared.ts";
import type { Recorded } from "../analyze/recorded.ts";
import type { MakeOptions } from "./made.ts";

/** A transcoder with its record; null where it has none. */
async function openRecorded({ path: directory, name, config }: TranscoderAnalysis): Promise<Recorded | null> {
  const transcoder = await openTranscoder(directory, config), record = await readRecord(directory, transcoder);
  return record && { transcoder: { directory, name, config, transcoder }, record };
}

/**
 * Compares two transcoders by their records, which are in memory for as long as that takes.
 *
 * @param a One.
 * @param b Another one.
 * @param options How much is made: FVU at equal L0 takes the model, and is made where both predict the same.
 * @returns What is told of them, or why nothing is.
 */
export async function tellPair(
  a: TranscoderAnalysis,
  b: TranscoderAnalysis,
  { quick, model, data, matchings }: MakeOptions,
): Promise<Pick<ReportedPair, "told" | "why">> {
  try {
    const first = await openRecorded(a), second = first && await openRecorded(b);
    if (first === null || second === null) return { why: `${(first === null ? a : b).name.phrase} has no record` };
    const known = [a, b].map(({ recorded }) => recorded?.hierarchy), [hierarchyA, hierarchyB] = known;
    const told = await compareRecorded({
      matching: matchings.of(a.path, b.path),
      written: tokenCode,
      ...{ a: first, b: second, model: quick ? "nothing" : "equal L0 of one target", moved: { model, data } },
      ...hierarchyA !== undefined && hierarchyB !== undefined && { hierarchies: [hierarchyA, hierarchyB] },
      leaveOut(what, { message }) {
        console.error(`mtc: ${a.name.title} and ${b.name.phrase}, without ${what}: ${message}`);
      },
    });
    return { told };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(`mtc: ${a.name.title} and ${b.name.phrase} are not compared feature by feature: ${error.message}`);
    return { why: error.message };
  }
}
