/**
 * The reading set and the model of a run, opened together for one measurement.
 * @module
 */

import type { Gpu } from "../../core/gpu/device.ts";
import type { ModelFiles } from "../../core/model/files.ts";
import type { Decoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import type { ReadingSet } from "../../core/text/reading_set.ts";
import { sayLeftOut } from "../left_out.ts";
import { Progress } from "../progress.ts";

/** Where what a run was trained on lies, if not where it lay. */
export interface Moved {
  /** The model's directory, or its place on the hub. */
  readonly model?: string;
  /** The text's files and folders. */
  readonly data?: string[];
}

/** What is measured on a reading set. */
interface Wanted {
  /** What the bar says. */
  readonly label: string;
  /** The sites that are needed. */
  readonly taps: readonly Tap[];
}

/** What a measurement on a reading set is given. */
export interface Reading {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, opened, */
  readonly files: ModelFiles;
  /** and loaded with the taps. */
  readonly decoder: Decoder;
  /** The reading set, at its beginning, */
  readonly source: ReadingSet;
  /** and how many tokens it was asked for. */
  readonly tokens: number;
  /** The run's settings. */
  readonly settings: FinishedTranscoder["config"];
  /** Shows how far it is, in tokens. */
  readonly onProgress: (done: number, total: number) => void;
}

/**
 * Opens the reading set and the model of a run for one measurement, and closes both behind it.
 *
 * @param transcoders Of one run.
 * @param moved Where model and text are to be looked for.
 * @param wanted What is to be measured.
 * @param measure Measures it.
 * @returns What `measure` returns.
 * @throws {UserError} When model or text cannot be read, or are not those that the run was trained on.
 */
export async function onReadingSet<T>(
  transcoders: readonly FinishedTranscoder[],
  { model, data }: Moved,
  { label, taps }: Wanted,
  measure: (reading: Reading) => Promise<T>,
): Promise<T> {
  const { loadVisibly } = await import("../open_model.ts");
  const { withLimitedTaps } = await import("../../core/passes/norm_limits.ts");
  const { dataOf } = await import("../../core/runs/config.ts");
  const { loadRunModel } = await import("../../core/runs/finished.ts");
  const { readingTokens } = await import("../../core/runs/record.ts");
  const { requireSameText } = await import("../../core/runs/same_model.ts");
  const { rereading } = await import("../../core/text/reading.ts");
  const { openReadingSet } = await import("../../core/text/reading_set.ts");
  const { readingOf } = await import("../../core/text/summary.ts");
  const { onModel } = await import("./on_model.ts");
  const [{ directory, config }] = transcoders, tokens = readingTokens(config), { context } = config;
  return await onModel(transcoders, model, async (gpu, files) => {
    // The text is tokenised in a Worker while the model is loaded.
    sayLeftOut();
    const text = { data: data ?? dataOf(config), reading: rereading(readingOf(config.data)) };
    const source = await openReadingSet({ tokenizer: files, ...text, context, tokens });
    const progress = new Progress(label);
    try {
      requireSameText(config.data, source.summary, `analyze ${directory}`);
      const options = { taps: withLimitedTaps(taps, config) };
      const decoder = await loadVisibly((onLoading) => {
        return loadRunModel(gpu, files, transcoders, { ...options, onLoading });
      });
      const onProgress = (done: number, total: number) => progress.advance({ done, total, unit: "tokens" });
      return await measure({ gpu, files, decoder, source, tokens, settings: config, onProgress });
    } finally {
      progress.stop();
      await source.close();
    }
  });
}
