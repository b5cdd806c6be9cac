/**
 * What `mtc train` says of a run before it starts: what it takes, what is free, and what would fit.
 * @module
 */

import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import pc from "picocolors";
import { type Reason, UserError } from "../../core/errors.ts";
import type { Gpu } from "../../core/gpu/device.ts";
import {
  BEGINNING,
  type Duration,
  durationOf,
  LOSS_PHASE,
  type Need,
  type Standing,
} from "../../core/estimate/needs.ts";
import {
  type Fit,
  fitOf,
  fitRounds,
  type Machine,
  type Proposal,
  propose,
  type Shortage,
} from "../../core/estimate/fit.ts";
import { measureSpeed } from "../../core/estimate/speed.ts";
import { freeResources, type Resources } from "../../core/estimate/resources.ts";
import { directoriesOf } from "../../core/training/plan.ts";
import { textBytes } from "../../core/text/files.ts";
import { newestCommonStep } from "../../core/training/start.ts";
import { counted } from "../../reports/format.ts";
import { bytes } from "../bytes.ts";
import { Progress, timeToCome } from "../progress.ts";
import { commandLines, harvestHint } from "./harvest_hint.ts";
import { remaining, type TrainRequest } from "./request.ts";

/** A part of a run before it starts: all of it, or a round of a sweep. */
export interface Estimate {
  /** The part. */
  readonly request: TrainRequest;
  /** The number of a round that begins; null for what is no round, or has begun. */
  readonly round: number | null;
  /** What it needs, and whether it fits. */
  readonly fit: Fit;
  /** What is free. */
  readonly free: Resources;
  /** How long it takes; null when that was not measured, as some part does not fit. */
  readonly duration: Duration | null;
  /** What fits in its place; null when it fits itself, when nothing tried does, and where a run is resumed. */
  readonly proposal: Proposal | null;
}

/**
 * Estimates a run and holds it against this machine.
 *
 * @param gpu The device that it is to run on.
 * @param asked The run.
 * @param atOnce The most transcoders of a round of a sweep.
 * @returns The parts that it is trained in, one after the other; one for a run that is no sweep. Where one does not fit, it is the last.
 * @throws {UserError} When the model's files do not fit each other, or the device fails.
 */
export async function estimate(gpu: Gpu, asked: TrainRequest, atOnce: number = Infinity): Promise<Estimate[]> {
  const request = { ...asked, textBytes: await textBytes(asked.data) };
  const progress = new Progress("Estimating");
  const show = (done: number, what: string) => progress.show(done, 2, what, null);
  try {
    show(0, "memory and disk");
    const base = Deno.memoryUsage().rss, free = await freeResources(gpu, dirname(request.directory));
    const machine: Machine = { gpu, free, base }, parts = await partsOf(machine, request, atOnce);
    const short = parts.find(({ fit }) => fit.shortage !== null);
    if (short) {
      const fits = short.request.resumed !== null || parts.length > 1;
      const proposal = fits ? null : await propose(machine, short.request, short.fit);
      return parts.map((part) => ({ ...part, free, duration: null, proposal: part === short ? proposal : null }));
    }
    show(1, "time");
    const transcoders = parts.flatMap(({ request }) => request.transcoders);
    const [{ fit: { rehearsal } }] = parts, { config, contextsPerForward } = rehearsal!;
    // On the run's own device, so that what is compiled for it is compiled once; a trace would give every dispatch a pass of its own.
    const speed = await measureSpeed({ ...gpu, trace: null }, { ...request, transcoders }, config, contextsPerForward);
    return parts.map((part) => {
      const of = (seconds: readonly number[]) =>
        seconds.filter((_, i) => part.request.transcoders.includes(transcoders[i]));
      const own = { ...speed, stepSeconds: of(speed.stepSeconds), sampleSeconds: of(speed.sampleSeconds) };
      const duration = durationOf(part.request, part.fit.rehearsal!, part.standing, own);
      return { ...part, free, duration, proposal: null };
    });
  } finally {
    progress.stop();
  }
}

