/** The environment's variables, changed for a test. */

import { inTurn } from "../in_turn.ts";

/**
 * Does something while these variables have other values. Test files that run side by side share the environment, so that one waits here for
 * another.
 *
 * @param names Variables that count: those that are not among the values are unset.
 * @param values Their values.
 * @param work What is done meanwhile; it may change them further.
 */
export async function withVariables<T>(
  names: readonly string[],
  values: Record<string, string>,
  work: () => T | Promise<T>,
): Promise<T> {
  using _turn = await inTurn(import.meta.url);
  const before = names.map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const name of names) Deno.env.delete(name);
    for (const [name, value] of Object.entries(values)) Deno.env.set(name, value);
    return await work();
  } finally {
    for (const [name, value] of before) value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  }
}
