/// <reference lib="dom" />
/**
 * What is shown while a page waits for its data: the server says what it computes.
 * @module
 */

import { integer } from "../../format.ts";
import { get, type Standing } from "./api.ts";

/**
 * Says how work stands.
 *
 * @param standing As the server tells it.
 * @returns One line.
 */
export function standingText(standing: Standing): string {
  if (standing.kind === "waiting") {
    return `Waiting for ${standing.before} other ${standing.before === 1 ? "piece" : "pieces"} of work …`;
  }
  return countedText(standing);
}

function countedText(
  { label, done, total }: { readonly label: string; readonly done: number; readonly total: number },
) {
  return total > 1 ? `${label}: ${integer(done)} of ${integer(total)} …` : `${label} …`;
}

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
    status.textContent = countedText(progress ?? { label: "Loading", done: 0, total: 0 });
    if (!isOver) timer = setTimeout(go, EVERY_MS);
  };
  let timer = setTimeout(go, QUIET_MS);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
