/**
 * The kinds of numbers that the JSON of a run holds, as schemas.
 * @module
 */

import * as v from "valibot";

/** A whole number, 0 or more. */
export const count: v.GenericSchema<unknown, number> = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** A whole number above 0. */
export const positive: v.GenericSchema<unknown, number> = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** A measurement. JSON has no NaN: a `null` is read as one, so that a diverged run can still be reported. */
export const measured: v.GenericSchema<unknown, number> = v.pipe(
  v.nullable(v.number()),
  v.transform((value): number => value ?? NaN),
);
