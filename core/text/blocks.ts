/**
 * Blocks: as many documents as are held in memory at once, read one after the other from a run of files.
 * @module
 */
import type { ByteSource } from "../files/byte_source.ts";
import { isOneText } from "../files/text_formats.ts";
import { UserError } from "../errors.ts";
import type { Document, RecordPlace, TextRecord } from "./documents.ts";
import type { TextFile } from "./files.ts";
import { type LeftOut, NOTHING_LEFT_OUT } from "./no_text.ts";
import { nothingButBad, PLAIN_READING, type RecordReading, tooManyBad } from "./reading.ts";
import { FILE_START, readRecords } from "./records.ts";
import { LEAST_DOCUMENTS } from "./split.ts";

/** Where a block begins: a file of its volume, and a place in that file. */
export interface BlockStart extends RecordPlace {
  /** Files of the volume before it. */
  file: number;
}

/** The first block of every volume. */
export const VOLUME_START: BlockStart = { file: 0, ...FILE_START };

/** A block as it was read. */
export interface RawBlock {
  /** Its documents in order, whole. */
  documents: Document[];
  /** Where the next one begins, null when nothing follows. */
  next: BlockStart | null;
  /** Records between its documents that hold no text. */
  leftOut: LeftOut;
}

/** What a document takes besides its characters, counted in characters; it bounds the number of tiny ones. */
const DOCUMENT_CHARACTERS = 128;
/** So many records without text are read before that is told of a text in which none has come yet; fewer of parts, which are long. */
const MOST_TRIED = 1000, MOST_PARTS_TRIED = 20;

/** A run of files whose blocks follow from one another; where a block begins, the same block is read however one came there. */
export class Volume {
  readonly #files: readonly TextFile[];
  readonly #firstFile: number;
  readonly #characters: number;
  readonly #reading: RecordReading;
  #file = -1;
  #source: ByteSource | undefined;
  #records: AsyncIterator<TextRecord[]> | undefined;
  /** Records that were read together; the first of them may be in a block already. */
  #ahead: TextRecord[] = [];
  /** How many of those are. */
  #taken = 0;
  /** Where the first begins that is in none. */
  #place: BlockStart = VOLUME_START;

  /**
   * A volume at its start; nothing is opened yet.
   *
   * @param files Its files.
   * @param firstFile How many files of the corpus come before them.
   * @param characters A block ends with the document that brings it to this many.
   * @param reading How its records are read.
   */
  constructor(
    files: readonly TextFile[],
    firstFile: number,
    characters: number,
    reading: RecordReading = PLAIN_READING,
  ) {
    this.#reading = reading;
    this.#files = files;
    this.#firstFile = firstFile;
    this.#characters = characters;
  }

  /**
   * Reads a block. From the place where the last one ended it goes on; from another it finds its way there.
   *
   * @param start A start that an earlier block named, or {@link VOLUME_START}.
   * @returns The block; empty when no text follows.
   * @throws {UserError} when a file cannot be read, or has no such place, or more records hold no text than the reading lets pass.
   */
  async read(start: BlockStart): Promise<RawBlock> {
    if (this.#file === -1 || !isSame(start, this.#place)) await this.#seek(start);
    const documents: Document[] = [];
    let leftOut = NOTHING_LEFT_OUT;
    for (let characters = 0, pieces = 0; characters < this.#characters || pieces < LEAST_DOCUMENTS;) {
      if (!await this.#fill()) return { documents, next: null, leftOut };
      const { record, byte, text, isPart = false, bad, records = 1 } = this.#ahead[this.#taken++];
      this.#place = { file: this.#file, record, byte };
      if (bad) {
        leftOut = { records: leftOut.records + records, first: leftOut.first ?? bad };
        const tried = isPart ? MOST_PARTS_TRIED : MOST_TRIED;
        if (documents.length > 0 || leftOut.records > tried) this.#requireFew(leftOut, documents, tried);
        continue;
      }
      this.#requireFew(leftOut, documents, MOST_TRIED);
      const isWhole = isOneText(this.#files[this.#file].format) && !isPart, file = this.#firstFile + this.#file;
      documents.push(isPart ? { file, record: 0, piece: record, text } : { file, record: record - 1, piece: 0, text });
      characters += text.length + DOCUMENT_CHARACTERS;
      pieces += isWhole ? LEAST_DOCUMENTS : 1;
    }
    return { documents, next: await this.#fill() ? this.#place : null, leftOut };
  }

  /** Stops reading. */
  async close(): Promise<void> {
    await this.#records?.return?.();
    await this.#source?.close();
    this.#records = this.#source = undefined;
    this.#ahead = [];
    this.#taken = 0;
    this.#file = -1;
  }

  #requireFew({ records, first }: LeftOut, documents: readonly Document[], tried: number): void {
    if (first === null || records <= this.#reading.badLines) return;
    // Where the text itself begins so, it is most likely another column that holds it.
    const isBeginning = documents.length === 0 && this.#firstFile + this.#file === 0 && records > tried;
    throw isBeginning ? nothingButBad(first, this.#reading) : tooManyBad(first, records, this.#reading);
  }

  async #seek({ file, record, byte }: BlockStart): Promise<void> {
    await this.close();
    if (file >= this.#files.length) {
      throw new UserError({
        action: `continue the text at file ${file + 1} of ${this.#files.length}`,
        requirement: "the text must be the one that the run began with",
        found: "it has no such file",
        remedy: "give the same data",
      });
    }
    await this.#open(file, { record, byte });
  }

  async #open(file: number, from: RecordPlace): Promise<void> {
    this.#file = file;
    this.#place = { file, ...from };
    const { size, path, open } = this.#files[file];
    this.#source = await open();
    if (this.#source.size !== size) {
      throw new UserError({
        action: `read ${path}`,
        requirement: `it must keep the ${size} bytes that it had at first`,
        found: `it has ${this.#source.size}`,
        remedy: "put it back",
      });
    }
    this.#records = readRecords(this.#source, this.#files[file].format, from, this.#reading);
  }

  /** Makes sure that there is a record ahead; false at the volume's end. */
  async #fill(): Promise<boolean> {
    while (this.#taken === this.#ahead.length) {
      this.#ahead = [];
      this.#taken = 0;
      const { done, value } = await this.#records!.next();
      if (!done) {
        this.#ahead = value;
        continue;
      }
      if (this.#file + 1 === this.#files.length) return false;
      await this.#source!.close();
      await this.#open(this.#file + 1, FILE_START);
    }
    return true;
  }
}

function isSame(a: BlockStart, b: BlockStart): boolean {
  return a.file === b.file && a.record === b.record && a.byte === b.byte;
}
