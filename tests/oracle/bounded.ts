/**
 * Running error analysis: float64 values that carry a bound on how far a float32 kernel may be from them, so that every tolerance is
 * derived from the operations and not chosen. Rules: Higham, Accuracy and Stability of Numerical Algorithms, sections 3.1 and 3.3;
 * accuracy of operations: the WGSL specification, "Floating point accuracy" (ULP = 2 u at most, relative to the result).
 * @module
 */

import assert from "node:assert/strict";
import { assertClose, gamma, UNIT_ROUNDOFF } from "../compare.ts";

/** A value and a bound on the distance of its float32 computation from it. */
export interface Bounded {
  readonly value: number;
  readonly error: number;
}

/** Correctly rounded: + - * and fma. */
const ROUNDED = UNIT_ROUNDOFF;
/** 2.5 ULP. */
const DIVISION = 5 * UNIT_ROUNDOFF;
/** Inherited from 1 / inverseSqrt: 2 ULP and a division. */
const SQUARE_ROOT = 9 * UNIT_ROUNDOFF;

const most = ({ value, error }: Bounded) => Math.abs(value) + error;

/** A number that the kernel is given: a float32 itself. */
export function exact(value: number): Bounded {
  return { value, error: 0 };
}

function exactProduct(a: Bounded, b: Bounded): Bounded {
  return { value: a.value * b.value, error: most(a) * most(b) - Math.abs(a.value * b.value) };
}

/** A sum in any order. */
export function sum(terms: Bounded[]): Bounded {
  let value = 0, error = 0, magnitude = 0;
  for (const term of terms) {
    value += term.value;
    error += term.error;
    magnitude += most(term);
  }
  return { value, error: error + gamma(Math.max(0, terms.length - 1)) * magnitude };
}

/** A product. */
export function product(a: Bounded, b: Bounded): Bounded {
  const { value, error } = exactProduct(a, b);
  return { value, error: error + ROUNDED * (Math.abs(value) + error) };
}

/** start + a[0] b[0] + a[1] b[1] + ..., in any order, with or without fused multiply-adds. */
export function dot(a: Bounded[], b: Bounded[], start: Bounded = exact(0)): Bounded {
  let value = start.value, error = start.error, magnitude = most(start);
  a.forEach((left, n) => {
    const term = exactProduct(left, b[n]);
    value += term.value;
    error += term.error;
    magnitude += most(term);
  });
  return { value, error: error + gamma(a.length + (start.value === 0 ? 0 : 1)) * magnitude };
}

/** A quotient. */
export function quotient(a: Bounded, b: Bounded): Bounded {
  const value = a.value / b.value;
  const error = (a.error + Math.abs(value) * b.error) / (Math.abs(b.value) - b.error);
  return { value, error: error + DIVISION * (Math.abs(value) + error) };
}

/** A square root. */
export function root(a: Bounded): Bounded {
  const value = Math.sqrt(a.value);
  const error = value - Math.sqrt(Math.max(0, a.value - a.error));
  return { value, error: error + SQUARE_ROOT * (value + error) };
}

/** Smaller float32 numbers may be flushed to zero. */
const SMALLEST = 2 ** -126;

/** e^a: 3 + 2 |a| ULP. */
export function exponential(a: Bounded): Bounded {
  const value = Math.exp(a.value), reached = Math.exp(a.value + a.error);
  return { value, error: reached - value + 2 * UNIT_ROUNDOFF * (3 + 2 * most(a)) * reached + SMALLEST };
}

/** The natural logarithm: 3 ULP, or 2^-21 in absolute terms between 1/2 and 2. */
export function logarithm(a: Bounded): Bounded {
  const value = Math.log(a.value), error = value - Math.log(a.value - a.error);
  return { value, error: error + Math.max(2 ** -21, 6 * UNIT_ROUNDOFF * (Math.abs(value) + error)) };
}

/** tanh as shared/tanh.wgsl promises it: 3e-7 relative. Its slope is at most that of a line through the origin. */
export function hyperbolicTangent(a: Bounded): Bounded {
  const value = Math.tanh(a.value), error = Math.abs(value) * a.error / Math.max(Math.abs(a.value), SMALLEST);
  return { value, error: error + 3e-7 * (Math.abs(value) + error) };
}

/** a - b */
export function difference(a: Bounded, b: Bounded): Bounded {
  return sum([a, { value: -b.value, error: b.error }]);
}

/**
 * Fails unless every element is within the bound of its own computation.
 *
 * @param what Name of the compared quantity.
 * @param actual From the GPU.
 * @param expected From the oracle.
 */
export function assertWithin(what: string, actual: ArrayLike<number>, expected: Bounded[]): void {
  assert.ok(Array.from(actual).every(Number.isFinite), `${what}: an element is not finite: ${Array.from(actual)}`);
  assertClose(what, actual, expected.map(({ value }) => value), expected.map(({ error }) => error));
}
