/**
 * The failures a user can mend or asked for. Anything else that reaches `main.ts` is a defect of mtc and keeps its stack trace.
 * @module
 */

/** Why something cannot be done, in parts; {@link sentenceOf} puts them together. */
export interface Reason {
  /** What was tried, behind "Cannot": `read model.safetensors`. */
  readonly action: string;
  /** What must hold: `the header promises 4,011,488 bytes`. */
  readonly requirement?: string;
  /** What holds instead: `the file has 1,000`. */
  readonly found?: string;
  /** What the user can do: `download it again`. */
  readonly remedy?: string;
  /** What of the remedy an interrupted run can be resumed with: `--bad-lines 100`. The sentence does not say it once more. */
  readonly option?: string;
}

/** The most characters of a part of a sentence; a path and what is said of it take less. */
const MOST_OF_PART = 500;

// deno-lint-ignore no-control-regex
const UNSEEN = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Makes text from outside (of a file, a server, the environment) fit to be printed: what would move the cursor, break the line or turn
 * writing round is spelled out, a password in an address is left out, and what is too long loses its middle.
 *
 * @param text The text.
 * @param most The most characters of it.
 * @returns One line; `\x1b[2J`, spelled so, for what clears a screen.
 */
export function printable(text: string, most: number = MOST_OF_PART): string {
  const seen = text.replace(/(?<=[a-z]:\/\/)[^\s/]+@/gi, "***@").replace(UNSEEN, spelled).toWellFormed();
  if (seen.length <= most) return seen;
  const end = Math.floor(most / 3);
  return `${seen.slice(0, most - end - 5).toWellFormed()} ... ${seen.slice(-end).toWellFormed()}`;
}

function spelled(character: string): string {
  const known: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  const code = character.charCodeAt(0);
  return known[character] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`);
}

/**
 * Puts a reason into one sentence.
 *
 * @param reason Its parts; what they name may come from anywhere.
 * @returns For example `Cannot read model.safetensors: the header promises 4,011,488 bytes, the file has 1,000; download it again`.
 */
export function sentenceOf({ action, requirement, found, remedy }: Reason): string {
  const reason = [requirement, found].filter((part) => part !== undefined).map((part) => printable(part)).join(", ");
  const then = remedy === undefined ? "" : `; ${printable(remedy)}`;
  return `Cannot ${printable(action)}${reason === "" ? "" : `: ${reason}`}${then}`;
}

/**
 * The work failed for a reason outside the program: a file, a disk, an adapter. Exit code 1.
 *
 * Nobody reads the message but people: what a program wants to know of a failure are its fields, or its class.
 */
export class UserError extends Error {
  /** Distinguishes this class in logs. */
  override name = "UserError";
  /** The parts of the message; a reason that came as a whole sentence has only an action. */
  readonly parts: Reason;

  /**
   * Makes the error.
   *
   * @param reason Why something cannot be done, in parts.
   * @param message The sentence, where it is not the one that {@link sentenceOf} makes of the parts.
   */
  constructor(reason: Reason, message: string = sentenceOf(reason)) {
    super(message);
    this.parts = reason;
  }
}

/** The command line or a configuration is wrong; nothing was started. Exit code 2. */
export class UsageError extends UserError {
  /** Distinguishes this class in logs. */
  override name = "UsageError";
}

/** A setting that cannot be. */
export interface BadSetting {
  /** What it is called in config.json: `buffer_tokens`. */
  readonly setting: string;
  /** What it was to be. */
  readonly value: unknown;
  /** What must hold: `it must be a positive whole number`. */
  readonly requirement: string;
  /** The settings that the requirement follows from, and what they are. */
  readonly given?: Readonly<Record<string, unknown>>;
}

/** Settings that cannot be; a command line catches it to say them in its own flags. */
export class SettingError extends UsageError {
  /**
   * Makes the error.
   *
   * @param bad The first setting that cannot be.
   * @param say How a setting and its value are written.
   */
  constructor(
    readonly bad: BadSetting,
    say: (setting: string, value: unknown) => string = (setting, value) => `${setting} = ${value}`,
  ) {
    const { setting, value, requirement, given = {} } = bad;
    const others = Object.entries(given).map(([name, value]) => say(name, value)).join(" and ");
    super({
      action: `train with ${say(setting, value)}`,
      requirement: others === "" ? requirement : `${requirement} for ${others}`,
    });
  }
}

/** The user, or a signal, stopped the work and it ended cleanly. Exit code 130, or 75. */
export class Interrupted extends UserError {
  /** Distinguishes this class in logs. */
  override name = "Interrupted";

  /**
   * Makes the error.
   *
   * @param reason Where the work `stopped`, behind that word: `after step 10 of 30, which is saved`; and what to do next.
   */
  constructor({ stopped, remedy }: { readonly stopped: string; readonly remedy: string }) {
    super(
      { action: "end the work", found: `it was stopped ${stopped}`, remedy },
      printable(`Stopped ${stopped}; ${remedy}`),
    );
  }
}
