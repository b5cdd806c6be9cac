/** Transcoders between sites of other widths than the residual stream's, through every command that takes a run. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { loadTranscoder } from "../../core/transcoder/formats/native.ts";
import { SMALL } from "./small_train.ts";
import { mtc } from "./tiny_run.ts";

const runs = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(runs, { recursive: true }));

async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await mtc(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

const json = async (...path: string[]) => JSON.parse(await Deno.readTextFile(join(...path)));

/** Trains one transcoder; tells whether it learned, and what its evaluation says. */
async function train(source: string, target: string): Promise<{ layer: string; sizes: number[]; fvu: number }> {
  const layer = join(runs, source, "layer2"), few = ["--sample-tokens", "512", "--evaluation-tokens", "512"];
  const sites = ["--layers", "2", "--source", source, "--target", target];
  await done("train", ...SMALL, ...few, ...sites, "--runs", runs, "--name", source);
  const metrics = (await Deno.readTextFile(join(layer, "metrics.csv"))).trimEnd().split("\n").slice(1);
  const losses = metrics.map((row) => Number(row.split(",")[2]));
  assert.ok(losses.at(-1)! < 0.9 * losses[0], `loss ${losses[0]} became ${losses.at(-1)}`);
  const { d_in, d_out } = await json(layer, "config.json"), { fvu } = await json(layer, "evaluation.json");
  // A transcoder of shuffled or truncated activations would explain nothing.
  assert.ok(fvu < 0.95, `held-out FVU ${fvu}`);
  return { layer, sizes: [d_in, d_out], fvu };
}

Deno.test("a transcoder of the MLP's neurons is estimated, trained, evaluated, encoded and reported", async () => {
  await done(
    "train",
    ...SMALL,
    "--layers",
    "2",
    "--source",
    "mlp_neurons",
    "--runs",
    runs,
    "--name",
    "dry",
    "--dry-run",
  );
  const { layer, sizes, fvu } = await train("mlp_neurons", "mlp_out");
  assert.deepEqual(sizes, [512, 128]);
  assert.equal(JSON.parse(await done("evaluate", "--run", layer, "--json")).fvu, fvu);
  const { tokens } = JSON.parse(
    await done("encode", "--run", layer, "--text", "We the people ask for peace", "--json"),
  );
  const ids = Uint32Array.from(tokens, ({ token_id }: { token_id: number }) => token_id);
  await assertFeatures(join(layer, "transcoder.safetensors"), { layer: 2, site: "mlp_neurons" }, ids, tokens);
  await done("report", "--quick", "--runs", join(runs, "mlp_neurons"), "--out", join(runs, "report"));
});

Deno.test("a transcoder from attention's heads to the MLP's neurons is trained and evaluated", async () => {
  assert.deepEqual((await train("attn_heads", "mlp_neurons")).sizes, [128, 512]);
});

interface Token {
  readonly features: readonly { readonly feature: number; readonly value: number }[];
}

/** The features of each token by hand: relu(x W + b) in float64 from what the model has at the source. */
async function assertFeatures(path: string, tap: Tap, ids: Uint32Array<ArrayBuffer>, tokens: Token[]) {
  const { shape, weights } = await loadTranscoder(path), files = await openModel(BUILTIN), context = ids.length;
  using gpu = await openGpu();
  const decoder = await loadDecoder(gpu, files, { taps: [tap], maxTokens: context, context });
  const pass = new Pass(gpu), [{ tensor, width }] = decoder.forward(pass, { contexts: 1, context, ids });
  pass.submit();
  const x = await downloadF32(gpu, tensor);
  assert.equal(width, shape.d_in);
  let compared = 0;
  for (const [t, { features }] of tokens.entries()) {
    for (const { feature, value } of features) {
      let sum = weights.encoderBias[feature];
      for (let c = 0; c < width; c++) sum += x[t * width + c] * weights.encoder[feature * width + c];
      assert.ok(
        Math.abs(sum - value) <= 1e-4 * Math.max(1, sum),
        `token ${t}, feature ${feature}: ${value}, by hand ${sum}`,
      );
      compared++;
    }
  }
  assert.ok(compared >= 10, `${compared} features`);
  await files.weights.close();
}

Deno.test("harvested sites have their own widths", async () => {
  const out = join(runs, "harvest");
  const summary = JSON.parse(
    await done(
      "harvest",
      "--layers",
      "1",
      "--sites",
      "attn_heads,mlp_neurons,mlp_out",
      ...["--contexts", "5"],
      "--out",
      out,
      "--json",
    ),
  );
  assert.deepEqual(summary.widths, { "layer1.attn_heads": 128, "layer1.mlp_neurons": 512, "layer1.mlp_out": 128 });
  const file = await openSafetensors(join(out, "activations_00000.safetensors"));
  assert.deepEqual(file.info("layer1.mlp_neurons").shape, [5, 64, 512]);
  assert.deepEqual(file.info("layer1.mlp_out").shape, [5, 64, 128]);
  assert.ok((await file.readF32("layer1.mlp_neurons")).every(Number.isFinite));
  await file.close();
});
