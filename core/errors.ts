/**
 * The failures a user can mend or asked for. Anything else that reaches `main.ts` is a defect of mtc and keeps its stack trace.
 * @module
 */

/**
 * The work failed for a reason outside the program: a file, a disk, an adapter. Exit code 1.
 *
 * The message is one sentence that names the action, the requirement, the current value and the remedy, for example
 * `Cannot read model.safetensors: the header promises 4,011,488 bytes, the file has 1,000; download it again`.
 */
export class UserError extends Error {
  /** Distinguishes this class in logs. */
  override name = "UserError";
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
