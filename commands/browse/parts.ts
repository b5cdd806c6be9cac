/**
 * The explorer's parts for the server: of all finished transcoders that there are, as they are kept. Those that are not there yet are made by
 * the clerk when they are asked for.
 * @module
 */

import { basename, dirname, resolve } from "node:path";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import { compareIds, idOf, nameTranscoders } from "../../core/runs/ids.ts";
import configuration from "../../deno.json" with { type: "json" };
import type { BrowserIndex } from "../../reports/browser/data.ts";
import type { Clerk } from "./clerk.ts";
import { type Described, headsOf } from "./heads.ts";
import type { BrowsedRuns } from "./runs.ts";
import { Shelf } from "./shelf.ts";

/** A part as it is answered with. */
export interface ServedPart {
  /** Its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether they are gzipped. */
  readonly isGzipped: boolean;
}

/** Which transcoders there are is looked at anew with each index; all other parts are of what that one lists. */
export class ServedParts {
  readonly #runs: BrowsedRuns;
  readonly #shelf: Shelf;
  #transcoders: readonly Described[] = [];
  #index: Promise<BrowserIndex> | null = null;

  /**
   * Opens nothing yet.
   *
   * @param runs Where transcoders are found.
   * @param clerk Makes the parts.
   */
  constructor(runs: BrowsedRuns, clerk: Clerk) {
    this.#runs = runs;
    this.#shelf = new Shelf((subject, spare) => clerk.keep(subject, spare));
  }

  /**
   * Reads a part, or has it made.
   *
   * @param name Its name, as of reports/browser/data.ts.
   * @returns It; null for what there is not.
   * @throws {UserError} When a file that it is made of cannot be read.
   */
  async part(name: string): Promise<ServedPart | null> {
    if (name === "index") {
      const index = await (this.#index = this.#look());
      return { bytes: new TextEncoder().encode(JSON.stringify(index)), isGzipped: false };
    }
    const { pairs } = await (this.#index ??= this.#look());
    const [first, second, third, ...more] = name.split("/");
    const known = (key: string) => this.#transcoders.find(({ name: { file } }) => file === key);
    if (first === "match") {
      const isPair = more.length === 0 && pairs.some(([a, b]) => a === second && b === third);
      return isPair ? kept(await this.#shelf.read([known(second)!, known(third)!], first)) : null;
    }
    const one = known(first);
    return one ? kept(await this.#shelf.read([one], name.slice(first.length + 1))) : null;
  }

  /** Closes what is open. */
  close(): Promise<void> {
    return this.#shelf.close();
  }

  async #look(): Promise<BrowserIndex> {
    const finished = (await this.#runs.look()).flatMap(({ key, path, state, config }) =>
      state === "finished" && config ? [{ key, path, config }] : []
    ).sort((a, b) => compareIds(idOf(a.config), idOf(b.config)));
    const transcoders = named(finished), heads = await headsOf(transcoders);
    this.#transcoders = transcoders;
    return { version: configuration.version, served: true, ...heads };
  }
}

function kept(bytes: Uint8Array<ArrayBuffer> | null): ServedPart | null {
  return bytes && { bytes, isGzipped: true };
}

/** Those that are called the same are told apart by their runs. */
function named(
  finished: readonly { readonly key: string; readonly path: string; readonly config: TranscoderConfig }[],
): Described[] {
  const names = nameTranscoders(finished.map(({ config }) => idOf(config)));
  return finished.map(({ key, path, config }, i) => {
    const { title, phrase } = names[i], isShared = names.some((other, j) => j !== i && other.title === title);
    const told = isShared ? `, ${basename(dirname(resolve(path)))}` : "";
    return { path, config, name: { file: key, title: title + told, phrase: phrase + told } };
  });
}
