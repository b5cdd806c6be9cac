/**
 * A Worker that reads and computes what takes the CPU for a while, so that the server goes on answering meanwhile. It does one thing at a
 * time, in the order asked for; clerk.ts is the other end.
 * @module
 */

import configuration from "../../deno.json" with { type: "json" };
import { type Reason, UserError } from "../../core/errors.ts";
import { type ChosenTranscoder, openTranscoderDirectory } from "../../core/runs/discovery.ts";
import type { TranscoderName } from "../../core/runs/ids.ts";
import type { ServedVerdict } from "../../reports/browser/served.ts";
import { tellProgressTo } from "../progress.ts";
import { type Multiplier, openMultiplier } from "../report/dictionary.ts";
import { explore, type Explored } from "./explored.ts";
import { judge } from "./judged.ts";

/** A transcoder that the explorer shows. */
export interface ExploredDirectory {
  /** Its directory. */
  readonly path: string;
  /** What it is called; `file` is its key. */
  readonly name: TranscoderName;
}

/** What is asked: a verdict, which transcoders there are to explore from now on, or a part of what there is; at last to end. */
export type ClerkRequest =
  | { readonly id: number; readonly kind: "judge"; readonly path: string }
  | { readonly id: number; readonly kind: "explore"; readonly transcoders: readonly ExploredDirectory[] }
  | { readonly id: number; readonly kind: "part"; readonly name: string }
  | { readonly id: number; readonly kind: "close" };

/** What is answered. `part` is JSON in UTF-8, null for what there is not; `reason` that of a UserError, null for a defect. */
export type ClerkReply =
  | {
    readonly id: number;
    readonly kind: "done";
    readonly verdict?: ServedVerdict;
    readonly part?: Uint8Array<ArrayBuffer> | null;
  }
  | {
    readonly id: number;
    readonly kind: "failed";
    readonly reason: Reason | null;
    readonly message: string;
    readonly stack: string | undefined;
  }
  | { readonly kind: "progress"; readonly label: string; readonly done: number; readonly total: number };

/** The part of a Worker's global scope that is used here; the type library of this project is the window's. */
interface WorkerScope {
  onmessage: (event: MessageEvent<ClerkRequest>) => void;
  postMessage(reply: ClerkReply, transfer?: Transferable[]): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;
let previous: Promise<void> = Promise.resolve();
let explored: Explored | null = null, multiplier: Promise<Multiplier> | undefined;

tellProgressTo((label, done, total) => scope.postMessage({ kind: "progress", label, done, total }));

scope.onmessage = ({ data: request }) => {
  previous = previous.then(() => answer(request));
};

async function answer(request: ClerkRequest): Promise<void> {
  const { id } = request;
  try {
    const done = await work(request);
    scope.postMessage({ id, kind: "done", ...done }, done.part ? [done.part.buffer] : []);
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    scope.postMessage({ id, kind: "failed", reason: error instanceof UserError ? error.parts : null, message, stack });
  }
  if (request.kind === "close") scope.close();
}

async function work(
  request: ClerkRequest,
): Promise<{ readonly verdict?: ServedVerdict; readonly part?: Uint8Array<ArrayBuffer> | null }> {
  switch (request.kind) {
    case "judge":
      return { verdict: await judge(request.path) };
    case "explore":
      explored = await opened(request.transcoders);
      return {};
    case "part": {
      const part = await explored?.part(request.name) ?? null;
      return { part: part && new TextEncoder().encode(JSON.stringify(part)) };
    }
    case "close":
      (await multiplier)?.[Symbol.dispose]();
      return {};
  }
}

/** What cannot be opened any more is passed over with its sentence. */
async function opened(transcoders: readonly ExploredDirectory[]): Promise<Explored> {
  const chosen: ChosenTranscoder[] = [], notes: string[] = [];
  for (const { path, name } of transcoders) {
    try {
      chosen.push({ ...await openTranscoderDirectory(path), name });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      notes.push(error.message);
    }
  }
  return explore(chosen, {
    version: configuration.version,
    served: true,
    notes,
    multiplier: () => multiplier ??= openMultiplier(),
  });
}
