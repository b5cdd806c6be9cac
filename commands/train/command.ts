/**
 * `mtc train`: one or more transcoders from a single forward pass.
 * @module
 */

import { Command } from "commander";
import process from "node:process";
import { Interrupted, UserError } from "../../core/errors.ts";
import { NAMED_ENDINGS } from "../../core/files/text_formats.ts";
import { BUILTIN } from "../../core/model/files.ts";
import { type Gpu, openGpu } from "../../core/gpu/device.ts";
import { finish } from "../../core/training/finish.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { directoriesOf } from "../../core/training/plan.ts";
import { train } from "../../core/training/session.ts";
import { Diverged } from "../../core/training/step_log.ts";
import { bytes } from "../bytes.ts";
import { jsonOption, layersOption, precisionOption, wholeNumberOption, wholeNumbersOption } from "../options.ts";
import { spreadText, textRead } from "../../reports/held_out.ts";
import { TrainDisplay } from "./display.ts";
import { type Estimate, estimate, estimateJson, estimateTable, refusal, shortEstimate } from "./estimate.ts";
import { transcodersIn } from "../../core/runs/discovery.ts";
import { readEvaluation } from "../../core/runs/evaluation.ts";
import { idOf, nameTranscoders } from "../../core/runs/ids.ts";
import { lockRun } from "../../core/runs/lock.ts";
import { newRequest, planOf, resumedRequest, type TrainOptions, type TrainRequest } from "./request.ts";
import { declared, NUMBER_OPTIONS } from "./settings.ts";

/**
 * Declares the command.
 *
 * @returns The command, ready to be added to the program.
 */
export function trainCommand(): Command {
  const command = new Command("train")
    .description(
      "Harvests activations and trains a Matryoshka transcoder per layer and source from one forward pass. Without options it trains on the " +
        "embedded model and text (one to two minutes on two cores); with --model the published Gemma-2-2B recipe is the default.",
    )
    .option(
      "-m, --model <model>",
      "a Hugging Face directory of Gemma-2 or Gemma-3, or hf:OWNER/NAME[@REVISION]",
      BUILTIN,
    )
    .option(
      "-d, --data <paths...>",
      `text: ${NAMED_ENDINGS}, directories of it, hf:OWNER/NAME (default: the embedded text)`,
    )
    .option(
      "--activations <dir>",
      "what mtc harvest wrote, in place of the model's work during the steps; the model and the text are its own, and are read at the end",
    )
    .addOption(layersOption("layers to train, for example 8,17 (default: 17 of 26, or that depth; embedded: 2,4)"))
    .option(
      "--source <sites>",
      "where activations are read: a site of the same layer, one like layer8.resid_mid, or several with commas for a transcoder each",
      "resid_mid",
    )
    .option("--target <site>", "where those to be predicted are", "mlp_out")
    .addOption(wholeNumbersOption("-g, --groups <list>", "features per Matryoshka group, for example 1152,2304,1152"))
    .addOption(
      wholeNumberOption(
        "--dictionary <n>",
        "features in all: the sum of --groups; without them a quarter, a half and a quarter of it",
      ),
    )
    .option("--include-bos", "train on and count BOS tokens too")
    .option(
      "--exclude-tokens <tokens...>",
      "tokens that are left out of training, metrics and samples: ids, or spellings, or `none` (default: BOS, EOS and padding)",
    )
    .addOption(precisionOption());
  NUMBER_OPTIONS.map(declared).forEach((option) => command.addOption(option));
  return command
    .option("--runs <dir>", "where runs are kept", "runs")
    .option("--name <name>", "the run's name (default: the model's, with the time)")
    .option(
      "--resume <run>",
      "go on with a run that was interrupted, for example runs/first; takes no other settings but --model and --data, where these were moved",
    )
    .option("--dry-run", "print what the run would take of memory, disk and time, and write nothing")
    .addOption(jsonOption("the result as JSON"))
    .addHelpText(
      "after",
      "\nExample:\n  mtc train --model gemma-2-2b --data texts/ --layers 8,17 --name first\n  mtc train --resume runs/first",
    )
    .action((options: TrainOptions) => run(options, command));
}

async function run(options: TrainOptions, command: Command): Promise<void> {
  const request = options.resume === undefined
    ? await newRequest(options, command)
    : await resumedRequest(options.resume, options, command);
  if (request.isFinished) {
    if (options.json) return await printResult(request, true);
    return console.log(
      `${request.directory} is finished already; read about it with: mtc report --runs ${request.directory}`,
    );
  }
  using gpu = await openGpu(undefined, request.settings.precision);
  try {
    const estimated = await estimate(gpu, request);
    if (options.dryRun) return printEstimate(request, estimated, gpu.adapter, options.json === true);
    const refused = refusal(request, estimated);
    if (refused) throw refused;
    await trainAndFinish(gpu, request, estimated);
    await printResult(request, options.json === true);
  } finally {
    await request.model.weights.close();
  }
}

