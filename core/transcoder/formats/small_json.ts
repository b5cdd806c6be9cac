/**
 * The small files beside weights that say what they are.
 * @module
 */

import { UserError } from "../../errors.ts";
import { openFile } from "../../files/byte_source.ts";

/** The most bytes of such a file. */
const LARGEST = 1 << 20;

/**
 * Reads a small text file.
 *
 * @param path The file.
 * @returns Its text.
 * @throws {UserError} When it cannot be read, is no UTF-8 text or is too large for what it is to be.
 */
export async function readSmallText(path: string): Promise<string> {
  const file = await openFile(path);
  const fail = (requirement: string, found: string) =>
    new UserError({ action: `read ${path}`, requirement, found, remedy: "download or export it again" });
  try {
    if (file.size > LARGEST) throw fail(`it may have up to ${LARGEST} bytes`, `it has ${file.size}`);
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.read(0, file.size));
  } catch (error) {
    throw error instanceof UserError ? error : fail("it must be text in UTF-8", "it is not");
  } finally {
    await file.close();
  }
}

/** Holds a value against a schema, as valibot's `safeParser(schema)` does. */
export type SmallParser<T> = (value: unknown) =>
  | { readonly success: true; readonly output: T }
  | {
    readonly success: false;
    readonly issues: readonly {
      readonly expected: string | null;
      readonly received: string;
      readonly path?: readonly { readonly key: unknown }[];
    }[];
  };

/**
 * Reads a small file of JSON.
 *
 * @param path The file.
 * @param parse The parser of what it holds; other keys are dropped.
 * @returns What it holds.
 * @throws {UserError} As {@link readSmallText}, or when it is no JSON or a key is absent or of another kind.
 */
export async function readSmallJson<T>(path: string, parse: SmallParser<T>): Promise<T> {
  const text = await readSmallText(path);
  const fail = (requirement: string, found: string) =>
    new UserError({ action: `read ${path}`, requirement, found, remedy: "download or export it again" });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw fail("it must be complete JSON", (error as Error).message);
  }
  const parsed = parse(json);
  if (parsed.success) return parsed.output;
  const [{ expected, received, path: way }] = parsed.issues;
  const key = way?.map(({ key }) => key).join(".") ?? "the file";
  if (received === "undefined") throw fail(`${key} must be there`, "it is missing");
  throw fail(`${key} must be ${expected ?? "what its kind has there"}`, `it is ${received}`);
}
