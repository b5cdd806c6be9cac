/**
 * `mtc evaluate`: a finished run's figures on held-out text.
 * @module
 */

import { Command, Option } from "commander";
import { UserError } from "../core/errors.ts";
import type { Gpu } from "../core/gpu/device.ts";
import type { ModelFiles } from "../core/model/files.ts";
import type { EvaluationOptions } from "../core/passes/evaluation.ts";
import type { StoredEvaluation } from "../core/runs/evaluation.ts";
import { HELD_OUT_SPLITS, type HeldOutSplit } from "../core/text/split.ts";
import type { FinishedTranscoder } from "../core/runs/finished.ts";
import type { TextSummary } from "../core/text/summary.ts";
import { jsonOption, movedDataOption, movedModelOption, runOption, wholeNumberOption } from "./options.ts";
import { Progress } from "./progress.ts";

interface EvaluateOptions {
  run: string;
  model?: string;
  data?: string[];
  tokens?: number;
  split: HeldOutSplit;
  loss?: true;
  lossTokens?: number;
  json?: true;
}

/**
 * Held-out tokens that the loss is measured on unless asked otherwise. The text goes through the whole model some ten times: seconds for the
 * embedded one, minutes for Gemma 3 270M on two cores. A share recovered is known to about five hundredths then.
 */
const LOSS_TOKENS = 2048;

async function evaluateRun(
  transcoders: readonly FinishedTranscoder[],
  { model, data, tokens, split, loss, lossTokens }: EvaluateOptions,
) {
  const { openModelVisibly } = await import("./open_model.ts");
  const { openGpu } = await import("../core/gpu/device.ts");
  const { evaluateTranscoders } = await import("../core/passes/evaluation.ts");
  const { measureLoss } = await import("../core/passes/loss.ts");
  const { modelOf } = await import("../core/runs/finished.ts");
  const [{ config }] = transcoders;
  const files = await openModelVisibly(model ?? modelOf(transcoders));
  try {
    using gpu = await openGpu(undefined, config.precision);
    const evaluate = () => {
      const wanted = { label: "Evaluating", data, split, tokens: tokens ?? config.evaluation_tokens };
      return onHeldOut(
        gpu,
        files,
        transcoders,
        wanted,
        ({ advance, ...text }) => evaluateTranscoders({ ...text, onProgress: advance }),
      );
    };
    const measure = () => {
      const wanted = { label: "Measuring the loss", data, split, tokens: lossTokens ?? LOSS_TOKENS, head: true };
      return onHeldOut(
        gpu,
        files,
        transcoders,
        wanted,
        ({ advance, ...text }) => measureLoss({ ...text, onProgress: advance }),
      );
    };
    // The loss comes first: it is what may be refused.
    const losses = loss || lossTokens !== undefined ? await measure() : undefined;
    return { evaluations: await evaluate(), losses };
  } finally {
    await files.weights.close();
  }
}

/** What is measured on which held-out text. */
interface Wanted {
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
}

/** Opens the held-out text and loads the model for one measurement, and frees both behind it. */
async function onHeldOut<T>(
  device: Gpu,
  files: ModelFiles,
  transcoders: readonly FinishedTranscoder[],
  { label, data: moved, split, tokens, head }: Wanted,
  measure: (options: HeldOut) => Promise<T>,
): Promise<T> {
  const { loadVisibly } = await import("./open_model.ts");
  const { openScope } = await import("../core/gpu/scope.ts");
  const { loadRunModel } = await import("../core/runs/finished.ts");
  const { dataOf } = await import("../core/runs/config.ts");
  const { readLinearMap } = await import("../core/runs/linear_map.ts");
  const { tapsOf } = await import("../core/runs/ids.ts");
  const { withLimitedTaps } = await import("../core/passes/norm_limits.ts");
  const { evaluatedText, openTokenSource } = await import("../core/text/source.ts");
  const [{ directory, config }] = transcoders, { context } = config;
  const placed = await Promise.all(transcoders.map(async (transcoder) => {
    return { ...transcoder, linearMap: await readLinearMap(transcoder.directory, transcoder.config) };
  }));
  using gpu = openScope(device);
  const taps = withLimitedTaps(tapsOf(transcoders.map(({ config }) => config)), config);
  const decoder = await loadVisibly((onLoading) => loadRunModel(gpu, files, transcoders, { taps, head, onLoading }));
  const data = moved ?? dataOf(config);
  const source = await openTokenSource({ tokenizer: files, data, split, context, seed: null, tokens });
  const progress = new Progress(label);
  try {
    await requireSameText(directory, config.data, source.summary);
    const advance = (done: number, total: number) => progress.advance({ done, total, unit: "tokens" });
    const text = evaluatedText(source, split);
    return await measure({ gpu, decoder, source, text, tokens, settings: config, transcoders: placed, advance });
  } finally {
    progress.stop();
    source.close();
  }
}

