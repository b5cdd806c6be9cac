/**
 * How much text goes through a model at once: enough to fill the device, and so little that every tensor of the forward pass can be
 * bound.
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { ELEMENT_BYTES } from "../gpu/tensor.ts";
import { TooLargeToBind } from "../gpu/too_large.ts";
import { BLOCK } from "../../wgsl/model/attention.ts";
import { UserError } from "../errors.ts";
import { configOf, type DecoderConfig, type Described } from "./config.ts";

/** Tokens per forward pass on GPUs: enough to fill their units. */
const GPU_TOKENS = 16384;
/**
 * On CPUs: so many that the residual stream (1 MB) stays in the caches, but enough to use each weight often; a slow machine
 * is then heard of every few seconds.
 */
const CPU_ELEMENTS = 2 ** 18;
const CPU_TOKENS = { least: 256, most: 2048 };

/**
 * How many contexts go through a model at once.
 *
 * @param gpu The device.
 * @param config The model.
 * @param context Tokens per context.
 * @returns At least 1.
 * @throws {UserError} When the adapter cannot bind the tensors of a single context.
 */
export function contextsPerForward(gpu: Gpu, config: DecoderConfig, context: number): number {
  const most = mostContexts(gpu, config, context);
  if (most === 0) throw tooLong(gpu, config, context);
  return Math.min(most, Math.max(1, Math.floor((gpu.isCpu ? cpuTokens(config) : GPU_TOKENS) / context)));
}

/**
 * Makes sure that a model was made for contexts of a length.
 *
 * @param files The model, opened.
 * @param context Tokens per context.
 * @throws {UserError} When they are too long.
 */
export function checkContext(files: Described, context: number): void {
  const { maxPositions } = configOf(files);
  if (context <= maxPositions) return;
  throw new UserError({
    action: `run ${files.name}`,
    requirement: `its contexts have at most ${maxPositions} tokens`,
    found: `asked for ${context}`,
    remedy: `use --context ${maxPositions} or less`,
  });
}

function cpuTokens({ dModel }: DecoderConfig): number {
  return Math.max(CPU_TOKENS.least, Math.min(CPU_TOKENS.most, Math.floor(CPU_ELEMENTS / dModel)));
}

function mostContexts(gpu: Gpu, config: DecoderConfig, context: number): number {
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
  return Math.floor(
    Math.min(maxBufferSize, maxStorageBufferBindingSize) / (ELEMENT_BYTES * widestOfContext(config, context)),
  );
}

/** Elements that one context takes of the widest tensor of a forward pass. */
function widestOfContext(config: DecoderConfig, context: number): number {
  const { dModel, dMlp, heads, keyValueHeads, headDim } = config;
  const rowWise = Math.max(dModel, dMlp, (heads + 2 * keyValueHeads) * headDim);
  // Turned queries and keys lie in whole blocks of positions.
  const turned = Math.ceil(context / BLOCK) * BLOCK * (heads + keyValueHeads) * headDim;
  return Math.max(context * rowWise, turned);
}

function tooLong(gpu: Gpu, config: DecoderConfig, context: number): TooLargeToBind {
  // What fits one token at least and `tooMany` not: halved, as what was asked for may be a billion.
  let longest = 1;
  for (let tooMany = context; tooMany - longest > 1;) {
    const middle = Math.floor((longest + tooMany) / 2);
    if (mostContexts(gpu, config, middle) > 0) longest = middle;
    else tooMany = middle;
  }
  const bytes = Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize);
  return new TooLargeToBind({
    action: `run contexts of ${context} tokens`,
    requirement: `${gpu.adapter} binds at most ${bytes} bytes at once`,
    found: `which hold ${longest} tokens of this model`,
    remedy: `use --context ${longest} or less`,
  });
}
