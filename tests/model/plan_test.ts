import assert from "node:assert/strict";
import { openGpu } from "../../core/gpu/device.ts";
import type { Pass } from "../../core/gpu/run.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { planFor } from "../../core/model/plan.ts";
import type { Site, Tap } from "../../core/model/sites.ts";

// Products without the name of their tile, which depends on the adapter.
const ATTENTION = ["matmul bf16", "rotary", "attention", "matmul bf16", "norm_add_norm"];
const MLP = ["matmul bf16_geglu", "matmul bf16", "norm_add_norm"];
const expected: [Tap, string[]][] = [
  [{ layer: 0, site: "resid_pre" }, []],
  [{ layer: 0, site: "attn_in" }, ["rms_norm"]],
  [{ layer: 0, site: "attn_out" }, ["rms_norm", ...ATTENTION]],
  [{ layer: 0, site: "resid_mid" }, ["rms_norm", ...ATTENTION]],
  [{ layer: 0, site: "mlp_in" }, ["rms_norm", ...ATTENTION]],
  [{ layer: 0, site: "mlp_out" }, ["rms_norm", ...ATTENTION, ...MLP]],
  [{ layer: 0, site: "resid_post" }, ["rms_norm", ...ATTENTION, ...MLP]],
  [{ layer: 1, site: "resid_pre" }, ["rms_norm", ...ATTENTION, ...MLP]],
  [{ layer: 1, site: "attn_in" }, ["rms_norm", ...ATTENTION, ...MLP]],
  [{ layer: 1, site: "attn_out" }, ["rms_norm", ...ATTENTION, ...MLP, ...ATTENTION]],
];

Deno.test("no kernel runs that no tap needs", async () => {
  using gpu = await openGpu();
  const files = await openModel(BUILTIN);
  for (const [tap, kernels] of expected) {
    const model = await loadDecoder(gpu, files, { taps: [tap], maxTokens: 4, context: 4 });
    const ran: string[] = [];
    const pass = {
      run: (kernel: { name: string }) => ran.push(kernel.name.replace(/^matmul_[a-z]+\d*_/, "matmul ")),
    } as unknown as Pass;
    model.forward(pass, { contexts: 1, context: 4, ids: new Uint32Array(4) });
    assert.deepEqual(ran, kernels, `layer ${tap.layer}, ${tap.site}`);
  }
});

Deno.test("the deepest of several taps decides, part by part", () => {
  const plan = (...taps: [number, Site][]) => planFor(taps.map(([layer, site]) => ({ layer, site })));
  assert.deepEqual(plan([2, "resid_mid"]), { attnIn: 3, attention: 3, mlpIn: 2, mlp: 2 });
  assert.deepEqual(plan([2, "mlp_in"], [0, "mlp_out"]), { attnIn: 3, attention: 3, mlpIn: 3, mlp: 2 });
  assert.deepEqual(plan([1, "mlp_out"], [2, "resid_pre"]), { attnIn: 2, attention: 2, mlpIn: 2, mlp: 2 });
  assert.deepEqual(plan([1, "mlp_out"], [2, "attn_in"]), { attnIn: 3, attention: 2, mlpIn: 2, mlp: 2 });
});
