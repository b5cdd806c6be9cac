/// <reference lib="dom" />
/**
 * What views ask the server for, beside the explorer's parts.
 * @module
 */

import type { WorkLine } from "../served.ts";

/** What is said where nobody answers. */
const SILENT = "The server does not answer; is `mtc browse` still running?";

/**
 * Asks for something.
 *
 * @param path Behind `/api/`.
 * @param query What about it.
 * @returns The answer.
 * @throws {Error} When there is none; its message is a sentence for a reader.
 */
export async function get<T>(path: string, query: Readonly<Record<string, string | number>> = {}): Promise<T> {
  const response = await fetch(addressOfApi(path, query)).catch(() => {
    throw new Error(SILENT);
  });
  if (!response.ok) throw new Error((await response.text()).trim());
  return await response.json();
}

/**
 * The address of something.
 *
 * @param path Behind `/api/`.
 * @param query What about it.
 * @returns An address on the server that the page is from.
 */
export function addressOfApi(path: string, query: Readonly<Record<string, string | number>> = {}): string {
  const given = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)])).toString();
  return `api/${path}${given === "" ? "" : `?${given}`}`;
}

/** How work stands that is not done yet. */
export type Standing = Exclude<WorkLine<never>, { readonly kind: "failed" | "done" }>;

/**
 * Has something computed.
 *
 * @param path Behind `/api/`.
 * @param wanted What.
 * @param onLine Hears how it stands.
 * @param signal Ends it early.
 * @returns The outcome.
 * @throws {Error} When it failed; its message is a sentence for a reader.
 */
export async function compute<T>(
  path: string,
  wanted: object,
  onLine: (line: Standing) => void,
  signal: AbortSignal,
): Promise<T> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`api/${path}`, { method: "POST", headers, body: JSON.stringify(wanted), signal })
    .catch((error) => {
      throw signal.aborted ? error : new Error(SILENT);
    });
  if (!response.ok) throw new Error((await response.text()).trim());
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The server ended before the work did.");
    const lines = (left + value).split("\n");
    left = lines.pop()!;
    for (const text of lines) {
      const line: WorkLine<T> = JSON.parse(text);
      if (line.kind === "done") return line.answer;
      if (line.kind === "failed") throw new Error(line.message);
      onLine(line);
    }
  }
}

/**
 * Does something now and again and again, as long as the page is looked at; a page that is hidden rests.
 *
 * @param everyMs How long between two times, in milliseconds.
 * @param act What is done. It handles its failures.
 * @returns What ends it.
 */
export function again(everyMs: number, act: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined, isEnded = false;
  const go = async () => {
    clearTimeout(timer);
    if (!document.hidden) await act();
    if (!isEnded) timer = setTimeout(go, everyMs);
  };
  const onVisible = () => document.hidden || go();
  document.addEventListener("visibilitychange", onVisible);
  go();
  return () => {
    isEnded = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onVisible);
  };
}
