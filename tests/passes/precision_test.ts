/** What 16-bit products do to the activations, through the model and through the command line. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { openGpu } from "../../core/gpu/device.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { emptyBatch } from "../../core/text/contexts.ts";
import { describeErrors, precisionErrors } from "../../core/passes/precision.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));
const taps = [{ layer: 0, site: "resid_mid" }, { layer: 0, site: "mlp_out" }] as const;
const ids = Uint32Array.from({ length: 16 }, (_, i) => i % 8 === 0 ? 2 : 10 + i);
const batch = { ...emptyBatch(2, 8), ids };

async function errorsOf(model: string, precision: "f32" | "f16") {
  using gpu = await openGpu(null, precision);
  const files = await openModel(model);
  try {
    const decoder = await loadDecoder(gpu, files, { taps, maxTokens: 16, context: 8, precision });
    return await precisionErrors(gpu, decoder, batch);
  } finally {
    await files.weights.close();
  }
}

Deno.test("f16 moves the activations by less than a percent and more than f32 does, which is nothing", async () => {
  assert.deepEqual(await errorsOf(BUILTIN, "f32"), { "layer0.resid_mid": 0, "layer0.mlp_out": 0 });
  const errors = await errorsOf(BUILTIN, "f16");
  assert.deepEqual(Object.keys(errors), ["layer0.resid_mid", "layer0.mlp_out"]);
  for (const error of Object.values(errors)) assert.ok(error > 1e-6 && error < 1e-2, JSON.stringify(errors));
});

Deno.test("activations that do not fit into 16 bits are refused", async () => {
  const directory = await Deno.makeTempDir(), from = new URL("../golden/gemma2/shards/", import.meta.url).pathname;
  for (const { name } of Deno.readDirSync(from)) await Deno.copyFile(join(from, name), join(directory, name));
  const tensor = "model.layers.0.mlp.down_proj.weight";
  for (const { name } of Deno.readDirSync(directory)) {
    if (!name.endsWith(".safetensors")) continue;
    const file = await openSafetensors(join(directory, name)), info = file.tensors.get(tensor);
    await file.close();
    if (!info) continue;
    const bytes = await Deno.readFile(join(directory, name));
    bytes.set(new Uint8Array(Float32Array.of(1e6).buffer), info.begin);
    await Deno.writeFile(join(directory, name), bytes);
  }
  assert.ok(Object.values(await errorsOf(directory, "f32")).every((error) => error === 0));
  await assert.rejects(
    errorsOf(directory, "f16"),
    /Cannot use --precision f16: the activations at layer0.mlp_out must fit into 16-bit floats, they overflow/,
  );
  await Deno.remove(directory, { recursive: true });
});

Deno.test("the errors as one line", () => {
  assert.equal(
    describeErrors({ "layer2.resid_mid": 0.00048, "layer2.mlp_out": 0.0123 }),
    "f16 products move the activations by 0.048 % at layer2.resid_mid, 1.2 % at layer2.mlp_out (relative L2, one batch)",
  );
});

Deno.test("mtc harvest --precision f16 tells what it costs; another precision is refused", async () => {
  const out = await Deno.makeTempDir();
  const harvest = async (...args: string[]) => {
    const all = ["run", "--no-check", "-A", MAIN, "harvest", "--layers", "0", "--out", out, "--contexts", "2", ...args];
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args: all, env: { NO_COLOR: "1" } }).output();
    return { code, stderr: new TextDecoder().decode(stderr) };
  };
  const refused = await harvest("--precision", "f8");
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, /^mtc: .*--precision.*f32, f16/);
  const told = await harvest("--precision", "f16");
  assert.equal(told.code, 0, told.stderr);
  assert.match(told.stderr, /^f16 products move the activations by 0\.\d+ % at layer0\.resid_mid, 0\.\d+ % at layer0/m);
  await Deno.remove(out, { recursive: true });
});
