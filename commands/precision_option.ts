/**
 * `--precision`, the option of the commands that harvest activations anew.
 * @module
 */

import { Option } from "commander";

/**
 * Declares the option.
 *
 * @returns The option, f32 unless it is given.
 */
export function precisionOption(): Option {
  const text =
    "what the forward pass rounds the inputs of its products to; what f16 does to the activations is measured and shown";
  return new Option("--precision <type>", text).choices(["f32", "f16"]).default("f32");
}