/** What a measurement on held-out text is given. */
type HeldOut = Omit<EvaluationOptions, "onProgress"> & {
  readonly advance: NonNullable<EvaluationOptions["onProgress"]>;
};

/** Another text would be split otherwise, and training may have seen what is held out now. */
async function requireSameText(
  directory: string,
  trained: FinishedTranscoder["config"]["data"],
  now: TextSummary,
): Promise<void> {
  const { describeText, isSameText } = await import("../core/text/summary.ts");
  if (isSameText(trained, now)) return;
  throw new UserError({
    action: `evaluate ${directory}`,
    requirement: `the text must be the one it was trained on (${describeText(trained)})`,
    found: `it is another (${describeText(now)})`,
    remedy: "put the files back, or give their new place with --data",
  });
}

async function evaluate(options: EvaluateOptions): Promise<void> {
  const { openFinishedRun } = await import("../core/runs/finished.ts");
  const transcoders = await openFinishedRun(options.run);
  const [{ config }] = transcoders;
  const { evaluations, losses } = await evaluateRun(transcoders, options);
  const measured = evaluations.map((evaluation, i) => losses ? { ...evaluation, loss: losses[i] } : evaluation);
  if (options.json) {
    const all = transcoders.map(({ directory, config: { target } }, i) => {
      return { run: directory, layer: target.layer, ...measured[i] };
    });
    console.log(JSON.stringify(all.length === 1 && all[0].run === options.run ? all[0] : all, null, 2));
  } else {
    const { evaluationTable } = await import("../reports/evaluation_table.ts");
    const { lossTables } = await import("../reports/loss_table.ts");
    const named = transcoders.map(({ name: { phrase }, config }, i) => {
      return { name: phrase, config, evaluation: measured[i] };
    });
    console.log(evaluationTable(named, config.include_bos));
    if (losses) console.log(`\n${lossTables(losses.map((loss, i) => ({ name: named[i].name, loss })))}`);
  }
  // Reports publish the test part; what choices are made by is not kept beside it.
  if (losses && options.split === "test") await storeLosses(transcoders, measured);
}

/** Puts the figures where `mtc report` finds them. They are told already, so a run that cannot be written to is no failure. */
async function storeLosses(transcoders: readonly FinishedTranscoder[], measured: readonly StoredEvaluation[]) {
  const { exists } = await import("../core/files/exists.ts");
  const { EVALUATION_FILE, readEvaluation, writeEvaluation } = await import("../core/runs/evaluation.ts");
  const { join } = await import("node:path");
  for (const [i, { directory }] of transcoders.entries()) {
    try {
      const isThere = await exists(join(directory, EVALUATION_FILE));
      const stored = isThere ? await readEvaluation(directory) : measured[i];
      await writeEvaluation(directory, { ...stored, loss: measured[i].loss });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      console.error(`mtc: the loss is not kept for the reports: ${error.message}`);
    }
  }
}

/** The command `mtc evaluate`. */
export function evaluateCommand(): Command {
  return new Command("evaluate")
    .description("Measures finished transcoders on held-out text with threshold inference, intervals included.")
    .addOption(runOption())
    .addOption(movedModelOption())
    .addOption(movedDataOption())
    .addOption(
      wholeNumberOption("-t, --tokens <n>", "held-out tokens to count (default: as many as at the end of training)"),
    )
    .addOption(
      new Option(
        "--split <part>",
        "which held-out documents: those that choices are made by, or those that figures are published of",
      )
        .choices(HELD_OUT_SPLITS).default("test" satisfies HeldOutSplit),
    )
    .option(
      "--loss",
      "also measure the model's loss with the transcoders in place, and keep that of the test part for the reports",
    )
    .addOption(
      wholeNumberOption(
        "--loss-tokens <n>",
        `held-out tokens to measure the loss on (default: ${LOSS_TOKENS}); implies --loss`,
      ),
    )
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExamples:\n  mtc evaluate --run runs/first/layer2 --json | jq .fvu\n  mtc evaluate --run runs/first --loss",
    )
    .action(evaluate);
}
