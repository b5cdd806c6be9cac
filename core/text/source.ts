/**
 * Token sources: where the forward pass gets its contexts from.
 * @module
 */
import { endFirst } from "../ending.ts";
import { UserError } from "../errors.ts";
import { endWorker } from "../workers.ts";
import { type ContextBatch, copyContexts, emptyBatch, sliceBatch, START, type StreamPosition } from "./contexts.ts";
import { documentName, type DocumentNames } from "./documents.ts";
import type { LeftOut } from "./no_text.ts";
import type { HeldOutSplit } from "./split.ts";
import type { TextSummary } from "./summary.ts";
import { lookAt, watchedMemory } from "./watched.ts";
import type { Reply, Request, TokenSourceOptions } from "./worker.ts";

/** The one place that says where the Worker's module lies. */
const WORKER_URL = new URL("./worker.ts", import.meta.url);

/**
 * The most runs of 8,192 tokens that the Worker packs ahead (1.5 MB): at 7,500 tokens/s in the model they last 17 seconds, enough to
 * read the next block from a disk or the hub meanwhile. One is at first, and twice as many with each that is taken: a model that takes
 * minutes for a run would share its cores with a Worker that packs what nobody may come to take.
 */
const AHEAD_RUNS = 16;

/** A stream of contexts from text. The sequence depends on the options alone, never on timing or batch sizes. */
export interface TokenSource {
  /** What is recorded of the text. */
  readonly summary: TextSummary;
  /** Documents of this part of the text; null when the text is read as a stream, which nobody counts. */
  readonly documents: number | null;
  /** The name of a document by its number in `TokenBatch.document`; it may be asked for when the source is closed. */
  documentName(document: number): string;
  /**
   * The next contexts: fewer than asked for, perhaps none, only where a held-out part ends.
   * @throws {UserError} when the text cannot be tokenised.
   */
  next(contexts: number): Promise<ContextBatch>;
  /** Ends the Worker; settles when it has ended. Calls of `next` that are under way fail. */
  close(): Promise<void>;
}

/**
 * Opens a source; its Worker begins to tokenise at once.
 *
 * @param options What it is made of.
 * @param mostChatSeconds How long the tokenizer's template may take for a chat.
 * @throws {UserError} when the text or the tokenizer cannot be read, the text is too short, or `start` is not in it.
 */
export async function openTokenSource(
  options: TokenSourceOptions,
  mostChatSeconds: number = MOST_CHAT_S,
): Promise<TokenSource> {
  const worker = new TextWorker(mostChatSeconds);
  try {
    const opened = await worker.patiently(worker.ask({ kind: "open", options, watched: worker.watched }));
    if (opened.kind !== "opened") throw new Error(`Cannot open the text: the Worker answered "${opened.kind}"`);
    return new PrefetchingSource(worker, opened, options);
  } catch (error) {
    await worker.close();
    throw error;
  }
}

/**
 * What an evaluation is told of the text that it reads.
 *
 * @param source Where it reads; it may be closed.
 * @param split The part that the source was opened with.
 * @returns The part, its documents and their names.
 */
export function evaluatedText(
  source: TokenSource,
  split: HeldOutSplit,
): Pick<TokenSource, "documents" | "documentName"> & { readonly split: HeldOutSplit } {
  return { split, documents: source.documents, documentName: (document: number) => source.documentName(document) };
}

/** A chat template may take so long for a chat, in seconds, and so many bytes more than before it. */
const MOST_CHAT_S = 20, MOST_CHAT_BYTES = 2 ** 30;
/** How often a Worker that is waited for is looked at, and from when on that is told. */
const LOOK_MS = 250, TELL_MS = 10_000;

/** Hears of a wait. */
let tellWait: (bytes: number) => void = () => {};

/**
 * Asks to be told where a text lets itself be waited for: after ten seconds, and then every ten.
 *
 * @param listener Hears how many bytes of it were read so far.
 */
export function onWait(listener: (bytes: number) => void): void {
  tellWait = listener;
}

/** Hears of what is left out. */
let tellLeftOut: (leftOut: LeftOut) => void = () => {};

/**
 * Asks to be told where a text that is drawn from has records without text, once for each time that it is opened.
 *
 * @param listener Hears how many, and of the first.
 */
export function onLeftOut(listener: (leftOut: LeftOut) => void): void {
  tellLeftOut = listener;
}

/** Requests to the Worker and their replies, which come in the order of the requests. */
class TextWorker {
  #worker = new Worker(WORKER_URL, { type: "module" });
  #waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] = [];
  #failure: Error | undefined;
  #end = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  // A thread that runs while the process exits may crash it.
  #forget = endFirst(() => this.close());

  /** Shows how far it is. */
  readonly watched = watchedMemory();
  readonly #mostChatSeconds: number;

