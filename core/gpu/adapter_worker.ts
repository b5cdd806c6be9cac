/**
 * Asks for an adapter in a Worker, where WebGPU begins afresh: with the drivers that the environment names at that moment. `adapters.ts` is the
 * other end.
 * @module
 */

import { adapterName } from "./adapter_name.ts";

/** The part of a Worker's global scope that is used here; the type library of this project is the window's. */
interface WorkerScope {
  onmessage: (event: MessageEvent<GPUPowerPreference>) => void;
  /** The adapter's name; null where there is none. */
  postMessage(name: string | null): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: powerPreference }) => {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference }).catch(() => null);
  scope.postMessage(adapter ? adapterName(adapter) : null);
  scope.close();
};
