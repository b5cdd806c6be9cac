/**
 * A Worker that reads and computes what takes the CPU for a while, so that the server goes on answering meanwhile. It does one thing at a
 * time, in the order asked for; clerk.ts is the other end.
 * @module
 */

import { type Reason, UserError } from "../../core/errors.ts";
import type { ServedVerdict } from "../../reports/browser/served.ts";
import { tellProgressTo } from "../progress.ts";
import { type Multiplier, openMultiplier } from "../report/dictionary.ts";
import { judge } from "./judged.ts";
import { keep, type Subject } from "./shelf.ts";

/** What is asked: a verdict, or that the explorer's parts of something be kept. */
export type ClerkRequest =
  | { readonly id: number; readonly kind: "judge"; readonly path: string }
  | { readonly id: number; readonly kind: "keep"; readonly subject: Subject; readonly spare: string }
  | { readonly id: number; readonly kind: "close" };

/** What is answered; `reason` is that of a UserError, null for a defect. */
export type ClerkReply =
  | { readonly id: number; readonly kind: "done"; readonly verdict?: ServedVerdict }
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
  postMessage(reply: ClerkReply): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;
let previous: Promise<void> = Promise.resolve(), multiplier: Promise<Multiplier> | undefined;

tellProgressTo((label, done, total) => scope.postMessage({ kind: "progress", label, done, total }));

scope.onmessage = ({ data: request }) => {
  previous = previous.then(() => answer(request));
};

async function answer(request: ClerkRequest): Promise<void> {
  const { id } = request;
  try {
    scope.postMessage({ id, kind: "done", ...await work(request) });
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    scope.postMessage({ id, kind: "failed", reason: error instanceof UserError ? error.parts : null, message, stack });
  }
  if (request.kind === "close") scope.close();
}

async function work(request: ClerkRequest): Promise<{ readonly verdict?: ServedVerdict }> {
  switch (request.kind) {
    case "judge":
      return { verdict: await judge(request.path) };
    case "keep":
      await keep(request.subject, request.spare, () => multiplier ??= openMultiplier());
      return {};
    case "close":
      (await multiplier)?.[Symbol.dispose]();
      return {};
  }
}