async function trainAndFinish(gpu: Gpu, request: TrainRequest, estimated: Estimate): Promise<void> {
  const lock = await lockRun(request.directory);
  const display = new TrainDisplay(request.settings, request.transcoders, request.activations);
  const stop = listenForInterrupts(() => display.interrupting());
  try {
    const verb = request.resumed ? "Resuming" : "Training";
    const header = display.header(verb, request.model.name, gpu.adapter, request.directory);
    console.error([...header, ...shortEstimate(estimated)].join("\n"));
    if (request.resumed) tellOtherAdapter(request.resumed[0].adapter, gpu.adapter);
    const plan = await planOf(request, gpu.adapter);
    const trained = await train(gpu, plan, display.observer, stop.signal);
    await finish(gpu, plan, trained, display.finishObserver, stop.signal);
  } catch (error) {
    throw await withResume(error, request.directory);
  } finally {
    display.stop();
    stop.end();
    await lock.release();
  }
}

/** A resumed run may go on elsewhere, but not with the same bits. */
function tellOtherAdapter(began: string, now: string): void {
  if (began === now) return;
  console.error(
    `mtc: the run began on ${began}, this is ${now}: its last bits will differ from those of an uninterrupted run`,
  );
}

/** A plan that does not fit is an error here too, behind what there is to say of it. */
function printEstimate(request: TrainRequest, estimated: Estimate, adapter: string, asJson: boolean): void {
  if (asJson) console.log(JSON.stringify(estimateJson(request, estimated, adapter), null, 2));
  else {
    const verb = request.resumed ? "Would resume" : "Would train";
    const display = new TrainDisplay(request.settings, request.transcoders, request.activations);
    const header = display.header(verb, request.model.name, adapter, request.directory);
    console.log([...header, "", ...estimateTable(request, estimated)].join("\n"));
  }
  const refused = refusal(request, estimated);
  if (refused) throw refused;
}

/** Adds how to go on to an error that left a run behind, unless going on would only repeat it. */
async function withResume(error: unknown, directory: string): Promise<unknown> {
  if (!(error instanceof UserError) || error instanceof Interrupted || error instanceof Diverged) return error;
  if ((await transcodersIn(directory).catch(() => [])).length === 0) return error;
  const { parts } = error, goOn = `go on with: mtc train --resume ${directory}`;
  return new UserError({ ...parts, remedy: parts.remedy === undefined ? goOn : `${parts.remedy}, then ${goOn}` });
}

/** The first Ctrl-C asks the run to save itself and end; a second one ends it at once. */
function listenForInterrupts(onRequest: () => void): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  const listener = () => {
    // What was stopped, and how to go on, is said by those who know.
    controller.abort();
    remove();
    onRequest();
  };
  const remove = () => signals.forEach((signal) => Deno.removeSignalListener(signal, listener));
  signals.forEach((signal) => Deno.addSignalListener(signal, listener));
  return { signal: controller.signal, end: remove };
}

/**
 * The most host memory that this process has had, in bytes; null where the runtime does not tell. On CPU adapters it holds the GPU's
 * too.
 */
function peakMemory(): number | null {
  // Deno knows it from 2.9 on; its types say always.
  const kilobytes = (process as Partial<typeof process>).resourceUsage?.().maxRSS;
  return kilobytes === undefined ? null : kilobytes * 1024;
}

async function printResult(request: TrainRequest, asJson: boolean): Promise<void> {
  const { directory, transcoders: planned, model } = request;
  const ids = planned.map(({ settings, source, target }) => idOf({ ...settings, source, target, model }));
  const phrases = nameTranscoders(ids).map(({ phrase }) => phrase);
  const transcoders = await Promise.all(
    directoriesOf(request).map(async (path, i) => {
      return { layer: planned[i].target.layer, path, evaluation: await readEvaluation(path) };
    }),
  );
  const peak = peakMemory();
  if (asJson) {
    return console.log(JSON.stringify({ run: directory, peak_memory_bytes: peak, layers: transcoders }, null, 2));
  }
  console.log(`\nHeld-out text, ${textRead(transcoders[0].evaluation)}, threshold inference:`);
  for (const [i, { evaluation }] of transcoders.entries()) {
    const { fvu, fvu_per_prefix, fvu_unit_variance: unit, linear_map, l0, dead_features } = evaluation;
    const { groups, k } = planned[i].settings,
      dead = `dead ${dead_features} of ${featureCount(groups)}`,
      map = linear_map ? ` (linear map ${linear_map.fvu.toFixed(3)})` : "";
    console.log(`  ${phrases[i]}   FVU ${fvu.toFixed(3)}${map}   L0 ${l0.toFixed(1)} (k ${k})   ${dead}`);
    const prefixes = fvu_per_prefix.slice(0, -1).map((p) => `${p.fvu.toFixed(3)} with ${p.prefix}`).join(", ");
    const others = [
      ...prefixes ? [`${prefixes} features`] : [],
      ...unit === undefined ? [] : [`${unit.toFixed(3)} at unit variance`],
    ];
    if (others.length > 0) console.log(`    FVU ${others.join("; ")}`);
    const spread = spreadText(evaluation, 3);
    if (spread !== "") console.log(`    FVU of documents, least, median, largest: ${spread}`);
  }
  if (peak !== null) console.log(`\nPeak memory of this process: ${bytes(peak)}`);
  console.log(`\nNext: mtc report --runs ${directory} --out analysis_results`);
}
