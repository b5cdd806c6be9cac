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
}

/**
 * Puts a reason into one sentence.
 *
 * @param reason Its parts.
 * @returns For example `Cannot read model.safetensors: the header promises 4,011,488 bytes, the file has 1,000; download it again`.
 */
export function sentenceOf({ action, requirement, found, remedy }: Reason): string {
  const reason = [requirement, found].filter((part) => part !== undefined).join(", ");
  return `Cannot ${action}${reason === "" ? "" : `: ${reason}`}${remedy === undefined ? "" : `; ${remedy}`}`;
}

/**
 * The work failed for a reason outside the program: a file, a disk, an adapter. Exit code 1.
 *
 * Nobody reads the message but people: what a program wants to know of a failure are its fields, or its class.
 */
export class UserError extends Error {
  /** Distinguishes this class in logs. */
  override name = "UserError";
  /** The parts of the message; a reason that is a whole sentence of its own has only that. */
  readonly parts: Reason;

  /**
   * Makes the error.
   *
   * @param reason Why something cannot be done, in parts.
   */
  constructor(reason: Reason | string) {
    super(typeof reason === "string" ? reason : sentenceOf(reason));
    this.parts = typeof reason === "string" ? { action: reason } : reason;
  }
}

/** The command line or a configuration is wrong; nothing was started. Exit code 2. */
export class UsageError extends UserError {
  /** Distinguishes this class in logs. */
  override name = "UsageError";
}

/** The user stopped the work and it ended cleanly; the message says how to go on. Exit code 130. */
export class Interrupted extends UserError {
  /** Distinguishes this class in logs. */
  override name = "Interrupted";
}
