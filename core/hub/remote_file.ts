/**
 * A file of the hub, read through dropped connections.
 * @module
 */

import { UserError } from "../errors.ts";
import type { HubEntry } from "./api.ts";
import { asPassing, PassingFailure, send } from "./http.ts";
import type { Patience } from "./patience.ts";
import { type HubReference, writeReference } from "./reference.ts";
import { HubError, pagePath, refusal } from "./refusal.ts";
import type { HubSettings } from "./settings.ts";

/** Milliseconds without a byte after which a connection counts as dropped. */
const STALL_MS = 30_000;
/** What a storage server answers when the signed address it once got has expired. */
const EXPIRED = [400, 401, 403, 404, 410];

/** What to do where a server sends a file from its start although a later part was asked for. */
export type WithoutRanges = "skip" | "refuse";

/** One file at one commit. */
export class RemoteFile {
  /** For messages: `hf:owner/name/path`. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  readonly #hub: HubSettings;
  readonly #reference: HubReference;
  readonly #path: string;
  readonly #address: string;
  /** Where the hub sent us on to: asking there again spares the hub a request. Such addresses expire. */
  #storage: string | null = null;

  /**
   * Fetches nothing yet.
   *
   * @param hub Where and as whom to ask.
   * @param reference The repository, for messages.
   * @param commit The commit.
   * @param entry The file.
   */
  constructor(hub: HubSettings, reference: HubReference, commit: string, { path, size }: HubEntry) {
    this.name = writeReference(reference, path);
    this.size = size;
    this.#hub = hub;
    this.#reference = reference;
    this.#path = path;
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    this.#address = `${hub.endpoint}/${pagePath(reference)}/resolve/${commit}/${encoded}`;
  }

  /**
   * Reads a range; when a connection drops, the rest is asked for anew.
   *
   * @param begin The first byte.
   * @param end One past the last byte.
   * @param patience What to wait out; renewed by each piece that arrives.
   * @param withoutRanges What to do with a server that knows no ranges.
   * @returns The bytes in pieces as they arrive.
   * @throws {HubError} When the hub refuses or cannot be reached.
   */
  async *bytes(
    begin: number,
    end: number,
    patience: Patience,
    withoutRanges: WithoutRanges,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (let at = begin; at < end;) {
      try {
        for await (const piece of this.#receive(at, end, withoutRanges)) {
          at += piece.length;
          patience.renew();
          yield piece;
        }
      } catch (error) {
        await patience.endure(error);
      }
    }
  }

  /** One connection's worth of {@link bytes}. */
  async *#receive(begin: number, end: number, without: WithoutRanges): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const watch = new StallWatch();
    try {
      const response = await this.#ask(begin, end, watch.signal);
      const reader = response.body!.getReader();
      try {
        let skip = this.#toSkip(response, begin, without), left = end - begin;
        while (left > 0) {
          watch.start();
          const { done, value } = await reader.read();
          watch.stop();
          if (done) throw new PassingFailure(`the connection ended ${left} bytes early`);
          const piece = value.subarray(skip, skip + left);
          skip -= Math.min(skip, value.length);
          left -= piece.length;
          if (piece.length > 0) yield piece;
        }
      } finally {
        reader.cancel().catch(() => {}); // what is left over, or broken already
      }
    } catch (error) {
      this.#storage = null;
      throw asPassing(error);
    } finally {
      watch.stop();
    }
  }

  async #ask(begin: number, end: number, signal: AbortSignal): Promise<Response> {
    const headers = { range: `bytes=${begin}-${end - 1}`, "accept-encoding": "identity" };
    if (this.#storage !== null) {
      const response = await send(this.#hub, this.#storage, { headers, signal });
      if (response.ok) return response;
      this.#storage = null;
      if (!EXPIRED.includes(response.status)) throw await refusal(this.#hub, this.#reference, this.#path, response);
      await response.body?.cancel();
    }
    const response = await send(this.#hub, this.#address, { headers, signal });
    if (!response.ok) throw await refusal(this.#hub, this.#reference, this.#path, response);
    if (new URL(response.url).origin !== new URL(this.#hub.endpoint).origin) this.#storage = response.url;
    return response;
  }

  /** How many bytes of the body come before those that were asked for. */
  #toSkip({ status, headers }: Response, begin: number, without: WithoutRanges): number {
    if (status !== 206) {
      if (begin === 0 || without === "skip") return begin;
      throw new UserError({
        action: `read ${this.name} by parts`,
        requirement: "its server must support byte ranges",
        found: "it sent the whole file",
        remedy: "download it and give its path",
      });
    }
    const range = headers.get("content-range") ?? "";
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
    if (Number(first) === begin && (total === "*" || Number(total) === this.size)) return 0;
    throw new HubError("unreachable", {
      action: `read ${this.name}`,
      requirement: `its server must send bytes from ${begin} of ${this.size}`,
      found: `it sent "${range}"`,
      remedy: "retry later, or check HF_ENDPOINT",
    });
  }
}

/** Ends a connection on which nothing arrives. */
class StallWatch {
  readonly #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.start();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  start(): void {
    this.stop();
    const failure = new PassingFailure(`nothing arrived for ${STALL_MS / 1000} s`);
    this.#timer = setTimeout(() => this.#abort.abort(failure), STALL_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
