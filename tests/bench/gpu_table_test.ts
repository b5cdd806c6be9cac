/** The table of bench/gpu.sh: what failed, was cut off or skipped is said, and takes nothing else with it. */

import assert from "node:assert/strict";
import { gpuTable, type Part } from "../../bench/gpu/table.ts";
import type { ProductsPart, WorkloadPart } from "../../bench/gpu/measure.ts";

const machine = "2026-11-22, 16 cores, a card, Deno 2.9.6";
const left = (name: string, code: number | null, rest: Partial<Part>): Part => (
  { name, code, seconds: 7, allowed: 40, reason: "", out: "", err: "", memory: [], ...rest }
);
const workload: WorkloadPart = {
  machine,
  peak_host_bytes: 2 ** 30,
  sizes: "some sizes",
  layers: 0,
  tokens: 1024,
  wall_ms: 2,
  kernels_ms: 1.5,
  share_of_roofline: 0.5,
  roofline: { flops: 2e13, bytes: 2e12 },
};
const step = left("step", 0, { out: JSON.stringify(workload), memory: [100, 1124, 900] });
/** A pass of 15,360 tokens per second: 1,000 seconds for the recipe's tokens. */
const forward = (layers: number, wall_ms: number) =>
  left("forward", 0, { out: JSON.stringify({ ...workload, layers, tokens: 15_360, wall_ms }) });
const products: ProductsPart = {
  machine,
  peak_host_bytes: 2 ** 29,
  products: [{
    what: "large",
    rows: 8192,
    columns: 8192,
    depth: 4096,
    tiles: [{ tile: "shared128", flops_per_s: 2.41e13 }, { tile: "shared64", flops_per_s: 9e11 }],
  }],
};

/** The cells of the row that begins with `what`. */
function row(parts: readonly Part[], what: string, isSmall = false): string[] {
  const found = gpuTable(parts, "", isSmall).split("\n").filter((line) => line.startsWith(`| ${what}`));
  assert.equal(found.length, 1, `${what}: ${found.length} rows`);
  return found[0].slice(2, -2).split(" | ");
}

Deno.test("figures of the GPU, with what is wanted of them", () => {
  const parts = [step, forward(18, 1000), left("products_f32", 0, { out: JSON.stringify(products) })];
  assert.deepEqual(row(parts, "training step, some"), [
    "training step, some sizes",
    "at most 1.7 ms",
    "2.00 ms, 1.50 ms by the GPU's clock; 50 % of the roofline",
  ]);
  assert.match(row(parts, "matrix product, f32, large")[2], /^shared128 24.1 TFLOP\/s, shared64 900 GFLOP\/s$/);
  assert.match(row(parts, "forward pass to layer 17: ")[2], /^15,360 tokens\/s; /);
  assert.equal(row(parts, "15,360,000 tokens")[2], "16 min 40 s and 30 s");
  assert.match(
    row(parts, "peak memory")[2],
    /^step 1 GiB of the host, 1 GiB of the GPU; forward 1 GiB of the host; products f32 512 MiB of the host$/,
  );
  assert.equal(row(parts, "training step, some", true)[1], "-", "nothing is wanted of small sizes");
  assert.ok(gpuTable(parts, "a card, 570", false).startsWith(`${machine}; a card, 570; 21 s in all\n`));
});

Deno.test("PyTorch's variants stand behind its name, which is said once", () => {
  const times = { mtc: 1.6, "PyTorch 2, a card: f32, eager": 3.14, "PyTorch 2, a card: tf32, eager": 2 };
  const milliseconds = Object.entries(times).map(([name, median]) => ({ name, median, all: [median] }));
  const comparisons = [{ what: "One layer, some sizes", milliseconds, ratio: 2, amount: { count: 1, unit: "tokens" } }];
  const [what, , measured] = row([left("peers_layer", 0, { out: JSON.stringify({ comparisons }) })], "One layer");
  assert.equal(what, "One layer, some sizes, in turns with PyTorch");
  assert.equal(measured, "mtc 1.60 ms; PyTorch 2, a card: f32, eager 3.14 ms, tf32, eager 2.00 ms");
});

