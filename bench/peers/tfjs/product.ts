/**
 * Matrix products of tfjs on the same adapter, behind the protocol of ../protocol.py. It has a deno.json of its own, so that nobody who
 * installs mtc fetches tfjs:
 *
 *     deno run -A --config bench/peers/tfjs/deno.json bench/peers/tfjs/product.ts '[[1024, 1024, 1024]]'
 */

import "@tensorflow/tfjs-backend-webgpu";
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { backend, matMul, randomNormal, ready, setBackend, type Tensor2D, version_core } from "@tensorflow/tfjs-core";
import process from "node:process";
import { createInterface } from "node:readline";

/** [rows, columns, depth] of each product. */
const shapes: [number, number, number][] = JSON.parse(Deno.args[0]);

await setBackend("webgpu");
await ready();
const webgpu = backend() as WebGPUBackend;

/** Waits for an empty queue. tfjs holds commands back until there are enough of them, and cannot submit none. */
async function settle(): Promise<void> {
  if (webgpu["commandEncoder"]) {
    webgpu.endComputePassEncoder();
    webgpu.submitQueue();
  }
  await webgpu.queue.onSubmittedWorkDone();
}

/** Seconds that a wait takes when there is nothing to wait for: taken off, as in mtc's own WallClock. */
async function idleSeconds(): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 3; i++) {
    const begun = performance.now();
    await settle();
    least = Math.min(least, performance.now() - begun);
  }
  return least / 1000;
}

const inputs = new Map(
  shapes.map(([rows, columns, depth]) => [
    `${rows} x ${columns} x ${depth}`,
    [
      randomNormal([rows, depth]) as Tensor2D,
      randomNormal([depth, columns]) as Tensor2D,
    ] as const,
  ]),
);

function multiply(variant: string): void {
  const [x, weight] = inputs.get(variant)!;
  matMul(x, weight).dispose();
}

/** The first element of each product must be that of a loop: what fails on this adapter would be fast. */
for (const [variant, [x, weight]] of inputs) {
  const y = matMul(x, weight),
    [columns, depth] = [weight.shape[1], weight.shape[0]];
  const [got, a, b] = [await y.data(), await x.data(), await weight.data()];
  let sum = 0;
  for (let k = 0; k < depth; k++) sum += a[k] * b[k * columns];
  if (!(Math.abs(got[0] - sum) < 1e-3 * Math.sqrt(depth))) {
    throw new Error(`${variant}: ${got[0]} instead of ${sum}`);
  }
  y.dispose();
}
await settle();
const idle = await idleSeconds();
console.log(
  JSON.stringify({
    peer: `tfjs ${version_core}, WebGPU`,
    variants: [...inputs.keys()],
  }),
);

for await (const line of createInterface({ input: process.stdin })) {
  const { variant, count }: { variant: string; count: number } = JSON.parse(
    line,
  );
  await settle();
  const begun = performance.now();
  for (let i = 0; i < count; i++) multiply(variant);
  await settle();
  console.log(
    JSON.stringify({ seconds: (performance.now() - begun) / 1000 - idle }),
  );
}
