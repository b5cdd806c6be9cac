import assert from "node:assert/strict";
import { createTensor, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import type { Pass } from "../../core/gpu/run.ts";
import { BUILTIN, type ModelFiles, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Edit } from "../../core/model/edits.ts";
import { reachOf } from "../../core/model/reach.ts";
import { type Site, SITES, type Tap, tapName } from "../../core/model/sites.ts";
import { openGoldenModel } from "./golden.ts";

// Products without the name of their tile, which depends on the adapter.
const ATTENTION = ["matmul bf16", "rotary", "attention", "matmul bf16", "norm_add_norm"];
const MLP = ["matmul bf16_geglu", "matmul bf16", "norm_add_norm"];
const expected: [Tap, string[]][] = [
  [{ layer: 0, site: "resid_pre" }, ["copy"]],
  [{ layer: 0, site: "attn_in" }, ["rms_norm"]],
  [{ layer: 0, site: "attn_heads" }, ["rms_norm", ...ATTENTION.slice(0, 3)]],
  [{ layer: 0, site: "attn_out" }, ["rms_norm", ...ATTENTION]],
  [{ layer: 0, site: "resid_mid" }, ["rms_norm", ...ATTENTION]],
  [{ layer: 0, site: "mlp_in" }, ["rms_norm", ...ATTENTION]],
  [{ layer: 0, site: "mlp_neurons" }, ["rms_norm", ...ATTENTION, MLP[0]]],
  [{ layer: 0, site: "mlp_out" }, ["rms_norm", ...ATTENTION, ...MLP]],
  [{ layer: 0, site: "resid_post" }, ["rms_norm", ...ATTENTION, ...MLP]],
  [{ layer: 1, site: "resid_pre" }, ["rms_norm", ...ATTENTION, ...MLP]],
  [{ layer: 1, site: "attn_in" }, ["rms_norm", ...ATTENTION, ...MLP]],
  [{ layer: 1, site: "attn_out" }, ["rms_norm", ...ATTENTION, ...MLP, ...ATTENTION]],
];

const gpu = await openGpu();
const files = await openModel(BUILTIN);

/** The names of the kernels that a forward pass records. */
async function kernelsOf(taps: readonly Tap[], edits: readonly Edit[] = [], of: ModelFiles = files): Promise<string[]> {
  using scope = openScope(gpu);
  const model = await loadDecoder(scope, of, { taps, maxTokens: 4, context: 4 });
  const ran: string[] = [];
  const pass = {
    run: (kernel: { name: string }) => ran.push(kernel.name.replace(/^matmul_[a-z]+\d*_/, "matmul ")),
    copy: () => ran.push("copy"),
  } as unknown as Pass;
  model.forward(pass, { contexts: 1, context: 4, ids: new Uint32Array(4) }, { edits });
  return ran;
}

Deno.test("no kernel runs that no tap needs", async () => {
  for (const [tap, kernels] of expected) assert.deepEqual(await kernelsOf([tap]), kernels, tapName(tap));
});

Deno.test("where heads are normed, they are before they turn", async () => {
  const gemma3 = await openGoldenModel("gemma3/window");
  const kernels = await kernelsOf([{ layer: 0, site: "attn_out" }], [], gemma3);
  assert.deepEqual(kernels, ["rms_norm", ATTENTION[0], "head_norm", ...ATTENTION.slice(1)]);
  assert.deepEqual(await kernelsOf([{ layer: 0, site: "attn_in" }], [], gemma3), ["rms_norm"]);
});

/** What two layers run where nothing is edited. */
const LAYERS = ["rms_norm", ...ATTENTION, ...MLP, ...ATTENTION, ...MLP];
/** A branch whose output or whose sum is edited ends in steps. */
const SUM = ["copy", "add"];
const edited: [site: Site, kind: "replace" | "add", kernels: string[]][] = [
  ["resid_pre", "replace", [...["copy", "rms_norm"], ...ATTENTION, ...MLP]],
  ["attn_in", "replace", [...LAYERS.slice(0, 9), ...["copy"], ...ATTENTION, ...MLP]],
  ["attn_heads", "replace", [...LAYERS.slice(0, 9), ...["copy"], ...ATTENTION.slice(3), ...MLP]],
  ["attn_heads", "add", [...LAYERS.slice(0, 12), "add", ...ATTENTION.slice(3), ...MLP]],
  ["attn_out", "replace", [...LAYERS.slice(0, 9), ...["copy", ...SUM, "rms_norm"], ...MLP]],
  ["attn_out", "add", [...LAYERS.slice(0, 13), ...["rms_norm", "add", ...SUM, "rms_norm"], ...MLP]],
  ["resid_mid", "replace", ["copy", "rms_norm", ...MLP]],
  ["resid_mid", "add", [...LAYERS.slice(0, 13), ...["rms_norm", ...SUM, "add", "rms_norm"], ...MLP]],
  ["mlp_in", "replace", [...LAYERS.slice(0, 14), "copy", ...MLP]],
  ["mlp_neurons", "replace", [...LAYERS.slice(0, 14), "copy", ...MLP.slice(1)]],
  ["mlp_out", "replace", [...LAYERS.slice(0, 14), "copy", ...SUM]],
  ["mlp_out", "add", [...LAYERS.slice(0, 16), "rms_norm", "add", ...SUM]],
  ["resid_post", "replace", ["copy"]],
];

Deno.test("what only a replaced site is computed from does not run, and an edit takes apart no more than its branch", async () => {
  using scope = openScope(gpu);
  const tensor = createTensor(scope, "given", [4, 512]);
  for (const [site, kind, kernels] of edited) {
    const edit: Edit = { kind, tap: { layer: 1, site }, tensor };
    assert.deepEqual(await kernelsOf([{ layer: 1, site: "resid_post" }], [edit]), kernels, `${kind} ${site}`);
  }
  const below: Edit = { kind: "replace", tap: { layer: 1, site: "mlp_out" }, tensor };
  assert.deepEqual(await kernelsOf([{ layer: 0, site: "resid_post" }], [below]), LAYERS.slice(0, 9));
});

Deno.test("the deepest of several taps decides, site by site", () => {
  const reach = (...taps: [number, Site][]) =>
    reachOf(taps.map(([layer, site]) => ({ layer, site }))).map((sites) => SITES.filter((site) => sites.has(site)));
  const whole = SITES.slice(1);
  assert.deepEqual(reach([2, "resid_mid"]), [whole, whole, whole.slice(0, 4)]);
  assert.deepEqual(reach([2, "mlp_in"], [0, "mlp_out"]), [whole, whole, whole.slice(0, 5)]);
  assert.deepEqual(reach([1, "mlp_out"], [2, "resid_pre"]), [whole, whole]);
  assert.deepEqual(reach([1, "mlp_out"], [2, "attn_in"]), [whole, whole, ["attn_in"]]);
  assert.deepEqual(reach([1, "mlp_neurons"]), [whole, whole.slice(0, 6)]);
  assert.deepEqual(reach([0, "resid_pre"]), []);
});
