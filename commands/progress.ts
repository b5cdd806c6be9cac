/**
 * Progress on stderr: a bar on a terminal, one plain line every few seconds otherwise.
 * @module
 */

import cliProgress from "cli-progress";

/** Seconds between the plain lines. */
const LINE_EVERY_S = 5;
/** Columns of a whole bar. */
const BAR_COLUMNS = 20;

/** How far some work is. */
export interface ProgressState {
  /** What is being done, for example `Training`. */
  readonly label: string;
  /** Units done. */
  readonly done: number;
  /** Units in all. */
  readonly total: number;
  /** What else to say, the most important first: a narrow terminal shows only as many as fit. */
  readonly notes: readonly string[];
  /** The time left, or "" when there is no estimate. */
  readonly left: string;
}

/**
 * Writes progress as one line of a terminal; the bar takes what room the words leave.
 *
 * @param state How far the work is.
 * @param columns The terminal's width; the line stays below it, so that it never wraps.
 * @returns The line, without control characters.
 */
export function progressLine({ label, done, total, notes, left }: ProgressState, columns: number): string {
  const counts = `${done}/${total}`;
  const line = (bar: string, shown: readonly string[]) =>
    [[label, bar, counts].filter((part) => part !== "").join(" "), ...shown, left].filter((part) => part !== "").join(
      "  ",
    );
  let shown = notes;
  while (shown.length > 0 && line("", shown).length >= columns) shown = shown.slice(0, -1);
  const room = Math.min(BAR_COLUMNS, columns - 2 - line("", shown).length);
  const filled = total > 0 ? Math.floor(room * Math.min(1, done / total)) : 0;
  const bar = room > 2 ? "█".repeat(filled) + "░".repeat(room - filled) : "";
  return line(bar, shown).slice(0, columns - 1);
}

/** One bar. */
export class Progress {
  #bar: InstanceType<typeof cliProgress.SingleBar> | null = null;
  #state: ProgressState;
  readonly #isTerminal = Deno.stderr.isTerminal();
  #lastLine = performance.now();

  /**
   * @param label What is being done, for example `Training`.
   */
  constructor(readonly label: string) {
    this.#state = { label, done: 0, total: 0, notes: [], left: "" };
  }

  /**
   * Shows how far the work is.
   *
   * @param done Units done.
   * @param total Units in all.
   * @param note What else to say, for example the rate.
   * @param secondsLeft An estimate, or null when there is none yet.
   * @param short The note for a terminal, in parts, the most important first; the note itself if left out.
   */
  show(done: number, total: number, note: string, secondsLeft: number | null, short: readonly string[] = [note]): void {
    const left = secondsLeft === null ? "" : `${duration(secondsLeft)} left`;
    if (this.#isTerminal) {
      this.#state = { label: this.label, done, total, notes: short, left };
      return this.#draw();
    }
    const now = performance.now();
    if (now - this.#lastLine < LINE_EVERY_S * 1000 && done < total) return;
    this.#lastLine = now;
    console.error([`${this.label} ${done}/${total}`, note, left].filter((part) => part !== "").join("  "));
  }

  #draw(): void {
    const { done, total } = this.#state;
    if (this.#bar === null) {
      const format = (_: unknown, { maxWidth }: { maxWidth: number }) => progressLine(this.#state, maxWidth);
      // The library would take the signals that end the program, and leave a killed one's terminal without cursor or wrapping.
      const options = { format, clearOnComplete: true, gracefulExit: false, hideCursor: false, linewrap: true };
      this.#bar = new cliProgress.SingleBar(options);
      this.#bar.start(total, done);
    }
    this.#bar.setTotal(total);
    this.#bar.update(done);
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
 * @returns For example `42 s`, `3:07 min`, `2:05 h` or `5.5 days`.
 */
export function duration(seconds: number): string {
  const s = Math.round(seconds);
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s >= 172_800) return `${(s / 86_400).toFixed(s < 864_000 ? 1 : 0)} days`;
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)} min` : `${Math.floor(s / 3600)}:${two(s % 3600 / 60)} h`;
}
