/**
 * Workers of one module that do tasks beside each other, each one task at a time, and the end of a Worker.
 * @module
 */

import { endFirst } from "./ending.ts";

/** The longest that a Worker is waited for which is to end, and what its thread takes to be gone after its last word, measured 4 to 32 ms. */
const LAST_WORD_MS = 1000, THREAD_END_MS = 50;

/** What a Worker is sent: a task, or that it is to end. */
type Request<Task> = { readonly kind: "task"; readonly task: Task } | { readonly kind: "close" };

/** What it answers: how far it is, the result or a defect; `closed` is its last word. */
type Reply<Result> =
  | { readonly kind: "progress"; readonly progress: unknown[] }
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "failed"; readonly message: string; readonly stack: string | undefined }
  | { readonly kind: "closed" };

/** The part of a Worker's global scope that is used here; the type library of this project is the window's. */
interface WorkerScope<Task, Result> {
  onmessage: (event: MessageEvent<Request<Task>>) => void;
  postMessage(reply: Reply<Result>): void;
  close(): void;
}

/**
 * Ends a Worker that closes itself when it is asked to.
 *
 * @param worker The Worker, which has been asked.
 * @param lastWord Settles with its last word; one that works on is not waited for long.
 */
export async function endWorker(worker: Worker, lastWord: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([lastWord, new Promise((resolve) => timer = setTimeout(resolve, LAST_WORD_MS))]);
  clearTimeout(timer);
  worker.terminate();
  // Nobody need wait for the thread itself but who ends the process.
  const ended = performance.now(), left = () => Math.max(0, ended + THREAD_END_MS - performance.now());
  const forget = endFirst(() => new Promise((resolve) => setTimeout(resolve, left())));
  Deno.unrefTimer(setTimeout(forget, THREAD_END_MS));
}

/**
 * Answers the tasks of {@link Workers}; a Worker's module calls it once.
 *
 * @param work Does a task; `say` tells those who wait how far it is. What it gives is copied to them.
 */
export function answerTasks<Task, Result>(
  work: (task: Task, say: (...progress: unknown[]) => void) => Result | Promise<Result>,
): void {
  const scope = globalThis as unknown as WorkerScope<Task, Result>;
  scope.onmessage = async ({ data }) => {
    if (data.kind === "close") {
      scope.postMessage({ kind: "closed" });
      return scope.close();
    }
    try {
      const result = await work(data.task, (...progress) => scope.postMessage({ kind: "progress", progress }));
      scope.postMessage({ kind: "done", result });
    } catch (error) {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      scope.postMessage({ kind: "failed", message, stack });
    }
  };
}

/** A task that waits for a Worker or is worked on. */
interface Waiting<Task, Result> {
  readonly task: Task;
  readonly onProgress: (...progress: unknown[]) => void;
  readonly given: readonly ArrayBuffer[];
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

/** As many Workers of a module as there are tasks, up to a number; each is started when no other is free. */
export class Workers<Task, Result> {
  readonly #url: URL;
  readonly #most: number;
  readonly #waiting: Waiting<Task, Result>[] = [];
  readonly #free: OneWorker<Task, Result>[] = [];
  readonly #all: OneWorker<Task, Result>[] = [];

  /**
   * Starts none yet.
   *
   * @param url The module, which calls {@link answerTasks}.
   * @param most How many there may be.
   */
  constructor(url: URL, most: number) {
    this.#url = url;
    this.#most = most;
  }

  /**
   * Has a task done.
   *
   * @param task The task, which is copied.
   * @param onProgress Hears how far it is.
   * @param given Buffers of the task that are given away in place of being copied, so that they are held once.
   * @returns The result.
   * @throws {Error} What the Worker threw.
   */
  ask(
    task: Task,
    onProgress: (...progress: unknown[]) => void = () => {},
    given: readonly ArrayBuffer[] = [],
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ task, onProgress, given, resolve, reject });
      this.#next();
    });
  }

  /** Ends the Workers; tasks that are not done fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { reject } of this.#waiting.splice(0)) reject(new Error("The Workers are closed"));
    await Promise.all(this.#all.splice(0).map((one) => one.close()));
  }

  #next(): void {
    if (this.#waiting.length === 0) return;
    let one = this.#free.pop();
    if (one === undefined) {
      if (this.#all.length === this.#most) return;
      this.#all.push(one = new OneWorker(this.#url));
    }
    const taken = one;
    taken.do(this.#waiting.shift()!).then((isAlive) => {
      if (isAlive) this.#free.push(taken);
      else this.#all.splice(this.#all.indexOf(taken), 1);
      this.#next();
    });
  }
}

class OneWorker<Task, Result> {
  readonly #worker: Worker;
  readonly #end = Promise.withResolvers<void>();
  #task: Waiting<Task, Result> | null = null;
  #done: (isAlive: boolean) => void = () => {};
  #closing: Promise<void> | undefined;
  // A thread that runs while the process exits may crash it.
  readonly #forget = endFirst(() => this.close());

  constructor(url: URL) {
    this.#worker = new Worker(url, { type: "module" });
    this.#worker.onmessage = ({ data: reply }: MessageEvent<Reply<Result>>) => this.#hear(reply);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end.resolve();
      this.#settle(({ reject }) => reject(new Error(`The Worker ${url.pathname} failed: ${event.message}`)), false);
    };
  }

  /** Whether the Worker is there for another task is what it gives. */
  do(task: Waiting<Task, Result>): Promise<boolean> {
    this.#task = task;
    this.#worker.postMessage({ kind: "task", task: task.task } satisfies Request<Task>, [...task.given]);
    return new Promise((resolve) => this.#done = resolve);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#worker.postMessage({ kind: "close" } satisfies Request<Task>);
    await endWorker(this.#worker, this.#end.promise);
    this.#forget();
    this.#settle(({ reject }) => reject(new Error("The Workers are closed")), false);
  }

  #hear(reply: Reply<Result>): void {
    if (reply.kind === "closed") return this.#end.resolve();
    if (reply.kind === "progress") return this.#task?.onProgress(...reply.progress);
    this.#settle(({ resolve, reject }) => {
      if (reply.kind === "done") return resolve(reply.result);
      const error = new Error(reply.message);
      error.stack = reply.stack;
      reject(error);
    }, true);
  }

  #settle(tell: (task: Waiting<Task, Result>) => void, isAlive: boolean): void {
    const task = this.#task;
    this.#task = null;
    if (task) tell(task);
    this.#done(isAlive);
  }
}
