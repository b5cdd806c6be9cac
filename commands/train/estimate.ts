/**
 * What `mtc train` says of a run before it starts: what it takes, what is free, and what would fit.
 * @module
 */

import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import pc from "picocolors";
import { type Reason, UserError } from "../../core/errors.ts";
import type { Gpu } from "../../core/gpu/device.ts";
import { BEGINNING, type Duration, estimateDuration, type Need, type Standing } from "../../core/estimate/needs.ts";
import { type Fit, fitOf, type Machine, type Proposal, propose, type Shortage } from "../../core/estimate/fit.ts";
import { freeResources, type Resources } from "../../core/estimate/resources.ts";
import { newestCommonStep } from "../../core/training/start.ts";
import { bytes } from "../bytes.ts";
import { Progress, timeToCome } from "../progress.ts";
import { commandLines, harvestHint } from "./harvest_hint.ts";
import type { TrainRequest } from "./request.ts";

/** A run before it starts. */
export interface Estimate {
  /** What it needs, and whether it fits. */
  readonly fit: Fit;
  /** What is free. */
  readonly free: Resources;
  /** How long it takes; null when that was not measured, as it does not fit. */
  readonly duration: Duration | null;
  /** What fits in its place; null when it fits itself, when nothing tried does, and where a run is resumed. */
  readonly proposal: Proposal | null;
}

/**
 * Estimates a run and holds it against this machine.
 *
 * @param gpu The device that it is to run on.
 * @param request The run.
 * @returns The estimate.
 * @throws {UserError} When the model's files do not fit each other, or the device fails.
 */
export async function estimate(gpu: Gpu, request: TrainRequest): Promise<Estimate> {
  const progress = new Progress("Estimating");
  const show = (done: number, what: string) => progress.show(done, 2, what, null);
  try {
    show(0, "memory and disk");
    const { directory, resumed } = request;
    const standing = resumed ? await standingOf(request) : BEGINNING;
    const base = Deno.memoryUsage().rss, free = await freeResources(gpu, dirname(directory));
    const machine: Machine = { gpu, free, base };
    const fit = await fitOf(machine, request, standing);
    if (fit.shortage) {
      const proposal = resumed ? null : await propose(machine, request, fit);
      return { fit, free, duration: null, proposal };
    }
    show(1, "time");
    return { fit, free, duration: await estimateDuration(gpu, request, fit.rehearsal!, standing), proposal: null };
  } finally {
    progress.stop();
  }
}

async function standingOf(request: TrainRequest): Promise<Standing> {
  return { step: await newestCommonStep(request), written: await sizeOf(request.directory) };
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
 * @param request The run.
 * @param estimate Its estimate.
 * @returns An error that says what it needs, what there is and what would fit; null when it fits.
 */
export function refusal({ directory, resumed }: TrainRequest, { fit, proposal }: Estimate): UserError | null {
  const { shortage } = fit;
  if (shortage === null) return null;
  const free = shortage.of === "disk"
    ? `free some of ${dirname(directory)} or choose another --runs`
    : "free some of it";
  const remedy = proposal
    ? `use ${proposal.flags.join(" ")}`
    : resumed
    ? `${free}, or go on on a larger machine`
    : `nothing smaller that was tried fits; ${free}`;
  return new UserError({ ...reasonOf(shortage), remedy });
}

/** Why a plan does not fit; what a tensor that is too large says to do about it is replaced. */
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
 * @param estimate The estimate of a run that fits.
 * @returns Lines of less than 80 columns.
 */
export function shortEstimate({ fit, free, duration: time }: Estimate): string[] {
  const { gpu, host, disk } = fit.needs!;
  const memory = fit.gpuFree === null
    ? `${bytes(gpu.peak + host.peak)} of ${bytes(free.host + taken(host))} free`
    : `GPU ${bytes(gpu.peak)}, host ${bytes(host.peak)} of ${bytes(free.host + taken(host))} free`;
  return [
    `  memory  at most ${memory}`,
    `  disk    ${bytes(disk.peak)} of ${bytes(free.disk)} free`,
    `  time    about ${timeToCome(time!.seconds)}, from ${range(time!)}`,
  ];
}

/** What the program holds already is not free any more, but part of its need. */
function taken({ parts: [program] }: Need): number {
  return program.amount;
}

function range({ range: [low, high] }: Duration): string {
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
 * The estimate as a table.
 *
 * @param request The run.
 * @param estimate Its estimate.
 * @returns Lines of at most 80 columns, but for the run's directory and a command; none when nothing is known but that a tensor is too large.
 */
export function estimateTable(
  request: TrainRequest,
  { fit, free, duration: time }: Estimate,
): string[] {
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
    total("in all", timeToCome(time.seconds), range(time)),
    ...time.basis.map((line) => pc.dim(`  ${line}`)),
    ...hint === null ? [] : ["", pc.bold(`Its activations, ${bytes(hint.bytes)}, for --activations of several runs`)],
    ...hint === null ? [] : commandLines(hint.command, 78).map((line) => `  ${line}`),
  ];
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
 * @param estimate Its estimate.
 * @param adapter The GPU's name.
 * @returns A value to be printed as JSON.
 */
export function estimateJson(request: TrainRequest, { fit, free, duration, proposal }: Estimate, adapter: string) {
  const amounts = ({ parts, peak }: Need) => ({
    parts: Object.fromEntries(parts.map(({ name, amount }) => [name, Math.round(amount)])),
    peak: Math.round(peak),
  });
  const { needs, shortage, gpuFree } = fit, hint = harvestHint(request);
  return {
    run: request.directory,
    model: request.model.name,
    adapter,
    mappings: request.transcoders.map(({ source, target }) => ({ layer: target.layer, source, target })),
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
