/**
 * The end of the process: what must have ended before it, and the signals that ask for it.
 *
 * SIGTERM, SIGHUP and SIGUSR2 (as a cluster's engine sends them) and Ctrl-C stop a command at once, unless it asks with {@link stopGently} to
 * be told instead. A listener hears nothing while synchronous code runs, so Ctrl-C is left to the system where that suffices.
 * @module
 */

import process from "node:process";
import { UserError } from "./errors.ts";

/** Stopped with everything saved: the same command, run again, goes on. */
const STOPPED = 75;
/** The same after Ctrl-C, as shells have it. */
const INTERRUPTED = 130;

const ends = new Set<() => void | Promise<void>>();

/**
 * Remembers something that must be ended before the process is: a thread, a half-written file.
 *
 * @param end Ends it; it may be called when that has happened already.
 * @returns Forgets it.
 */
export function endFirst(end: () => void | Promise<void>): () => void {
  ends.add(end);
  return () => ends.delete(end);
}

/** Ends all that {@link endFirst} knows of; what fails to end does not keep the process. */
export async function endAll(): Promise<void> {
  await Promise.allSettled([...ends].map(async (end) => await end()));
}

const INTERRUPT: Deno.Signal = "SIGINT", HANGUP: Deno.Signal = "SIGHUP";
const REQUESTS: readonly Deno.Signal[] = Deno.build.os === "windows" ? [] : ["SIGTERM", HANGUP, "SIGUSR2"];

/** The signal that came first; null as long as none did. */
let first: Deno.Signal | null = null;
/** Whether Ctrl-C has come before. */
let isInterrupted = false;
/** Whether a command stops for another reason than a signal. */
let isUnasked = false;
/** Who is told of signals in place of the end. */
let told: ((signal: Deno.Signal) => void) | null = null;
/** Whether a hang-up is to be ignored; null before the first listener. */
let isDeaf: boolean | null = null;
const listening = new Map<Deno.Signal, () => void>();

/**
 * Listens for signals from now on. As process 1 of a container it must, as those that are not listened for do nothing there.
 */
export function listenForSignals(): void {
  outliveListeners();
  listen(Deno.pid === 1 ? [...REQUESTS, INTERRUPT] : REQUESTS);
}

/**
 * Asks to be told of the signals in place of the end. Further ones, as engines send them, change nothing, but for a second Ctrl-C, which
 * ends the process at once.
 *
 * @param onSignal Hears of the first signal, and of a Ctrl-C behind it.
 * @returns What makes signals end the process again.
 */
export function stopGently(onSignal: (signal: Deno.Signal) => void): Disposable {
  const before = [...listening.keys()];
  listen([...REQUESTS, INTERRUPT]);
  told = onSignal;
  return {
    [Symbol.dispose]() {
      told = null;
      for (const [signal, listener] of listening) {
        if (before.includes(signal)) continue;
        Deno.removeSignalListener(signal, listener);
        listening.delete(signal);
      }
    },
  };
}

/**
 * Counts as asked to stop from outside, for a command that stops for another reason than a signal: it exits with 75.
 */
export function stopUnasked(): void {
  isUnasked = true;
}

/**
 * What a process that was asked to stop exits with.
 *
 * @returns 130 after Ctrl-C, 75 after any other signal and where it was none.
 */
export function stoppedCode(): number {
  return first === INTERRUPT || (first === null && !isUnasked) ? INTERRUPTED : STOPPED;
}

function listen(signals: readonly Deno.Signal[]): void {
  // From the first listener on Deno ends the process at these signals, even where they were ignored before.
  isDeaf ??= isHangupIgnored();
  for (const signal of signals) {
    if (listening.has(signal)) continue;
    const listener = signal === HANGUP && isDeaf ? () => {} : () => hear(signal);
    Deno.addSignalListener(signal, listener);
    listening.set(signal, listener);
  }
}

function hear(signal: Deno.Signal): void {
  const isFirst = first === null, isAgain = signal === INTERRUPT && isInterrupted;
  first ??= signal;
  isInterrupted ||= signal === INTERRUPT;
  if (told === null || isAgain) return void leave();
  if (isFirst || signal === INTERRUPT) told(signal);
}

/**
 * What is said to a terminal that is gone, even before its SIGHUP is heard, is lost, and must not keep the process from saving itself; nor must
 * a log for which the disk has no room. A result is not lost in silence: where stdout leads to a file that takes no more, the command fails.
 */
function outliveListeners(): void {
  for (const [name, stream] of [["log", "stdout"], ["error", "stderr"]] as const) {
    const isTerminal = Deno[stream].isTerminal(), isResult = stream === "stdout" && !isTerminal;
    if (isTerminal) process[stream].on("error", () => {});
    const say = console[name];
    console[name] = (...parts) => {
      try {
        say(...parts);
      } catch (error) {
        if (isResult) throw untold(error);
      }
    };
  }
}

function untold(error: unknown): UserError {
  return new UserError({
    action: "write to stdout",
    requirement: "what it leads to must take the result",
    found: error instanceof Error ? error.message : String(error),
    remedy: "free some space or lead it elsewhere",
  });
}

async function leave(): Promise<void> {
  await endAll();
  Deno.exit(stoppedCode());
}

/**
 * Whether whoever started the process made it deaf to SIGHUP, as `nohup` does, which is to stay so. Where the system does not tell, a
 * process without a terminal counts as one, unless an engine runs it.
 */
function isHangupIgnored(): boolean {
  if (Deno.pid === 1) return false;
  try {
    return /^SigIgn:.*[13579bdf]$/m.test(Deno.readTextFileSync("/proc/self/status"));
  } catch {
    const hasTerminal = [Deno.stdin, Deno.stdout, Deno.stderr].some((stream) => stream.isTerminal());
    return !hasTerminal && Deno.env.get("SLURM_JOB_ID") === undefined;
  }
}