interface Part extends Pick<Estimate, "request" | "round" | "fit"> {
  readonly standing: Standing;
}

async function partsOf(machine: Machine, request: TrainRequest, atOnce: number): Promise<Part[]> {
  const { begun, waiting } = remaining(request), parts: Part[] = [];
  for (const part of begun) {
    const standing = part.resumed ? await standingOf(part) : BEGINNING;
    parts.push({ request: part, round: null, fit: await fitOf(machine, part, standing), standing });
  }
  if (waiting) {
    const first = 1 + Math.max(0, ...request.resumed?.map(({ round = 0 }) => round) ?? []);
    for (const { run, fit } of await fitRounds(machine, waiting, atOnce)) {
      const part = { ...waiting, transcoders: run.transcoders, resumed: null };
      parts.push({ request: part, round: first + parts.length - begun.length, fit, standing: BEGINNING });
    }
  }
  // Each fits by itself, but what the rounds write stays.
  const need = parts.reduce((sum, { fit }) => sum + (fit.needs?.disk.peak ?? 0), 0), have = machine.free.disk;
  const last = parts.at(-1)!;
  if (need <= have || parts.some(({ fit }) => fit.shortage !== null)) return parts;
  return [...parts.slice(0, -1), { ...last, fit: { ...last.fit, shortage: { of: "disk", need, have } } }];
}

async function standingOf(request: TrainRequest): Promise<Standing> {
  // The parent's checkpoint is one of those that the run is to keep.
  if (request.parents) return { step: request.resumed![0].parent!.steps, written: 0 };
  const sizes = await Promise.all(directoriesOf(request).map(sizeOf));
  return { step: await newestCommonStep(request) ?? 0, written: sizes.reduce((sum, size) => sum + size, 0) };
}

