/**
 * How much text goes through a model at once: enough to fill the device, and so little that every tensor of the forward pass can be
 * bound.
 * @module
 */

import { UserError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { ELEMENT_BYTES } from "../gpu/tensor.ts";
import { BLOCK } from "../../wgsl/gemma2/attention.ts";
import type { Gemma2Config } from "./config.ts";

/** Tokens per forward pass: few on CPUs, so that they stay in their caches, more on GPUs, so that they fill their units. */
const FORWARD_TOKENS = { cpu: 2048, gpu: 16384 };

/**
 * How many contexts go through a model at once.
 *
 * @param gpu The device.
 * @param config The model.
 * @param context Tokens per context.
 * @returns At least 1.
 * @throws {UserError} When the adapter cannot bind the tensors of a single context.
 */
export function contextsPerForward(gpu: Gpu, config: Gemma2Config, context: number): number {
  const most = mostContexts(gpu, config, context);
  if (most === 0) throw new UserError(tooLong(gpu, config, context));
  return Math.min(most, Math.max(1, Math.floor((gpu.isCpu ? FORWARD_TOKENS.cpu : FORWARD_TOKENS.gpu) / context)));
}

function mostContexts(gpu: Gpu, config: Gemma2Config, context: number): number {
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
  return Math.floor(
    Math.min(maxBufferSize, maxStorageBufferBindingSize) / (ELEMENT_BYTES * widestOfContext(config, context)),
  );
}

/** Elements that one context takes of the widest tensor of a forward pass. */
function widestOfContext(config: Gemma2Config, context: number): number {
  const { dModel, dMlp, heads, keyValueHeads, headDim } = config;
  const rowWise = Math.max(dModel, dMlp, (heads + 2 * keyValueHeads) * headDim);
  // Turned queries and keys lie in whole blocks of positions.
  const turned = Math.ceil(context / BLOCK) * BLOCK * (heads + keyValueHeads) * headDim;
  return Math.max(context * rowWise, turned);
}

function tooLong(gpu: Gpu, config: Gemma2Config, context: number): string {
  let longest = context;
  while (longest > 1 && mostContexts(gpu, config, longest) === 0) longest--;
  return `Cannot run contexts of ${context} tokens: ${gpu.adapter} binds at most ` +
    `${Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize)} bytes at once, which hold ` +
    `${longest} tokens of this model; use --context ${longest} or less`;
}
