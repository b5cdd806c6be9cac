/** Damaged files of every kind end in one sentence, or are read as what they say; and the fuzzer knows what is neither. */

import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import { damage, prepare, runCase } from "./case.ts";
import { fuzz, fuzzTable } from "./fuzz.ts";
import type { Reader } from "./readers.ts";

/** So many of each reader take seconds; `deno task fuzz` runs thousands. */
const CASES = 24;

Deno.test("damaged files neither crash nor loop, and what has checksums is never read as something else", async () => {
  const { rows, faults } = await fuzz(CASES, 1);
  assert.deepEqual(faults, [], fuzzTable(rows));
  for (const { reader, endings } of rows) {
    assert.ok(endings.refused > 0 && endings.refused + endings.same + endings.other === CASES, reader);
  }
});

/** A reader of bytes, which ends as `read` says. */
const reader = (read: (bytes: Uint8Array) => string, more: Partial<Reader> = {}): Reader => ({
  seeds: () => Promise.resolve([{ "a.bin": new Uint8Array(64) }]),
  read: (_, files) => Promise.resolve().then(() => read(files["a.bin"])),
  ...more,
});

Deno.test("a case is the same each time, and its ending is told from others", async () => {
  const isSound = (bytes: Uint8Array) => bytes.length === 64 && bytes.every((byte) => byte === 0);
  const endings = async (reader: Reader) => {
    const prepared = await prepare(reader);
    assert.deepEqual(damage(prepared, 7), damage(prepared, 7));
    const told = await Promise.all(Array.from({ length: 40 }, (_, seed) => runCase(prepared, seed)));
    return [...new Set(told.map(({ outcome }) => outcome))].sort();
  };
  const refuse = (bytes: Uint8Array) => {
    if (!isSound(bytes)) throw new UserError({ action: "read a.bin", found: "it is damaged" });
    return "zeros";
  };
  assert.deepEqual(await endings(reader(refuse)), ["refused", "same"]);
  assert.deepEqual(await endings(reader(() => "zeros")), ["same"]);
  assert.deepEqual(await endings(reader(String)), ["other", "same"]);
  assert.deepEqual(await endings(reader(String, { isSummed: true })), ["damaged", "same"]);
  const fault = (_: unknown, read: string) => read.length === 127 ? null : "it has another length";
  assert.deepEqual(await endings(reader((bytes) => bytes.join(), { fault })), ["damaged", "other", "same"]);
  assert.deepEqual(
    await endings(reader((bytes) => {
      if (!isSound(bytes)) throw new TypeError("undefined is not a function");
      return "zeros";
    })),
    ["crash", "same"],
  );
});
