/**
 * What a run records of its text, so that it can be told later whether it is still the same.
 * @module
 */
import { createHash } from "node:crypto";

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
  /** SHA-256 of names and texts, or of names and sizes of the files when the text is read as a stream. */
  fingerprint: string;
}

/** Makes a fingerprint of strings; where one ends and the next begins counts. */
export function fingerprintOf(parts: Iterable<string>): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex");
}

/** One clause for messages: `233 documents, 10807464 bytes, fingerprint 1f3a5b7c9d0e`. */
export function describeText({ documents, bytes, file_count, fingerprint }: TextSummary): string {
  const size = documents === null ? `${file_count} files` : `${documents} documents`;
  return `${size}, ${bytes} bytes, fingerprint ${fingerprint.slice(0, 12)}`;
}
