/**
 * `mtc evaluate`: a finished run's figures on held-out text.
 * @module
 */

import { Command, Option } from "commander";
import type { LossEvaluation } from "../core/analysis/loss.ts";
import { UserError } from "../core/errors.ts";
import type { OriginalScores } from "../core/analysis/original_scores.ts";
import type { Cosines } from "../core/analysis/similarity.ts";
import type { Gpu } from "../core/gpu/device.ts";
import type { ModelFiles } from "../core/model/files.ts";
import type { StoredEvaluation } from "../core/runs/evaluation.ts";
import { HELD_OUT_SPLITS, type HeldOutSplit } from "../core/text/split.ts";
import type { FinishedTranscoder } from "../core/runs/finished.ts";
import { jsonOption, movedDataOption, movedModelOption, runOption, wholeNumberOption } from "./options.ts";

interface EvaluateOptions {
  run: string;
  model?: string;
  data?: string[];
  tokens?: number;
  split: HeldOutSplit;
  loss?: true;
  lossTokens?: number;
  scores?: true;
  json?: true;
}

/**
 * Held-out tokens that the loss is measured on where the run was to measure none and nothing else is asked: seconds for the embedded model,
 * minutes for Gemma 3 270M on two cores. A share recovered is known to about five hundredths then.
 */
const LOSS_TOKENS = 2048;

async function evaluateRun(
  transcoders: readonly FinishedTranscoder[],
  { model, data, tokens, split, loss, lossTokens }: EvaluateOptions,
) {
  const { openModelVisibly } = await import("./open_model.ts");
  const { onHeldOut } = await import("./held_out.ts");
  const { openGpu } = await import("../core/gpu/device.ts");
  const { evaluateTranscoders } = await import("../core/passes/evaluation.ts");
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
    // The loss comes first: it is what may be refused.
    const losses = loss || lossTokens !== undefined
      ? await measureLosses(gpu, files, transcoders, { data, split, lossTokens })
      : undefined;
    return { evaluations: await evaluate(), losses };
  } finally {
    await files.weights.close();
  }
}

/** The original project's scores of a transcoder, and the cosines that SAEBench has a name for. */
interface Scored {
  readonly original: OriginalScores;
  readonly cosines: { readonly encoder: Cosines; readonly decoder: Cosines };
}

async function scoreRun(
  transcoders: readonly FinishedTranscoder[],
  { model, data }: EvaluateOptions,
): Promise<Scored[]> {
  const { compareVisibly } = await import("./analyze/cosines.ts");
  const { recordsOf } = await import("./analyze/records.ts");
  const { originalScores } = await import("../core/analysis/original_scores.ts");
  const { openGpu } = await import("../core/gpu/device.ts");
  const records = await recordsOf(transcoders, { model, data }), scored: Scored[] = [];
  using gpu = await openGpu();
  for (const [i, { name: { title }, transcoder: { weights, shape } }] of transcoders.entries()) {
    const { groups } = shape;
    const compared = (kind: "decoder" | "encoder", width: number) =>
      compareVisibly(gpu, { label: `${title}: ${kind} cosines`, matrix: weights[kind].slice(), width, groups });
    const decoder = await compared("decoder", shape.d_out), encoder = await compared("encoder", shape.d_in);
    const cosines = { encoder: encoder.cosines, decoder: decoder.cosines };
    scored.push({ original: originalScores(records[i], decoder), cosines });
  }
  return scored;
}

/**
 * Measures what the model's predictions lose with transcoders in place.
 *
 * @param gpu Where the model goes.
 * @param files The model.
 * @param transcoders Of one run.
 * @param options Where the text lies, the part to read, and how many of its tokens: as many as at the end of training if left out.
 * @returns What each loses, in their order.
 * @throws {UserError} When model or text cannot be read or are not those that the run was trained on, or what is needed does not fit.
 */
