/**
 * Records of finished transcoders: read where there are any, made where there are none.
 * @module
 */

import type { FeatureRecord } from "../../core/analysis/record.ts";
import { UserError } from "../../core/errors.ts";
import type { DescribedTranscoder, FinishedTranscoder } from "../../core/runs/finished.ts";
import type { StoredTranscoder, Transcoder } from "../../core/transcoder/weights.ts";
import type { Moved } from "./reading.ts";

/**
 * The records of a run's transcoders. Those that lack one read the reading set together, which takes the model; their records are kept for
 * the next time, where the run can be written to.
 *
 * @param transcoders Of one run.
 * @param moved Where model and text are to be looked for.
 * @returns Their records, in their order.
 * @throws {UserError} When a record is damaged, or model or text cannot be read or are not those that the run was trained on.
 */
export async function recordsOf(
  transcoders: readonly FinishedTranscoder<Transcoder | StoredTranscoder>[],
  moved: Moved = {},
): Promise<FeatureRecord[]> {
  const { wholeOf } = await import("../../core/runs/finished.ts");
  const { readRecord } = await import("../../core/runs/record.ts");
  const records = new Map<DescribedTranscoder, FeatureRecord>();
  for (const one of transcoders) {
    const record = await readRecord(one.directory, one.transcoder);
    if (record) records.set(one, record);
  }
  const lacking = transcoders.filter((one) => !records.has(one));
  const made = lacking.length > 0 ? await recordAnew(await Promise.all(lacking.map(wholeOf)), moved) : [];
  lacking.forEach((one, i) => records.set(one, made[i]));
  return transcoders.map((one) => records.get(one)!);
}

/**
 * Records transcoders, whatever there is of them, and keeps the records where the run can be written to.
 *
 * @param transcoders Of one run, one at least.
 * @param moved Where model and text are to be looked for.
 * @returns Their records, in their order.
 * @throws {UserError} When model or text cannot be read or are not those that the run was trained on.
 */
export async function recordAnew(
  transcoders: readonly FinishedTranscoder[],
  moved: Moved,
): Promise<FeatureRecord[]> {
  const { writeRecord } = await import("../../core/runs/record.ts");
  const made = await makeRecords(transcoders, moved);
  for (const [i, one] of transcoders.entries()) {
    try {
      await writeRecord(one.directory, one.transcoder, made[i]);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      console.error(`mtc: the record is not kept for other analyses: ${error.message}`);
    }
  }
  return made;
}

/**
 * Makes the records of transcoders of one run in one pass over the reading set.
 *
 * @param transcoders Them, or what they were with other thresholds.
 * @param moved Where model and text are to be looked for.
 * @returns Their records, in their order.
 * @throws {UserError} When model or text cannot be read or are not those that the run was trained on.
 */
export async function makeRecords(
  transcoders: readonly FinishedTranscoder[],
  moved: Moved,
): Promise<FeatureRecord[]> {
  const { recordFeatures } = await import("../../core/passes/record.ts");
  const { tapsOf } = await import("../../core/runs/ids.ts");
  const { readLinearMap } = await import("../../core/runs/linear_map.ts");
  const { loadTokenizer } = await import("../../core/text/tokenizer.ts");
  const { onReadingSet } = await import("./reading.ts");
  const placed = await Promise.all(transcoders.map(async (transcoder) => {
    return { ...transcoder, linearMap: await readLinearMap(transcoder.directory, transcoder.config) };
  }));
  const taps = tapsOf(transcoders.map(({ config }) => config));
  return await onReadingSet(transcoders, moved, { label: "Recording features", taps }, async ({ files, ...text }) => {
    const { tokenText } = loadTokenizer(files);
    return await recordFeatures({ ...text, tokenText, transcoders: placed });
  });
}
