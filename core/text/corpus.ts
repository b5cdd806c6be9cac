/**
 * The corpus: all documents of one part of a text, a block at a time.
 *
 * A text that fits into one block is in memory as a whole. A larger one is streamed: its files, in their one order, make volumes
 * of at least a block's bytes, and each volume gives its blocks one after the other, since compressed files cannot be read from
 * the middle. Each block is split as a whole text is: every 20th document is held out. So the split is the same in every epoch
 * and in every order of the volumes, and held-out text is found without reading everything (held_out.ts says how much).
 * @module
 */
import { builtinDocuments } from "../builtin/text.ts";
import { UserError } from "../errors.ts";
import { isOneText } from "../files/text_formats.ts";
import { isHubReference } from "../hub/reference.ts";
import { type BlockStart, Volume, VOLUME_START } from "./blocks.ts";
import {
  type DataPaths,
  type Document,
  type DocumentNames,
  type NamedFile,
  nameDocument,
  numberInFile,
  shareNumbers,
} from "./documents.ts";
import { listTextFiles, type TextFile } from "./files.ts";
import { type LeftOut, NOTHING_LEFT_OUT } from "./no_text.ts";
import { nothingButBad, PLAIN_READING, type RecordReading } from "./reading.ts";
import { requireAllParts, type Split, splitDocuments } from "./split.ts";
import { fingerprintOf, sampledContents, type TextSummary } from "./summary.ts";

/** A document with the number that its tokens carry. */
export interface NumberedDocument {
  /** `TokenBatch.document`. */
  readonly number: number;
  /** Its text; never empty. */
  readonly text: string;
}

/** Documents that are shuffled with one another. */
export interface Block {
  /** In their own order; none when this part of the text has none here. */
  readonly documents: readonly NumberedDocument[];
  /** Tells the order of this block from that of others; empty where there is only one. */
  readonly key: readonly number[];
  /** Where the next block of the volume begins, null when this is the last. */
  readonly next: BlockStart | null;
  /** Records between the documents of all parts that hold no text; none if left out. */
  readonly leftOut?: LeftOut;
}

/** Where a stream gets its documents from. */
export interface BlockSource {
  /** Parts whose order is free; within one, block follows upon block. */
  readonly volumes: number;
  /**
   * Reads a block.
   *
   * @throws {UserError} when it cannot be read or does not exist.
   */
  read(volume: number, start: BlockStart): Promise<Block>;
}

/** One part of a split text. */
export interface Corpus extends BlockSource {
  /** About how many blocks each volume has: one where that is all of the text. */
  readonly blocks: readonly number[];
  /** What is recorded of the text; the same for all parts. */
  readonly summary: TextSummary;
  /** How this part's documents are called. */
  readonly names: DocumentNames;
}

/**
 * Characters of a block, 8 million English tokens: the largest shuffle buffer takes in a part of it, so that its rows come from
 * thousands of documents, and text, tokens and what is read ahead stay below 200 MB.
 */
export const BLOCK_CHARACTERS = 2 ** 25;

/**
 * Opens one part of a text; reads its first block to find out whether there is another.
 *
 * @param data Where the text lies.
 * @param split Which part.
 * @param characters A block ends with the document that brings it to this many.
 * @param reading How its records are read; without effect on the embedded text.
 * @throws {UserError} when the text cannot be read or is too short to split, or more of its first records hold no text than the reading lets
 * pass.
 */
export async function openCorpus(
  data: DataPaths,
  split: Split,
  characters = BLOCK_CHARACTERS,
  reading: RecordReading = PLAIN_READING,
): Promise<Corpus> {
  if (data === "builtin") return await builtinCorpus(split);
  const { files, passedOver } = await listTextFiles(data);
  const found = {
    ...Object.keys(passedOver).length > 0 && { passed_over: passedOver },
    ...reading.column !== PLAIN_READING.column && { column: reading.column },
    ...reading.badLines > 0 && { bad_lines: reading.badLines },
  };
  const chat = () => reading.chats && reading.chats.written > 0 && { chat: reading.chats.form };
  const first = new Volume(files, 0, characters, reading);
  try {
    const { documents, next, leftOut } = await first.read(VOLUME_START);
    if (documents.length === 0 && leftOut.first) throw nothingButBad(leftOut.first, reading);
    if (next !== null) {
      const areLocal = files.every(({ path }) => !isHubReference(path));
      const contents = areLocal ? { contents: await sampledContents(files) } : {};
      return new StreamedCorpus(files, split, characters, reading, { ...contents, ...found, ...chat() });
    }
    const spoken = new Set(documents.map(({ file }) => file));
    // A folder may hold an empty file beside others; one that somebody named was meant.
    const silent = files.find(({ isNamed }, i) => !spoken.has(i) && (isNamed || spoken.size === 0));
    if (silent) {
      // What it holds is no text, or damaged: that says more than that no text came of it.
      if (leftOut.first?.where.startsWith(silent.path)) throw nothingButBad(leftOut.first, reading);
      const action = `read ${silent.path}`, remedy = "leave it out or put text into it";
      throw new UserError({ action, requirement: "it must hold text", found: "it is empty", remedy });
    }
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    const left = leftOut.records > 0 && { left_out: leftOut.records };
    const size = { bytes, file_count: files.length, ...found, ...chat(), ...left };
    try {
      return wholeCorpus(files, documents, split, size, leftOut);
    } catch (error) {
      // Where too little is left to be split, what was left out is the reason.
      throw leftOut.first ? nothingButBad(leftOut.first, reading) : error;
    }
  } finally {
    await first.close();
  }
}

