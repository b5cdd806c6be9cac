/**
 * A file of the hub as a source of bytes, with few requests.
 * @module
 */

import { type ByteSource, streamOf } from "../files/byte_source.ts";
import { Patience } from "./patience.ts";
import type { RemoteFile } from "./remote_file.ts";
import type { HubSettings } from "./settings.ts";

/**
 * Bytes that one request brings at least when reads follow each other: text columns take most of a parquet file, so several
 * row groups come at once, and lines of JSON come in pieces that take a fraction of the time that their tokens take.
 */
const AHEAD = 8 << 20;
/** Bytes that one request brings at least when a read jumps: a parquet footer is rarely longer. */
const JUMP = 512 << 10;
/** A read that begins this close behind the last one still follows it: parquet readers skip columns. */
const GAP = 1 << 20;

interface Window {
  readonly begin: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const EMPTY: Window = { begin: 0, bytes: new Uint8Array(0) };

/** Ranges of one remote file; what lies behind a range is fetched with it and kept until the next one. */
export class RangeSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #patience: Patience;
  readonly #file: RemoteFile;
  /** What the last request brought. */
  #window: Window = EMPTY;
  /** Where the last read ended; -1 before the first. */
  #readTo = -1;
  /** Settles when the reads so far have: a read may find its bytes in the window of the one before. */
  #previous: Promise<unknown> = Promise.resolve();

  /**
   * Fetches nothing yet.
   *
   * @param hub For messages.
   * @param file What to read.
   */
  constructor(hub: HubSettings, file: RemoteFile) {
    this.name = file.name;
    this.size = file.size;
    this.#patience = new Patience(hub, file.name);
    this.#file = file;
  }

  /** See {@link ByteSource.read}. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.#previous.then(() => this.#read(offset, length));
    this.#previous = bytes.catch(() => {});
    return bytes;
  }

  /** See {@link ByteSource.stream}: by ranges too, since a server closes a connection that idles while a model is trained. */
  stream(offset: number): ReadableStream<Uint8Array<ArrayBuffer>> {
    return streamOf(offset, this.size, (from, length) => this.read(from, length));
  }

  /** See {@link ByteSource.close}. */
  close(): Promise<void> {
    this.#window = EMPTY;
    return Promise.resolve();
  }

  async #read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    if (offset < 0 || offset + length > this.size) {
      throw new RangeError(`${this.name} has ${this.size} bytes, ${length} from ${offset} were asked for`);
    }
    const follows = this.#readTo >= 0 && offset >= this.#readTo && offset - this.#readTo <= GAP;
    this.#readTo = offset + length;
    const { begin, bytes } = this.#window;
    const isInside = offset >= begin && offset < begin + bytes.length;
    const kept = isInside ? bytes.subarray(offset - begin, offset - begin + length) : bytes.subarray(0, 0);
    if (kept.length === length) return kept.slice();
    const from = offset + kept.length, missing = length - kept.length;
    const fetched = await this.#fetch(from, Math.min(this.size - from, Math.max(missing, follows ? AHEAD : JUMP)));
    const isAllWanted = fetched.length === length; // then nothing is left to keep, and a large read is not copied
    this.#window = isAllWanted ? EMPTY : { begin: from, bytes: fetched };
    if (kept.length === 0) return isAllWanted ? fetched : fetched.slice(0, length);
    const joined = new Uint8Array(length);
    joined.set(kept);
    joined.set(fetched.subarray(0, missing), kept.length);
    return joined;
  }

  async #fetch(begin: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    let got = 0;
    for await (const piece of this.#file.bytes(begin, begin + length, this.#patience, "refuse")) {
      bytes.set(piece, got);
      got += piece.length;
    }
    return bytes;
  }
}
