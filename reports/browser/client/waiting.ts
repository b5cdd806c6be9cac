/// <reference lib="dom" />
/**
 * What is shown while a page waits for its data: the server says what it computes.
 * @module
 */

import { integer } from "../../format.ts";
import { get } from "./api.ts";

/** A page that is there by then is not announced; and how often the server is asked. In milliseconds. */
const QUIET_MS = 500, EVERY_MS = 500;

/**
 * Shows that something is waited for.
 *
 * @param element Where it is said; what it holds is replaced when the wait is long.
 * @param isServed Whether there is a server to say more.
 * @returns Ends the wait.
 */
export function showWaiting(element: Element, isServed: boolean): () => void {
  let isOver = false;
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  status.className = "muted";
  const go = async () => {
    if (isOver) return;
    if (!status.isConnected) element.replaceChildren(status);
    const progress = isServed
      ? await get<{ label: string; done: number; total: number } | null>("progress").catch(() => null)
      : null;
    const { label = "Loading", done = 0, total = 0 } = progress ?? {};
    status.textContent = total > 1 ? `${label}: ${integer(done)} of ${integer(total)} …` : `${label} …`;
    if (!isOver) timer = setTimeout(go, EVERY_MS);
  };
  let timer = setTimeout(go, QUIET_MS);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
