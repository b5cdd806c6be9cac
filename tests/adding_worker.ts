/** A Worker for tests: adds numbers one by one, refuses those below 0, and fails as a whole at infinity. */

import { answerTasks } from "../core/workers.ts";

answerTasks((numbers: number[], say) => {
  let sum = 0;
  for (const [n, number] of numbers.entries()) {
    if (number < 0) throw new RangeError(`Cannot add ${number}`);
    // Thrown outside of the task, it ends the Worker.
    if (number === Infinity) queueMicrotask(() => reportError(new Error("overflowed")));
    say(n + 1, numbers.length);
    sum += number;
  }
  return sum < Infinity ? sum : new Promise<number>(() => {});
});
