/// <reference lib="dom" />
/**
 * Where the page gets its data from: parts by name, from within the file itself or from the server that sent it.
 * @module
 */

import { isPacked } from "../data.ts";
import { unpack } from "../packed.ts";

/** Gives parts; reports/browser/data.ts lists them. */
export interface Source {
  /** Whether there is a server, and so more than parts. */
  readonly isServed: boolean;
  /**
   * Gets a part.
   *
   * @param name Its name, for example `layer17/table`.
   * @returns Its value.
   * @throws {Error} When there is none of that name, or it cannot be read; the message is a sentence for a reader.
   */
  part<T>(name: string): Promise<T>;
  /**
   * Has a part read anew when it is asked for next: there may be more by now.
   *
   * @param name Its name.
   */
  forget(name: string): void;
}

/** Parts that are kept in memory: enough to go back and forth among neighbours. */
const KEPT = 24;

/**
 * The source of this page: the parts in it, if there are any, else the server.
 *
 * @returns It; the parts read last stay in memory.
 */
export function openSource(): Source {
  const isServed = partElement("index") === null, read = isServed ? fetched : embedded;
  const kept = new Map<string, Promise<unknown>>();
  return {
    isServed,
    forget: (name) => void kept.delete(name),
    part<T>(name: string): Promise<T> {
      const known = kept.get(name), part = known ?? read(name);
      kept.delete(name);
      kept.set(name, part);
      part.catch(() => kept.delete(name));
      // Every view asks for index, tables and what is about all of a transcoder.
      const passing = [...kept.keys()].filter((one) => !/^index$|\/(about|table|tokens|examples)$/.test(one));
      for (const oldest of passing.slice(0, Math.max(0, passing.length - KEPT))) kept.delete(oldest);
      return part as Promise<T>;
    },
  };
}

function partElement(name: string): Element | null {
  return document.querySelector(`script[data-part="${CSS.escape(name)}"]`);
}

/** A part of this very file: gzipped, in base64. */
async function embedded(name: string): Promise<unknown> {
  // The parts follow behind this script: a page that is still arriving has not all of them.
  if (partElement(name) === null && document.readyState === "loading") {
    await new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }));
  }
  const element = partElement(name);
  if (element === null) throw new Error("This file holds no such page.");
  const text = decoded(element.textContent!), bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  // Not by way of a Blob: large ones go through files of the browser's own, which a small /dev/shm or a full disk makes fail.
  const { readable, writable } = new DecompressionStream("gzip"), writer = writable.getWriter();
  writer.write(bytes).then(() => writer.close()).catch(() => {}); // the reader hears of it
  try {
    return valueOf(name, await bytesOf(readable));
  } catch {
    throw new Error("This file is damaged: a part of it cannot be read. Get it again, or make it again.");
  }
}

/** Bytes of base64, one a character; none of what is not base64. */
function decoded(base64: string): string {
  try {
    return atob(base64);
  } catch {
    return "";
  }
}

async function bytesOf(readable: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<ArrayBuffer> {
  return await new Response(readable).arrayBuffer();
}

function valueOf(name: string, bytes: ArrayBuffer): unknown {
  return isPacked(name) ? unpack(bytes) : JSON.parse(new TextDecoder().decode(bytes));
}

/** A part that the server makes. */
async function fetched(name: string): Promise<unknown> {
  const path = name.split("/").map(encodeURIComponent).join("/");
  const response = await fetch(`api/parts/${path}`).catch(() => {
    throw new Error("The server does not answer; is `mtc browse` still running?");
  });
  if (!response.ok) throw new Error(await response.text());
  return valueOf(name, await response.arrayBuffer());
}
