/**
 * The explorer's parts for the server: of all finished transcoders that there are, made by the clerk.
 * @module
 */

import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { UserError } from "../../core/errors.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import { compareIds, idOf, nameTranscoders } from "../../core/runs/ids.ts";
import type { Clerk } from "./clerk.ts";
import type { ExploredDirectory } from "./clerk_worker.ts";
import type { BrowsedRuns } from "./runs.ts";

/** Which transcoders there are is looked at anew with each index; all other parts are of what that one lists. */
export class ServedParts {
  readonly #runs: BrowsedRuns;
  readonly #clerk: Clerk;
  #stamp = "";
  #opening: Promise<void> = Promise.resolve();

  /**
   * Opens nothing yet.
   *
   * @param runs Where transcoders are found.
   * @param clerk Makes the parts.
   */
  constructor(runs: BrowsedRuns, clerk: Clerk) {
    this.#runs = runs;
    this.#clerk = clerk;
  }

  /**
   * Makes a part.
   *
   * @param name Its name, as of reports/browser/data.ts.
   * @returns JSON in UTF-8; null for what there is not.
   * @throws {UserError} When a file that it is made of cannot be read.
   */
  async part(name: string): Promise<Uint8Array<ArrayBuffer> | null> {
    try {
      if (name === "index" || this.#stamp === "") {
        await (this.#opening = this.#opening.catch(() => {}).then(() => this.#open()));
      }
      return await this.#clerk.part(name);
    } catch (error) {
      // After a defect the clerk may be another one, who knows of no transcoder yet.
      if (!(error instanceof UserError)) this.#stamp = "";
      throw error;
    }
  }

  async #open(): Promise<void> {
    const finished = (await this.#runs.look()).flatMap(({ key, path, state, config }) =>
      state === "finished" && config ? [{ key, path, config }] : []
    ).sort((a, b) => compareIds(idOf(a.config), idOf(b.config)));
    const times = await Promise.all(finished.map(({ path }) => stat(path).then(({ mtimeMs }) => mtimeMs, () => 0)));
    const stamp = JSON.stringify(finished.map(({ key, path }, i) => [key, path, times[i]]));
    if (stamp === this.#stamp) return;
    await this.#clerk.explore(named(finished));
    this.#stamp = stamp;
  }
}

/** Those that are called the same are told apart by their runs. */
function named(
  finished: readonly { readonly key: string; readonly path: string; readonly config: TranscoderConfig }[],
): ExploredDirectory[] {
  const names = nameTranscoders(finished.map(({ config }) => idOf(config)));
  return finished.map(({ key, path }, i) => {
    const { title, phrase } = names[i], isShared = names.some((other, j) => j !== i && other.title === title);
    const told = isShared ? `, ${basename(dirname(resolve(path)))}` : "";
    return { path, name: { file: key, title: title + told, phrase: phrase + told } };
  });
}
