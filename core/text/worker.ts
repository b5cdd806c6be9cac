/**
 * The Worker behind a token source: reads, tokenises and packs text away from the thread that drives the GPU. It answers
 * each request with one reply, in order; `source.ts` is the other end.
 * @module
 */
import { type Reason, UserError } from "../errors.ts";
import { chatWriter } from "./chat.ts";
import type { StreamPosition } from "./contexts.ts";
import { openCorpus } from "./corpus.ts";
import type { DataPaths, DocumentNames } from "./documents.ts";
import { HeldOutStream } from "./held_out.ts";
import { type LeftOut, NOTHING_LEFT_OUT } from "./no_text.ts";
import { PLAIN_READING, type TextReading } from "./reading.ts";
import type { Split } from "./split.ts";
import { type ContextRun, ContextStream } from "./stream.ts";
import type { TextSummary } from "./summary.ts";
import { loadTokenizer, type TokenizerFiles } from "./tokenizer.ts";
import { beWatched } from "./watched.ts";

/** What a token source is made of. */
export interface TokenSourceOptions {
  /** The model's tokenizer. */
  tokenizer: TokenizerFiles;
  /** The text. */
  data: DataPaths;
  /** How its records are read; if left out, they have a "text" or are refused. */
  reading?: TextReading;
  /** "train" is endless and packed, unless `tokens` are drawn of it; the held-out parts end, and have one document in each context. */
  split: Split;
  /** Tokens per context, BOS included. */
  context: number;
  /** Names the order of the training documents, null keeps their own; without effect on the held-out parts. */
  seed: number | null;
  /** Where "train" begins; at its beginning if left out. */
  start?: StreamPosition;
  /**
   * How many tokens are drawn evenly, rounded up to whole contexts. If left out, all of a held-out part are, and "train" is not drawn from
   * but read; drawn from, it ends as held-out parts do.
   */
  tokens?: number;
}

/** What the Worker is asked: to open a stream, then again and again for its next run of contexts, at last to end. */
export type Request =
  | { kind: "open"; options: TokenSourceOptions; watched: Int32Array<SharedArrayBuffer> }
  | { kind: "next" }
  | { kind: "close" };

/** What the Worker answers; `closed` is its last word. `leftOut` is of what is drawn from, `reason` is that of a UserError; null for a defect. */
export type Reply =
  | { kind: "closed" }
  | { kind: "opened"; names: DocumentNames; summary: TextSummary }
  | ({ kind: "run"; ended: boolean; leftOut: LeftOut } & ContextRun)
  | { kind: "failed"; reason: Reason | null; message: string; stack: string | undefined };

/** The part of a Worker's global scope that is used here; the type library of this project is the window's. */
interface WorkerScope {
  onmessage: (event: MessageEvent<Request>) => void;
  postMessage(reply: Reply, transfer: Transferable[]): void;
  close(): void;
}

/** Tokens in a run: long enough that messages cost nothing, short enough that nobody waits for one. */
const RUN_TOKENS = 8192;
/** Training documents of a streamed text of which one is drawn from: as many are left as are held out. */
const TRAINING_DOCUMENTS = 19;
/** Long documents are shuffled in sections of about this many characters: a thousand tokens or so. */
const SECTION_CHARACTERS = 4096;

const scope = globalThis as unknown as WorkerScope;
let stream: Pick<ContextStream, "next"> & { readonly leftOut?: LeftOut };
let contexts = 1;
/** The first run for training, which tells whether the text is long enough; its failure is that of opening. */
let first: ContextRun | undefined;
let previous: Promise<void> = Promise.resolve();

scope.onmessage = ({ data: request }) => {
  if (request.kind !== "close") {
    previous = previous.then(() => answer(request));
    return;
  }
  // What was asked for before is not waited for.
  scope.postMessage({ kind: "closed" }, []);
  scope.close();
};

async function answer(request: Exclude<Request, { kind: "close" }>): Promise<void> {
  try {
    if (request.kind === "open") beWatched(request.watched);
    const reply = request.kind === "open" ? await open(request.options) : await next();
    const { ids, document, position } = reply.kind === "run" ? reply.batch : {};
    scope.postMessage(reply, [ids, document, position].flatMap((array) => array ? [array.buffer] : []));
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    const reason = error instanceof UserError ? error.parts : null;
    scope.postMessage({ kind: "failed", reason, message, stack }, []);
  }
}

async function open(options: TokenSourceOptions): Promise<Reply> {
  const { tokenizer: files, data, reading = PLAIN_READING, split, context, seed, start, tokens } = options;
  const { encode, bosId, eosId } = loadTokenizer(files);
  const source = await openCorpus(data, split, undefined, { ...reading, chats: chatWriter(files) }),
    common = { source, encode, context, bosId, eosId };
  contexts = Math.max(1, Math.floor(RUN_TOKENS / context));
  if (split === "train" && tokens === undefined) {
    stream = await ContextStream.open({ ...common, sectionCharacters: SECTION_CHARACTERS, seed, start, reading });
    first = await stream.next(contexts);
  } else {
    // Of a text that is streamed, as many training documents as held-out ones are held in memory.
    const every = split === "train" ? TRAINING_DOCUMENTS : 1;
    stream = new HeldOutStream({ ...common, tokens: tokens ?? Infinity, every });
  }
  return { kind: "opened", names: source.names, summary: source.summary };
}

async function next(): Promise<Reply> {
  await toEventLoop();
  const run = first ?? await stream.next(contexts);
  first = undefined;
  return { kind: "run", ended: run.positions.length < contexts, leftOut: stream.leftOut ?? NOTHING_LEFT_OUT, ...run };
}

/**
 * Lets the event loop turn. A Worker hears only there that it is to end, so without this a closed one would go on with every run
 * that it was asked for, on a core of its own and in half a gigabyte where the vocabulary is Gemma-3's.
 */
function toEventLoop(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