async function builtinCorpus(split: Split): Promise<Corpus> {
  const packed = await builtinDocuments();
  const files = packed.map(({ name }): NamedFile => ({ name, format: "txt" }));
  const documents = packed.map(({ text }, file): Document => ({ file, record: 0, piece: 0, text }));
  const bytes = packed.reduce((sum, { text }) => sum + new TextEncoder().encode(text).length, 0);
  return wholeCorpus(files, documents, split, { bytes, file_count: 0 });
}

/** What is recorded of a text where there is something to record. */
type FoundOut = Pick<TextSummary, "contents" | "passed_over" | "column" | "bad_lines" | "chat" | "left_out">;

/** A corpus of one block. Documents have their index in it for a number. */
function wholeCorpus(
  files: readonly NamedFile[],
  documents: readonly Document[],
  split: Split,
  size: Pick<TextSummary, "bytes" | "file_count" | keyof FoundOut>,
  leftOut: LeftOut = NOTHING_LEFT_OUT,
): Corpus {
  const name = (document: Document) => nameDocument(files[document.file], document);
  const parts = splitDocuments(documents), { train, validation, test } = parts;
  requireAllParts(parts);
  const block: Block = {
    documents: parts[split].map(({ text }, number) => ({ number, text })),
    ...{ key: [], next: null, leftOut },
  };
  return {
    summary: {
      documents: train.length + validation.length + test.length,
      train_documents: train.length,
      held_out_documents: validation.length + test.length,
      ...size,
      fingerprint: fingerprintOf(documents.flatMap((document) => [name(document), document.text])),
    },
    names: { kind: "listed", names: parts[split].map(name) },
    volumes: 1,
    blocks: [1],
    read: () => Promise.resolve(block),
  };
}

/** A corpus of many blocks, one of which is in memory. Documents are numbered by file and record. */
class StreamedCorpus implements Corpus {
  readonly summary: TextSummary;
  readonly names: DocumentNames;
  readonly blocks: readonly number[];
  readonly #files: readonly TextFile[];
  readonly #split: Split;
  readonly #characters: number;
  readonly #reading: RecordReading;
  /** [files + 1] the first number of each file, and the end. */
  readonly #first: Float64Array;
  /** [volumes + 1] the first file of each volume, and the end. */
  readonly #bounds: readonly number[];
  #open: { volume: number; reader: Volume } | undefined;

  constructor(
    files: readonly TextFile[],
    split: Split,
    characters: number,
    reading: RecordReading,
    found: FoundOut,
  ) {
    this.#files = files;
    this.#split = split;
    this.#characters = characters;
    this.#reading = reading;
    this.#first = shareNumbers(files.map(({ size }) => size));
    this.#bounds = boundaries(files, characters);
    this.blocks = this.#bounds.slice(1).map((end, volume) => {
      const bytes = files.slice(this.#bounds[volume], end).reduce((sum, { size }) => sum + size, 0);
      return Math.max(1, Math.round(bytes / characters));
    });
    this.names = {
      kind: "numbered",
      files: files.map(({ name, format }) => ({ name, format })),
      first: this.#first,
    };
    this.summary = {
      documents: null,
      train_documents: null,
      held_out_documents: null,
      bytes: files.reduce((sum, { size }) => sum + size, 0),
      file_count: files.length,
      fingerprint: fingerprintOf([
        ...files.flatMap(({ name, size }) => [name, String(size)]),
        ...found.column === undefined ? [] : [found.column],
        ...found.chat === undefined ? [] : [reading.chats!.fingerprint],
      ]),
      ...found,
    };
  }

  get volumes(): number {
    return this.#bounds.length - 1;
  }

  async read(volume: number, start: BlockStart): Promise<Block> {
    if (this.#open?.volume !== volume) {
      await this.#open?.reader.close();
      const from = this.#bounds[volume], to = this.#bounds[volume + 1];
      this.#open = { volume, reader: new Volume(this.#files.slice(from, to), from, this.#characters, this.#reading) };
    }
    const { documents, next, leftOut } = await this.#open.reader.read(start);
    // Neither a record nor a part is cut, as its numbers would be those of what is behind it.
    const isEnd = next === null && (start.file > 0 || start.record > 0);
    const parts = splitDocuments(
      documents,
      ({ file, piece }) => piece === 0 && isOneText(this.#files[file].format),
      isEnd,
    );
    return {
      documents: parts[this.#split].map((document) => ({ number: this.#number(document), text: document.text })),
      key: [volume, start.file, start.record],
      ...{ next, leftOut },
    };
  }

  #number(document: Document): number {
    const { format, path } = this.#files[document.file], first = this.#first[document.file];
    const number = first + numberInFile(format, document), end = this.#first[document.file + 1];
    if (number < end) return number;
    throw new UserError({
      action: `number the documents of ${path}`,
      requirement: `beside files of ${this.summary.bytes} bytes in all it may have ${end - first}`,
      found: "it has more",
      remedy: "give fewer files at once",
    });
  }
}

/** Cuts the files into runs of at least `bytes` each. */
function boundaries(files: readonly TextFile[], bytes: number): number[] {
  const ends: number[] = [];
  let held = 0;
  files.forEach(({ size }, i) => {
    held += size;
    if (held < bytes) return;
    ends.push(i + 1);
    held = 0;
  });
  // What is left at the end belongs to the last run.
  return [0, ...ends.slice(0, -1), files.length];
}
