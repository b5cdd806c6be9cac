/**
 * The Worker behind a token source: reads, tokenises and packs text away from the thread that drives the GPU. It answers
 * each request with one reply, in order; `source.ts` is the other end.
 * @module
 */
import { UserError } from "../errors.ts";
import { type ContextBatch, ContextStream, countTokens, type StreamPosition } from "./contexts.ts";
import { type DataPaths, type Document, readDocuments } from "./documents.ts";
import { type Split, splitDocuments } from "./split.ts";
import { loadTokenizer, type TokenizerFiles } from "./tokenizer.ts";

/** What a token source is made of. */
export interface TokenSourceOptions {
  /** The model's tokenizer. */
  tokenizer: TokenizerFiles;
  /** The text. */
  data: DataPaths;
  /** "train" is endless; "held_out" ends after one pass in the documents' own order. */
  split: Split;
  /** Tokens per context, BOS included. */
  context: number;
  /** Names the order of the training documents; null keeps their own. Without effect on "held_out". */
  seed: number | null;
  /** Where to begin; the beginning if left out. */
  start?: StreamPosition;
}

/** Documents on both sides of the split, pieces of cut documents counted each. */
export interface DocumentCounts {
  /** All. */
  documents: number;
  /** For training. */
  train_documents: number;
  /** Held out. */
  held_out_documents: number;
}

/** What the Worker is asked. A batch continues behind the last one, or at `from`. */
export type Request =
  | { kind: "open"; options: TokenSourceOptions }
  | { kind: "batch"; contexts: number; from?: StreamPosition };

/** What the Worker answers. `byUser` tells a UserError from a defect. */
export type Reply =
  | { kind: "opened"; documents: string[]; counts: DocumentCounts }
  | ({ kind: "batch" } & ContextBatch)
  | { kind: "failed"; byUser: boolean; message: string; stack: string | undefined };

/** The part of a Worker's global scope that is used here; the type library of this project is the window's. */
interface WorkerScope {
  onmessage: (event: MessageEvent<Request>) => void;
  postMessage(reply: Reply, transfer: Transferable[]): void;
}

const scope = globalThis as unknown as WorkerScope;
let stream: ContextStream | undefined;

scope.onmessage = async ({ data: request }) => {
  try {
    if (request.kind === "open") {
      scope.postMessage(await open(request.options), []);
    } else {
      const given = nextBatch(request);
      const { ids, document, position } = given.batch;
      scope.postMessage({ kind: "batch", ...given }, [ids.buffer, document.buffer, position.buffer]);
    }
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    scope.postMessage({ kind: "failed", byUser: error instanceof UserError, message, stack }, []);
  }
};

/** Long documents are shuffled in sections of about this many characters: a thousand tokens or so. */
const SECTION_CHARACTERS = 4096;

async function open(options: TokenSourceOptions): Promise<Reply> {
  const tokenizer = loadTokenizer(options.tokenizer);
  const both = splitDocuments(await readDocuments(options.data));
  const documents = both[options.split];
  // Sections of a document come up one at a time; its tokens take no more memory than its text, which is here anyway.
  const encoded: Uint32Array[] = [];
  const tokens = (document: number) => encoded[document] ??= tokenizer.encode(documents[document].text);
  const endless = options.split === "train";
  stream = new ContextStream({
    documents: documents.length,
    tokens,
    sections: (document) => Math.max(1, Math.round(documents[document].text.length / SECTION_CHARACTERS)),
    context: options.context,
    bosId: tokenizer.bosId,
    eosId: tokenizer.eosId,
    seed: endless ? options.seed : null,
    endless,
    start: options.start,
  });
  requireOneContext(documents, tokens, options);
  return {
    kind: "opened",
    documents: documents.map((document) => document.name),
    counts: {
      documents: both.train.length + both.held_out.length,
      train_documents: both.train.length,
      held_out_documents: both.held_out.length,
    },
  };
}

function requireOneContext(
  documents: Document[],
  tokens: (document: number) => Uint32Array,
  { split, context }: TokenSourceOptions,
): void {
  const needed = context - 1;
  const count = countTokens({ documents: documents.length, tokens }, needed);
  if (count >= needed) return;
  throw new UserError(
    `Cannot make contexts of ${context} tokens: the ${split === "train" ? "training" : "held-out"} text must have at ` +
      `least ${needed} tokens, it has ${count}; give more text or a smaller --context`,
  );
}

function nextBatch({ contexts, from }: Extract<Request, { kind: "batch" }>): ContextBatch {
  if (stream === undefined) throw new Error("Cannot give a batch: the stream must be open, it is not");
  if (from !== undefined) stream.seek(from);
  return stream.next(contexts);
}
