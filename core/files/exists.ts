/**
 * Whether something is there.
 * @module
 */

import { stat } from "node:fs/promises";

/**
 * Whether a path leads to a file or directory.
 *
 * @param path The path; links are followed.
 * @returns Whether there is one that may be looked at.
 */
export function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false);
}
