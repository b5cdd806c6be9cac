/**
 * Held-out text and the model of a finished run, opened together for one measurement.
 * @module
 */

import type { Gpu } from "../core/gpu/device.ts";
import type { ModelFiles } from "../core/model/files.ts";
import type { Tap } from "../core/model/sites.ts";
import type { EvaluationOptions } from "../core/passes/evaluation.ts";
import type { FinishedTranscoder } from "../core/runs/finished.ts";
import type { HeldOutSplit } from "../core/text/split.ts";
import { sayLeftOut } from "./left_out.ts";
import { Progress } from "./progress.ts";

/** What is measured on which held-out text. */
export interface Wanted {
  /** What the bar says. */
  readonly label: string;
  /** Where the text lies, if not where it lay. */
  readonly data?: string[];
  /** The part to read. */
  readonly split: HeldOutSplit;
  /** How many of its tokens. */
  readonly tokens: number;
  /** Whether the model's head is needed. */
  readonly head?: boolean;
  /** The most tokens in one forward pass, if not those that suit the model. */
  readonly maxTokens?: number;
  /** Taps that are needed beside sources and targets; none if left out. */
  readonly taps?: readonly Tap[];
}

/** What a measurement on held-out text is given. */
export type HeldOut = Omit<EvaluationOptions, "onProgress"> & {
  /** Shows how far it is, in tokens. */
  readonly advance: NonNullable<EvaluationOptions["onProgress"]>;
};

/**
 * Opens the held-out text and loads the model for one measurement, and frees both behind it.
 *
 * @param device Where the model goes.
 * @param files The model.
 * @param transcoders The run's transcoders.
 * @param wanted What is to be measured.
 * @param measure Measures it.
 * @returns What `measure` returns.
 * @throws {UserError} When text or model cannot be read, or are not those that the run was trained on.
 */
export async function onHeldOut<T>(
  device: Gpu,
  files: ModelFiles,
  transcoders: readonly FinishedTranscoder[],
  { label, data: moved, split, tokens, head, maxTokens, taps = [] }: Wanted,
  measure: (options: HeldOut) => Promise<T>,
): Promise<T> {
  const { loadVisibly } = await import("./open_model.ts");
  const { openScope } = await import("../core/gpu/scope.ts");
  const { loadRunModel } = await import("../core/runs/finished.ts");
  const { dataOf } = await import("../core/runs/config.ts");
  const { readLinearMap } = await import("../core/runs/linear_map.ts");
  const { tapsOf } = await import("../core/runs/ids.ts");
  const { requireSameText } = await import("../core/runs/same_model.ts");
  const { withLimitedTaps } = await import("../core/passes/norm_limits.ts");
  const { rereading } = await import("../core/text/reading.ts");
  const { readingOf } = await import("../core/text/summary.ts");
  const { evaluatedText, openTokenSource } = await import("../core/text/source.ts");
  const [{ directory, config }] = transcoders, { context } = config;
  const placed = await Promise.all(transcoders.map(async (transcoder) => {
    return { ...transcoder, linearMap: await readLinearMap(transcoder.directory, transcoder.config) };
  }));
  using gpu = openScope(device);
  const all = withLimitedTaps([...tapsOf(transcoders.map(({ config }) => config)), ...taps], config);
  const decoder = await loadVisibly((onLoading) =>
    loadRunModel(gpu, files, transcoders, { taps: all, head, maxTokens, onLoading })
  );
  sayLeftOut();
  const text = { data: moved ?? dataOf(config), reading: rereading(readingOf(config.data)) };
  const source = await openTokenSource({ tokenizer: files, ...text, split, context, seed: null, tokens });
  const progress = new Progress(label);
  try {
    requireSameText(config.data, source.summary, `evaluate ${directory}`);
    const advance = (done: number, total: number) => progress.advance({ done, total, unit: "tokens" });
    const text = evaluatedText(source, split);
    return await measure({ gpu, decoder, source, text, tokens, settings: config, transcoders: placed, advance });
  } finally {
    progress.stop();
    await source.close();
  }
}
