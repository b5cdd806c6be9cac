/**
 * The work of `mtc train` and `mtc sweep`, once it is known what is to be trained: the estimate, the lock, and the rounds one after the
 * other.
 * @module
 */

import { join } from "node:path";
import { stopGently, stopUnasked } from "../../core/ending.ts";
import { Interrupted, printable, UserError } from "../../core/errors.ts";
import { type Gpu, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { exists } from "../../core/files/exists.ts";
import { readConfig, writeConfig } from "../../core/runs/config.ts";
import { transcodersIn } from "../../core/runs/discovery.ts";
import { readEvaluation } from "../../core/runs/evaluation.ts";
import { lockRun } from "../../core/runs/lock.ts";
import { TRANSCODER_FILE } from "../../core/runs/transcoder.ts";
import { nameOfData } from "../../core/text/files.ts";
import { finish, type FinishObserver } from "../../core/training/finish.ts";
import { beginFurther } from "../../core/training/further.ts";
import { directoriesOf } from "../../core/training/plan.ts";
import { train, type TrainingObserver } from "../../core/training/session.ts";
import { beginSweep } from "../../core/training/start.ts";
import { Diverged } from "../../core/training/step_log.ts";
import { Deadline, endOfJob } from "./deadline.ts";
import { TrainDisplay } from "./display.ts";
import { type Estimate, estimate, estimateJson, estimateTable, refusal, shortEstimate } from "./estimate.ts";
import { both, eventObservers, jsonLines, type Listener, type RunEvent } from "./events.ts";
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
  /** Whether progress and result are told to programs, as events on stdout. */
  readonly log?: "text" | "json";
  /** When the run must have saved itself, in milliseconds since 1970; the end of the Slurm job if left out. */
  readonly deadline?: number;
}

/** Who has the run done and has locked it, where that is more than a command line. */
export interface Overseer {
  /** Hears of what happens. */
  readonly listen: Listener;
  /** Aborted when the run is another process's, for a reason that says whose. */
  readonly lost: AbortSignal;
  /** Throws where the run must not write any more. */
  readonly beforeWriting: () => Promise<void>;
}

/**
 * Trains what is asked for, from wherever it stands.
 *
 * @param request What is asked for; its model is closed in the end.
 * @param options How.
 * @param overseer Who has it done, if that is no command line.
 * @throws {UserError} When it does not fit, or the work fails.
 * @throws {Interrupted} When it was stopped.
 */
