/**
 * The work of `mtc train` and `mtc sweep`, once it is known what is to be trained: the estimate, the lock, and the rounds one after the
 * other.
 * @module
 */

import { stopGently } from "../../core/ending.ts";
import { Interrupted, printable, UserError } from "../../core/errors.ts";
import { type Gpu, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { readConfig, writeConfig } from "../../core/runs/config.ts";
import { transcodersIn } from "../../core/runs/discovery.ts";
import { lockRun } from "../../core/runs/lock.ts";
import { nameOfData } from "../../core/text/files.ts";
import { finish } from "../../core/training/finish.ts";
import { beginFurther } from "../../core/training/further.ts";
import { directoriesOf } from "../../core/training/plan.ts";
import { train } from "../../core/training/session.ts";
import { beginSweep } from "../../core/training/start.ts";
import { Diverged } from "../../core/training/step_log.ts";
import { TrainDisplay } from "./display.ts";
import { type Estimate, estimate, estimateJson, estimateTable, refusal, shortEstimate } from "./estimate.ts";
import { planOf, type TrainRequest } from "./request.ts";
import { printResult } from "./result.ts";
import { textLines } from "./text_lines.ts";

/** What of a command line says how to work. */
export interface WorkOptions {
  /** Whether a program reads the result. */
  readonly json?: boolean;
  /** Whether the estimate is all that is wanted. */
  readonly dryRun?: boolean;
  /** The most transcoders of a round of a sweep. */
  readonly atOnce?: number;
  /** How many records without text may pass; a run that is resumed keeps it. */
  readonly badLines?: number;
}

/**
 * Trains what is asked for, from wherever it stands.
 *
 * @param request What is asked for; its model is closed in the end.
 * @param options How.
 * @throws {UserError} When it does not fit, or the work fails.
 * @throws {Interrupted} When it was stopped.
 */
export async function carryOut(request: TrainRequest, { json, dryRun, atOnce, badLines }: WorkOptions): Promise<void> {
  if (request.isFinished) {
    if (json) return await printResult(request, true);
    return console.log(
      `${request.directory} is finished already; read about it with: mtc report --runs ${request.directory}`,
    );
  }
  using gpu = await openGpu(undefined, request.settings.precision);
  try {
    const estimates = await estimate(gpu, request, atOnce);
    if (dryRun) return printEstimate(request, estimates, gpu.adapter, json === true);
    const refused = refusal(estimates);
    if (refused) throw refused;
    const diverged = await trainAndFinish(gpu, request, estimates, badLines);
    await printResult(request, json === true);
    if (diverged.length > 0) throw unfinished(request, diverged);
  } finally {
    await request.model.weights.close();
  }
}

/** Trains part after part; returns what became of those transcoders of a sweep whose loss is no number any more. */
async function trainAndFinish(
  gpu: Gpu,
  request: TrainRequest,
  estimates: readonly Estimate[],
  badLines: number | undefined,
): Promise<Diverged[]> {
  const { directory, resumed, sweep, parents } = request, lock = await lockRun(directory);
  let display = new TrainDisplay(request.settings, request.transcoders, request.activations);
  const stop = new AbortController();
  using _ = stopGently((signal) => {
    // What was stopped, and how to go on, is said by those who know.
    stop.abort();
    display.interrupting(signal);
  });
  const diverged: Diverged[] = [];
  try {
    const verb = parents ? "Going on with" : resumed ? "Resuming" : "Training";
    const header = display.header(verb, request.model.name, gpu.adapter, directory);
    const text = textLines(nameOfData(request.data), request.text);
    console.error([...header, ...text, ...shortEstimate(estimates)].map((line) => printable(line)).join("\n"));
    if (resumed) tellOtherAdapter(resumed[0].adapter, gpu.adapter);
    if (parents) await beginFurther(request, parents);
    else if (resumed && badLines !== undefined) {
      await Promise.all(directoriesOf(request).map((path, i) => writeConfig(path, resumed[i])));
    }
    const configs = resumed ?? (sweep ? await beginSweep(await planOf(request, gpu.adapter), sweep.text) : []);
    for (const [i, { request: part, round: number }] of estimates.entries()) {
      const names = part.transcoders.map(({ name }) => name);
      if (estimates.length > 1) console.error(`Round ${i + 1} of ${estimates.length}: ${names.join(", ")}`);
      const waiting = part.transcoders.map((transcoder) => configs[request.transcoders.indexOf(transcoder)]);
      const round = number === null ? undefined : { number, waiting };
      diverged.push(
        ...await trainPart(gpu, sweep ? { ...part, round } : part, stop.signal, (left) => {
          return display = new TrainDisplay(left.settings, left.transcoders, left.activations);
        }),
      );
    }
  } catch (error) {
    throw await withResume(error, directory);
  } finally {
    display.stop();
    await lock.release();
  }
  return diverged;
}

/**
 * Trains a part of a run. In a sweep those whose loss is no number any more are given up and returned; the others go on from where they are
 * saved, as each of them would have without them.
 */
async function trainPart(
  device: Gpu,
  request: TrainRequest,
  signal: AbortSignal,
  show: (request: TrainRequest) => TrainDisplay,
): Promise<Diverged[]> {
  const diverged: Diverged[] = [];
  for (let left = request; left.transcoders.length > 0;) {
    const display = show(left);
    try {
      // The model of a round makes room for that of the next one.
      using gpu = openScope(device);
      const plan = await planOf(left, gpu.adapter);
      const trained = await train(gpu, plan, display.observer, signal);
      await finish(gpu, plan, trained, display.finishObserver, signal);
      break;
    } catch (error) {
      if (!(error instanceof Diverged) || !left.sweep) throw error;
      diverged.push(error);
      left = await without(left, error.transcoder);
      display.stop();
      console.error(`mtc: ${error.message}`);
    } finally {
      display.stop();
    }
  }
  return diverged;
}

/** What is left of a round that has begun when one of its transcoders is given up. */
async function without({ round: _, ...request }: TrainRequest, name: string): Promise<TrainRequest> {
  const transcoders = request.transcoders.filter((transcoder) => transcoder.name !== name);
  const left = { ...request, transcoders };
  return { ...left, resumed: await Promise.all(directoriesOf(left).map(readConfig)) };
}

function unfinished({ directory, transcoders }: TrainRequest, diverged: readonly Diverged[]): UserError {
  const names = diverged.map(({ transcoder }) => transcoder).join(", ");
  return new UserError({
    action: `finish ${names}`,
    requirement: "the loss must be a number",
    found: diverged.length === 1 ? "it was none any more" : "theirs was none any more",
    remedy: diverged.length === transcoders.length
      ? "start another sweep with lower learning rates"
      : `move ${diverged.length === 1 ? "it" : "them"} out of ${directory}, where the others are finished`,
  });
}

/** A resumed run may go on elsewhere, but not with the same bits. */
function tellOtherAdapter(began: string, now: string): void {
  if (began === now) return;
  console.error(
    `mtc: the run began on ${
      printable(began)
    }, this is ${now}: its last bits will differ from those of an uninterrupted run`,
  );
}

/** A plan that does not fit is an error here too, behind what there is to say of it. */
function printEstimate(request: TrainRequest, estimates: readonly Estimate[], adapter: string, asJson: boolean): void {
  if (asJson) console.log(JSON.stringify(estimateJson(request, estimates, adapter), null, 2));
  else {
    const verb = request.parents ? "Would go on with" : request.resumed ? "Would resume" : "Would train";
    const display = new TrainDisplay(request.settings, request.transcoders, request.activations);
    const header = display.header(verb, request.model.name, adapter, request.directory);
    const text = textLines(nameOfData(request.data), request.text);
    console.log([...header, ...text, "", ...estimateTable(estimates)].map((line) => printable(line)).join("\n"));
  }
  const refused = refusal(estimates);
  if (refused) throw refused;
}

/**
 * Adds how to go on to an error that left a run behind, unless going on would only repeat it.
 *
 * @param error What ended the work.
 * @param directory The run's directory.
 * @returns The error to throw instead.
 */
export async function withResume(error: unknown, directory: string): Promise<unknown> {
  if (!(error instanceof UserError) || error instanceof Interrupted || error instanceof Diverged) return error;
  if ((await transcodersIn(directory).catch(() => [])).length === 0) return error;
  const { parts } = error, goOn = `go on with: mtc train --resume ${directory}`;
  // A text that is mended is another one; the run could not go on with it.
  if (parts.option !== undefined) return new UserError({ ...parts, remedy: `${goOn} ${parts.option}` });
  return new UserError({ ...parts, remedy: parts.remedy === undefined ? goOn : `${parts.remedy}, then ${goOn}` });
}
