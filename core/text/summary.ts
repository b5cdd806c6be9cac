/**
 * What a run records of its text, so that it can be told later whether it is still the same.
 * @module
 */
import { createHash } from "node:crypto";
import type { ByteSource } from "../files/byte_source.ts";
import type { ChatForm } from "./chat_forms.ts";
import type { PassedOver } from "./files.ts";
import { PLAIN_READING, type TextReading } from "./reading.ts";

/** A text in figures. */
export interface TextSummary {
  /** Documents, pieces of cut documents counted each; null when the text is read as a stream, which nobody counts. */
  documents: number | null;
  /** Those for training. */
  train_documents: number | null;
  /** Those held out, for validation and for the test. */
  held_out_documents: number | null;
  /** Bytes of its files as they are stored; of the embedded text itself. */
  bytes: number;
  /** Its files; 0 for the embedded text. */
  file_count: number;
  /** SHA-256 of names and texts, or of names and sizes of the files, `column` and the chats' template, when the text is read
   * as a stream. */
  fingerprint: string;
  /**
   * SHA-256 of samples of the files' bytes ({@link sampledContents}), when the text is read as a stream and all of it lies on this machine;
   * what is on the hub is named by its commit. Absent where an older mtc recorded it.
   */
  contents?: string;
  /** What lies beside its files and was not read, for what reason; absent where nothing does, or an older mtc recorded it. */
  passed_over?: PassedOver;
  /** The column or key of its records that holds the text, where it is not "text". */
  column?: string;
  /** How its chats became texts; absent where its first records are none. */
  chat?: ChatForm;
  /** The most records without text that training leaves out; absent for none. */
  bad_lines?: number;
  /** Records that hold no text and are left out; absent for none, and when the text is read as a stream: there they turn up on the way. */
  left_out?: number;
}

/** Makes a fingerprint of strings; where one ends and the next begins counts. */
export function fingerprintOf(parts: Iterable<string>): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex");
}

/** Bytes of a file that are sampled at each of {@link SAMPLES} places. */
const SAMPLED_BYTES = 4096;
/** Places of a file, evenly spaced from its beginning to its end. */
const SAMPLES = 32;

/**
 * Tells files from others of the same names and sizes without reading them whole. An edit that keeps a file's size and touches none of the
 * samples is missed.
 *
 * @param files The files.
 * @returns SHA-256 of their samples.
 * @throws {UserError} When one cannot be read.
 */
export async function sampledContents(files: readonly { open(): Promise<ByteSource> }[]): Promise<string> {
  const hash = createHash("sha256");
  for (const { open } of files) {
    const file = await open();
    try {
      const length = Math.min(SAMPLED_BYTES, file.size), places = length < file.size ? SAMPLES : 1;
      for (let i = 0; i < places; i++) {
        const from = Math.floor((file.size - length) * i / Math.max(1, places - 1));
        hash.update(await file.read(from, length));
      }
    } finally {
      await file.close();
    }
  }
  return hash.digest("hex");
}

/**
 * Whether a text is still what was recorded of it.
 *
 * @param then What was recorded.
 * @param now What it is.
 */
export function isSameText(then: TextSummary, now: TextSummary): boolean {
  const isKnown = then.contents !== undefined && now.contents !== undefined;
  return then.fingerprint === now.fingerprint && (!isKnown || then.contents === now.contents);
}

/** One clause for messages: `233 documents, 10807464 bytes, fingerprint 1f3a5b7c9d0e`. */
export function describeText({ documents, bytes, file_count, contents, fingerprint: names }: TextSummary): string {
  const fingerprint = contents ?? names;
  const size = documents === null ? `${file_count} files` : `${documents} documents`;
  return `${size}, ${bytes} bytes, fingerprint ${fingerprint.slice(0, 12)}`;
}

/**
 * How a text was read.
 *
 * @param text What was recorded of it.
 * @returns The same reading.
 */
export function readingOf({ column, bad_lines }: Pick<TextSummary, "column" | "bad_lines">): TextReading {
  return { column: column ?? PLAIN_READING.column, badLines: bad_lines ?? PLAIN_READING.badLines, isRecorded: true };
}
