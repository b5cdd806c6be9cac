/**
 * The endless stream of training contexts over a source's blocks, one of which is in memory.
 * @module
 */
import { UserError } from "../errors.ts";
import { permutation, randomGenerator } from "../random.ts";
import { type BlockStart, VOLUME_START } from "./blocks.ts";
import { emptyBatch, NO_DOCUMENT, type StreamPosition, type TokenBatch } from "./contexts.ts";
import type { BlockSource, NumberedDocument } from "./corpus.ts";
import { NOTHING_LEFT_OUT } from "./no_text.ts";
import { PLAIN_READING, type TextReading, tooManyBad } from "./reading.ts";

/** Some contexts and where the stream stands after each of them. */
export interface ContextRun {
  /** The contexts: as many as asked for, fewer only where the stream ends. */
  batch: TokenBatch;
  /** (contexts): where the stream stands after each; START where it cannot be continued. */
  positions: StreamPosition[];
}

/** What a stream is made of. Equal options give equal streams. */
export interface ContextStreamOptions {
  /** The documents, in blocks. */
  source: BlockSource;
  /** The token ids of a text without special tokens; called when the stream comes to a document of a block, once. */
  encode: (text: string) => Uint32Array;
  /** Documents are shuffled in sections of about this many characters. */
  sectionCharacters: number;
  /** Tokens per context, BOS included: at least 2. */
  context: number;
  /** Put in front of each context. */
  bosId: number;
  /** Put behind each document. */
  eosId: number;
  /** Names the order of volumes and sections, a fresh one in each epoch; null keeps the documents' own order. */
  seed: number | null;
  /** Where to begin; the beginning if left out. */
  start?: StreamPosition;
  /** How many records without text are left out at most, in the first epoch. */
  reading?: TextReading;
}

/** Separates the orders of sections from other uses of one seed. */
const ORDER_STREAM = 0x6f726465;
/** Likewise those of volumes. */
const VOLUME_STREAM = 0x766f6c75;

/** A stream of contexts over documents, one block of which is in memory. It begins anew after each reading. */
export class ContextStream {
  readonly #options: ContextStreamOptions;
  #epoch = 0;
  #volumeRank = 0;
  #volumes = new Uint32Array();
  #blockStart: BlockStart = VOLUME_START;
  #block: SectionedBlock | undefined;
  #rank = 0;
  #token = 0;
  /** Records left out in the first epoch so far. */
  #bad: number;
  /** Tokens taken in this epoch; Infinity when its beginning was not seen. */
  #taken = 0;
  /** The section at #rank; undefined until it is needed. */
  #section: Section | undefined;
  /** The tokens of blocks that are in memory: the only block of a small text is read again in each epoch. */
  readonly #tokens = new WeakMap<readonly NumberedDocument[], Uint32Array[]>();

  private constructor(options: ContextStreamOptions) {
    this.#options = options;
    this.#bad = options.start?.bad ?? 0;
  }

  /**
   * Opens a stream; tokenises nothing unless it starts inside a section.
   *
   * @throws {UserError} for a context shorter than 2, for a start that does not exist, and when a block cannot be read.
   */
  static async open(options: ContextStreamOptions): Promise<ContextStream> {
    if (!Number.isSafeInteger(options.context) || options.context < 2) {
      throw new UserError({
        action: "make contexts",
        requirement: "--context must be at least 2, BOS included",
        found: `it is ${options.context}`,
        remedy: "give a larger one",
      });
    }
    const stream = new ContextStream(options);
    stream.#beginEpoch(0);
    if (options.start) await stream.#seek(options.start);
    return stream;
  }

  /** Where the stream stands. */
  get position(): StreamPosition {
    const { file, record, byte } = this.#blockStart;
    return {
      epoch: this.#epoch,
      volume: this.#volumeRank,
      file,
      record,
      byte,
      section: this.#rank,
      token: this.#token,
      ...this.#bad > 0 && { bad: this.#bad },
    };
  }

