/**
 * `mtc evaluate`: a finished run's figures on held-out text.
 * @module
 */

import { Command } from "commander";
import { UserError } from "../core/errors.ts";
import type { Gpu } from "../core/gpu/device.ts";
import type { ModelFiles } from "../core/model/files.ts";
import type { TranscodersOnText } from "../core/passes/features.ts";
import type { StoredEvaluation } from "../core/runs/evaluation.ts";
import type { FinishedTranscoder } from "../core/runs/finished.ts";
import type { TextSummary } from "../core/text/summary.ts";
import { jsonOption, runOption, wholeNumberOption } from "./options.ts";
import { Progress } from "./progress.ts";

interface EvaluateOptions {
  run: string;
  tokens?: number;
  loss?: true;
  lossTokens?: number;
  json?: true;
}

/**
 * Held-out tokens that the loss is measured on unless asked otherwise. The text goes through the whole model some ten times: seconds for the
 * embedded one, minutes for Gemma 3 270M on two cores. A share recovered is known to about five hundredths then.
 */
const LOSS_TOKENS = 2048;

async function evaluateRun(transcoders: readonly FinishedTranscoder[], { tokens, loss, lossTokens }: EvaluateOptions) {
  const { openModelVisibly } = await import("./open_model.ts");
  const { openGpu } = await import("../core/gpu/device.ts");
  const { evaluateTranscoders } = await import("../core/passes/evaluation.ts");
  const { measureLoss } = await import("../core/passes/loss.ts");
  const { modelOf } = await import("../core/runs/finished.ts");
  const [{ config }] = transcoders;
  const files = await openModelVisibly(modelOf(transcoders));
  try {
    using gpu = await openGpu(undefined, config.precision);
    const evaluate = () =>
      onHeldOut(
        gpu,
        files,
        transcoders,
        "Evaluating",
        {},
        ({ advance, ...text }) =>
          evaluateTranscoders({ ...text, tokens: tokens ?? config.evaluation_tokens, onProgress: advance }),
      );
    const measure = () =>
      onHeldOut(gpu, files, transcoders, "Measuring the loss", { head: true }, ({ advance, ...text }) =>
        measureLoss({
          ...text,
          tokens: lossTokens ?? LOSS_TOKENS,
          needsAll: lossTokens !== undefined,
          onProgress: advance,
        }));
    // The loss comes first: it is what may be refused.
    const losses = loss || lossTokens !== undefined ? await measure() : undefined;
    return { evaluations: await evaluate(), losses };
  } finally {
    await files.weights.close();
  }
}

/** Opens the held-out text and loads the model for one measurement, and frees both behind it. */
async function onHeldOut<T>(
  device: Gpu,
  files: ModelFiles,
  transcoders: readonly FinishedTranscoder[],
  label: string,
  wanted: { readonly head?: boolean },
  measure: (options: HeldOut) => Promise<T>,
): Promise<T> {
  const { loadVisibly } = await import("./open_model.ts");
  const { openScope } = await import("../core/gpu/scope.ts");
  const { loadRunModel } = await import("../core/runs/finished.ts");
  const { dataOf } = await import("../core/runs/config.ts");
  const { readLinearMap } = await import("../core/runs/linear_map.ts");
  const { tapsOf } = await import("../core/runs/ids.ts");
  const { openTokenSource } = await import("../core/text/source.ts");
  const [{ directory, config }] = transcoders, { context } = config;
  const placed = await Promise.all(transcoders.map(async (transcoder) => {
    return { ...transcoder, linearMap: await readLinearMap(transcoder.directory, transcoder.config) };
  }));
  using gpu = openScope(device);
  const taps = tapsOf(transcoders.map(({ config }) => config));
  const decoder = await loadVisibly((onLoading) =>
    loadRunModel(gpu, files, transcoders, { taps, ...wanted, onLoading })
  );
  const data = dataOf(config);
  const source = await openTokenSource({ tokenizer: files, data, split: "held_out", context, seed: null });
  const progress = new Progress(label);
  try {
    await requireSameText(directory, config.data, source.summary);
    const advance = (done: number, total: number) => progress.advance({ done, total, unit: "tokens" });
    return await measure({ gpu, decoder, source, settings: config, transcoders: placed, advance });
  } finally {
    progress.stop();
    source.close();
  }
}

/** What a measurement on held-out text is given, beside how much of it to read. */
type HeldOut = Omit<TranscodersOnText, "tokens" | "onProgress"> & {
  readonly advance: NonNullable<TranscodersOnText["onProgress"]>;
};

/** Another text would be split otherwise, and training may have seen what is held out now. */
async function requireSameText(
  directory: string,
  trained: FinishedTranscoder["config"]["data"],
  now: TextSummary,
): Promise<void> {
  if (now.fingerprint === trained.fingerprint) return;
  const { describeText } = await import("../core/text/summary.ts");
  throw new UserError({
    action: `evaluate ${directory}`,
    requirement: `the text must be the one it was trained on (${describeText(trained)})`,
    found: `it is another (${describeText(now)})`,
    remedy: "put the files back",
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
  if (losses) await storeLosses(transcoders, measured);
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
    .addOption(
      wholeNumberOption("-t, --tokens <n>", "held-out tokens to count (default: as many as at the end of training)"),
    )
    .option("--loss", "also measure the model's loss with the transcoders in place, and keep it for the reports")
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
