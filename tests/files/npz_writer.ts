/** NumPy's .npz as `np.savez` and `np.savez_compressed` write it, and as nobody should. */

import { crc32, deflateRawSync } from "node:zlib";

/** A member of the archive, whatever it holds. */
export interface Member {
  name: string;
  bytes: Uint8Array;
  /** What the directory says of its size, if not the truth. */
  claimed?: number;
}

const bytesOf = (data: ArrayBufferView) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const numbers = (...parts: [size: 2 | 4, value: number][]) => {
  const view = new DataView(new ArrayBuffer(parts.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of parts) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
};
const joined = (...parts: Uint8Array[]) => {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

/** A .npy file: version 1, its header padded to 64 bytes. */
export function npy(shape: readonly number[], data: ArrayBufferView, descr = "'<f4'", order = "False"): Uint8Array {
  const extents = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': (${extents}), }`;
  const padded = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + "\n";
  const magic = Uint8Array.of(0x93, ...new TextEncoder().encode("NUMPY"), 1, 0);
  return joined(magic, numbers([2, padded.length]), new TextEncoder().encode(padded), bytesOf(data));
}

/** A zip archive. */
export function zip(members: readonly Member[], isDeflated = false): Uint8Array<ArrayBuffer> {
  const files: Uint8Array[] = [], entries: Uint8Array[] = [];
  let offset = 0;
  for (const { name, bytes, claimed = bytes.length } of members) {
    const packed = isDeflated ? new Uint8Array(deflateRawSync(bytes)) : bytes, called = new TextEncoder().encode(name);
    const common: [2 | 4, number][] = [
      ...[[2, 20], [2, 0], [2, isDeflated ? 8 : 0], [2, 0], [2, 0]] as [2, number][],
      ...[[4, crc32(bytes)], [4, packed.length], [4, claimed], [2, called.length], [2, 0]] as [2 | 4, number][],
    ];
    const file = joined(numbers([4, 0x04034b50], ...common), called, packed);
    const rest: [2 | 4, number][] = [[2, 0], [2, 0], [2, 0], [4, 0], [4, offset]];
    entries.push(joined(numbers([4, 0x02014b50], [2, 20], ...common, ...rest), called));
    files.push(file);
    offset += file.length;
  }
  const directory = joined(...entries), { length } = members;
  const end = numbers([4, 0x06054b50], [2, 0], [2, 0], [2, length], [2, length], [4, directory.length], [4, offset], [
    2,
    0,
  ]);
  return joined(...files, directory, end) as Uint8Array<ArrayBuffer>;
}

/** An archive of float32 arrays. */
export function npz(
  arrays: Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>,
  isDeflated = false,
): Uint8Array<ArrayBuffer> {
  return zip(
    Object.entries(arrays).map(([name, { shape, data }]) => ({ name: `${name}.npy`, bytes: npy(shape, data) })),
    isDeflated,
  );
}
