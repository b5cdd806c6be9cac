/**
 * How the tasks of a plan speak: a sentence on stderr for people, an event on stdout for programs.
 * @module
 */

import { printable } from "../../core/errors.ts";
import { jsonLines, type RunEvent } from "../train/events.ts";

/** Says what happens to a task, as an event or in a sentence. */
export type Say = (event: RunEvent, sentence: string) => void;

/**
 * Chooses how to speak.
 *
 * @param log The form of `--log`.
 * @returns What says it.
 */
export function voiceOf(log: "text" | "json" | undefined): Say {
  const print = jsonLines();
  return log === "json" ? (event) => print(event) : (_, sentence) => console.error(`mtc: ${printable(sentence)}`);
}

/**
 * What the engine calls this process, if one runs it.
 *
 * @returns For example `slurm 4711_3`; undefined where none is known to.
 */
export function jobName(): string | undefined {
  const slurm = Deno.env.get("SLURM_ARRAY_JOB_ID"), index = Deno.env.get("SLURM_ARRAY_TASK_ID");
  if (slurm && index) return `slurm ${slurm}_${index}`;
  const job = Deno.env.get("SLURM_JOB_ID"), completion = Deno.env.get("JOB_COMPLETION_INDEX");
  return job ? `slurm ${job}` : completion ? `kubernetes ${completion}` : undefined;
}
