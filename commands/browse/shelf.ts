/**
 * Where the explorer's parts are kept: in a file in the directory of the transcoder, beside the record that they are made of, and where that
 * cannot be written, in a temporary one for as long as this process goes on.
 * @module
 */

import { mkdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { endFirst } from "../../core/ending.ts";
import { UserError } from "../../core/errors.ts";
import { sumOfValue } from "../../core/files/checksum.ts";
import { ATTRIBUTION_FILE } from "../../core/runs/attribution.ts";
import { COHERENCE_FILE } from "../../core/runs/coherence.ts";
import { CONFIG_FILE } from "../../core/runs/config.ts";
import { type ChosenTranscoder, openTranscoderDirectory } from "../../core/runs/discovery.ts";
import { EVALUATION_FILE } from "../../core/runs/evaluation.ts";
import { FEATURES_FILE } from "../../core/runs/features.ts";
import type { TranscoderName } from "../../core/runs/ids.ts";
import { IMPORTANCE_FILE } from "../../core/runs/importance.ts";
import { RECORD_FILE } from "../../core/runs/record.ts";
import { SAMPLES_FILE } from "../../core/runs/samples.ts";
import { EXPLORER_FILE, openParts, type StoredParts, writeParts } from "../../core/runs/stored_parts.ts";
import { TRANSCODER_FILE } from "../../core/runs/transcoder.ts";
import configuration from "../../deno.json" with { type: "json" };
import type { Multiplier } from "../report/dictionary.ts";
import { makeMatch, makeParts } from "./made_parts.ts";

/** Counts up whenever the parts of the same files become others. */
const FORMAT = 2;

/** The files that parts are made of. */
const SOURCES = [
  ...[CONFIG_FILE, TRANSCODER_FILE, RECORD_FILE, SAMPLES_FILE, FEATURES_FILE],
  ...[EVALUATION_FILE, IMPORTANCE_FILE, ATTRIBUTION_FILE, COHERENCE_FILE],
];

/** A transcoder that the explorer shows. */
export interface ExploredDirectory {
  /** Its directory. */
  readonly path: string;
  /** What it is called; `file` is its key. */
  readonly name: TranscoderName;
}

/** What parts are of: a transcoder, or two that are matched. */
export type Subject = readonly [ExploredDirectory, ExploredDirectory?];

/** So many files of parts stay open. */
const KEPT_OPEN = 8;

/** Parts are made so often until somebody hears that they cannot be read: their sources change, or the disk gives what was not written. */
const MOST_TRIES = 3;

/** What is kept of a subject, and how the files were that it was made of. */
interface Kept {
  readonly parts: StoredParts;
  readonly stamp: string;
}

/** Gives parts as they are kept. Those that are not, are of other files or are damaged are made first. */
export class Shelf {
  readonly #make: (subject: Subject, spare: string) => Promise<void>;
  readonly #spare = join(tmpdir(), `mtc-explorer-${crypto.randomUUID()}`);
  readonly #forget = endFirst(() => this.#clear());
  readonly #open = new Map<string, Promise<Kept>>();

  /**
   * Opens nothing yet.
   *
   * @param make Makes and keeps the parts of a subject, as {@link keep} does, on whatever thread.
   */
  constructor(make: (subject: Subject, spare: string) => Promise<void>) {
    this.#make = make;
  }

  /**
   * Says which parts there are.
   *
   * @param subject Of what.
   * @returns Their names, in their order.
   * @throws {UserError} When a file that they are made of cannot be read.
   */
  async names(subject: Subject): Promise<readonly string[]> {
    return (await this.#kept(subject)).parts.names;
  }

  /**
   * Reads a part.
   *
   * @param subject Of what.
   * @param name The part's name.
   * @returns It, gzipped; null where there is none of that name.
   * @throws {UserError} When a file that it is made of cannot be read.
   */
  async read(subject: Subject, name: string): Promise<Uint8Array<ArrayBuffer> | null> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { parts } = await this.#kept(subject);
      if (!parts.names.includes(name)) return null;
      const bytes = await parts.read(name);
      if (bytes !== null) return bytes;
      await this.#drop(idOf(subject));
      for (const path of filesOf(subject, this.#spare)) await rm(path, { force: true });
    }
    throw unreadable(subject);
  }

  /** Closes what is open, and removes what was kept for this process alone. */
  async close(): Promise<void> {
    for (const id of [...this.#open.keys()]) await this.#drop(id);
    await this.#clear();
    this.#forget();
  }

  /** What is kept of a subject as its files are now. Who asks for it while it is made waits for the same. */
  async #kept(subject: Subject): Promise<Kept> {
    const id = idOf(subject), known = this.#open.get(id);
    if (known !== undefined) {
      const { stamp } = await known;
      if (stamp === await stampOf(subject)) return known;
      if (this.#open.get(id) === known) await this.#drop(id);
    }
    const kept = this.#open.get(id) ?? this.#find(subject);
    this.#open.delete(id);
    this.#open.set(id, kept);
    kept.catch(() => this.#open.get(id) === kept && this.#open.delete(id));
    for (const oldest of [...this.#open.keys()].slice(0, -KEPT_OPEN)) await this.#drop(oldest);
    return await kept;
  }

  async #find(subject: Subject): Promise<Kept> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (tries > 0) await this.#make(subject, this.#spare);
      const stamp = await stampOf(subject);
      for (const path of filesOf(subject, this.#spare)) {
        const parts = await openParts(path, stamp);
        if (parts !== null) return { parts, stamp };
      }
    }
    throw unreadable(subject);
  }

  async #drop(id: string): Promise<void> {
    const kept = this.#open.get(id);
    this.#open.delete(id);
    await kept?.then(({ parts }) => parts.close(), () => {});
  }

  async #clear(): Promise<void> {
    await rm(this.#spare, { recursive: true, force: true });
  }
}

/**
 * Makes the parts of a subject and keeps them.
 *
 * @param subject The subject.
 * @param spare Where they are kept if not in its own directory; it is made when that is so.
 * @param multiplier Opens what compares rows.
 * @throws {UserError} When it cannot be read, or its parts be kept nowhere.
 */
export async function keep(subject: Subject, spare: string, multiplier: () => Promise<Multiplier>): Promise<void> {
  const stamp = await stampOf(subject), [a, b] = await Promise.all(subject.map((one) => opened(one!)));
  const parts = b === undefined ? await makeParts(a, multiplier) : await makeMatch(a, b);
  const [own, other] = filesOf(subject, spare);
  try {
    await writeParts(own, stamp, parts);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    await mkdir(spare, { recursive: true, mode: 0o700 });
    await writeParts(other, stamp, parts);
  }
}

/** Tells subjects apart, however their directories are written. */
function idOf(subject: Subject): string {
  return sumOfValue(subject.map((one) => resolve(one!.path))).slice(0, 32);
}

/** How the files are that parts are made of: another text once one has changed, or this mtc makes something else of them. */
async function stampOf(subject: Subject): Promise<string> {
  const paths = subject.flatMap((one) => SOURCES.map((file) => join(one!.path, file)));
  const infos = await Promise.all(paths.map((path) => stat(path).catch(() => null)));
  return JSON.stringify([FORMAT, configuration.version, ...infos.map((info) => info && [info.size, info.mtimeMs])]);
}

/** Where parts are kept: in the first one's directory, or else in the spare one. */
function filesOf(subject: Subject, spare: string): readonly [own: string, spare: string] {
  const [{ path }, other] = subject, id = idOf(subject);
  return [
    join(path, other ? EXPLORER_FILE.replace(".", `-${id.slice(0, 16)}.`) : EXPLORER_FILE),
    join(spare, `${id}.safetensors`),
  ];
}

function unreadable([{ path }]: Subject): UserError {
  return new UserError({
    action: `browse ${path}`,
    requirement: "its files must stay as they are while they are read",
    found: "they changed each time",
    remedy: "try again when nothing writes them",
  });
}

async function opened({ path, name }: ExploredDirectory): Promise<ChosenTranscoder> {
  return { ...await openTranscoderDirectory(path), name };
}