Deno.test("one layer that was measured alone counts eighteen times", () => {
  const [, , measured] = row([step, forward(1, 1000 / 18)], "forward pass to layer 17: ");
  assert.match(measured, /^15,360 tokens\/s \(18 times the time of 1\); /);
});

Deno.test("a part that fails, hangs, prints nonsense or never runs is a row, and the others stand", () => {
  const parts = [
    left("products_f32", 1, {
      err: "Compiling\nerror: Uncaught (in promise) UserError: Cannot go on with X: out | of memory\n    at x.ts:1:2\n",
    }),
    left("soak", 1, { err: "mtc: Cannot open a GPU: there is none\n" }),
    left("two_layers", 139, { err: "Compiling\nSegmentation fault\n" }),
    left("products_f16", 0, { out: "{" }),
    left("step", 124, {}),
    left("peers_step", null, { reason: "python3 has no torch" }),
    forward(18, 1000),
  ];
  assert.equal(row(parts, "matrix products, f32")[2], "failed: UserError: Cannot go on with X: out \\| of memory");
  assert.equal(row(parts, "host waits")[2], "failed: mtc: Cannot open a GPU: there is none");
  assert.equal(row(parts, "harvesting two")[2], "failed: Segmentation fault");
  assert.match(row(parts, "matrix products, inputs")[2], /^failed: what it printed cannot be read: /);
  assert.equal(row(parts, "training step |")[2], "failed: not done after the 40 s it had");
  assert.equal(row(parts, "training step beside")[2], "skipped, python3 has no torch");
  assert.equal(row(parts, "one layer")[2], "skipped, it was never reached");
  assert.match(row(parts, "forward pass to layer 17: ")[2], /^15,360 tokens/);
  assert.equal(row(parts, "15,360,000 tokens")[2], "unknown without both");
  const [, failed] = gpuTable(parts, "", false).split("What failed:\n\n");
  const [first, second, third, ...others] = failed.split("\n");
  assert.equal(first, "- matrix products, f32: UserError: Cannot go on with X: out \\| of memory");
  assert.match(second, /^- matrix products, inputs rounded to f16: what it printed cannot be read: /);
  assert.equal(third, "- training step: not done after the 40 s it had");
  assert.equal(others.length, 2, "two layers and host waits");
});

Deno.test("tests: their sum, the names of those that failed, and how far a run came that was cut off", () => {
  const out = "kernel a: runs ... ok (1ms)\nkernel b: runs ... FAILED (2ms)\n" +
    "./tests/c_test.ts (uncaught error)\n".repeat(2);
  const ended = left("tests", 1, { out: `${out}\nFAILED | 1 passed (3 steps) | 2 failed | 1 ignored (4s)\n\n` });
  assert.equal(row([ended], "kernels in")[2], "1 passed (3 steps), 2 failed, 1 ignored (4s)");
  const [, names] = gpuTable([ended], "", false).split("What failed:\n\n");
  assert.match(names, /^- test: kernel b: runs\n- test: \.\/tests\/c_test\.ts$/);
  assert.match(
    row([left("tests", 124, { out })], "kernels in")[2],
    /^failed: not done .*; 1 passed, 1 failed until then$/,
  );
});

Deno.test("doctor: what is missing is told although its exit code is 1", () => {
  const adapter = {
    features: { "timestamp-query": true, subgroups: true, "shader-f16": false },
    subgroup_lanes: [32, 32],
    gflops: 2e4,
    copy_gbytes_per_s: 2000,
  };
  const doctor = (code: number, problems: { what: string }[]) =>
    row([left("doctor", code, { out: JSON.stringify({ adapter, problems }) })], "`mtc doctor`")[2];
  const has = "has timestamp-query, subgroups of 32 lanes; product 20.0 TFLOP/s, copy 2,000 GB/s";
  assert.equal(doctor(0, []), `nothing missing; ${has}`);
  assert.equal(doctor(1, [{ what: "the built-in text is missing" }]), `failed: the built-in text is missing; ${has}`);
});
