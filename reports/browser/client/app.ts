/// <reference lib="dom" />
/**
 * What every view is given, and what it gives back.
 * @module
 */

import type { TemplateResult } from "lit-html";
import type {
  BrowserIndex,
  FeatureTable,
  Lists,
  TokenStream,
  TranscoderAbout,
  TranscoderEntry,
  TranscoderHead,
} from "../data.ts";
import type { ReadingSet } from "./search.ts";
import type { Source } from "./source.ts";

/** An address within the page: `#layer17/1103?sort=density` is the view `layer17` with `1103` and a query. */
export interface Place {
  /** Its parts, decoded; at least one, which may be empty. */
  readonly path: readonly string[];
  /** What stands behind the question mark. */
  readonly query: URLSearchParams;
}

/** What a view shows. */
export interface Page {
  /** What the tab is called. */
  readonly title: string;
  /** The transcoder that it is about, for the navigation. */
  readonly key?: string;
  /** What is drawn now: called again by {@link App.update}, so it reads the view's own variables. */
  readonly draw: () => TemplateResult;
  /** What keys do, by `KeyboardEvent.key`; none of them while something is typed. */
  readonly keys?: Readonly<Record<string, (event: KeyboardEvent) => void>>;
  /** Called once the page is drawn for the first time, */
  readonly shown?: () => void;
  /** and when another one takes its place. */
  readonly left?: () => void;
}

/** A kind of page: gets its data, then says how it is drawn. An error's message becomes the page. */
export type View = (place: Place, app: App) => Promise<Page>;

/** The page as a whole. */
export interface App {
  /** Where data come from. */
  readonly source: Source;
  /** What there is; a server's page may be there before. */
  index: BrowserIndex;
  /** Whether single keys do something. */
  shortcuts: boolean;
  /** Draws the page that is shown once more. */
  update(): void;
  /** Goes to an address, `layer17/1103`; with `replace` it takes the place of this one in the history, and nothing is loaded anew. */
  go(address: string, replace?: boolean): void;
}

/**
 * The transcoder that an address names.
 *
 * @param app The page.
 * @param key Its key.
 * @returns What is known of it.
 * @throws {Error} When there is none.
 */
export function headOf({ index }: App, key: string | undefined): TranscoderHead {
  const entry = index.transcoders.find((one) => one.key === key);
  if (entry) return entry;
  // `#map` alone has none.
  if (key === undefined) throw new Error(`The address names no transcoder; there ${known(index)}.`);
  throw new Error(`There is no transcoder ${key} here; there ${known(index)}.`);
}

/**
 * All that is known of the transcoder that an address names; a server may have to make it first.
 *
 * @param app The page.
 * @param key Its key.
 * @returns What is known of it.
 * @throws {Error} When there is none, or it cannot be read.
 */
export async function entryOf(app: App, key: string): Promise<TranscoderEntry> {
  const head = headOf(app, key);
  return { ...head, ...await app.source.part<TranscoderAbout>(`${key}/about`) };
}

function known({ transcoders }: BrowserIndex): string {
  return transcoders.length === 0 ? "is none" : `are ${transcoders.map(({ key }) => key).join(", ")}`;
}

/**
 * The table of a transcoder.
 *
 * @param app The page.
 * @param key The transcoder's key.
 * @returns The table.
 */
export function tableOf({ source }: App, key: string): Promise<FeatureTable> {
  return source.part<FeatureTable>(`${key}/table`);
}

/**
 * The reading set of a transcoder.
 *
 * @param app The page.
 * @param entry The transcoder.
 * @returns What a text is looked for in; null where there is no record.
 */
export async function readingSetOf({ source }: App, { key, has }: TranscoderEntry): Promise<ReadingSet | null> {
  if (!has.tokens) return null;
  return {
    tokens: await source.part<TokenStream>(`${key}/tokens`),
    examples: await source.part<Lists>(`${key}/examples`),
  };
}

/**
 * Reads an address.
 *
 * @param hash As of `location.hash`.
 * @returns Its parts.
 */
export function placeOf(hash: string): Place {
  const [path, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  const decoded = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part; // no escape: it is meant as it stands
    }
  };
  return { path: path.split("/").map(decoded), query: new URLSearchParams(query) };
}

/**
 * Writes an address.
 *
 * @param path Its parts.
 * @param query What stands behind the question mark; what is empty is left out.
 * @returns For example `#layer17/1103`.
 */
export function addressOf(path: readonly (string | number)[], query: Readonly<Record<string, string>> = {}): string {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return `#${path.map((part) => encodeURIComponent(part)).join("/")}${given === "" ? "" : `?${given}`}`;
}
