/**
 * Runs cases on a thread of their own, which can be ended when a case does not end by itself.
 * @module
 */

import { prepare, type Prepared, runCase, type Told } from "./case.ts";
import { READERS } from "./readers.ts";

/** Which case is to be run. */
export interface Asked {
  readonly reader: string;
  readonly seed: number;
}

interface Scope {
  onmessage: (event: MessageEvent<Asked>) => void;
  postMessage(told: Told | "ready"): void;
}

const scope = globalThis as unknown as Scope, prepared = new Map<string, Promise<Prepared>>();

scope.onmessage = async ({ data: { reader, seed } }) => {
  const ready = prepared.getOrInsertComputed(reader, () => prepare(READERS[reader]));
  // Preparing is not the case's time.
  await ready;
  scope.postMessage("ready");
  scope.postMessage(await runCase(await ready, seed));
};
