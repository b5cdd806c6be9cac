import assert from "node:assert/strict";
import { openGpu } from "../../core/gpu/device.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { evaluateTranscoders } from "../../core/passes/evaluation.ts";
import { collectSamples } from "../../core/passes/samples.ts";
import { sliceBatch } from "../../core/text/contexts.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";
import { randomText, sourceOf } from "./random_text.ts";

const CONTEXT = 9, COUNTED = CONTEXT - 1, WIDTH = 128;

Deno.test("a text's first contexts are evaluated as held-out text is, and no others, also where a batch goes beyond them", async () => {
  using gpu = await openGpu();
  const files = await openModel("builtin");
  const config = { source: { layer: 0, site: "resid_mid" }, targets: [{ layer: 0, site: "mlp_out" }], k: 3 } as const;
  const transcoders = [{
    transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [7, 9] }, 0.4, 1),
    config,
  }];
  const decoder = await loadDecoder(gpu, files, {
    taps: [config.source, ...config.targets],
    maxTokens: 4 * CONTEXT,
    context: CONTEXT,
  });
  const text = randomText(11, CONTEXT, 3), read = { context: CONTEXT, include_bos: false };
  const sample = (evaluation_tokens: number) =>
    collectSamples({
      ...{ gpu, decoder, transcoders, source: sourceOf(text), tokens: 9 * COUNTED },
      settings: { ...read, samples_per_feature: 5, sample_threshold: 0.1, evaluation_tokens },
    });
  // Six contexts: one batch of four, and half of another.
  const { figures, counts } = await sample(5 * COUNTED + 1);
  const [alone] = await evaluateTranscoders({
    ...{ gpu, decoder, transcoders, settings: read, source: sourceOf(sliceBatch(text, 0, 6)), tokens: 6 * COUNTED },
    text: { split: "validation", documents: 1, documentName: String },
  });
  const { tokens, contexts, fvu, fvu_ci95 } = alone;
  assert.deepEqual([tokens, contexts, counts.tokens], [6 * COUNTED, 6, 9 * COUNTED]);
  assert.deepEqual(figures, [{ tokens, contexts, fvu, fvu_ci95 }]);
  const [{ fvu: ofAll }] = (await sample(1e6)).figures;
  assert.ok(Math.abs(ofAll / fvu - 1) > 1e-4, "other contexts have another figure");
  await files.weights.close();
});
