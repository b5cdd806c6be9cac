/**
 * The engines that tasks can be printed for.
 * @module
 */

/** Their names. */
export const ENGINES = ["slurm", "kubernetes", "skypilot"] as const;

/** One of them. */
export type Engine = typeof ENGINES[number];
