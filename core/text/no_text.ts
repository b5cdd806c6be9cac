/**
 * Records that hold no text: what is said of one, and how many were left out.
 * @module
 */

import { UserError } from "../errors.ts";

/** Why a record, or several at once, gives no text. */
export interface NoText {
  /** The file, and the line, row or entry where it is one. */
  readonly where: string;
  /** What must hold. */
  readonly requirement: string;
  /** What holds instead. */
  readonly found: string;
  /** What mends it. */
  readonly remedy: string;
  /** Another column that may hold the text, where the one that is wanted is not there. */
  readonly column?: string;
}

/** A file that is damaged: what comes before the damage has been read, and what follows cannot be. */
export class DamagedFile extends UserError {
  /** Distinguishes this class in logs. */
  override name = "DamagedFile";
}

/** Records that were left out. */
export interface LeftOut {
  /** How many. */
  readonly records: number;
  /** The first of them; null when there are none. */
  readonly first: NoText | null;
}

/** No record. */
export const NOTHING_LEFT_OUT: LeftOut = { records: 0, first: null };
