/**
 * Reading and computing on a thread of its own: verdicts, and what the explorer shows.
 * @module
 */

import { endFirst } from "../../core/ending.ts";
import { UserError } from "../../core/errors.ts";
import type { ServedVerdict } from "../../reports/browser/served.ts";
import { Progress } from "../progress.ts";
import type { ClerkReply, ClerkRequest } from "./clerk_worker.ts";
import type { Subject } from "./shelf.ts";

/** The one place that says where the Worker's module lies. */
const WORKER_URL = new URL("./clerk_worker.ts", import.meta.url);
/** The longest that work under way is waited for when the server ends. */
const LAST_WORD_MS = 2000;

type Done = Extract<ClerkReply, { kind: "done" }>;
type Wanted = ClerkRequest extends infer R ? R extends { id: number } ? Omit<R, "id"> : never : never;

/** How far the work under way is. */
export interface ClerkProgress {
  /** What is being done. */
  readonly label: string;
  /** Units done, */
  readonly done: number;
  /** and in all. */
  readonly total: number;
}

/** Asks the Worker, which begins with the first question. */
export class Clerk {
  #worker: Worker | null = null;
  #next = 0;
  readonly #waiting = new Map<number, { resolve: (done: Done) => void; reject: (error: Error) => void }>();
  #progress: ClerkProgress | null = null;
  #bar: Progress | null = null;
  #isClosed = false;
  readonly #forget = endFirst(() => this.close());

  /** How far it is with what it does at this moment; null where that takes no time worth telling. */
  get progress(): ClerkProgress | null {
    return this.#progress;
  }

  /**
   * Judges a finished transcoder.
   *
   * @param path Its directory.
   * @returns The verdict.
   * @throws {UserError} When its files cannot be read.
   */
  async judge(path: string): Promise<ServedVerdict> {
    return (await this.#ask({ kind: "judge", path })).verdict!;
  }

  /**
   * Has the explorer's parts of something made and kept. The Worker ends behind it if nothing else waits: what it took is given back.
   *
   * @param subject What they are of.
   * @param spare Where they are kept if not in their own directory.
   * @throws {UserError} When a file that they are made of cannot be read.
   */
  async keep(subject: Subject, spare: string): Promise<void> {
    try {
      await this.#ask({ kind: "keep", subject, spare });
    } finally {
      await this.#rest();
    }
  }

  /** Ends the Worker. Work under way is waited for a little, then cut off. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, LAST_WORD_MS));
    if (this.#worker) await Promise.race([this.#ask({ kind: "close" }).catch(() => {}), late]);
    clearTimeout(timer);
    this.#isClosed = true;
    this.#worker?.terminate();
    this.#fail(ended());
    this.#forget();
  }

  /** The next question begins another Worker. */
  async #rest(): Promise<void> {
    const worker = this.#worker;
    if (this.#waiting.size > 0 || worker === null) return;
    await this.#ask({ kind: "close" }).catch(() => {});
    if (this.#waiting.size > 0 || this.#worker !== worker) return;
    worker.terminate();
    this.#worker = null;
  }

  #ask(wanted: Wanted): Promise<Done> {
    if (this.#isClosed) return Promise.reject(ended());
    const worker = this.#worker ??= this.#start(), id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ id, ...wanted } satisfies ClerkRequest);
    });
  }

  #start(): Worker {
    const worker = new Worker(WORKER_URL, { type: "module" });
    worker.onmessage = ({ data: reply }: MessageEvent<ClerkReply>) => {
      if (reply.kind === "progress") {
        this.#tell({ label: reply.label, done: reply.done, total: reply.total });
        return;
      }
      const waiting = this.#waiting.get(reply.id)!;
      this.#waiting.delete(reply.id);
      this.#tell(null);
      if (reply.kind === "failed") waiting.reject(errorOf(reply));
      else waiting.resolve(reply);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#worker = null; // the next question begins another one
      this.#fail(new Error(`The Worker failed: ${event.message}`));
    };
    return worker;
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#tell(null);
  }

  /** The page asks for it, the terminal shows it as other commands do. */
  #tell(progress: ClerkProgress | null): void {
    this.#progress = progress;
    if (this.#bar?.label !== progress?.label) {
      this.#bar?.stop();
      this.#bar = progress && new Progress(progress.label);
    }
    if (progress) {
      this.#bar!.show(progress.done, progress.total, "", this.#bar!.pace.left(progress.done, progress.total));
    }
  }
}

/** What whoever still waits hears. */
function ended(): UserError {
  return new UserError({ action: "show that", found: "the server has ended", remedy: "start `mtc browse` again" });
}

function errorOf({ reason, message, stack }: Extract<ClerkReply, { kind: "failed" }>): Error {
  return reason === null ? Object.assign(new Error(message), { stack }) : new UserError(reason, message);
}
