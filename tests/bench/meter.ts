/** Counting what loops do: the oracle of core/bench/costs.ts. */

import assert from "node:assert/strict";
import { costOf, type Sparsity } from "../../core/bench/costs.ts";
import type { Kernel } from "../../wgsl/kernel.ts";

/** Counts what a loop does. */
export class Meter {
  flops = 0;
  readonly #read = new Set<string>();
  readonly #written = new Set<string>();

  read(buffer: string, ...index: number[]): void {
    this.#read.add(`${buffer} ${index}`);
  }

  write(buffer: string, ...index: number[]): void {
    this.#written.add(`${buffer} ${index}`);
  }

  update(buffer: string, ...index: number[]): void {
    this.read(buffer, ...index);
    this.write(buffer, ...index);
  }

  get bytes(): number {
    return 4 * (this.#read.size + this.#written.size);
  }
}

/** No dictionary. */
export const NOTHING: Sparsity = { kept: 0, auxKept: 0, dead: 0 };

/** Compares a kernel's row with a loop. */
export function check(
  kernel: unknown,
  params: Record<string, number>,
  loop: (meter: Meter) => void,
  sparsity: Sparsity = NOTHING,
  constants: Record<string, number> = {},
): void {
  const { name, constants: defaults } = kernel as Kernel;
  Deno.test(`the work of ${name}: ${JSON.stringify({ ...params, ...constants })}`, () => {
    const meter = new Meter();
    loop(meter);
    const cost = costOf({ kernel: kernel as Kernel, params, constants: { ...defaults, ...constants } }, sparsity);
    assert.deepEqual(cost, { flops: meter.flops, bytes: meter.bytes });
  });
}

/** 0 .. count - 1. */
export const range = (count: number) => [...Array(count).keys()];