export async function measureLosses(
  gpu: Gpu,
  files: ModelFiles,
  transcoders: readonly FinishedTranscoder[],
  { data, split, lossTokens }: Pick<EvaluateOptions, "data" | "split" | "lossTokens">,
): Promise<LossEvaluation[]> {
  const { onHeldOut } = await import("./held_out.ts");
  const { configOf } = await import("../core/model/config.ts");
  const { lossModel, measureLoss } = await import("../core/passes/loss.ts");
  const [{ config }] = transcoders, tokens = lossTokens ?? (config.loss_tokens || LOSS_TOKENS);
  const parts = lossModel(gpu, configOf(files), config, transcoders.map(({ config }) => config));
  const wanted = { label: "Measuring the loss", data, split, tokens, ...parts };
  return await onHeldOut(
    gpu,
    files,
    transcoders,
    wanted,
    ({ advance, ...text }) => measureLoss({ ...text, onProgress: advance }),
  );
}

async function evaluate(options: EvaluateOptions): Promise<void> {
  const { openFinishedRun } = await import("../core/runs/finished.ts");
  const transcoders = await openFinishedRun(options.run);
  const { evaluations, losses } = await evaluateRun(transcoders, options);
  const measured = evaluations.map((evaluation, i) => losses ? { ...evaluation, loss: losses[i] } : evaluation);
  const scored = options.scores ? await scoreRun(transcoders, options) : [];
  if (options.json) await printJson(options.run, transcoders, measured, scored);
  else await printTables(transcoders, measured, scored);
  // Reports publish the test part; what choices are made by is not kept beside it.
  if (losses && options.split === "test") await storeLosses(transcoders, measured);
}

async function printJson(
  run: string,
  transcoders: readonly FinishedTranscoder[],
  measured: readonly StoredEvaluation[],
  scored: readonly Partial<Scored>[],
): Promise<void> {
  const { toldSaebench } = await import("../core/analysis/saebench.ts");
  const all = transcoders.map(({ directory, config: { layer } }, i) => {
    const { saebench, ...evaluation } = measured[i], { original, cosines } = scored[i] ?? {};
    return {
      ...{ run: directory, layer, ...evaluation },
      ...saebench && { saebench: toldSaebench(saebench, { loss: evaluation.loss, cosines }) },
      ...original && { original_scores: original },
    };
  });
  console.log(JSON.stringify(all.length === 1 && all[0].run === run ? all[0] : all, null, 2));
}

async function printTables(
  transcoders: readonly FinishedTranscoder[],
  measured: readonly StoredEvaluation[],
  scored: readonly Scored[],
): Promise<void> {
  const { evaluationTable } = await import("../reports/evaluation_table.ts");
  const { lossTables } = await import("../reports/loss_table.ts");
  const { scoresText } = await import("../reports/scores_table.ts");
  const named = transcoders.map(({ name: { phrase }, config }, i) => {
    return { name: phrase, config, evaluation: measured[i] };
  });
  const losses = named.flatMap(({ name, evaluation: { loss } }) => loss ? [{ name, loss }] : []);
  console.log(evaluationTable(named, transcoders[0].config.include_bos));
  if (losses.length > 0) console.log(`\n${lossTables(losses)}`);
  if (scored.length > 0) {
    console.log(`\n${scoresText(scored.map(({ original }, i) => ({ name: named[i].name, scores: original })))}`);
  }
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
        `held-out tokens to measure the loss on (default: as many as at the end of training, ${LOSS_TOKENS} where those are none); implies --loss`,
      ),
    )
    .option(
      "--scores",
      "also compute the scores of the original project under its own names, from the run's record and from all pairs of features",
    )
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nWhat SAEBench has a name for is under `saebench` of --json; --loss and --scores add to it.\n" +
        "\nExamples:\n  mtc evaluate --run runs/first/layer2 --json | jq .fvu\n  mtc evaluate --run runs/first --loss\n" +
        "  mtc evaluate --run runs/first/layer2 --loss --scores --json | jq .saebench",
    )
    .action(evaluate);
}
