/**
 * Reads JSON of a run and holds it against a schema; whatever is missing, cut off or of another kind becomes one clear sentence.
 * @module
 */

import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { requireRegular } from "../files/byte_source.ts";
import { exists } from "../files/exists.ts";
import { refuseLfsPointer } from "../files/lfs_pointer.ts";

/** What is wrong with a value, in valibot's words. */
export interface Issue {
  /** What was expected; null where only the message says it. */
  readonly expected: string | null;
  /** The message. */
  readonly message: string;
  /** What was found. */
  readonly input: unknown;
  /** The way to it. */
  readonly path?: readonly { readonly key: unknown; readonly value: unknown }[];
}

/** Holds a value against a schema, as valibot's `safeParser(schema)` does. */
export type Parser<T> = (value: unknown) =>
  | { readonly success: true; readonly output: T }
  | { readonly success: false; readonly issues: readonly Issue[] };

/**
 * Reads a text file of a run.
 *
 * @param path The file.
 * @returns Its text.
 * @throws {UserError} When it is missing or must not be read.
 */
export async function readText(path: string): Promise<string> {
  try {
    await requireRegular(path);
    const text = await Deno.readTextFile(path);
    refuseLfsPointer(path, text);
    return text;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UserError({
        action: `read ${path}`,
        requirement: "the file must exist",
        found: "it does not",
        remedy: "restore it or train the run again",
      });
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new UserError({
        action: `read ${path}`,
        requirement: "the file must be readable",
        found: "access is denied",
        remedy: "change its permissions",
      });
    }
    throw fileError("read", path, error);
  }
}

/**
 * Parses JSON.
 *
 * @param text The text.
 * @param where Its file and line, for the message.
 * @returns The value.
 * @throws {UserError} When it is cut off or damaged.
 */
export function parseJson(text: string, where: string): unknown {
  try {
    const value = JSON.parse(text);
    if (LARGE_EXPONENT.test(text)) requireFinite(value, where);
    return value;
  } catch (error) {
    if (error instanceof UserError) throw error;
    const end = text.slice(-30).replace(/\s+/g, " ").trim();
    throw new UserError({
      action: `read ${where}`,
      requirement: "it must be complete JSON",
      found: `it ends or breaks after "${end}"`,
      remedy: "the file is cut off or damaged, restore it or train the run again",
    });
  }
}

/** Only a number with an exponent of three digits can be too large for a double, and is read as infinity then. */
const LARGE_EXPONENT = /\d[eE]\+?\d{3}/;

function requireFinite(value: unknown, where: string, key = ""): void {
  if (value === Infinity || value === -Infinity) {
    throw new UserError({
      action: `read ${where}`,
      requirement: `${key === "" ? "the file" : key} must be a finite number`,
      found: "it is larger than any",
      remedy: "correct it, restore it or train the run again",
    });
  }
  if (typeof value !== "object" || value === null) return;
  for (const [name, part] of Object.entries(value)) requireFinite(part, where, key === "" ? name : `${key}.${name}`);
}

/**
 * Holds a value against a schema.
 *
 * @param parse The schema's parser. Keys that it does not name are dropped.
 * @param value The value.
 * @param where Its file and line, for the message.
 * @returns The value with its type.
 * @throws {UserError} Naming the first key that is absent or of another kind.
 */
export function checked<T>(parse: Parser<T>, value: unknown, where: string): T {
  const result = parse(value);
  if (result.success) return result.output;
  const [{ expected, message, input, path }] = result.issues;
  const at = path?.map(({ key }) => key).join(".") ?? "the file";
  const found = path ? path[path.length - 1].value : input;
  const action = `read ${where}`, remedy = "correct it, restore it or train the run again";
  if (found === undefined) {
    throw new UserError({ action, requirement: `${at} must be there`, found: "it is missing", remedy });
  }
  throw new UserError({
    action,
    requirement: `${at}: ${expected === null ? message : `expected ${expected}`}`,
    found: `it is ${JSON.stringify(found).slice(0, 60)}`,
    remedy,
  });
}

/**
 * Reads a file of JSON that a run need not have.
 *
 * @param parse The schema's parser.
 * @param path The file.
 * @returns What it holds; undefined where there is none.
 * @throws {UserError} When it is there and cannot be read, or does not fit.
 */
export async function readJsonIfThere<T>(parse: Parser<T>, path: string): Promise<T | undefined> {
  return await exists(path) ? checked(parse, parseJson(await readText(path), path), path) : undefined;
}
