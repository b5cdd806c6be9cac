/**
 * What is said when a command of Deno's fails in a script.
 * @module
 */

/** Name, for `deno compile`, a base executable and the Deno of the version that it belongs to. */
export const BASE_EXECUTABLE = "DENORT_BIN", ITS_DENO = "MTC_COMPILE_DENO";

/**
 * Says what failed, and what helps where the cause is most likely a machine without a network.
 *
 * @param command Deno's subcommand.
 * @returns One line.
 */
export function failed(command: string): string {
  const told = `compile: \`deno ${command}\` failed; its message stands above`;
  return command === "compile"
    ? `${told}. Where its base executable cannot be downloaded, ${BASE_EXECUTABLE} names one (denort, from Deno's releases), ` +
      `and ${ITS_DENO} the Deno of the same version`
    : told;
}
