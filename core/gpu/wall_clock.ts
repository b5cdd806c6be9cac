/**
 * Timing GPU work by the wall clock. Waiting itself takes about 12 ms under Deno, so that is measured and taken off.
 * @module
 */

import { type Gpu, settle } from "./device.ts";

/** A stopwatch for work that is submitted and waited for. */
export class WallClock {
  readonly #gpu: Gpu;
  readonly #idle: number;

  private constructor(gpu: Gpu, idle: number) {
    this.#gpu = gpu;
    this.#idle = idle;
  }

  /**
   * Makes a stopwatch, after measuring how long a wait for nothing takes.
   *
   * @param gpu The device.
   * @returns The stopwatch.
   * @throws {UserError} When the device has failed.
   */
  static async start(gpu: Gpu): Promise<WallClock> {
    await settle(gpu);
    let idle = Infinity;
    for (let i = 0; i < 3; i++) {
      const begun = performance.now();
      await settle(gpu);
      idle = Math.min(idle, performance.now() - begun);
    }
    return new WallClock(gpu, idle / 1000);
  }

  /**
   * Times work from an empty queue to an empty queue. A duration below 50 ms says little: the wait's own varies by a millisecond.
   *
   * @param submit Submits the work.
   * @returns Seconds, without those of a wait for nothing; at least one microsecond.
   * @throws {UserError} When the device fails.
   */
  async seconds(submit: () => void): Promise<number> {
    await settle(this.#gpu);
    const begun = performance.now();
    submit();
    await settle(this.#gpu);
    return Math.max(1e-6, (performance.now() - begun) / 1000 - this.#idle);
  }
}
