import assert from "node:assert/strict";
import { openGpu, settle } from "../../core/gpu/device.ts";
import { measureRoofline } from "../../core/gpu/roofline.ts";
import { WallClock } from "../../core/gpu/wall_clock.ts";

const gpu = await openGpu();

Deno.test("both ceilings are those of hardware: above a pocket calculator's, below a data centre's", async () => {
  const { flops, bytes } = await measureRoofline(gpu, 0.1);
  assert.ok(flops > 1e8 && flops < 1e15, `${flops} FLOP/s`);
  assert.ok(bytes > 1e8 && bytes < 1e14, `${bytes} bytes/s`);
  await settle(gpu);
});

Deno.test("the wall clock takes off what a wait for nothing takes, and never says zero", async () => {
  const clock = await WallClock.start(gpu);
  const nothing = await clock.seconds(() => {});
  assert.ok(nothing >= 1e-6 && nothing < 0.5, `${nothing} s`);
});
