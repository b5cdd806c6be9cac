/**
 * Numbers as a reader wants them: thousands separators, as many digits as mean something, NaN said as such.
 * @module
 */
import type { ThresholdSummary } from "../core/analysis/threshold_summary.ts";
import { tapName } from "../core/model/sites.ts";
import type { Mapping } from "../core/runs/ids.ts";

/** By decimals: to make one takes longer than to write a hundred numbers, and pages of features have tens of thousands. */
const formats = new Map<number, Intl.NumberFormat>();

/** Rounds to `digits` decimals and separates thousands: 1234.5 -> `1,234.50`. */
export function decimal(value: number, digits: number): string {
  if (!Number.isFinite(value)) return String(value);
  // Beyond these, what would stand in front of the point is no longer known to the digit.
  if (digits > 0 && Math.abs(value) > Number.MAX_SAFE_INTEGER) return significant(value);
  let format = formats.get(digits);
  if (format === undefined) {
    format = new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    formats.set(digits, format);
  }
  return format.format(value).replace(/^-(0(\.0*)?)$/, "$1");
}

/** A whole number with thousands separators. */
export function integer(value: number): string {
  return decimal(value, 0);
}

/** `digits` significant digits; very small and very large numbers in scientific notation. */
export function significant(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e7) return value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e");
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return decimal(value, Math.min(decimals, 8));
}

/** A figure as it is written; a dash where there is none. */
export function known(value: number, written: (value: number) => string): string {
  return Number.isFinite(value) ? written(value) : "–";
}

/** The threshold of all features; where they differ, their median and range. */
export function thresholdText(
  { threshold, threshold_range }: ThresholdSummary,
  number: (value: number) => string = significant,
): string {
  if (!threshold_range) return number(threshold);
  return `${number(threshold)} (median; ${threshold_range.map((end) => number(end)).join(" to ")})`;
}

/** A setting as it was given, without trailing zeros: 0.0003, 3e-9, 15,000. */
export function setting(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value !== 0 && Math.abs(value) < 1e-5) return String(Number(value.toPrecision(4)));
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

/** A share as a percentage: 0.0123 -> `1.2 %`. Shares that would round to zero or to all keep a sign that they do not. */
export function percent(share: number, digits = 1): string {
  if (!Number.isFinite(share)) return String(share);
  const step = 10 ** -digits;
  if (share > 0 && share * 100 < step / 2) return `< ${decimal(step, digits)} %`;
  if (share < 1 && share * 100 > 100 - step / 2) return `> ${decimal(100 - step, digits)} %`;
  return `${decimal(share * 100, digits)} %`;
}

/** `count` with the noun in the right number: `1 feature`, `2,000 features`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${integer(count)} ${count === 1 ? noun : plural}`;
}

/** Bytes as `812 bytes`, `10.8 MB` or `2.2 TB`. */
export function fileSize(bytes: number): string {
  const power = Math.min(4, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  if (power === 0) return counted(bytes, "byte");
  return `${significant(bytes / 1000 ** power, 3)} ${["kB", "MB", "GB", "TB"][power - 1]}`;
}

/** Seconds as `45 s`, `1 min 53 s` or `2 h 11 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "not recorded";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${integer(Math.floor(whole / 3600))} h ${Math.floor(whole % 3600 / 60)} min`;
}

/** A point in time as `2025-10-13 13:22:35 UTC`. */
export function timestamp(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** `a, b and c`. */
export function list(items: string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items[items.length - 1]}`;
}

/** ` (95 % CI 0.15 to 0.17)`, with a remark before the bracket closes; empty when an end is not a number. */
export function confidence([low, high]: [number, number], digits: number, remark = ""): string {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return "";
  return ` (95 % CI ${decimal(low, digits)} to ${decimal(high, digits)}${remark})`;
}

/** `0.15 to 0.17`, or a dash when an end is not a number. */
export function interval([low, high]: readonly [number, number], digits: number): string {
  return Number.isFinite(low + high) ? `${decimal(low, digits)} to ${decimal(high, digits)}` : "–";
}

/** `once`, `twice`, `2.5 times`. */
export function times(count: number): string {
  return count === 1 ? "once" : count === 2 ? "twice" : `${setting(count)} times`;
}

/** The text with a capital first letter. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * What is predicted from what: the sites, with their layers where these differ.
 *
 * @param mapping The transcoder's.
 * @param written How each end is written.
 */
export function mappingText({ source, targets }: Mapping, written: (end: string) => string = (end) => end): string {
  const isAlone = targets.every(({ layer }) => layer === source.layer);
  const [read, ...predicted] = [source, ...targets].map((tap) => written(isAlone ? tap.site : tapName(tap)));
  return `${read} → ${predicted.join(" + ")}`;
}
