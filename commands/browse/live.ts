/**
 * What a run has logged so far, and how long it will take.
 * @module
 */

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { thinnedRows } from "../../core/analysis/thinned.ts";
import { METRICS_FILE } from "../../core/runs/metrics.ts";
import type { FollowedMetrics } from "../../core/runs/metrics_tail.ts";
import type { ServedMetrics, ServedProgress } from "../../reports/browser/served.ts";
import type { BrowsedRuns, FoundTranscoder } from "./runs.ts";

/** A curve has at most so many points at once: more than any screen has columns. */
const MOST_POINTS = 4000;
/** The pace is that of the last so many logged steps, or of half of them where there are fewer. */
const PACE_ROWS = 200;

/** What a page has already. */
export interface Known {
  /** The generation of its rows; any other number for none. */
  readonly generation: number;
  /** How many rows there were. */
  readonly rows: number;
  /** Only rows of steps from here, */
  readonly from: number;
  /** to here. */
  readonly to: number;
}

/**
 * Tells what a transcoder has logged.
 *
 * @param runs Where it was found.
 * @param transcoder The transcoder.
 * @param known What is not to be told again.
 * @returns The rows behind, all of them where the file was written anew; thinned where they are many.
 * @throws {UserError} When metrics.csv is damaged; a transcoder without one has no rows yet.
 */
export async function loggedBy(runs: BrowsedRuns, transcoder: FoundTranscoder, known: Known): Promise<ServedMetrics> {
  const info = await stat(join(transcoder.path, METRICS_FILE)).catch(() => null);
  if (info === null) {
    return { generation: 0, rows: 0, isThinned: false, columns: {}, progress: progressOf(transcoder, null, null) };
  }
  const metrics = await runs.tail(transcoder).read(), { generation, columns, values } = metrics;
  const rows = values[0]?.length ?? 0, first = generation === known.generation ? Math.min(known.rows, rows) : 0;
  const chosen = chosenRows(metrics, first, known);
  return {
    ...{ generation, rows },
    isThinned: chosen.isThinned,
    columns: Object.fromEntries(
      columns.map((
        name,
        c,
      ) => [name, chosen.rows.map((row) => Number.isFinite(values[c][row]) ? values[c][row] : null)]),
    ),
    progress: progressOf(transcoder, metrics, info.mtimeMs),
  };
}

/** Of the rows from `first` on, those of the steps asked for. */
function chosenRows({ columns, values }: FollowedMetrics, first: number, { from, to }: Known) {
  const steps = column({ columns, values }, "step"), loss = column({ columns, values }, "loss");
  const begin = Math.max(first, firstAtLeast(steps, from)), end = firstAtLeast(steps, to + 1);
  const rows = thinnedRows(end === loss.length ? loss : loss.slice(0, end), begin, MOST_POINTS);
  return { rows, isThinned: rows.length < end - begin };
}

function column({ columns, values }: Pick<FollowedMetrics, "columns" | "values">, name: string): readonly number[] {
  return values[columns.indexOf(name)] ?? [];
}

/** The first of ascending numbers that is not below a limit; behind the last one where there is none. */
function firstAtLeast(numbers: readonly number[], limit: number): number {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

function progressOf(
  { state, detail, config }: FoundTranscoder,
  metrics: FollowedMetrics | null,
  written: number | null,
): ServedProgress {
  const step = metrics ? column(metrics, "step").at(-1) ?? 0 : 0, steps = config?.steps ?? 0;
  const secondsLeft = metrics && state === "training" ? timeLeft(metrics, steps) : null;
  return { state, detail, step, steps, secondsLeft, written };
}

/** At the pace of late, the harvest that it takes included. */
function timeLeft(metrics: FollowedMetrics, total: number): number | null {
  const steps = column(metrics, "step"), elapsed = column(metrics, "elapsed_s"), last = steps.length - 1;
  const since = Math.max(0, last - Math.min(PACE_ROWS, Math.ceil(last / 2)));
  const pace = (elapsed[last] - elapsed[since]) / (steps[last] - steps[since]), left = total - steps[last];
  return left > 0 && Number.isFinite(pace) && pace >= 0 ? left * pace : null;
}