  /**
   * The next contexts.
   *
   * @throws {UserError} when a block cannot be read or has too many records without text, and when the text is too short for a single
   * context.
   */
  async next(contexts: number): Promise<ContextRun> {
    const batch = emptyBatch(contexts, this.#options.context), positions: StreamPosition[] = [];
    while (positions.length < contexts) {
      await this.#fillRow(batch, positions.length);
      positions.push(this.position);
    }
    return { batch, positions };
  }

  async #fillRow(batch: TokenBatch, row: number): Promise<void> {
    const { context, bosId } = this.#options;
    const end = (row + 1) * context;
    let at = row * context;
    batch.ids[at] = bosId;
    batch.document[at++] = NO_DOCUMENT;
    while (at < end) {
      this.#block ??= await this.#readBlock(true);
      if (this.#rank === this.#block.sections) {
        this.#nextBlock(this.#block);
        continue;
      }
      const { number, first, ids } = this.#section ??= this.#block.section(this.#rank);
      const taken = Math.min(end - at, ids.length - this.#token);
      batch.ids.set(ids.subarray(this.#token, this.#token + taken), at);
      batch.document.fill(number, at, at + taken);
      for (let i = 0; i < taken; i++) batch.position[at + i] = first + this.#token + i;
      at += taken;
      this.#token += taken;
      this.#taken += taken;
      if (this.#token === ids.length) this.#nextSection(this.#block);
    }
  }

  /** Reads the block that comes next, `isNew` unless the stream stood in it before it was continued. */
  async #readBlock(isNew: boolean): Promise<SectionedBlock> {
    const { source, seed, reading = PLAIN_READING } = this.#options;
    const { documents, key, next, leftOut: { records, first } = NOTHING_LEFT_OUT } = await source.read(
      this.#volumes[this.#volumeRank],
      this.#blockStart,
    );
    if (isNew && first !== null && this.#epoch === 0) {
      this.#bad += records;
      if (this.#bad > reading.badLines) throw tooManyBad(first, this.#bad, reading);
    }
    const order = seed === null ? null : randomGenerator(seed, ORDER_STREAM, this.#epoch, ...key);
    if (!this.#tokens.has(documents)) this.#tokens.set(documents, []);
    const tokens = this.#tokens.get(documents)!;
    return new SectionedBlock(documents, tokens, next, order && ((n) => permutation(n, order)), this.#options);
  }

  #nextSection(block: SectionedBlock): void {
    this.#section = undefined;
    this.#token = 0;
    this.#rank++;
    // Without waiting for the next row, so that a finished epoch shows in the position at once.
    if (this.#rank === block.sections) this.#nextBlock(block);
  }

  #nextBlock({ next }: SectionedBlock): void {
    this.#block = undefined;
    this.#rank = 0;
    this.#blockStart = next ?? VOLUME_START;
    if (next !== null) return;
    this.#volumeRank++;
    if (this.#volumeRank < this.#volumes.length) return;
    this.#requireOneContext();
    this.#beginEpoch(this.#epoch + 1);
  }

  #beginEpoch(epoch: number): void {
    const { seed, source: { volumes } } = this.#options;
    this.#epoch = epoch;
    this.#volumeRank = 0;
    this.#taken = 0;
    this.#volumes = seed === null
      ? Uint32Array.from({ length: volumes }, (_, volume) => volume)
      : permutation(volumes, randomGenerator(seed, VOLUME_STREAM, epoch));
  }

  /** Called when an epoch ends. */
  #requireOneContext(): void {
    const needed = this.#options.context - 1;
    if (this.#taken >= needed) return;
    throw new UserError({
      action: `make contexts of ${needed + 1} tokens`,
      requirement: `the training text must have at least ${needed} tokens`,
      found: `it has ${this.#taken}`,
      remedy: "give more text or a smaller --context",
    });
  }

  async #seek({ epoch, volume, file, record, byte, section, token }: StreamPosition): Promise<void> {
    const { volumes } = this.#options.source;
    this.#beginEpoch(epoch);
    this.#volumeRank = volume;
    this.#blockStart = { file, record, byte };
    this.#rank = section;
    this.#token = token;
    this.#taken = Infinity;
    if (volume < volumes) {
      if (section === 0 && token === 0) return;
      this.#block = await this.#readBlock(false);
      if (section < this.#block.sections) {
        this.#section = this.#block.section(section);
        if (token < this.#section.ids.length) return;
      }
    }
    throw new UserError({
      action: `continue the text at volume ${volume}, record ${record}, section ${section}, token ${token}`,
      requirement: "the text must be the one that the run began with",
      found: "it has no such token",
      remedy: "give the same data",
    });
  }
}

/** A part of a document's tokens, EOS included where it ends the document. */
interface Section {
  readonly number: number;
  /** Tokens of the document before it. */
  readonly first: number;
  readonly ids: Uint32Array;
}

/** A block's documents, cut into sections of about equal length, in the order in which they are read. */
class SectionedBlock {
  readonly next: BlockStart | null;
  /** How many there are. */
  readonly sections: number;
  readonly #documents: readonly NumberedDocument[];
  /** [documents + 1] the first section of each document, and the end. */
  readonly #first: Uint32Array;
  /** [sections] the document of each section. */
  readonly #document: Uint32Array;
  readonly #order: Uint32Array | null;
  /** Sections of a document come up one at a time; its tokens take no more memory than its text, which is here anyway. */
  readonly #tokens: Uint32Array[];
  readonly #options: ContextStreamOptions;

  constructor(
    documents: readonly NumberedDocument[],
    tokens: Uint32Array[],
    next: BlockStart | null,
    shuffle: ((n: number) => Uint32Array) | null,
    options: ContextStreamOptions,
  ) {
    this.next = next;
    this.#documents = documents;
    this.#tokens = tokens;
    this.#options = options;
    this.#first = new Uint32Array(documents.length + 1);
    documents.forEach(({ text }, i) => {
      this.#first[i + 1] = this.#first[i] + Math.max(1, Math.round(text.length / options.sectionCharacters));
    });
    this.sections = this.#first[documents.length];
    this.#document = new Uint32Array(this.sections);
    documents.forEach((_, i) => this.#document.fill(i, this.#first[i], this.#first[i + 1]));
    this.#order = shuffle && shuffle(this.sections);
  }

  /** The section at a rank of the order. */
  section(rank: number): Section {
    const index = this.#order === null ? rank : this.#order[rank], document = this.#document[index];
    const { number, text } = this.#documents[document];
    const tokens = this.#tokens[document] ??= this.#options.encode(text);
    const part = index - this.#first[document], parts = this.#first[document + 1] - this.#first[document];
    const boundary = (n: number) => Math.floor((tokens.length + 1) * n / parts);
    const first = boundary(part), ids = new Uint32Array(boundary(part + 1) - first);
    ids.set(tokens.subarray(first, first + ids.length));
    if (part === parts - 1) ids[ids.length - 1] = this.#options.eosId;
    return { number, first, ids };
  }
}
