/**
 * The Worker that analyses records; analysing.ts is the other end.
 * @module
 */

import { analyzeRecord } from "../../core/runs/recorded.ts";
import { answerTasks } from "../../core/workers.ts";
import type { RecordedTask } from "./analysing.ts";

answerTasks(({ record, transcoder, besides }: RecordedTask, say) => {
  return analyzeRecord(record, transcoder, besides, (label, analyze) => {
    return analyze((done, total) => say(label, done, total));
  });
});
