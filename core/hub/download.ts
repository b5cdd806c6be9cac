/**
 * Downloads into the cache that survive kill -9 and meet no other download of the same file.
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { exists } from "../files/exists.ts";
import type { Patience } from "./patience.ts";
import type { RemoteFile } from "./remote_file.ts";

/** Told how many more bytes of a file are here, and how many of them came over the network just now. */
export type OnBytes = (here: number, received: number) => void;

/** Bytes that are read at once from what an earlier download left. */
const READ_AT_ONCE = 1 << 20;
/** Milliseconds after which it is told again that another program holds the lock. */
const LOCK_TOLD_MS = 500;

/**
 * Downloads a file unless it is there. Bytes go to `BLOB.incomplete`, each to its own place and checked as they pass; only a
 * whole, correct file gets the blob's name. What a killed download left is gone on with.
 *
 * @param file What to download.
 * @param etag Its SHA-256, or Git's SHA-1 of it.
 * @param blob Where it belongs; the directory must exist.
 * @param lock A file that is locked meanwhile, by Hugging Face's own downloads too; its directory must exist.
 * @param patience What to wait out.
 * @param onBytes Told as bytes arrive; told the negative when what was here is thrown away.
 * @throws {HubError} When the hub refuses or cannot be reached.
 * @throws {UserError} When the bytes are wrong twice, or the disk does not take them.
 */
export async function download(
  file: RemoteFile,
  etag: string,
  { blob, lock }: { readonly blob: string; readonly lock: string },
  patience: Patience,
  onBytes: OnBytes,
): Promise<void> {
  using _held = await hold(lock, patience);
  if (await exists(blob)) return onBytes(file.size, 0); // another program was faster
  const part = `${blob}.incomplete`;
  for (let tries = 1;; tries++) {
    const digest = await fill(part, file, etag, patience, onBytes);
    if (digest === etag) break;
    await Deno.remove(part).catch(() => {});
    onBytes(-file.size, 0);
    if (tries === 2) {
      throw new UserError({
        action: `keep ${file.name}`,
        requirement: `its ${isSha256(etag) ? "SHA-256" : "Git hash"} must be ${etag}`,
        found: `what arrived has ${digest}, twice`,
        remedy: "check HF_ENDPOINT and what stands between, then retry",
      });
    }
  }
  try {
    await Deno.rename(part, blob);
  } catch (error) {
    // Where locks do not work, another program may have been faster with the same bytes.
    if (!await exists(blob)) throw fileError("write", blob, error);
  }
}

/** Brings a part file to the file's full length; gives the hash of all of it. */
async function fill(
  part: string,
  file: RemoteFile,
  etag: string,
  patience: Patience,
  onBytes: OnBytes,
): Promise<string> {
  const hash = startHash(etag, file.size);
  try {
    using out = await Deno.open(part, { read: true, write: true, create: true });
    let at = (await out.stat()).size;
    if (at > file.size) {
      await out.truncate(0);
      at = 0;
    }
    await hashPrefix(out, at, hash, onBytes);
    for await (const piece of file.bytes(at, file.size, patience, "skip")) {
      hash.update(piece);
      await writeAt(out, at, piece);
      at += piece.length;
      onBytes(piece.length, piece.length);
    }
    await out.sync();
  } catch (error) {
    throw fileError("write", part, error);
  }
  return hash.digest("hex");
}

/** Git hashes a header before the bytes. */
function startHash(etag: string, size: number): Hash {
  return isSha256(etag) ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

function isSha256(etag: string): boolean {
  return etag.length === 64;
}

async function hashPrefix(from: Deno.FsFile, length: number, hash: Hash, onBytes: OnBytes): Promise<void> {
  const bytes = new Uint8Array(READ_AT_ONCE);
  for (let left = length; left > 0;) {
    const got = await from.read(bytes.subarray(0, Math.min(left, bytes.length)));
    if (got === null) throw new Error("the part file shrinks while it is locked");
    hash.update(bytes.subarray(0, got));
    onBytes(got, 0);
    left -= got;
  }
}

async function writeAt(out: Deno.FsFile, offset: number, bytes: Uint8Array): Promise<void> {
  await out.seek(offset, Deno.SeekMode.Start);
  for (let written = 0; written < bytes.length;) written += await out.write(bytes.subarray(written));
}

/** Holds a lock until the result is disposed of, or the process ends in whatever way. */
async function hold(path: string, patience: Patience): Promise<Deno.FsFile> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { write: true, create: true });
  } catch (error) {
    throw fileError("write", path, error);
  }
  const timer = setInterval(() => patience.onWait("another program is downloading it"), LOCK_TOLD_MS);
  try {
    await file.lock(true);
  } catch {
    // Some network file systems have no locks: then two programs may fetch the same bytes, to the same places.
  } finally {
    clearInterval(timer);
  }
  return file;
}
