/**
 * What rounding the products' inputs to 16 bits does to the activations of a model.
 * @module
 */

import { UserError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Decoder } from "../model/forward.ts";
import { tapName } from "../model/sites.ts";
import type { TokenBatch } from "../text/contexts.ts";
import { contextsAtHand, type ForwardOptions, overText } from "./over_text.ts";
import { readActivations } from "./readback.ts";

/**
 * Runs one batch at the model's precision and in float32.
 *
 * @param gpu The device.
 * @param decoder The model.
 * @param batch Contexts, at most as many as the model takes at once.
 * @returns Per tap, by its name, the relative L2 distance |a - b| / |b| of the two.
 * @throws {UserError} When an activation overflowed, which 16-bit floats do at 65,504.
 */
export async function precisionErrors(
  gpu: Gpu,
  decoder: Decoder,
  batch: TokenBatch,
): Promise<Record<string, number>> {
  let rounded: readonly Float32Array[] = [], exact: readonly Float32Array[] = [];
  const inFull: ForwardOptions = { precision: "f32" };
  await overText({ gpu, decoder, source: contextsAtHand([batch]), contexts: batch.contexts, includeBos: true }, [
    readActivations(gpu, decoder, (_, activations) => rounded = activations),
    readActivations(gpu, decoder, (_, activations) => exact = activations, inFull),
  ]);
  const errors = decoder.taps.map((tap, t) => [tapName(tap), relativeL2(rounded[t], exact[t])] as const);
  const lost = errors.find(([, error]) => !Number.isFinite(error));
  if (lost) {
    throw new UserError({
      action: "use --precision f16",
      requirement: `the activations at ${lost[0]} must fit into 16-bit floats`,
      found: "they overflow",
      remedy: "leave --precision out",
    });
  }
  return Object.fromEntries(errors);
}

function relativeL2(actual: Float32Array, expected: Float32Array): number {
  let difference = 0, size = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i] - expected[i]) ** 2;
    size += expected[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

/**
 * One line for people.
 *
 * @param errors What {@link precisionErrors} measured.
 * @returns For example `f16 products move the activations by 0.12 % at layer17.resid_mid (relative L2, one batch)`.
 */
export function describeErrors(errors: Readonly<Record<string, number>>): string {
  const shown = Object.entries(errors).map(([tap, error]) => `${(100 * error).toPrecision(2)} % at ${tap}`);
  return `f16 products move the activations by ${shown.join(", ")} (relative L2, one batch)`;
}
