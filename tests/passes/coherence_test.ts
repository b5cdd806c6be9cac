/** Coherence on the embedded model: against float64 loops over its own activations. */

import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { measureCoherence } from "../../core/passes/coherence.ts";
import { recordFeatures } from "../../core/passes/record.ts";
import type { ReadingSet } from "../../core/text/reading_set.ts";
import { assertClose } from "../compare.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";
import { randomText, sourceOf } from "./random_text.ts";

const CONTEXT = 9, CONTEXTS = 20, WIDTH = 128, whole = randomText(CONTEXTS, CONTEXT, 5);
const TAPS: Tap[] = [{ layer: 0, site: "resid_mid" }, { layer: 1, site: "mlp_in" }];
const gpu = await openGpu(), files = await openModel("builtin");
const load = (contexts: number) =>
  loadDecoder(gpu, files, { taps: TAPS, maxTokens: contexts * CONTEXT, context: CONTEXT });
const readingSet = (): ReadingSet => ({
  ...sourceOf(whole),
  documents: [{ name: "only", split: "train" }],
  summary: { documents: 1, train_documents: 1, held_out_documents: 0, bytes: 1, file_count: 1, fingerprint: "" },
  close: () => Promise.resolve(),
});
const settings = { context: CONTEXT, include_bos: false }, tokens = CONTEXTS * (CONTEXT - 1);
const transcoders = TAPS.map((source, i) => ({
  transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [9, 11] }, 0.3, i),
  config: { source, targets: [TAPS[0]], k: 3 },
}));
const mean = Float64Array.from({ length: WIDTH }, (_, d) => Math.sin(d) / 4);
const columns = { mean, scale: Float64Array.from({ length: WIDTH }, (_, d) => 1 + d % 3) };

const decoder = await load(3), pass = new Pass(gpu), taken = (await load(CONTEXTS)).forward(pass, whole);
pass.submit();
const activations = await Promise.all(taken.map(({ tensor }) => downloadF32(gpu, tensor)));
const records = await recordFeatures({
  ...{ gpu, decoder, settings, transcoders, source: readingSet(), tokens, tokenText: String },
});
const recorded = transcoders.map((one, i) => ({ ...one, record: records[i], columns }));

Deno.test("cosines of the strongest examples are those of float64 loops, of every transcoder and however many contexts come at once", async () => {
  const measure = (contexts: number) =>
    load(contexts).then((decoder) =>
      measureCoherence({ gpu, decoder, settings, source: readingSet(), transcoders: recorded, tokens })
    );
  const found = await measure(3);
  for (const [i, { features, random, tokens: read, rare, left_out }] of found.entries()) {
    const { place, rowStart, index, value } = records[i];
    assert.deepEqual([read, left_out, features.length + rare], [tokens, 0, 20]);
    assert.ok(features.length > 5, `${features.length} are judged`);
    const unit = (token: number) => {
      const row = activations[i].subarray(place[token] * WIDTH, (place[token] + 1) * WIDTH);
      const centred = Array.from(row, (x, d) => (x - mean[d]) * columns.scale[d]), length = Math.hypot(...centred);
      return centred.map((x) => x / length);
    };
    for (const { feature, examples, cosine } of features) {
      const firing = (token: number) => {
        for (let e = rowStart[token]; e < rowStart[token + 1]; e++) if (index[e] === feature) return value[e];
        return 0;
      };
      const strongest = Array.from({ length: CONTEXTS }, (_, c) => {
        const of = Array.from({ length: CONTEXT - 1 }, (_, n) => c * (CONTEXT - 1) + n);
        return of.reduce((best, token) => firing(token) > firing(best) ? token : best);
      }).sort((a, b) => firing(b) - firing(a)).slice(0, 16);
      assert.deepEqual(examples, strongest);
      const units = examples.map(unit);
      const cosines = units.flatMap((u, a) => units.slice(0, a).map((v) => u.reduce((s, x, d) => s + x * v[d], 0)));
      assertClose("cosine", [cosine], [cosines.reduce((a, b) => a + b) / cosines.length], {
        floor: 1e-5,
        relative: 1e-4,
      });
    }
    assert.equal(random.directions, 512);
    assert.ok(random.limit > random.median && random.limit < 1, JSON.stringify(random));
  }
  const once = await measure(CONTEXTS);
  found.forEach(({ features, random }, i) => {
    const figures = (of: typeof found[0]) => of.features.map(({ coherence }) => coherence);
    assertClose("coherence", figures(once[i]), figures(found[i]), { floor: 1e-6, relative: 1e-5 });
    assertClose("chance", [once[i].random.limit], [random.limit], { floor: 1e-6, relative: 1e-5 });
    assert.ok(features.every(({ documents }) => documents === 1));
  });
});

Deno.test("a record of other tokens is refused", async () => {
  const { place } = records[0], moved = place.map((one, t) => t === 30 ? one + 1 : one);
  const measure = (place: typeof moved) =>
    measureCoherence({
      ...{ gpu, decoder, settings, source: readingSet(), tokens },
      transcoders: [{ ...recorded[0], record: { ...records[0], place } }],
    });
  await assert.rejects(measure(moved), (error: Error) => {
    return error instanceof UserError &&
      /tokens that are read now, they differ from token 30 on; remove /.test(error.message);
  });
});
