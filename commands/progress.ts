/**
 * Progress on stderr: a bar on a terminal, one plain line every few seconds otherwise.
 * @module
 */

import cliProgress from "cli-progress";

/** Seconds between the plain lines. */
const LINE_EVERY_S = 5;

/** One bar; nothing is printed before the work has lasted long enough to be worth watching. */
export class Progress {
  #bar: InstanceType<typeof cliProgress.SingleBar> | null = null;
  readonly #isTerminal = Deno.stderr.isTerminal();
  #lastLine = performance.now();

  /**
   * @param label What is being done, for example `Training`.
   */
  constructor(readonly label: string) {}

  /**
   * Shows how far the work is.
   *
   * @param done Units done.
   * @param total Units in all.
   * @param note What else to say, for example the rate.
   * @param secondsLeft An estimate, or null when there is none yet.
   */
  show(done: number, total: number, note: string, secondsLeft: number | null): void {
    const left = secondsLeft === null ? "" : `${duration(secondsLeft)} left`;
    if (this.#isTerminal) {
      if (!this.#bar) {
        const format = `${this.label} {bar} {value}/{total}  {note}  {left}`;
        const options = { format, barsize: 20, hideCursor: true, clearOnComplete: true };
        this.#bar = new cliProgress.SingleBar(options, cliProgress.Presets.shades_classic);
        this.#bar.start(total, done, { note, left });
      }
      this.#bar.setTotal(total);
      this.#bar.update(done, { note, left });
      return;
    }
    const now = performance.now();
    if (now - this.#lastLine < LINE_EVERY_S * 1000 && done < total) return;
    this.#lastLine = now;
    console.error([`${this.label} ${done}/${total}`, note, left].filter((part) => part !== "").join("  "));
  }

  /** Removes the bar; what was printed as lines stays. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = null;
  }
}

/**
 * A duration as a person says it.
 *
 * @param seconds Seconds, not negative.
 * @returns For example `42 s`, `3:07 min` or `2:05 h`.
 */
export function duration(seconds: number): string {
  const s = Math.round(seconds);
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  if (s < 60) return `${s} s`;
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)} min` : `${Math.floor(s / 3600)}:${two(s % 3600 / 60)} h`;
}
