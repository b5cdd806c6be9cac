/**
 * Reads JSON of a run and holds it against a schema; whatever is missing, cut off or of another kind becomes one clear sentence.
 * @module
 */

import * as v from "valibot";
import { UserError } from "../errors.ts";

/** A whole number from 0. */
export const count: v.GenericSchema<unknown, number> = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** A whole number from 1. */
export const positive: v.GenericSchema<unknown, number> = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
/** A measured number. JSON has no NaN: a `null` is read as one, so that a diverged run can still be reported. */
export const measured: v.GenericSchema<unknown, number> = v.pipe(
  v.nullable(v.number()),
  v.transform((value): number => value ?? NaN),
);

/**
 * Reads a text file of a run.
 *
 * @param path The file.
 * @returns Its text.
 * @throws {UserError} When it is missing or must not be read.
 */
export async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
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
    throw error;
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
    return JSON.parse(text);
  } catch {
    const end = text.slice(-30).replace(/\s+/g, " ").trim();
    throw new UserError({
      action: `read ${where}`,
      requirement: "it must be complete JSON",
      found: `it ends or breaks after "${end}"`,
      remedy: "the file is cut off or damaged, restore it or train the run again",
    });
  }
}

/**
 * Holds a value against a schema.
 *
 * @param schema What is expected. Keys that it does not name are dropped.
 * @param value The value.
 * @param where Its file and line, for the message.
 * @returns The value with its type.
 * @throws {UserError} Naming the first key that is absent or of another kind.
 */
export function checked<T>(schema: v.GenericSchema<unknown, T>, value: unknown, where: string): T {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const found = issue.path ? issue.path[issue.path.length - 1].value : issue.input;
  const requirement = issue.expected === null ? issue.message : `expected ${issue.expected}`;
  throw new UserError({
    action: `read ${where}`,
    requirement: `${v.getDotPath(issue) ?? "the file"}: ${requirement}`,
    found: `it is ${JSON.stringify(found ?? null).slice(0, 60)}`,
    remedy: "correct it, restore it or train the run again",
  });
}