export async function carryOut(request: TrainRequest, options: WorkOptions, overseer?: Overseer): Promise<void> {
  const { json, dryRun, atOnce, log } = options;
  const print = log === "json" ? jsonLines() : null;
  if (request.isFinished) {
    if (print) return print({ event: "finished", run: request.directory });
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
    const listeners = [print, overseer?.listen].filter((listen) => listen != null);
    const listen = (event: RunEvent) => listeners.forEach((tell) => tell(event));
    const diverged = await trainAndFinish(gpu, request, estimates, options, { ...overseer, listen });
    if (print) print({ event: "finished", run: request.directory, transcoders: await figuresOf(request) });
    else await printResult(request, json === true);
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
  { badLines, log, deadline }: WorkOptions,
  { listen, lost, beforeWriting }: Partial<Overseer> & Pick<Overseer, "listen">,
): Promise<Diverged[]> {
  const { directory, resumed, sweep, parents } = request, lock = lost ? null : await lockRun(directory);
  let display = new TrainDisplay(request.settings, request.transcoders, request.activations);
  const stop = new AbortController();
  using _ = stopGently((signal) => {
    // What was stopped, and how to go on, is said by those who know.
    stop.abort();
    display.interrupting(signal);
    listen({ event: "stopping", reason: signal });
  });
  const stopBecause = (reason: string) => {
    stopUnasked();
    stop.abort();
    display.stopping(reason);
    listen({ event: "stopping", reason });
  };
  using end = new Deadline(deadline ?? endOfJob(), stopBecause);
  const onLost = () => stopBecause(String(lost!.reason));
  lost?.addEventListener("abort", onLost);
  const hear = (event: RunEvent) => {
    if (event.event === "checkpoint") end.checkpointed(event.seconds as number);
    listen(event);
  };
  const diverged: Diverged[] = [];
  try {
    const verb = parents ? "Going on with" : resumed ? "Resuming" : "Training";
    const header = display.header(verb, request.model.name, gpu.adapter, directory);
    const text = textLines(nameOfData(request.data), request.text);
    const lines = [...header, ...text, ...shortEstimate(estimates)].map((line) => printable(line));
    if (log !== "json") console.error(lines.join("\n"));
    listen(beginning(request, estimates, gpu.adapter));
    if (resumed) tellOtherAdapter(resumed[0].adapter, gpu.adapter);
    if (parents) await beginFurther(request, parents);
    else if (resumed && badLines !== undefined) {
      await Promise.all(directoriesOf(request).map((path, i) => writeConfig(path, resumed[i])));
    }
    const configs = resumed ?? (sweep ? await beginSweep(await planOf(request, gpu.adapter), sweep.text) : []);
    for (const [i, { request: part, round: number }] of estimates.entries()) {
      const names = part.transcoders.map(({ name }) => name);
      listen({ event: "round", round: i + 1, rounds: estimates.length, transcoders: names });
      if (estimates.length > 1 && log !== "json") {
        console.error(`Round ${i + 1} of ${estimates.length}: ${names.join(", ")}`);
      }
      const waiting = part.transcoders.map((transcoder) => configs[request.transcoders.indexOf(transcoder)]);
      const round = number === null ? undefined : { number, waiting };
      diverged.push(
        ...await trainPart(gpu, sweep ? { ...part, round } : part, stop.signal, beforeWriting, (left) => {
          display = new TrainDisplay(left.settings, left.transcoders, left.activations);
          const events = eventObservers(hear, left.settings.steps);
          if (log === "json") return { ...events, stop: () => display.stop() };
          return {
            observer: both(display.observer, events.observer),
            finishObserver: both(display.finishObserver, events.finishObserver),
            stop: () => display.stop(),
          };
        }),
      );
    }
  } catch (error) {
    throw await withResume(error, directory);
  } finally {
    display.stop();
    lost?.removeEventListener("abort", onLost);
    await lock?.release();
  }
  return diverged;
}

/** What a run's first event says. */
function beginning(request: TrainRequest, estimates: readonly Estimate[], adapter: string): RunEvent {
  const { directory, model, transcoders, settings: { steps }, resumed } = request;
  return {
    ...{ event: resumed ? "resumed" : "begun", run: directory, model: model.name, adapter, steps },
    transcoders: transcoders.map(({ name }) => name),
    estimated_s: estimates.reduce((sum, { duration }) => sum + (duration?.seconds ?? 0), 0),
  };
}

/** What came of each transcoder that is finished. */
async function figuresOf(request: TrainRequest): Promise<Record<string, unknown>[]> {
  const figures: Record<string, unknown>[] = [];
  for (const [i, path] of directoriesOf(request).entries()) {
    if (!await exists(join(path, TRANSCODER_FILE))) continue;
    const { fvu, l0, dead_features } = await readEvaluation(path);
    figures.push({ name: request.transcoders[i].name, fvu, l0, dead_features });
  }
  return figures;
}

/** What a part of a run is shown by. */
interface Shown {
  readonly observer: TrainingObserver;
  readonly finishObserver: FinishObserver;
  readonly stop: () => void;
}

/**
 * Trains a part of a run. In a sweep those whose loss is no number any more are given up and returned; the others go on from where they are
 * saved, as each of them would have without them.
 */
async function trainPart(
  device: Gpu,
  request: TrainRequest,
  signal: AbortSignal,
  beforeWriting: (() => Promise<void>) | undefined,
  show: (request: TrainRequest) => Shown,
): Promise<Diverged[]> {
  const diverged: Diverged[] = [];
  for (let left = request; left.transcoders.length > 0;) {
    const display = show(left);
    try {
      // The model of a round makes room for that of the next one.
      using gpu = openScope(device);
      const plan = { ...await planOf(left, gpu.adapter), beforeWriting };
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
  if (parts.remedy?.endsWith(goOn)) return error;
  // A text that is mended is another one; the run could not go on with it.
  if (parts.option !== undefined) return new UserError({ ...parts, remedy: `${goOn} ${parts.option}` });
  return new UserError({ ...parts, remedy: parts.remedy === undefined ? goOn : `${parts.remedy}, then ${goOn}` });
}
