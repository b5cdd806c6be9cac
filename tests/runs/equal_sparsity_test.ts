/** What was measured at equal sparsity is found again for the same two transcoders on the same tokens, and for no others. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { EQUAL_SPARSITY_FILE, readEqualSparsity, writeEqualSparsity } from "../../core/runs/equal_sparsity.ts";
import { inDirectory } from "../cli/tiny_run.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";

const [one, other, third] = [1, 2, 3].map((seed) => randomTranscoder({ d_in: 4, d_out: 4, groups: [3] }, 0, seed));
const found = (threshold: number) => ({
  ...{ tokens: 90, resampled: "documents" as const, threshold },
  a: { l0: 2.5, fvus: [0.4, NaN], ci95: [0.3, 0.5] as [number, number] },
  b: { l0: 2.5, fvus: [0.6, 0.5], ci95: [0.4, 0.7] as [number, number] },
  ...{ difference: 0.2, difference_ci95: [NaN, NaN] as [number, number] },
});

Deno.test("entries are kept by both transcoders; those of what one was before go", () =>
  inDirectory(async (directory) => {
    const read = (a: typeof one, b: typeof one, tokens = 90) => readEqualSparsity(directory, a, b, tokens);
    assert.equal(await read(one, other), undefined);
    await writeEqualSparsity(directory, one, other, found(0.25));
    await writeEqualSparsity(directory, one, third, found(0.5));
    assert.deepEqual([await read(one, other), (await read(one, third))!.threshold], [found(0.25), 0.5]);
    await writeEqualSparsity(directory, one, other, found(0.75));
    assert.deepEqual([(await read(one, other))!.threshold, (await read(one, third))!.threshold], [0.75, 0.5]);
    assert.deepEqual([await read(other, one), await read(one, other, 91)], [undefined, undefined]);
    await writeEqualSparsity(directory, third, other, found(1));
    assert.deepEqual([await read(one, other), (await read(third, other))!.threshold], [undefined, 1]);
    await Deno.writeTextFile(join(directory, EQUAL_SPARSITY_FILE), "[{");
    await assert.rejects(read(third, other), UserError);
  }));
