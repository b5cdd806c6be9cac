/** Sixteen-bit floats. */

import assert from "node:assert/strict";
import { bfloat16ToFloat32, firstNotFinite } from "../../core/files/floats.ts";

Deno.test("firstNotFinite agrees with the widened value for each of the 65,536 bfloat16", () => {
  const all = Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits), values = bfloat16ToFloat32(all);
  for (let i = 0; i < all.length; i++) {
    assert.equal(firstNotFinite(all.subarray(i, i + 1)), Number.isFinite(values[i]) ? -1 : 0, all[i].toString(16));
  }
});

Deno.test("firstNotFinite finds the first, in even and odd places of arrays that begin and end anywhere in a word", () => {
  const NAN = 0x7fc1, INFINITY = 0xff80;
  for (const [begin, length] of [[0, 8], [0, 7], [1, 8], [1, 7], [0, 1], [1, 1], [0, 0]]) {
    const bits = new Uint16Array(16).fill(NAN).subarray(begin, begin + length).fill(0x7f7f);
    assert.equal(firstNotFinite(bits), -1);
    for (let i = 0; i < length; i++) {
      const spoilt = bits.slice(0);
      bits[i] = INFINITY;
      assert.equal(firstNotFinite(bits), i);
      bits[length - 1] = NAN;
      assert.equal(firstNotFinite(bits), i);
      bits.set(spoilt);
    }
  }
});
