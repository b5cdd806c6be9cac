import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import { openNpz } from "../../core/files/npz.ts";
import { type Member, npy, npz, zip } from "./npz_writer.ts";

async function inFile(bytes: Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir(), path = `${directory}/params.npz`;
  try {
    await Deno.writeFile(path, bytes);
    await use(path);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const matrix = Float32Array.from({ length: 15 }, (_, i) => i / 7 - 1);

for (const isDeflated of [false, true]) {
  Deno.test(`arrays ${isDeflated ? "that are deflated" : "that are stored"} are read as they were written`, () =>
    inFile(
      npz({ W: { shape: [3, 5], data: matrix }, b: { shape: [1], data: Float32Array.of(-0) } }, isDeflated),
      async (path) => {
        const file = await openNpz(path);
        assert.deepEqual([...file.tensors].map(([name, { dtype, shape }]) => [name, dtype, shape]), [
          ["W", "F32", [3, 5]],
          ["b", "F32", [1]],
        ]);
        assert.deepEqual(await file.readF32("W"), matrix);
        assert.deepEqual(await file.readF32("b"), Float32Array.of(-0));
        await file.close();
      },
    ));
}

Deno.test("columns first become rows, float16 is widened, a scalar has no axes", () =>
  inFile(
    zip([
      { name: "T.npy", bytes: npy([5, 3], matrix, "'<f4'", "True") },
      { name: "h.npy", bytes: npy([2], Uint16Array.of(0x3c00, 0xc100), "'<f2'") },
      { name: "s.npy", bytes: npy([], Float32Array.of(3)) },
    ]),
    async (path) => {
      const file = await openNpz(path), turned = await file.readF32("T");
      for (let r = 0; r < 5; r++) for (let c = 0; c < 3; c++) assert.equal(turned[r * 3 + c], matrix[c * 5 + r]);
      assert.deepEqual(await file.readF32("h"), Float32Array.of(1, -2.5));
      assert.deepEqual(file.tensors.get("s")!.shape, []);
      await file.close();
    },
  ));

const plain = { name: "W.npy", bytes: npy([3, 5], matrix) };
const one = (member: Partial<Member>, isDeflated = false) => zip([{ ...plain, ...member }], isDeflated);
const pickled = new TextEncoder().encode("\x80\x04cos\nsystem\n.");
const sound = one({});
const flipped = sound.slice();
flipped[170] ^= 1;
const overlapping = zip([plain, { ...plain, name: "V.npy" }]);
// The second entry of the directory leads to the first file.
new DataView(overlapping.buffer).setUint32(overlapping.length - 22 - 51 + 42, 0, true);

/** What is wrong with an archive, and what is said of it. */
const FAULTS: [fault: string, bytes: Uint8Array, said: string[]][] = [
  ["Python objects", one({ bytes: npy([1], pickled, "'|O'") }), ["pickled Python objects", "never read"]],
  ["objects in a structure", one({ bytes: npy([1], pickled, "[('a', '<f4'), ('b', '|O')]") }), [
    "pickled Python objects",
  ]],
  ["another type", one({ bytes: npy([15], new Float64Array(15), "'<f8'") }), [
    'it is of "<f8"',
    "save it again as float32",
  ]],
  ["a header that is code", one({ bytes: npy([15], matrix, "__import__('os')") }), [
    "must give descr, fortran_order and shape",
  ]],
  ["no array", one({ bytes: pickled }), ['"W.npy" must begin as a .npy file']],
  ["another file", one({ name: "run.py" }), ["holds .npy files and nothing else", '"run.py"']],
  ["a name that leads out", one({ name: "../../W.npy" }), ["must lie right in it", '"../../W.npy"']],
  ["a name from the root", one({ name: "/etc/W.npy" }), ["must lie right in it"]],
  ["two of one name", zip([plain, plain]), ["names of their own"]],
  ["files that share bytes", overlapping, ["bytes of their own"]],
  ["a shape that lies", one({ bytes: npy([4, 5], matrix) }), ["F32 [4, 5] takes 80 bytes", "it has 60"]],
  ["a bomb", one({ bytes: npy([6_000_000], new Float32Array(6_000_000)) }, true), ["as in a zip bomb"]],
  ["more bytes than claimed", one({ claimed: 150 }, true), ["must have 150 bytes, it has more"]],
  ["a cut archive", sound.subarray(0, 200), ["it is cut off or another kind of file"]],
  ["nothing", new Uint8Array(0), ["must end as a zip archive does"]],
];

for (const [fault, bytes, said] of FAULTS) {
  Deno.test(`an archive is refused: ${fault}`, () =>
    inFile(bytes, async (path) => {
      await assert.rejects(openNpz(path), (error: Error) => {
        assert.ok(error instanceof UserError, error.stack);
        for (const part of ["Cannot read", path, ...said]) assert.ok(error.message.includes(part), error.message);
        return true;
      });
    }));
}

Deno.test("damaged numbers are told by their checksum", () =>
  inFile(flipped, async (path) => {
    const file = await openNpz(path);
    await assert.rejects(file.readF32("W"), /the checksum of "W.npy" must be right/);
    await file.close();
  }));
