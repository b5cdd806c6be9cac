import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import { benchTable } from "../../commands/bench_table.ts";
import { boundOf, shareOfRoofline } from "../../core/bench/benchmark.ts";

const roofline = { flops: 4e12, bytes: 1e12 };
const kernels = [
  { kernel: "product", weight: null, dispatches: 3, flops: 6e9, bytes: 1e6, milliseconds: 3 },
  { kernel: "copy", weight: null, dispatches: 1, flops: 0, bytes: 5e8, milliseconds: 1 },
];
const workload = {
  name: "Training step",
  sizes: "2,048 tokens",
  tokens: 2048,
  wall_ms: 5,
  wall_range_ms: [4, 6] as const,
  host_ms: 0.5,
  embedding_ms: null,
  kernels_ms: 4,
  total: { flops: 6e9, bytes: 5.01e8 },
  kernels,
};
const figures = { adapter: "a GPU", is_software: false, roofline, workloads: [workload] };
const lines = (text: string) => stripVTControlCharacters(text).split("\n");

Deno.test("the share of the roofline is the least time that the nearer ceiling allows over the time taken", () => {
  assert.deepEqual(boundOf(kernels[0], 3, roofline), { share: 0.5, by: "compute" });
  assert.deepEqual(boundOf(kernels[1], 1, roofline), { share: 0.5, by: "memory" });
  // One after the other: 1.5 ms and 0.5 ms at the least, of 5.
  assert.equal(shareOfRoofline(kernels, 5, roofline), 0.4);
});

Deno.test("the table: rates, shares of the time and of the roofline, totals", () => {
  assert.deepEqual(lines(benchTable(figures, () => true)), [
    "a GPU",
    "Roofline, measured in this run: 4.00 TFLOP/s in its largest product, 1,000 GB/s in its largest copy.",
    "",
    "Training step: 2,048 tokens",
    "  kernel      calls       ms   of the time      TFLOP/s    GB/s  of roofline",
    "  product         3     3.00   ██████   75.0 %     2.00   0.333    50 % compute",
    "  copy            1     1.00   ██       25.0 %        -     500    50 % memory",
    "  all kernels     4    4.000                       1.50     125    50 %",
    "  wall clock           5.000   4.00 to 6.00        1.20     100    40 %",
    "  409,600 tokens/s; the host needs 0.50 ms to record and submit.",
  ]);
});

Deno.test("a model's products go by their weights, and the line below names their kernels", () => {
  const product = { ...kernels[0], kernel: "matmul_bf16", weight: "o_proj" };
  const model = {
    ...workload,
    embedding_ms: 0.2,
    kernels: [product, { ...product, weight: "vocabulary" }, kernels[1]],
  };
  assert.deepEqual(lines(benchTable({ ...figures, workloads: [model] }, () => true)).slice(4), [
    "  kernel      calls       ms   of the time      TFLOP/s    GB/s  of roofline",
    "  o_proj          3     3.00   ██████   75.0 %     2.00   0.333    50 % compute",
    "  vocabulary      3     3.00   ██████   75.0 %     2.00   0.333    50 % compute",
    "  copy            1     1.00   ██       25.0 %        -     500    50 % memory",
    "  all kernels     7    4.000                       1.50     125    88 %",
    "  wall clock           5.000   4.00 to 6.00        1.20     100    70 %",
    "  409,600 tokens/s; the host needs 0.50 ms to record and submit, 0.20 of them to embed tokens.",
    "  Products: matmul_bf16.",
  ]);
});

Deno.test("without the GPU's clock the work of each kernel stands without times", () => {
  const untimed = {
    ...workload,
    kernels_ms: null,
    kernels: kernels.map((kernel) => ({ ...kernel, milliseconds: null })),
  };
  const text = lines(benchTable({ ...figures, workloads: [untimed] }, () => true));
  assert.equal(text[5].trimEnd(), "  product         3        -                          -       -");
  assert.ok(!text.some((line) => line.includes("all kernels") || line.includes("NaN") || line.includes("null")));
});
