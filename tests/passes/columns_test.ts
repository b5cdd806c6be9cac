import assert from "node:assert/strict";
import { openGpu } from "../../core/gpu/device.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { measureColumns } from "../../core/passes/columns.ts";
import { overText } from "../../core/passes/over_text.ts";
import { readActivations } from "../../core/passes/readback.ts";
import { assertClose } from "../compare.ts";
import { randomText, sourceOf } from "./random_text.ts";

const CONTEXT = 9, COUNTED = CONTEXT - 1, WIDTH = 128;

Deno.test("columns have the means and variances of all counted tokens, batch after batch, and BOS is none of them", async () => {
  using gpu = await openGpu();
  const files = await openModel("builtin");
  const taps = [{ layer: 0, site: "mlp_in" }, { layer: 0, site: "mlp_out" }] as const;
  const decoder = await loadDecoder(gpu, files, { taps, maxTokens: 4 * CONTEXT, context: CONTEXT });
  const text = randomText(11, CONTEXT, 3), settings = { context: CONTEXT, include_bos: false };
  const rows: number[][][] = taps.map(() => []);
  await overText(
    { ...{ gpu, decoder, source: sourceOf(text), contexts: 11, includeBos: false, isReadOnce: true } },
    [readActivations(gpu, decoder, ({ places }, activations) => {
      for (const place of places) {
        activations.forEach((values, t) => rows[t].push([...values.subarray(place * WIDTH, (place + 1) * WIDTH)]));
      }
    })],
  );
  const found = await measureColumns({ gpu, decoder, source: sourceOf(text), settings, tokens: 11 * COUNTED }, taps);
  for (const [t, { mean, variance }] of found.entries()) {
    assert.equal(rows[t].length, 11 * COUNTED);
    const column = (of: (value: number, c: number) => number) =>
      Float64Array.from(
        { length: WIDTH },
        (_, c) => rows[t].reduce((sum, row) => sum + of(row[c], c), 0) / rows[t].length,
      );
    const means = column((value) => value);
    assertClose("mean", mean, means, { floor: 1e-12, relative: 1e-9 });
    assertClose("variance", variance, column((value, c) => (value - means[c]) ** 2), { floor: 1e-12, relative: 1e-9 });
  }
  const [few] = await measureColumns({ gpu, decoder, source: sourceOf(text), settings, tokens: COUNTED + 1 }, taps);
  assert.ok(few.mean.some((value, c) => Math.abs(value - found[0].mean[c]) > 1e-3), "two contexts have other means");
  await files.weights.close();
});
