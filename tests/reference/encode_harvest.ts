/**
 * What mtc makes of activations at hand, for import_loaders.py: features and outputs of the first tokens of a harvest.
 *
 *     deno run -A tests/reference/encode_harvest.ts HARVEST.safetensors layer4.mlp_in runs/scope/layer4 OUT.safetensors
 */

import { openSafetensors, writeSafetensors } from "../../core/files/safetensors.ts";
import { downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { front } from "../../core/gpu/tensor.ts";
import { readConfig } from "../../core/runs/config.ts";
import { readTranscoder } from "../../core/runs/transcoder.ts";
import { Encoder } from "../../core/transcoder/encode.ts";
import { Reconstructor } from "../../core/transcoder/reconstruct.ts";
import { featureCount } from "../../core/transcoder/shape.ts";

const [path, tap, run, out] = Deno.args, TOKENS = 512;
const file = await openSafetensors(path), x = await file.readF32(tap), gpu = await openGpu();
const transcoder = await readTranscoder(run, await readConfig(run)), { d_in, d_out, groups } = transcoder.shape;
const tokens = Math.min(TOKENS, x.length / d_in), features = featureCount(groups);
const source = tensorFrom(gpu, "source", [tokens, d_in], x.slice(0, tokens * d_in));
const zeros = tensorFrom(gpu, "target", [tokens, d_out], new Float32Array(tokens * d_out));
const encoder = new Encoder(gpu, transcoder, tokens), reconstructor = new Reconstructor(gpu, transcoder, tokens);
if (encoder.batchTokens < tokens) throw new Error(`Give fewer tokens: ${encoder.batchTokens} fit`);
const pass = new Pass(gpu);
encoder.recordEncode(pass, source, tokens);
// What is missing to a target of zeros is the output.
reconstructor.record(pass, encoder.kept, source, zeros, tokens);
pass.submit();
const { rowStart, index, value } = await encoder.readKept(tokens), dense = new Float32Array(tokens * features);
for (let b = 0; b < tokens; b++) {
  for (let e = rowStart[b]; e < rowStart[b + 1]; e++) dense[b * features + index[e]] = value[e];
}
const y = await downloadF32(gpu, front(reconstructor.residual, tokens));
await writeSafetensors(out, [
  { name: "features", dtype: "F32", shape: [tokens, features], data: dense },
  { name: "outputs", dtype: "F32", shape: [tokens, d_out], data: y },
]);
await file.close();
