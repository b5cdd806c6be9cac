/**
 * What a run tells programs, as events with figures and no words: `--log json` prints them, one per line, and a task of a sweep keeps the last
 * of them in its status.json.
 * @module
 */

import type { FinishObserver } from "../../core/training/finish.ts";
import type { TrainingObserver } from "../../core/training/session.ts";

/** Something that happened. */
export interface RunEvent {
  /** What. */
  readonly event: string;
  /** Its figures. */
  readonly [figure: string]: unknown;
}

/** Hears of what happens. */
export type Listener = (event: RunEvent) => void;

/** Events that come many times a second, of which those between two of such a distance in seconds are left out. */
const FREQUENT: readonly string[] = ["loading", "filling", "step", "sampling", "evaluating", "measuring_loss"],
  EVERY_S = 5;

/**
 * Prints events on stdout, each a line of JSON with the time, in UTC.
 *
 * @returns The listener.
 */
export function jsonLines(): Listener {
  const last = new Map<string, number>();
  return (event) => {
    const now = performance.now(), before = last.get(event.event) ?? -Infinity, isLast = event.done === event.total;
    if (FREQUENT.includes(event.event) && now - before < 1000 * EVERY_S && !(isLast && event.done !== undefined)) {
      return;
    }
    last.set(event.event, now);
    console.log(JSON.stringify({ time: new Date().toISOString(), ...event }));
  };
}

/**
 * The observers of a run that turn what they hear into events.
 *
 * @param listen Hears of them.
 * @param steps The steps of the run.
 * @returns Those of training, and of what follows.
 */
export function eventObservers(
  listen: Listener,
  steps: number,
): { readonly observer: TrainingObserver; readonly finishObserver: FinishObserver } {
  const work = (event: string) => (done: number, total: number) => listen({ event, done, total });
  return {
    observer: {
      loading: work("loading"),
      filling: (buffer, done, total) => listen({ event: "filling", buffer, done, total }),
      rounded: (errors) => listen({ event: "rounded", errors }),
      metricsLost: (directory, step) => listen({ event: "metrics_lost", directory, step }),
      measured() {},
      stepped: (step, transcoders, tokens_per_second) => {
        const figures = transcoders.map(({ name, metrics: { loss, fvu, l0, deadFeatures } }) => {
          return { name, loss, fvu: fvu.at(-1), l0, dead_features: deadFeatures };
        });
        listen({ event: "step", done: step, total: steps, tokens_per_second, transcoders: figures });
      },
      checkpointed: (step, seconds) => listen({ event: "checkpoint", step, steps, seconds }),
    },
    finishObserver: {
      sampling: work("sampling"),
      counted: (counts) => listen({ event: "counted", ...counts }),
      evaluating: work("evaluating"),
      loading: work("loading"),
      measuringLoss: work("measuring_loss"),
      lossFailed: ({ message }) => listen({ event: "loss_failed", reason: message }),
    },
  };
}

/**
 * Two observers as one.
 *
 * @param a The one that hears first.
 * @param b The other.
 * @returns What tells both.
 */
export function both<T extends { [K in keyof T]: (...heard: never[]) => void }>(a: T, b: T): T {
  const names = Object.keys(a) as (keyof T)[];
  return Object.fromEntries(names.map((name) => [name, (...heard: never[]) => {
    a[name](...heard);
    b[name](...heard);
  }])) as T;
}
