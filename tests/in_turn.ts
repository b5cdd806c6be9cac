/** What test files that run side by side must not do at once. */

import { fileURLToPath } from "node:url";

/**
 * Waits until nobody else has the turn.
 *
 * @param module The `import.meta.url` of what is done in turn.
 * @returns To be disposed of when the next one may.
 */
export async function inTurn(module: string): Promise<Disposable> {
  const file = await Deno.open(fileURLToPath(module));
  await file.lock(true);
  return file;
}
