/**
 * Token sources: where the forward pass gets its contexts from.
 * @module
 */
import { UserError } from "../errors.ts";
import { type ContextBatch, START, type StreamPosition } from "./contexts.ts";
import type { DocumentCounts, Reply, Request, TokenSourceOptions } from "./worker.ts";

/** The one place that says where the Worker's module lies. */
const WORKER_URL = new URL("./worker.ts", import.meta.url);

/** The Worker packs ahead about this many tokens (384 kB), so that a long document does not keep the caller waiting. */
const AHEAD_TOKENS = 32_768;
const MAX_AHEAD_BATCHES = 64;

/** A stream of contexts from text. The sequence depends on the options alone, never on timing or batch sizes. */
export interface TokenSource {
  /** The names of this split's documents; `TokenBatch.document` is an index into them. */
  readonly documents: string[];
  /** Documents of both splits. */
  readonly counts: DocumentCounts;
  /**
   * The next contexts: fewer than asked for, perhaps none, only where a "held_out" stream ends.
   * @throws {UserError} when the text cannot be tokenised.
   */
  next(contexts: number): Promise<ContextBatch>;
  /** Ends the Worker. Calls of `next` that are under way fail. */
  close(): void;
}

/**
 * Opens a source; its Worker begins to tokenise at once.
 * @throws {UserError} when the text or the tokenizer cannot be read, the text is too short, or `start` is not in it.
 */
export async function openTokenSource(options: TokenSourceOptions): Promise<TokenSource> {
  const worker = new TextWorker();
  try {
    const opened = await worker.ask({ kind: "open", options });
    if (opened.kind !== "opened") throw new Error(`Cannot open the text: the Worker answered "${opened.kind}"`);
    return new PrefetchingSource(worker, opened, options);
  } catch (error) {
    worker.close();
    throw error;
  }
}

/** Requests to the Worker and their replies, which come in the order of the requests. */
class TextWorker {
  #worker = new Worker(WORKER_URL, { type: "module" });
  #waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] = [];
  #failure: Error | undefined;

  constructor() {
    this.#worker.onmessage = ({ data: reply }: MessageEvent<Reply>) => {
      const first = this.#waiting.shift();
      if (reply.kind === "failed") first?.reject(errorOf(reply));
      else first?.resolve(reply);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(`The Worker that reads the text failed: ${event.message}`));
    };
  }

  ask(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  close(): void {
    this.#worker.terminate();
    this.#fail(new Error("The token source is closed"));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}

function errorOf(reply: Extract<Reply, { kind: "failed" }>): Error {
  if (reply.byUser) return new UserError(reply.message);
  const error = new Error(reply.message);
  error.stack = reply.stack;
  return error;
}

class PrefetchingSource implements TokenSource {
  readonly documents: string[];
  readonly counts: DocumentCounts;
  readonly #worker: TextWorker;
  readonly #context: number;
  /** Batches that are asked for and not yet handed out, all of `#size` contexts, in order. */
  #ahead: Promise<Reply>[] = [];
  #size = 0;
  /** Behind the last batch that was handed out. */
  #position: StreamPosition;
  /** Settles when the calls of `next` so far have. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(worker: TextWorker, opened: Extract<Reply, { kind: "opened" }>, options: TokenSourceOptions) {
    this.#worker = worker;
    this.documents = opened.documents;
    this.counts = opened.counts;
    this.#context = options.context;
    this.#position = options.start ?? START;
  }

  next(contexts: number): Promise<ContextBatch> {
    const given = this.#previous.then(() => this.#take(contexts));
    this.#previous = given.catch(() => {});
    return given;
  }

  close(): void {
    this.#worker.close();
  }

  async #take(contexts: number): Promise<ContextBatch> {
    if (contexts !== this.#size) {
      // What was packed ahead has the wrong size; the Worker goes back to where the caller is.
      this.#size = contexts;
      this.#ahead = [];
      this.#request(this.#position);
    }
    const depth = Math.ceil(AHEAD_TOKENS / Math.max(1, contexts * this.#context));
    while (this.#ahead.length <= Math.min(depth, MAX_AHEAD_BATCHES)) this.#request();
    const reply = await this.#ahead.shift()!;
    if (reply.kind !== "batch") throw new Error(`Cannot read a batch: the Worker answered "${reply.kind}"`);
    this.#position = reply.position;
    return { batch: reply.batch, position: reply.position, done: reply.done };
  }

  #request(from?: StreamPosition): void {
    const reply = this.#worker.ask({ kind: "batch", contexts: this.#size, from });
    reply.catch(() => {}); // a batch that nobody comes to take may fail unseen
    this.#ahead.push(reply);
  }
}
