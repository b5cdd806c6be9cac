/**
 * metrics.csv followed while a run writes it: rows are taken in as they are appended, and all of them anew once the file is another one, as
 * after a resume, which writes it again up to its checkpoint.
 * @module
 */

import { open } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { requireRegular } from "../files/byte_source.ts";
import { METRICS_FILE } from "./metrics.ts";
import { numberIn } from "./table.ts";

/** What a file held when it was looked at last. */
export interface FollowedMetrics {
  /** Rises when the file was written anew: what was read before may not be in it any more. */
  readonly generation: number;
  /** Its columns, as its first line names them; empty before it has one. */
  readonly columns: readonly string[];
  /** The numbers of each column, row by row; NaN where a cell holds none. */
  readonly values: readonly (readonly number[])[];
  /** Whole lines that are no rows, and were passed over. */
  readonly passedOver: number;
}

/** Bytes that are read at once. */
const PIECE = 1 << 20;
/** The largest file that is followed: three million rows. */
const LARGEST = 1 << 28;
/** No run has so many prefixes. */
const MOST_COLUMNS = 512;
/** Bytes; more without a line end are no row. */
const LONGEST_LINE = 1 << 16;

/** Follows one file. It holds all rows in memory, 8 bytes a cell. */
export class MetricsTail {
  readonly #path: string;
  #generation = 0;
  #columns: string[] = [];
  #values: number[][] = [];
  #passedOver = 0;
  /** Which file it was, how far its whole lines were read, and the last of them: a file with other bytes there is another one. */
  #file = "";
  #offset = 0;
  #last: Uint8Array = new Uint8Array();
  #reading: Promise<FollowedMetrics> | undefined;

  /**
   * Begins with nothing.
   *
   * @param directory The transcoder's directory; the file need not be there yet.
   */
  constructor(directory: string) {
    this.#path = join(directory, METRICS_FILE);
  }

  /**
   * Takes in what was appended since the last time. Calls at once share one reading.
   *
   * @returns All that the file holds. The arrays grow with the next call.
   * @throws {UserError} When the file is missing, may not be read, is no table of steps, or is too large.
   */
  read(): Promise<FollowedMetrics> {
    return this.#reading ??= this.#read().finally(() => this.#reading = undefined);
  }

  async #read(): Promise<FollowedMetrics> {
    try {
      await requireRegular(this.#path);
      await using file = await open(this.#path, "r");
      const { ino, dev, size } = await file.stat();
      if (size > LARGEST) throw tooLarge(this.#path, size);
      const name = `${dev}:${ino}`, piece = new Uint8Array(PIECE);
      const before = await file.read(piece, 0, this.#last.length, this.#offset - this.#last.length);
      const isSame = name === this.#file && before.bytesRead === this.#last.length &&
        this.#last.every((byte, i) => byte === piece[i]);
      if (!isSame) this.#begin(name);
      let end = this.#offset, left: Uint8Array<ArrayBuffer> = new Uint8Array();
      while (end < size) {
        const { bytesRead } = await file.read(piece, 0, Math.min(PIECE, size - end), end);
        if (bytesRead === 0) break;
        end += bytesRead;
        left = this.#takeLines(joined(left, piece.subarray(0, bytesRead)));
        if (left.length > LONGEST_LINE) throw noTable(this.#path, new TextDecoder().decode(left.subarray(0, 100)));
      }
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw fileError("read", this.#path, error);
    }
    return {
      generation: this.#generation,
      columns: this.#columns,
      values: this.#values,
      passedOver: this.#passedOver,
    };
  }

  #begin(file: string): void {
    this.#generation++;
    this.#file = file;
    this.#columns = [];
    this.#values = [];
    this.#passedOver = this.#offset = 0;
    this.#last = new Uint8Array();
  }

  /** Takes in whole lines, and gives back what follows the last of them. */
  #takeLines(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end === 0) return bytes;
    for (const line of new TextDecoder().decode(bytes.subarray(0, end - 1)).split("\n")) this.#takeLine(line);
    this.#offset += end;
    this.#last = bytes.slice(bytes.lastIndexOf(NEWLINE, end - 2) + 1, end);
    return bytes.slice(end);
  }

  #takeLine(line: string): void {
    const cells = line.trimEnd().split(",");
    if (this.#columns.length === 0) {
      if (cells.length > MOST_COLUMNS || !cells.includes("step") || !cells.includes("loss")) {
        throw noTable(this.#path, line);
      }
      this.#columns = cells;
      this.#values = cells.map(() => []);
      return;
    }
    const row = cells.map((cell) => numberIn(cell, true) ?? NaN), at = this.#columns.indexOf("step");
    if (cells.length !== this.#columns.length || !(row[at] > (this.#values[at].at(-1) ?? 0))) {
      this.#passedOver++;
      return;
    }
    row.forEach((value, column) => this.#values[column].push(value));
  }
}

const NEWLINE = 10;

function joined(a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function tooLarge(path: string, size: number): UserError {
  return new UserError({
    action: `follow ${path}`,
    requirement: `it must hold at most ${LARGEST.toLocaleString("en-US")} bytes`,
    found: `it holds ${size.toLocaleString("en-US")}`,
    remedy: "log fewer steps with --log-every",
  });
}

function noTable(path: string, line: string): UserError {
  return new UserError({
    action: `read ${path}`,
    requirement: "its lines must be rows, and the first must name the columns step and loss",
    found: `one reads "${line.slice(0, 100)}"`,
    remedy: "restore it or train the run again",
  });
}
