/**
 * What mtc's forward pass gives for a text, for compare_gemma3_270m.py: one context with BOS in front, as OUT.safetensors with `tokens`
 * (I32 [context]), every site of every layer (F32 [context, width]) and `loss` (F32 [context - 1]).
 *
 *     deno run -A tests/reference/decode_text.ts MODEL CONTEXT OUT.safetensors < text.txt
 */

import assert from "node:assert/strict";
import { type TensorToWrite, writeSafetensors } from "../../core/files/safetensors.ts";
import { downloadAll, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { Pass } from "../../core/gpu/run.ts";
import { configOf } from "../../core/model/config.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { SITES, tapName } from "../../core/model/sites.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";

const [directory, length, out] = Deno.args, context = Number(length);
const files = await openModel(directory), config = configOf(files), tokenizer = loadTokenizer(files);
tokenizer.checkFitsModel(config.vocabSize, config.bosTokenId);
const encoded = tokenizer.encode(await new Response(Deno.stdin.readable).text());
assert.ok(encoded.length >= context - 1, `the text has ${encoded.length} tokens`);
const ids = Uint32Array.of(tokenizer.bosId, ...encoded.subarray(0, context - 1));

using gpu = await openGpu();
using scope = openScope(gpu);
const taps = Array.from({ length: config.layers }, (_, layer) => SITES.map((site) => ({ layer, site }))).flat();
const model = await loadDecoder(scope, files, { taps, maxTokens: context, context, head: true });
const batch = { contexts: 1, context, ids }, pass = new Pass(gpu);
const taken = model.forward(pass, batch), loss = model.recordLoss(pass, batch);
pass.submit();
const values = (await downloadAll(gpu, [...taken.map(({ tensor }) => tensor), loss])).map((b) => new Float32Array(b));
const tensors = taken.map(({ tap, width }, i): TensorToWrite => (
  { name: tapName(tap), dtype: "F32", shape: [context, width], data: values[i].subarray(0, context * width) }
));
await writeSafetensors(out, [
  { name: "tokens", dtype: "I32", shape: [context], data: Int32Array.from(ids) },
  ...tensors,
  { name: "loss", dtype: "F32", shape: [context - 1], data: values.at(-1)!.subarray(0, context - 1) },
], {});
await files.weights.close();
