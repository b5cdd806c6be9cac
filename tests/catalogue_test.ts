/** Every kernel under wgsl/: its declaration against its text, its opening comment, and whether the adapter compiles it. */

import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { KERNELS } from "../core/bench/catalogue.ts";
import { openGpu } from "../core/gpu/device.ts";
import type { Kernel } from "../wgsl/kernel.ts";
import { type TileName, TILES, variantsOf } from "../wgsl/shared/matmul.ts";

const WGSL = new URL("../wgsl/", import.meta.url);
const filesOf = async (pattern: string) =>
  (await Array.fromAsync(glob(pattern, { cwd: fileURLToPath(WGSL) }))).toSorted();

function isKernel(value: unknown): value is Kernel {
  return typeof value === "object" && value !== null && "source" in value && "bindings" in value;
}

const kernels: Kernel[] = [];
for (const file of await filesOf("**/*.ts")) {
  const module: Record<string, unknown> = await import(new URL(file, WGSL).href);
  kernels.push(...Object.values(module).filter(isKernel));
}
// A product has a text for each tile, weight format and epilogue.
const tiles = Object.keys(TILES) as TileName[];
for (const tile of tiles) kernels.push(...variantsOf(tile));
const texts = new Map<string, string>();
for (const file of await filesOf("**/*.wgsl")) texts.set(file, await Deno.readTextFile(new URL(file, WGSL)));

const ENTRY_POINT = /@compute[^{]*fn main\(/;

/** A text without comments. */
const code = (source: string) => source.replaceAll(/\/\/.*$/gm, "");

/** [number, variable's kind, name] of each binding, in the order of the text. */
function bindingsOf(source: string): [binding: number, kind: string, name: string][] {
  const pattern = /@group\(0\)\s*@binding\((\d+)\)\s*var<([^>]*)>\s*(\w+)/g;
  return [...code(source).matchAll(pattern)].map(([, n, kind, name]) => [Number(n), kind.replaceAll(" ", ""), name]);
}

/** [name, type] of each member of struct Params. */
function membersOf(source: string): [name: string, type: string][] {
  const body = code(source).match(/struct Params\s*\{([^}]*)\}/)?.[1] ?? "";
  return body.split(",").map((member) => member.trim()).filter(Boolean)
    .map((member) => member.split(/\s*:\s*/) as [string, string]);
}

/** The overrides whose default is a number; one computed from others is no setting of its own. */
function overridesOf(source: string): Record<string, number> {
  const pattern = /override\s+(\w+)\s*:\s*\w+\s*=\s*([\d.e-]+)[uif]?\s*;/g;
  return Object.fromEntries([...code(source).matchAll(pattern)].map(([, name, value]) => [name, Number(value)]));
}

/** How many lines of comment a text opens with. */
function openingComment(source: string): number {
  return source.split("\n").findIndex((line) => !line.startsWith("//"));
}

Deno.test("the catalogue finds the kernels, and their names are unique", () => {
  const names = kernels.map(({ name }) => name);
  assert.ok(names.includes("decode") && names.includes("matmul_lanes") && names.length >= 19, `found ${names}`);
  assert.deepEqual(names.toSorted(), [...new Set(names)].toSorted());
});

Deno.test("core/bench/catalogue.ts has every kernel and names every file that declares some", async () => {
  assert.deepEqual(KERNELS.map(({ name }) => name), kernels.map(({ name }) => name).toSorted());
  const catalogue = await Deno.readTextFile(new URL("../core/bench/catalogue.ts", import.meta.url));
  for (const file of await filesOf("**/*.ts")) {
    const isDeclaring = (await Deno.readTextFile(new URL(file, WGSL))).includes("defineKernel({");
    if (isDeclaring) assert.ok(catalogue.includes(`"../../wgsl/${file}"`), `it does not name ${file}`);
  }
});

Deno.test("each .wgsl file with an entry point is the text of the kernel of its name", () => {
  for (const [file, text] of texts) {
    if (!ENTRY_POINT.test(text)) continue;
    const kernel = kernels.find(({ name }) => name === basename(file, ".wgsl"));
    assert.ok(kernel, `${file} has no kernel`);
    assert.ok(kernel.source.startsWith(text), `${file}: shared functions are appended, so that error lines stay true`);
  }
});

Deno.test("each .wgsl file with shared functions says what they do, and is used", () => {
  for (const [file, text] of texts) {
    if (ENTRY_POINT.test(text)) continue;
    assert.ok(openingComment(text.trimStart()) >= 1, `${file} opens without a comment`);
    assert.ok(text.startsWith("\n"), `${file} is appended to other texts: it must begin with a line break`);
    assert.ok(kernels.some(({ source }) => source.includes(text)), `${file} is part of no kernel`);
  }
});

// Mesa's software driver has 16-bit floats too.
const gpu = await openGpu(null, "f16");

for (const kernel of kernels) {
  const { name, source, bindings, params, constants } = kernel;

  Deno.test(`kernel ${name}: opens with at least four lines on formula, shapes, division of work and numerics`, () => {
    assert.ok(openingComment(source) >= 4, `${openingComment(source)} lines`);
  });

  Deno.test(`kernel ${name}: the declaration agrees with the text`, () => {
    const storage = Object.entries(bindings).map(([buffer, access], n) => [
      n,
      access === "read" ? "storage,read" : "storage,read_write",
      buffer,
    ]);
    // Eight is what WebGPU guarantees, and all that some hosts give.
    assert.ok(storage.length <= 8, `${storage.length} storage buffers`);
    assert.deepEqual(bindingsOf(source), [...storage, [storage.length, "uniform", "params"]]);
    assert.deepEqual(membersOf(source), Object.entries(params));
    assert.deepEqual(overridesOf(source), constants);
  });

  Deno.test(`kernel ${name}: has a shape for each buffer and a grid`, () => {
    // Four of everything: products have a depth that is a multiple of it.
    const small = Object.fromEntries(Object.keys(params).map((param) => [param, 4]));
    assert.deepEqual(Object.keys(kernel.shapes(small, constants)).toSorted(), Object.keys(bindings).toSorted());
    const grid = kernel.workgroups(small, constants);
    assert.ok(grid.length === 3 && grid.every((extent) => Number.isInteger(extent) && extent >= 1), `grid ${grid}`);
  });

  // Products that pass numbers from lane to lane are for software drivers; mtc asks no other adapter for subgroups.
  const ignore = source.includes("subgroup") && !gpu.device.features.has("subgroups" as GPUFeatureName);
  Deno.test(`kernel ${name}: compiles on this adapter`, { ignore }, async () => {
    gpu.device.pushErrorScope("validation");
    const module = gpu.device.createShaderModule({ label: name, code: source });
    // An explicit layout: "auto" would drop a binding that the text declares and never uses.
    const entries = [...Object.values(bindings), "uniform" as const].map((access, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: {
        type: access === "uniform" ? "uniform" : access === "read" ? "read-only-storage" : "storage",
      } as GPUBufferBindingLayout,
    }));
    const layout = gpu.device.createPipelineLayout({
      bindGroupLayouts: [gpu.device.createBindGroupLayout({ entries })],
    });
    gpu.device.createComputePipeline({ label: name, layout, compute: { module, entryPoint: "main", constants } });
    const error = await gpu.device.popErrorScope();
    assert.equal(error?.message, undefined);
  });
}
