/**
 * Reading and computing on a thread of its own: verdicts, and the parts that the explorer shows.
 * @module
 */

import { endFirst } from "../../core/ending.ts";
import { UserError } from "../../core/errors.ts";
import type { ServedVerdict } from "../../reports/browser/served.ts";
import type { ClerkReply, ClerkRequest, ExploredDirectory } from "./clerk_worker.ts";

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
   * Says what the explorer shows from now on.
   *
   * @param transcoders The transcoders.
   * @throws {UserError} When it cannot.
   */
  async explore(transcoders: readonly ExploredDirectory[]): Promise<void> {
    await this.#ask({ kind: "explore", transcoders });
  }

  /**
   * Makes a part of the explorer.
   *
   * @param name Its name.
   * @returns JSON in UTF-8; null for what there is not.
   * @throws {UserError} When a file that it is made of cannot be read.
   */
  async part(name: string): Promise<Uint8Array<ArrayBuffer> | null> {
    return (await this.#ask({ kind: "part", name })).part ?? null;
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
    this.#fail(new Error("The server has ended"));
    this.#forget();
  }

  #ask(wanted: Wanted): Promise<Done> {
    if (this.#isClosed) return Promise.reject(new Error("The server has ended"));
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
        this.#progress = { label: reply.label, done: reply.done, total: reply.total };
        return;
      }
      const waiting = this.#waiting.get(reply.id)!;
      this.#waiting.delete(reply.id);
      this.#progress = null;
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
    this.#progress = null;
  }
}

function errorOf({ reason, message, stack }: Extract<ClerkReply, { kind: "failed" }>): Error {
  return reason === null ? Object.assign(new Error(message), { stack }) : new UserError(reason, message);
}
