/**
 * Analysing the records of several transcoders beside each other, in Workers.
 * @module
 */

import type { FeatureRecord } from "../../core/analysis/record.ts";
import type { AnalysedTranscoder, RecordedAnalysis, RecordedBesides } from "../../core/runs/recorded.ts";
import { Workers } from "../../core/workers.ts";
import { Progress } from "../progress.ts";

/** What {@link openAnalysing} is given of one transcoder. */
export interface RecordedTask {
  /** What it does on its reading set. */
  readonly record: FeatureRecord;
  /** The transcoder. */
  readonly transcoder: AnalysedTranscoder;
  /** What is known of it besides. */
  readonly besides: RecordedBesides;
}

/** Workers that analyse. */
export interface Analysing extends AsyncDisposable {
  /**
   * Analyses one transcoder; of those that are analysed at once, the first one's progress is shown. Its activations and its decoder are given
   * away: nothing can be read of them afterwards.
   */
  analyse(title: string, task: RecordedTask): Promise<RecordedAnalysis>;
}

/**
 * Opens Workers that analyse records, as many as there are cores, each once it is needed.
 *
 * @returns Them.
 */
export function openAnalysing(): Analysing {
  const url = new URL("./recorded_worker.ts", import.meta.url);
  const workers = new Workers<RecordedTask, RecordedAnalysis>(url, navigator.hardwareConcurrency),
    shown: RecordedTask[] = [];
  return {
    async analyse(title, task) {
      const { record, transcoder } = task;
      let progress: Progress | null = null;
      shown.push(task);
      try {
        const given = [record.index, record.value, record.residualSquares, transcoder.weights.decoder];
        return await workers.ask(task, (label, done, total) => {
          const isShown = shown[0] === task, text = `${title}: ${label}`;
          if (progress?.label !== text || !isShown) {
            progress?.stop();
            progress = isShown ? new Progress(text) : null;
          }
          progress?.advance({ done: Number(done), total: Number(total) });
        }, [...new Set(given.map(({ buffer }) => buffer))]);
      } finally {
        (progress as Progress | null)?.stop();
        shown.splice(shown.indexOf(task), 1);
      }
    },
    [Symbol.asyncDispose]: () => workers[Symbol.asyncDispose](),
  };
}
