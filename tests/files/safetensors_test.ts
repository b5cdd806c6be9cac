import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { openSafetensors, parseSafetensors, writeSafetensors } from "../../core/files/safetensors.ts";

const golden = new URL("../golden/safetensors/python.safetensors", import.meta.url).pathname;

/** A file from a header, as text or object, and a number of data bytes. */
function craft(header: unknown, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

Deno.test("reads what the Python library wrote, from a file and from memory", async () => {
  const onDisk = await openSafetensors(golden);
  for (const file of [onDisk, await parseSafetensors(await Deno.readFile(golden))]) {
    assert.deepEqual(file.metadata, { format: "pt", note: "ä ▁" });
    assert.deepEqual(file.info("float16").shape, [2, 3]);
    const values = [0, -0, 1, -2.5, 6.103515625e-05, 65504];
    assert.deepEqual([...await file.readF32("float32")], values);
    assert.deepEqual([...await file.readF32("float16")], values);
    assert.deepEqual([...await file.readF32("bfloat16")], [0, -0, 1, -2.5, 6.103515625e-05, 65536]);
    assert.deepEqual([...await file.readF32("half_subnormals")], [2 ** -24, -(2 ** -15)]);
    assert.deepEqual([...await file.read("int32")], [-1, 2147483647]);
    assert.deepEqual([...await file.readF32("scalar")], [3.25]);
    assert.deepEqual([...await file.readF32("empty")], []);
    assert.deepEqual([...file.readRowsF32("bfloat16", 1, 1)], [-2.5, 6.103515625e-05, 65536]);
    assert.deepEqual([...file.readRowsBf16("bfloat16", 1, 1)], [0xc020, 0x3880, 0x4780]);
    assert.throws(() => file.readRowsBf16("float16", 0, 1), RangeError);
    await assert.rejects(file.read("int64"), UserError);
    await assert.rejects(file.readF32("int32"), /floats must be F32, F16 or BF16/);
    await assert.rejects(file.readF32("absent"), /needs a tensor "absent"/);
  }
  await onDisk.close();
});

Deno.test("writes chunks, metadata and an aligned header that it reads back; the bytes are deterministic", async () => {
  const directory = await Deno.makeTempDir();
  const path = join(directory, "out.safetensors");
  async function* chunks() {
    yield await Promise.resolve(new Float32Array([1, 2]));
    yield new Float32Array([0, 3, 4]).subarray(1);
  }
  const write = () =>
    writeSafetensors(path, [
      { name: "streamed", dtype: "F32", shape: [2, 2], data: chunks() },
      { name: "listed", dtype: "I32", shape: [3], data: [new Int32Array([-1]), new Int32Array([5, 6])] },
      { name: "whole", dtype: "U32", shape: [], data: new Uint32Array([4294967295]) },
    ], { a: "b" });
  await write();
  const first = await Deno.readFile(path);
  await write();
  assert.deepEqual(await Deno.readFile(path), first);
  assert.equal(new DataView(first.buffer).getUint32(0, true) % 8, 0);
  const file = await openSafetensors(path);
  assert.deepEqual([...await file.read("streamed")], [1, 2, 3, 4]);
  assert.deepEqual([...await file.read("listed")], [-1, 5, 6]);
  assert.deepEqual([...await file.read("whole")], [4294967295]);
  assert.deepEqual(file.metadata, { a: "b" });
  await file.close();
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a tensor with the wrong number of elements leaves the old file and no temporary one", async () => {
  const directory = await Deno.makeTempDir();
  const path = join(directory, "out.safetensors");
  const tensor = (data: Float32Array) => [{ name: "x", dtype: "F32" as const, shape: [2], data }];
  await writeSafetensors(path, tensor(new Float32Array(2)));
  const before = await Deno.readFile(path);
  await assert.rejects(writeSafetensors(path, tensor(new Float32Array(1))), /1 elements are missing/);
  await assert.rejects(writeSafetensors(path, tensor(new Float32Array(3))), /1 elements too many/);
  assert.deepEqual(await Deno.readFile(path), before);
  assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), ["out.safetensors"]);
  await Deno.remove(directory, { recursive: true });
});

const entry = (dtype: string, shape: unknown, begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});
const malformed: [what: string, bytes: Uint8Array, message: RegExp][] = [
  ["empty file", new Uint8Array(0), /at least 8 bytes, it has 0/],
  ["header longer than the file", craft("{}", 0).slice(0, 9), /2 bytes long, 1 bytes follow/],
  ["absurd header length", new Uint8Array(16).fill(255), /18446744073709551615 bytes long, 8 bytes follow/],
  ["no JSON", craft("{oops", 0), /must be JSON/],
  ["no UTF-8", craft("{}", 0).fill(255, 8), /must be JSON/],
  ["an array", craft([], 0), /must be a JSON object/],
  ["bad metadata", craft({ __metadata__: { a: 1 } }, 0), /__metadata__ must map names to text/],
  ["incomplete entry", craft({ x: { dtype: "F32", shape: [1] } }, 4), /must hold dtype, shape and data_offsets/],
  ["negative extent", craft({ x: entry("F32", [-1], 0, 4) }, 4), /must hold dtype, shape and data_offsets/],
  ["unknown dtype", craft({ x: entry("F31", [1], 0, 4) }, 4), /known dtype, it has "F31"/],
  ["dtype from the prototype", craft({ x: entry("toString", [1], 0, 4) }, 4), /known dtype, it has "toString"/],
  ["size against shape", craft({ x: entry("F32", [2], 0, 4) }, 4), /\[2\] takes 8 bytes, the header gives it 4/],
  ["overlap", craft({ x: entry("F32", [2], 0, 8), y: entry("F32", [1], 4, 8) }, 8), /overlap/],
  ["hole", craft({ x: entry("F32", [1], 0, 4), y: entry("F32", [1], 8, 12) }, 12), /leaves a hole/],
  ["truncated", craft({ x: entry("F32", [4], 0, 16) }, 15), /promises \d+ bytes, the file has \d+/],
  ["left over", craft({ x: entry("F32", [1], 0, 4) }, 5), /promises \d+ bytes, the file has \d+/],
];
for (const [what, bytes, message] of malformed) {
  Deno.test(`refuses: ${what}`, async () => {
    await assert.rejects(parseSafetensors(bytes, "bad.safetensors"), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^Cannot read bad.safetensors: /);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("a missing file is one sentence", async () => {
  await assert.rejects(openSafetensors("/nowhere/x.safetensors"), (error) => {
    assert.ok(error instanceof UserError);
    assert.equal(
      error.message,
      "Cannot read /nowhere/x.safetensors: there is no such file or directory; check the path",
    );
    return true;
  });
});
