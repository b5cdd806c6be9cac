/// <reference lib="dom" />
/**
 * Where the page gets its data from: parts by name, from within the file itself or from the server that sent it.
 * @module
 */

/** Gives parts; reports/browser/data.ts lists them. */
export interface Source {
  /**
   * Gets a part.
   *
   * @param name Its name, for example `layer17/table`.
   * @returns Its value.
   * @throws {Error} When there is none of that name, or it cannot be read; the message is a sentence for a reader.
   */
  part<T>(name: string): Promise<T>;
}

/** Parts that are kept in memory: enough to go back and forth among neighbours. */
const KEPT = 24;

/**
 * The source of this page: the parts in it, if there are any, else the server.
 *
 * @returns It; the parts read last stay in memory.
 */
export function openSource(): Source {
  const read = partElement("index") === null ? fetched : embedded;
  const kept = new Map<string, Promise<unknown>>();
  return {
    part<T>(name: string): Promise<T> {
      const known = kept.get(name), part = known ?? read(name);
      kept.delete(name);
      kept.set(name, part);
      part.catch(() => kept.delete(name));
      // Every view asks for index, tables and tokens.
      const passing = [...kept.keys()].filter((one) => !/^index$|\/(table|tokens)$/.test(one));
      for (const oldest of passing.slice(0, Math.max(0, passing.length - KEPT))) kept.delete(oldest);
      return part as Promise<T>;
    },
  };
}

function partElement(name: string): Element | null {
  return document.querySelector(`script[data-part="${CSS.escape(name)}"]`);
}

/** A part of this very file: gzipped JSON in base64. */
async function embedded(name: string): Promise<unknown> {
  // The parts follow behind this script: a page that is still arriving has not all of them.
  if (partElement(name) === null && document.readyState === "loading") {
    await new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }));
  }
  const element = partElement(name);
  if (element === null) throw new Error("This file holds no such page.");
  const text = atob(element.textContent!), bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).json();
}

/** A part that the server makes. */
async function fetched(name: string): Promise<unknown> {
  const path = name.split("/").map(encodeURIComponent).join("/");
  const response = await fetch(`api/parts/${path}`).catch(() => {
    throw new Error("The server does not answer; is `mtc browse` still running?");
  });
  if (!response.ok) throw new Error(await response.text());
  return await response.json();
}
