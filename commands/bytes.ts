/**
 * Sizes as a person reads them.
 * @module
 */

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/**
 * A number of bytes as a person says it.
 *
 * @param count How many, not negative.
 * @returns For example `512 bytes`, `1.5 GiB` or `128 MiB`.
 */
export function bytes(count: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10));
  const value = count / 2 ** (10 * power);
  return `${value.toFixed(power === 0 || value >= 100 || Number.isInteger(value) ? 0 : 1)} ${UNITS[power]}`;
}
