/**
 * `--adapter`, which every command has.
 * @module
 */

import { chooseAdapter } from "../core/gpu/adapters.ts";

/**
 * Makes the command open a certain GPU.
 *
 * @param wanted Its number or a part of its name.
 * @throws {UsageError} When there is none of these.
 */
export async function useAdapter(wanted: string): Promise<void> {
  await chooseAdapter(wanted);
}
