/**
 * One request to the hub: redirects are followed by hand, so that the token goes to the hub alone and never to the servers
 * that it sends us on to; and failures that pass are told from those that stay.
 * @module
 */

import { UserError } from "../errors.ts";
import type { HubSettings } from "./settings.ts";

/** A failure that may be over when the request is made again. */
export class PassingFailure extends Error {
  /** Distinguishes this class in logs. */
  override name = "PassingFailure";

  /**
   * Keeps what a retry needs.
   *
   * @param message What happened.
   * @param status The HTTP status, null when no whole answer came.
   * @param seconds How long the server asks us to wait, null when it does not say.
   */
  constructor(message: string, readonly status: number | null = null, readonly seconds: number | null = null) {
    super(message);
  }
}

/** The statuses after which another try may succeed. */
const PASSING = [408, 425, 429, 500, 502, 503, 504];
const REDIRECTS = [301, 302, 303, 307, 308];
const MAX_REDIRECTS = 10;

/**
 * Sends a request once and follows its redirects.
 *
 * @param hub The token and the only origin that may see it.
 * @param address Where to.
 * @param init The request; its headers must not hold the token.
 * @returns The answer; `url` is the address it came from.
 * @throws {PassingFailure} When no answer comes, or one that asks to come back later.
 * @throws {UserError} When redirects lead nowhere, or the program may not use the network.
 */
export async function send(hub: HubSettings, address: string, init: RequestInit = {}): Promise<Response> {
  let url = new URL(address);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const response = await answer(url, { ...init, redirect: "manual", headers: headersFor(hub, url, init.headers) });
    const location = response.headers.get("location");
    if (!REDIRECTS.includes(response.status) || location === null) {
      if (!PASSING.includes(response.status)) return response;
      await response.body?.cancel();
      throw new PassingFailure(`the answer was ${response.status}`, response.status, secondsToWait(response.headers));
    }
    await response.body?.cancel();
    if (!URL.canParse(location, url)) break;
    url = new URL(location, url);
  }
  throw new UserError({
    action: `reach ${address}`,
    requirement: `its redirects must end within ${MAX_REDIRECTS} hops at an address`,
    found: "they end nowhere",
    remedy: "check HF_ENDPOINT",
  });
}

function headersFor(hub: HubSettings, url: URL, given: HeadersInit | undefined): Headers {
  const headers = new Headers(given);
  headers.set("user-agent", "mtc");
  headers.delete("authorization");
  if (hub.token !== null && url.origin === new URL(hub.endpoint).origin) {
    headers.set("authorization", `Bearer ${hub.token}`);
  }
  return headers;
}

async function answer(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      throw new UserError({ action: `reach ${url.host}`, found: error.message, remedy: "grant it with --allow-net" });
    }
    throw asPassing(error);
  }
}

/**
 * What a broken connection looks like to callers.
 *
 * @param error What `fetch`, or reading a body, threw.
 * @returns A {@link PassingFailure} that tells the innermost cause; other errors as they are.
 */
export function asPassing(error: unknown): unknown {
  if (!(error instanceof TypeError || error instanceof DOMException || error instanceof Deno.errors.Http)) return error;
  let cause: Error = error;
  while (cause.cause instanceof Error) cause = cause.cause;
  // What is of use comes last: "error sending request for url (...): client error (Connect): dns error: ...".
  return new PassingFailure(cause.message.replace(/^.*client error \(\w+\): /, ""));
}

/** From Retry-After, in seconds or as a date, or the hub's own RateLimit header: `"api";r=0;t=55`. */
function secondsToWait(headers: Headers): number | null {
  const after = headers.get("retry-after");
  if (after !== null && /^\d+$/.test(after.trim())) return Number(after);
  if (after !== null && !Number.isNaN(Date.parse(after))) return Math.max(0, (Date.parse(after) - Date.now()) / 1000);
  const limit = /;\s*r=0\b.*?;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "");
  return limit === null ? null : Number(limit[1]);
}
