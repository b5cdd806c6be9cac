/**
 * Progress on stderr: a bar on a terminal, one plain line every few seconds otherwise.
 * @module
 */

import cliProgress from "cli-progress";
import { decimal, duration } from "../reports/format.ts";

/** Seconds between the plain lines. */
const LINE_EVERY_S = 5;
/** Seconds after which the last line is said again where nothing comes on, so that nobody takes a first compilation for a hang. */
const AGAIN_AFTER_S = 10;
/** Seconds before which a rate would tell of the start. */
const QUIET_S = 1;
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

/**
 * How fast something goes, from when this was made, and how long the rest will take: the only place that reckons it.
 */
export class Pace {
  readonly #started = performance.now();

  /** Seconds since it began. */
  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /**
   * The rate so far.
   *
   * @param done Units done since it began.
   * @returns Units per second; null in the first second, as work is queued faster than it is done.
   */
  rate(done: number): number | null {
    const { seconds } = this;
    return seconds < QUIET_S ? null : done / seconds;
  }

  /**
   * The time left, if the rest goes as what is done.
   *
   * @param done Units done.
   * @param total Units in all.
   * @param since Those done since it began, where others were done before.
   * @returns Seconds; null when there is no rate yet.
   */
  left(done: number, total: number, since = done): number | null {
    const rate = this.rate(since);
    return rate === null || since === 0 ? null : Math.max(0, total - done) / rate;
  }
}

/** How far some work is, for {@link Progress.advance}. */
export interface Work {
  /** Units done. */
  readonly done: number;
  /** Units in all. */
  readonly total: number;
  /** Units done since the bar was made, where others were done before; all of `done` if left out. */
  readonly since?: number;
  /** What the rate counts, for example `tokens`; no rate is shown if left out. */
  readonly unit?: string;
  /** How many of it a unit done is; 1 if left out. */
  readonly each?: number;
}

/** Hears how far work is. */
export type ProgressListener = (label: string, done: number, total: number) => void;

let listener: ProgressListener | null = null;

/**
 * Has all progress of this thread told to somebody, in the place of the terminal.
 *
 * @param told Hears of it.
 */
export function tellProgressTo(told: ProgressListener): void {
  listener = told;
}

/** One bar, with its own pace. */
export class Progress {
  #bar: InstanceType<typeof cliProgress.SingleBar> | null = null;
  #state: ProgressState;
  readonly #isTerminal = Deno.stderr.isTerminal();
  #lastLine = performance.now();
  /** What is said again. */
  #lastSaid = "";
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Counts from when the bar was made. */
  readonly pace = new Pace();

  /**
   * @param label What is being done, for example `Training`.
   */
  constructor(readonly label: string) {
    this.#state = { label, done: 0, total: 0, notes: [], left: "" };
  }

  /**
   * Shows work with its rate and the time left; nothing in the first second, when neither is known and it may be over soon.
   *
   * @param work How far it is.
   */
  advance({ done, total, since = done, unit, each = 1 }: Work): void {
    const rate = this.pace.rate(since * each);
    if (rate === null) return;
    const note = unit === undefined ? "" : perSecond(rate, unit);
    this.show(Math.floor(done), Math.ceil(total), note, this.pace.left(done, total, since));
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
    if (listener) return listener(this.label, done, total);
    const left = secondsLeft === null ? "" : `${timeToCome(secondsLeft)} left`;
    if (this.#isTerminal) {
      this.#state = { label: this.label, done, total, notes: short, left };
      return this.#draw();
    }
    const now = performance.now(), line = [`${this.label} ${done}/${total}`, note, left].filter((part) => part !== "");
    this.#lastSaid = line.join("  ");
    if (done < total) this.#timer ??= setInterval(() => this.#sayAgain(), AGAIN_AFTER_S * 1000 / 2);
    else this.#rest();
    if (now - this.#lastLine < LINE_EVERY_S * 1000 && done < total) return;
    this.#lastLine = now;
    console.error(line.join("  "));
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #sayAgain(): void {
    const now = performance.now();
    if (now - this.#lastLine < AGAIN_AFTER_S * 1000) return;
    this.#lastLine = now;
    console.error(this.#lastSaid);
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
    this.#rest();
  }
}

/**
 * A rate as a person reads it.
 *
 * @param rate Units per second.
 * @param unit What they are.
 * @returns For example `6,213 tokens/s` or `0.5 MB/s`.
 */
export function perSecond(rate: number, unit: string): string {
  return `${decimal(rate, rate < 100 ? 1 : 0)} ${unit}/s`;
}

/** From here on a time to come is said in days, and with a decimal up to ten of them; seconds. */
const DAYS_FROM_S = 172_800, WHOLE_DAYS_FROM_S = 864_000;

/**
 * A time to come, which nobody knows to the minute when it is days.
 *
 * @param seconds Seconds, not negative.
 * @returns For example `42 s`, `3 min 7 s`, `2 h 5 min` or `5.5 days`.
 */
export function timeToCome(seconds: number): string {
  if (seconds < DAYS_FROM_S) return duration(seconds);
  return `${decimal(seconds / 86_400, seconds < WHOLE_DAYS_FROM_S ? 1 : 0)} days`;
}
