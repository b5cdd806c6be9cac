/**
 * The server of `mtc browse`: on the loopback interface alone.
 * @module
 */

import { printable, UserError } from "../../core/errors.ts";
import { refusal, sentence } from "./guard.ts";

/** Answers a request that may be answered. */
export type Handler = (request: Request, path: string, query: URLSearchParams) => Promise<Response | null>;

/** A server that listens. */
export interface Listening {
  /** Where: `http://127.0.0.1:4711/`. */
  readonly address: string;
  /** Ends when it is closed; fails with a UserError where it can take no more connections, after which it answers nobody. */
  readonly ended: Promise<void>;
  /** Ends it; answers under way are cut off. */
  close(): Promise<void>;
}

/** The only address that is listened at: what comes over a network never arrives. */
const LOOPBACK = "127.0.0.1";

/**
 * Listens.
 *
 * @param port Where; 0 for any port that is free.
 * @param handle Answers what is asked; null for what there is not.
 * @returns The server.
 * @throws {UserError} When the port is taken or not to be had.
 */
export function listen(port: number, handle: Handler): Listening {
  const ending = new AbortController();
  let bound = port;
  try {
    const server = Deno.serve({
      hostname: LOOPBACK,
      port,
      signal: ending.signal,
      onListen: (address) => bound = address.port,
      onError: failed,
    }, async (request) => {
      const refused = refusal(request, bound);
      if (refused) return sentence(refused.text, refused.status);
      const { pathname, searchParams } = new URL(request.url);
      try {
        return await handle(request, pathname, searchParams) ?? sentence("There is nothing of that name here.", 404);
      } catch (error) {
        return failed(error);
      }
    });
    bound = server.addr.port;
    const ended = server.finished.catch((error) => Promise.reject(cannotGoOn(error)));
    ended.catch(() => {}); // whoever waits for it hears of it
    return {
      address: `http://${LOOPBACK}:${bound}/`,
      ended,
      async close() {
        ending.abort();
        await ended.catch(() => {});
      },
    };
  } catch (error) {
    throw cannotListen(port, error);
  }
}

/** What a reader can mend is told; anything else is a defect, which belongs on the terminal. */
function failed(error: unknown): Response {
  if (error instanceof UserError) return sentence(error.message, 409);
  console.error(error instanceof Error ? printable(error.stack ?? error.message, 4000) : String(error));
  return sentence("This is a defect of mtc; the terminal that `mtc browse` runs in says more.", 500);
}

/** The process has given up the network, so that it cannot listen anew. */
function cannotGoOn(error: unknown): UserError {
  return new UserError({
    action: "take more connections",
    found: error instanceof Error ? error.message : String(error),
    remedy: "close what holds so many open, or raise `ulimit -n`, and run the same command again",
  });
}

function cannotListen(port: number, error: unknown): unknown {
  const action = `listen at ${LOOPBACK}:${port}`;
  if (error instanceof Deno.errors.AddrInUse) {
    const remedy = "choose another --port, or leave it out for one that is free";
    return new UserError({ action, requirement: "the port must be free", found: "another program has it", remedy });
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    const remedy = "choose a --port from 1024 on, or leave it out";
    return new UserError({
      action,
      requirement: "the port must be open to you",
      found: "the system refuses it",
      remedy,
    });
  }
  return error;
}
