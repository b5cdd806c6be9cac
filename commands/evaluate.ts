/**
 * `mtc evaluate`: a finished run's figures on held-out text.
 * @module
 */

import { Command } from "commander";
import { UserError } from "../core/errors.ts";
import type { TextSummary } from "../core/text/summary.ts";
import type { FinishedTranscoder } from "../core/runs/finished.ts";
import { jsonOption, runOption, wholeNumberOption } from "./options.ts";
import { Progress } from "./progress.ts";

interface EvaluateOptions {
  run: string;
  tokens?: number;
  json?: true;
}

async function evaluateRun(transcoders: readonly FinishedTranscoder[], tokens: number) {
  const { loadVisibly, openModelVisibly } = await import("./open_model.ts");
  const { openGpu } = await import("../core/gpu/device.ts");
  const { evaluateTranscoders } = await import("../core/passes/evaluation.ts");
  const { loadRunModel, modelOf } = await import("../core/runs/finished.ts");
  const { dataOf } = await import("../core/runs/config.ts");
  const { readLinearMap } = await import("../core/runs/linear_map.ts");
  const { tapsOf } = await import("../core/runs/ids.ts");
  const { openTokenSource } = await import("../core/text/source.ts");
  const [{ directory, config }] = transcoders, { context } = config;
  const placed = await Promise.all(transcoders.map(async (transcoder) => {
    return { ...transcoder, linearMap: await readLinearMap(transcoder.directory, transcoder.config) };
  }));
  const files = await openModelVisibly(modelOf(transcoders));
  using gpu = await openGpu(undefined, config.precision);
  const taps = tapsOf(transcoders.map(({ config }) => config));
  const decoder = await loadVisibly((onLoading) => loadRunModel(gpu, files, transcoders, { taps, onLoading }));
  const data = dataOf(config);
  const source = await openTokenSource({ tokenizer: files, data, split: "held_out", context, seed: null });
  const progress = new Progress("Evaluating");
  try {
    await requireSameText(directory, config.data, source.summary);
    return await evaluateTranscoders({
      gpu,
      decoder,
      source,
      settings: config,
      transcoders: placed,
      tokens,
      onProgress: (done) => progress.advance({ done, total: tokens, unit: "tokens" }),
    });
  } finally {
    progress.stop();
    source.close();
    await files.weights.close();
  }
}

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

async function evaluate({ run, tokens, json }: EvaluateOptions): Promise<void> {
  const { openFinishedRun } = await import("../core/runs/finished.ts");
  const transcoders = await openFinishedRun(run);
  const [{ config }] = transcoders;
  const evaluations = await evaluateRun(transcoders, tokens ?? config.evaluation_tokens);
  if (json) {
    const all = transcoders.map(({ directory, config: { target } }, i) => {
      return { run: directory, layer: target.layer, ...evaluations[i] };
    });
    console.log(JSON.stringify(all.length === 1 && all[0].run === run ? all[0] : all, null, 2));
    return;
  }
  const { evaluationTable } = await import("../reports/evaluation_table.ts");
  const named = transcoders.map(({ name: { phrase }, config }, i) => {
    return { name: phrase, config, evaluation: evaluations[i] };
  });
  console.log(evaluationTable(named, config.include_bos));
}

/** The command `mtc evaluate`. */
export function evaluateCommand(): Command {
  return new Command("evaluate")
    .description("Measures finished transcoders on held-out text with threshold inference, intervals included.")
    .addOption(runOption())
    .addOption(
      wholeNumberOption("-t, --tokens <n>", "held-out tokens to count (default: as many as at the end of training)"),
    )
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  mtc evaluate --run runs/first/layer2 --json | jq .fvu")
    .action(evaluate);
}
