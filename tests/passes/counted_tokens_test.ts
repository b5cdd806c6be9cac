/** Some tokens of contexts at hand: against whole forward passes and float64 loops. */

import assert from "node:assert/strict";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { readCountedTokens } from "../../core/passes/counted_tokens.ts";
import { NO_DOCUMENT } from "../../core/text/contexts.ts";
import { assertClose } from "../compare.ts";
import { activationsOf, randomTranscoder } from "../transcoder/random_transcoder.ts";
import { randomText } from "./random_text.ts";

const CONTEXTS = 5, CONTEXT = 12, WIDTH = 128;

Deno.test("readCountedTokens: source and features of one token of each context, for two transcoders at once", async () => {
  const gpu = await openGpu(), files = await openModel("builtin"), text = randomText(CONTEXTS, CONTEXT, 7);
  const columns = [11, 3, 1, 8, 11], rows = columns.map((column, c) => c * CONTEXT + column);
  text.document.fill(NO_DOCUMENT);
  rows.forEach((row, c) => text.document[row] = c);
  const taps: Tap[] = [{ layer: 1, site: "resid_mid" }, { layer: 3, site: "mlp_in" }];
  const transcoders = taps.map((source, i) => ({
    transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [6, 10 + i] }, 0.3, i + 1),
    config: { source, targets: [{ layer: 3, site: "mlp_out" } as const], k: 4 },
  }));
  const load = (contexts: number) => {
    return loadDecoder(gpu, files, { taps, maxTokens: contexts * CONTEXT, context: CONTEXT });
  };
  const heard: number[] = [], [decoder, whole] = [await load(2), await load(CONTEXTS)];
  const read = await readCountedTokens({
    ...{ gpu, decoder, transcoders, contexts: text },
    onProgress: (contexts) => heard.push(contexts),
  });
  assert.deepEqual(heard, [2, 4, 5]);
  const pass = new Pass(gpu), taken = whole.forward(pass, text);
  pass.submit();
  for (const [i, { source, features: { rowStart, index, value } }] of read.entries()) {
    const all = await downloadF32(gpu, taken[i].tensor), { transcoder } = transcoders[i];
    const expected = rows.map((row) => all.subarray(row * WIDTH, (row + 1) * WIDTH));
    assertClose("source", source, expected.flatMap((x) => [...x]), { floor: 1e-5, relative: 1e-5 });
    assert.equal(rowStart.length, CONTEXTS + 1);
    expected.forEach((x, token) => {
      const activations = activationsOf(transcoder, x),
        kept = [...activations.keys()].filter((f) => activations[f] > 0.3);
      const at = [rowStart[token], rowStart[token + 1]] as const;
      assert.deepEqual([...index.subarray(...at)], kept);
      assertClose("activations", value.subarray(...at), kept.map((f) => activations[f]), {
        floor: 1e-4,
        relative: 1e-4,
      });
    });
    assert.ok(index.length > 0);
  }
  await files.weights.close();
});
