/**
 * What a page asks to have computed, checked before anything is done with it.
 * @module
 */

import * as v from "valibot";
import { UsageError } from "../../core/errors.ts";
import type { ChangeRequest, EffectsRequest, EncodeRequest } from "../../reports/browser/served.ts";

/** The longest text, in UTF-16 code units, and the longest request, in bytes. */
const LONGEST_TEXT = 20_000, LARGEST_REQUEST = 1 << 18;
/** Features that are changed one by one, and tokens that a text is continued by. */
const MOST_FEATURES = 4096, MOST_GENERATED = 256;
/** Examples that effects are measured in. */
const MOST_EXAMPLES = 64;

const key = v.pipe(v.string(), v.maxLength(1024));
const text = v.pipe(v.string(), v.nonEmpty("give a text"), v.maxLength(LONGEST_TEXT));
const index = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const some = v.pipe(
  v.array(index),
  v.minLength(1),
  v.maxLength(MOST_FEATURES),
  v.transform((list) => [...new Set(list)]),
);

function isKeyed(value: unknown, key: string): boolean {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key);
}

const encodeSchema: v.GenericSchema<unknown, EncodeRequest> = v.object({ transcoder: key, text });

const changeSchema: v.GenericSchema<unknown, ChangeRequest> = v.object({
  transcoder: key,
  text,
  // By its key, so that what is wrong with it is told and not that none of three forms fits.
  which: v.lazy((which): v.GenericSchema<unknown, ChangeRequest["which"]> =>
    isKeyed(which, "group")
      ? v.strictObject({ group: some })
      : isKeyed(which, "prefix")
      ? v.strictObject({ prefix: index })
      : v.strictObject({ features: some })
  ),
  change: v.object({
    kind: v.picklist(["scale", "set", "add"]),
    value: v.pipe(v.number(), v.finite(), v.minValue(-1e6), v.maxValue(1e6)),
  }),
  generate: v.pipe(index, v.maxValue(MOST_GENERATED)),
});

const effectsSchema: v.GenericSchema<unknown, EffectsRequest> = v.object({
  transcoder: key,
  which: v.union([v.strictObject({ features: some }), v.strictObject({ prefix: index })]),
  tokens: v.pipe(v.array(index), v.minLength(1), v.maxLength(MOST_EXAMPLES)),
});

/**
 * Reads a request to encode a text.
 *
 * @param request The request.
 * @returns What is asked.
 * @throws {UsageError} When it is too large, or not what it must be.
 */
export function readEncodeRequest(request: Request): Promise<EncodeRequest> {
  return read(request, encodeSchema);
}

/**
 * Reads a request to change features.
 *
 * @param request The request.
 * @returns What is asked.
 * @throws {UsageError} When it is too large, or not what it must be.
 */
export function readChangeRequest(request: Request): Promise<ChangeRequest> {
  return read(request, changeSchema);
}

/**
 * Reads a request to measure what a change does to predictions in the reading set.
 *
 * @param request The request.
 * @returns What is asked.
 * @throws {UsageError} When it is too large, or not what it must be.
 */
export function readEffectsRequest(request: Request): Promise<EffectsRequest> {
  return read(request, effectsSchema);
}

async function read<T>(request: Request, schema: v.GenericSchema<unknown, T>): Promise<T> {
  const action = "compute that", pieces: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  try {
    for await (const piece of request.body ?? []) {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes <= LARGEST_REQUEST) continue;
      const requirement = `a request must have at most ${LARGEST_REQUEST.toLocaleString("en-US")} bytes`;
      throw new UsageError({ action, requirement, found: "this one has more", remedy: "shorten the text" });
    }
  } catch (error) {
    // Whoever asked has gone: there is nobody to be answered, and no defect.
    if (error instanceof UsageError) throw error;
    throw new UsageError({ action, requirement: "a request must arrive whole", remedy: "ask again" });
  }
  const result = v.safeParse(
    v.pipe(v.string(), v.parseJson(undefined, "it must be complete JSON"), schema),
    await new Blob(pieces).text(),
  );
  if (result.success) return result.output;
  const [issue] = result.issues, where = v.getDotPath(issue);
  throw new UsageError({
    action,
    requirement: where === null ? issue.message : `${where}: ${issue.message}`,
    remedy: "change it",
  });
}
