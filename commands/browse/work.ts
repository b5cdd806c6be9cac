/**
 * Answers to work that takes a while: a line of JSON whenever there is something to tell, the last one with the outcome. A reader who leaves
 * ends the work.
 * @module
 */

import type { WorkLine } from "../../reports/browser/served.ts";
import { answer } from "./guard.ts";
import { messageOf } from "./runs.ts";

/** Lines about how far the work is come at most this often. */
const EVERY_MS = 100;

/**
 * Answers with the lines of some work.
 *
 * @param work Does it, telling how it stands.
 * @returns The answer, which begins at once.
 */
export function working<T>(
  work: (tell: (line: WorkLine<never>) => void, signal: AbortSignal) => Promise<T>,
): Response {
  const ending = new AbortController();
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async start(stream) {
      const say = (line: WorkLine<T>) => {
        if (!ending.signal.aborted) stream.enqueue(encoder.encode(JSON.stringify(line) + "\n"));
      };
      let told = -Infinity;
      const tell = (line: WorkLine<never>) => {
        const now = performance.now(), isFurther = line.kind === "working" && line.done > 0 && line.done < line.total;
        if (isFurther && now - told < EVERY_MS) return;
        told = now;
        say(line);
      };
      try {
        say({ kind: "done", answer: await work(tell, ending.signal) });
      } catch (error) {
        say({ kind: "failed", message: messageOf(error) });
      }
      if (!ending.signal.aborted) stream.close();
    },
    cancel: () => ending.abort(),
  });
  return answer(body, "application/x-ndjson");
}