  constructor(mostChatSeconds: number) {
    this.#mostChatSeconds = mostChatSeconds;
    this.#worker.onmessage = ({ data: reply }: MessageEvent<Reply>) => {
      if (reply.kind === "closed") return this.#end.resolve();
      const first = this.#waiting.shift();
      if (reply.kind === "failed") first?.reject(errorOf(reply));
      else first?.resolve(reply);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end.resolve();
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

  /** Waits for a reply, tells that where it takes long, and gives it up where a chat template does not end. */
  async patiently(reply: Promise<Reply>): Promise<Reply> {
    let since = performance.now(), last: number | null = null, begun = since, rss = 0;
    const look = () => {
      const { read, chat } = lookAt(this.watched), now = performance.now();
      if (chat !== last) [last, begun, rss] = [chat, now, Deno.memoryUsage().rss];
      const isLong = now - begun > 1000 * this.#mostChatSeconds;
      if (chat !== null && (isLong || Deno.memoryUsage().rss - rss > MOST_CHAT_BYTES)) this.#giveUp();
      if (now - since < TELL_MS) return;
      since = now;
      tellWait(read);
    };
    const timer = setInterval(look, LOOK_MS);
    try {
      return await reply;
    } finally {
      clearInterval(timer);
    }
  }

  /** A thread that is busy hears nothing. */
  #giveUp(): void {
    this.#fail(
      new UserError({
        action: "write a chat of the text",
        requirement: `the tokenizer's chat template must do so within ${this.#mostChatSeconds} s and a gigabyte`,
        found: "it does not come to an end",
        remedy: "take chat_template.jinja or tokenizer_config.json from the model's own directory",
      }),
    );
    this.#end.resolve();
    this.#worker.terminate();
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#fail(new Error("The token source is closed"));
    this.#worker.postMessage({ kind: "close" } satisfies Request);
    await endWorker(this.#worker, this.#end.promise);
    this.#forget();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}

function errorOf(reply: Extract<Reply, { kind: "failed" }>): Error {
  if (reply.reason) return new UserError(reply.reason);
  const error = new Error(reply.message);
  error.stack = reply.stack;
  return error;
}

class PrefetchingSource implements TokenSource {
  readonly summary: TextSummary;
  readonly documents: number | null;
  readonly #names: DocumentNames;
  readonly #worker: TextWorker;
  readonly #context: number;
  /** Runs that are asked for, in order. */
  #ahead: Promise<Reply>[] = [];
  /** How many they are to be. */
  #aheadRuns = 1;
  /** The run that contexts are taken from, and how many were. */
  #run: Extract<Reply, { kind: "run" }> | undefined;
  #taken = 0;
  /** Behind the last context that was handed out. */
  #position: StreamPosition;
  /** Settles when the calls of `next` so far have. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(worker: TextWorker, opened: Extract<Reply, { kind: "opened" }>, options: TokenSourceOptions) {
    this.#worker = worker;
    this.summary = opened.summary;
    this.documents = opened.names.kind === "listed" ? opened.names.names.length : null;
    this.#names = opened.names;
    this.#context = options.context;
    this.#position = options.start ?? START;
  }

  documentName(document: number): string {
    return documentName(this.#names, document);
  }

  next(contexts: number): Promise<ContextBatch> {
    const given = this.#previous.then(() => this.#take(contexts));
    this.#previous = given.catch(() => {});
    return given;
  }

  close(): Promise<void> {
    return this.#worker.close();
  }

  async #take(contexts: number): Promise<ContextBatch> {
    const batch = emptyBatch(contexts, this.#context);
    let row = 0;
    while (row < contexts && await this.#hasMore()) {
      const { batch: from, positions } = this.#run!;
      const taken = Math.min(contexts - row, from.contexts - this.#taken);
      copyContexts(sliceBatch(from, this.#taken, this.#taken + taken), batch, row);
      row += taken;
      this.#taken += taken;
      this.#position = positions[this.#taken - 1];
    }
    return { batch: sliceBatch(batch, 0, row), position: this.#position, done: row < contexts };
  }

  /** Makes sure that the run has contexts left; false at the stream's end. */
  async #hasMore(): Promise<boolean> {
    while (this.#run === undefined || this.#taken === this.#run.batch.contexts) {
      if (this.#run?.ended) return false;
      while (this.#ahead.length <= this.#aheadRuns) this.#ahead.push(this.#request());
      this.#aheadRuns = Math.min(AHEAD_RUNS, 2 * this.#aheadRuns);
      const reply = await this.#worker.patiently(this.#ahead.shift()!);
      if (reply.kind !== "run") throw new Error(`Cannot read contexts: the Worker answered "${reply.kind}"`);
      if (this.#run === undefined && reply.leftOut.records > 0) tellLeftOut(reply.leftOut);
      this.#run = reply;
      this.#taken = 0;
    }
    return true;
  }

  #request(): Promise<Reply> {
    const reply = this.#worker.ask({ kind: "next" });
    reply.catch(() => {}); // a run that nobody comes to take may fail unseen
    return reply;
  }
}
