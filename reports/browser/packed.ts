/**
 * Values with arrays of numbers in them, as bytes: columns of tens of thousands of features are there at once, where JSON of them would be
 * parsed for long and take ten times the memory.
 *
 * A packed value is the length of its JSON in four bytes, the JSON, then the arrays, each from a multiple of eight bytes behind it on; in the
 * JSON, `{"packed": [TYPE, OFFSET, LENGTH]}` stands for an array. All is little-endian.
 * @module
 */

const TYPES = {
  u8: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
} as const;

type Type = keyof typeof TYPES;
type Numbers = InstanceType<typeof TYPES[Type]>;

/** What stands for an array in the JSON. */
interface Place {
  readonly packed: readonly [type: Type, offset: number, length: number];
}

function typeOf(value: unknown): Type | undefined {
  return (Object.keys(TYPES) as Type[]).find((type) => value instanceof TYPES[type]);
}

function aligned(offset: number): number {
  return Math.ceil(offset / 8) * 8;
}

/**
 * Packs a value.
 *
 * @param value Plain values, and arrays of numbers of the types that there are anywhere in it.
 * @returns Its bytes.
 */
export function pack(value: object): Uint8Array<ArrayBuffer> {
  const arrays: (readonly [Numbers, number])[] = [];
  let end = 0;
  const json = new TextEncoder().encode(JSON.stringify(value, (_, one) => {
    const type = typeOf(one);
    if (type === undefined) return one;
    const numbers: Numbers = one, offset = aligned(end);
    arrays.push([numbers, offset]);
    end = offset + numbers.byteLength;
    return { packed: [type, offset, numbers.length] } satisfies Place;
  }));
  const first = aligned(4 + json.length), bytes = new Uint8Array(first + end);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, 4);
  for (const [{ buffer, byteOffset, byteLength }, offset] of arrays) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), first + offset);
  }
  return bytes;
}

/**
 * Unpacks a value.
 *
 * @param buffer What {@link pack} gave.
 * @returns The value; its arrays are views of these bytes.
 * @throws {Error} When it is none.
 */
export function unpack<T>(buffer: ArrayBuffer): T {
  const length = new DataView(buffer).getUint32(0, true), first = aligned(4 + length);
  return JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)), (_, value) => {
    if (typeof value !== "object" || !Array.isArray(value?.packed)) return value;
    const { packed: [type, offset, count] }: Place = value;
    return new TYPES[type](buffer, first + offset, count);
  });
}