async function sizeOf(path: string): Promise<number> {
  const info = await stat(path).catch(() => null);
  if (!info?.isDirectory()) return info?.size ?? 0;
  const sizes = await Promise.all((await readdir(path)).map((name) => sizeOf(join(path, name))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * The reason not to start a run.
 *
 * @param estimates Its parts.
 * @returns An error that says what the first that does not fit needs, what there is and what would fit; null when all fit.
 */
export function refusal(estimates: readonly Estimate[]): UserError | null {
  const short = estimates.find(({ fit }) => fit.shortage !== null);
  if (short === undefined) return null;
  const { request: { directory, resumed }, fit, proposal } = short, shortage = fit.shortage!;
  const free = shortage.of === "disk"
    ? `free some of ${dirname(directory)} or choose another --runs`
    : "free some of it";
  const remedy = proposal
    ? `use ${proposal.flags.join(" ")}`
    : shortage.of === "binding"
    ? shortage.error.parts.remedy
    : resumed
    ? `${free}, or go on on a larger machine`
    : estimates.length > 1
    ? `${free}, or make several sweeps`
    : `nothing smaller that was tried fits; ${free}, or use a smaller --dictionary or --context`;
  return new UserError({ ...reasonOf(shortage), remedy });
}

/** Why a plan does not fit; what a tensor that is too large says to do about it is replaced where something that fits is known. */
function reasonOf(shortage: Shortage): Reason {
  if (shortage.of === "binding") return shortage.error.parts;
  const { of, need, have, isLeast } = shortage;
  return {
    action: "train this plan",
    requirement: `it needs ${isLeast ? "at least " : ""}${bytes(need)} of ${of}`,
    found: `${bytes(have)} are free`,
  };
}

/**
 * The estimate in a few lines, for a run that starts now.
 *
 * @param estimates The parts of a run that fits.
 * @returns Lines of less than 80 columns.
 */
export function shortEstimate(estimates: readonly Estimate[]): string[] {
  const [{ request: { settings }, fit, free }] = estimates, hostFree = free.host + taken(fit.needs!.host);
  const { gpu, host, disk, seconds, loss, range } = overall(estimates);
  const memory = fit.gpuFree === null
    ? `${bytes(gpu + host)} of ${bytes(hostFree)} free`
    : `GPU ${bytes(gpu)}, host ${bytes(host)} of ${bytes(hostFree)} free`;
  const sizes = estimates.map(({ request }) => request.transcoders.length);
  return [
    ...sizes.length > 1 ? [`  rounds  ${sizes.length}, of ${sizes.join(", ")} transcoders`] : [],
    `  memory  at most ${memory}`,
    `  disk    ${bytes(disk)} of ${bytes(free.disk)} free`,
    `  time    about ${timeToCome(seconds)}, from ${between(range)}`,
    ...loss > 0 ? [`  of it   ${timeToCome(loss)} for the loss (--loss-tokens ${settings.loss_tokens})`] : [],
  ];
}

/** What the parts take together: of memory that of the largest, of disk and time the sum. */
function overall(estimates: readonly Estimate[]) {
  const needs = estimates.map(({ fit }) => fit.needs!), durations = estimates.map(({ duration }) => duration!);
  const sum = (amounts: readonly number[]) => amounts.reduce((a, b) => a + b, 0);
  const range: [number, number] = [sum(durations.map(({ range }) => range[0])), sum(durations.map((d) => d.range[1]))];
  return {
    gpu: Math.max(...needs.map(({ gpu }) => gpu.peak)),
    host: Math.max(...needs.map(({ host }) => host.peak)),
    disk: sum(needs.map(({ disk }) => disk.peak)),
    seconds: sum(durations.map(({ seconds }) => seconds)),
    loss: sum(durations.map(({ phases }) => phases.find(({ name }) => name === LOSS_PHASE)?.amount ?? 0)),
    range,
  };
}

/** What the program holds already is not free any more, but part of its need. */
function taken({ parts: [program] }: Need): number {
  return program.amount;
}

function between([low, high]: Duration["range"]): string {
  return `${timeToCome(low)} to ${timeToCome(high)}`;
}

/** What the files of a run's disk space are called. */
const FILES: Readonly<Record<string, string>> = {
  "checkpoints": "checkpoints/",
  "samples": "samples.jsonl, training_samples.jsonl",
  "finished transcoders": "transcoder.safetensors",
  "tables": "metrics.csv, features.csv",
};

/**
 * The estimate as a table; of several rounds, one with a row for each.
 *
 * @param estimates The run's parts.
 * @returns Lines of at most 80 columns, but for the run's directory and a command; none when nothing is known but that a tensor is too large.
 */
export function estimateTable(estimates: readonly Estimate[]): string[] {
  if (estimates.length > 1) return roundsTable(estimates);
  const [{ request, fit, free, duration: time }] = estimates;
  if (!fit.needs) return [];
  const { directory, transcoders } = request, hint = harvestHint(request);
  const { gpu, host, disk } = fit.needs, free_ = free.host + taken(host);
  const places = transcoders.length === 1 ? transcoders[0].name : "<transcoder>";
  const lines = [
    ...section("GPU memory", sizes(gpu)),
    total("at most", bytes(gpu.peak), fit.gpuFree === null ? "" : `of ${bytes(fit.gpuFree)} that could be had`),
    "",
    ...section("Host memory", sizes(host)),
    total("at most", bytes(host.peak), fit.gpuFree === null ? "" : `of ${bytes(free_)} free`),
  ];
  if (fit.gpuFree === null) {
    lines.push(total("both, on a CPU adapter", bytes(host.peak + gpu.peak), `of ${bytes(free_)} free`));
  }
  const files = disk.parts.map(({ name, amount }): Row => [
    name,
    amount < 0 ? `- ${bytes(-amount)}` : bytes(amount),
    FILES[name] ?? "",
  ]);
  lines.push("", ...section(`Disk, in ${join(directory, places)}`, files));
  lines.push(total("in all", bytes(disk.peak), `of ${bytes(free.disk)} free`));
  if (!time) return lines;
  lines.push("", ...section("Time", time.phases.map(({ name, amount }): Row => [name, timeToCome(amount), ""])));
  return [
    ...lines,
    total("in all", timeToCome(time.seconds), between(time.range)),
    ...time.basis.map((line) => pc.dim(`  ${line}`)),
    ...hint === null ? [] : ["", pc.bold(`Its activations, ${bytes(hint.bytes)}, for --activations of several runs`)],
    ...hint === null ? [] : commandLines(hint.command, 78).map((line) => `  ${line}`),
  ];
}

function roundsTable(estimates: readonly Estimate[]): string[] {
  const rows = estimates.map(({ request: { transcoders }, fit: { needs }, duration }, i) => {
    const name = `${i + 1}: ${counted(transcoders.length, "transcoder")}`;
    if (!needs) return rowLine([name, "", "a tensor is too large"]);
    const memory = `GPU ${bytes(needs.gpu.peak)}, host ${bytes(needs.host.peak)}, disk ${bytes(needs.disk.peak)}`;
    return rowLine([name, duration ? timeToCome(duration.seconds) : "", memory]);
  });
  const lines = [pc.bold("Rounds"), ...rows];
  if (estimates.some(({ duration }) => duration === null)) return lines;
  const { gpu, host, disk, seconds, range } = overall(estimates), [{ free }] = estimates;
  const memory = `GPU ${bytes(gpu)}, host ${bytes(host)}, disk ${bytes(disk)} of ${bytes(free.disk)} free`;
  return [...lines, total("in all", timeToCome(seconds), memory), total("", "", between(range))];
}

type Row = readonly [name: string, amount: string, remark: string];

function sizes({ parts }: Need): Row[] {
  return parts.map(({ name, amount }): Row => [name, bytes(amount), ""]);
}

const NAME_COLUMNS = 26, AMOUNT_COLUMNS = 12;

function rowLine([name, amount, remark]: Row): string {
  return `  ${name.padEnd(NAME_COLUMNS)}${amount.padStart(AMOUNT_COLUMNS)}${remark ? `  ${remark}` : ""}`;
}

function section(title: string, rows: readonly Row[]): string[] {
  return [pc.bold(title), ...rows.map(rowLine)];
}

function total(...row: Row): string {
  return pc.bold(rowLine(row));
}

/**
 * The estimate for programs: sizes in bytes, times in seconds.
 *
 * @param request The run.
 * @param estimates Its parts.
 * @param adapter The GPU's name.
 * @returns A value to be printed as JSON; of a sweep a list of its rounds.
 */
export function estimateJson(request: TrainRequest, estimates: readonly Estimate[], adapter: string) {
  const run = { run: request.directory, model: request.model.name, adapter };
  if (!request.sweep) return { ...run, ...partJson(estimates[0]) };
  const rounds = estimates.map((part) => {
    return { transcoders: part.request.transcoders.map(({ name }) => name), ...partJson(part) };
  });
  const fits = refusal(estimates) === null, { disk, seconds, range } = fits ? overall(estimates) : {};
  return { ...run, rounds, disk, time: fits ? { seconds, range } : null, fits };
}

function partJson({ request, fit, free, duration, proposal }: Estimate) {
  const amounts = ({ parts, peak }: Need) => ({
    parts: Object.fromEntries(parts.map(({ name, amount }) => [name, Math.round(amount)])),
    peak: Math.round(peak),
  });
  const { needs, shortage, gpuFree } = fit, hint = harvestHint(request);
  return {
    mappings: request.transcoders.map(({ source, targets }) => ({ layer: targets[0].layer, source, targets })),
    gpu_memory: needs && { ...amounts(needs.gpu), is_host: gpuFree === null, free: gpuFree },
    host_memory: needs && { ...amounts(needs.host), free: free.host },
    disk: needs && { ...amounts(needs.disk), free: free.disk },
    time: duration && {
      phases: Object.fromEntries(duration.phases.map(({ name, amount }) => [name, amount])),
      seconds: duration.seconds,
      range: duration.range,
      basis: duration.basis,
    },
    fits: shortage === null,
    shortage: shortage?.of === "binding" ? { of: shortage.of, message: shortage.error.message } : shortage,
    proposal: proposal && proposal.flags.join(" "),
    harvest: hint && { ...hint, command: hint.command.join(" ") },
  };
}
