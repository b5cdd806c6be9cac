/** A reader of TensorBoard's event files that shares nothing with the writer: checksums bit by bit, protocol buffers field by field. */

import assert from "node:assert/strict";

export interface ReadEvent {
  readonly wallTime: number;
  readonly step: number;
  readonly fileVersion?: string;
  readonly sessionStatus?: number;
  readonly scalars: Readonly<Record<string, number>>;
}

/** The events of a file; every length and checksum is checked. */
export function readEvents(file: Uint8Array): ReadEvent[] {
  const view = new DataView(file.buffer, file.byteOffset, file.length), events: ReadEvent[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(view.getBigUint64(at, true));
    assert.equal(view.getUint32(at + 8, true), masked(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    assert.equal(view.getUint32(at + 12 + length, true), masked(data));
    events.push(eventOf(data));
    at += 16 + length;
  }
  return events;
}

/** CRC-32C by long division, most significant bit first, over bits that are turned round. */
function crc32c(data: Uint8Array): number {
  const turned = (value: bigint, bits: number) => {
    let out = 0n;
    for (let i = 0n; i < bits; i++) out |= (value >> i & 1n) << BigInt(bits - 1) - i;
    return out;
  };
  let crc = 0xffffffffn;
  for (const byte of data) {
    crc ^= turned(BigInt(byte), 8) << 24n;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x80000000n ? crc << 1n ^ 0x1edc6f41n : crc << 1n) & 0xffffffffn;
  }
  return Number(turned(crc ^ 0xffffffffn, 32));
}

function masked(data: Uint8Array): number {
  const crc = BigInt(crc32c(data));
  return Number((crc >> 15n | crc << 17n & 0xffffffffn) + 0xa282ead8n & 0xffffffffn);
}

type Field = { readonly number: number; readonly value: Uint8Array | number };

function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0;
  const digits = () => {
    let value = 0, factor = 1;
    for (;; factor *= 128) {
      const byte = message[at++];
      value += byte % 128 * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = digits(), number = Math.floor(key / 8), type = key % 8;
    if (type === 0) {
      yield { number, value: digits() };
      continue;
    }
    const length = type === 1 ? 8 : type === 5 ? 4 : digits();
    yield { number, value: message.slice(at, at + length) };
    at += length;
  }
}

function eventOf(message: Uint8Array): ReadEvent {
  const event = { wallTime: NaN, step: 0, scalars: {} as Record<string, number> } as
    & {
      -readonly [K in keyof ReadEvent]: ReadEvent[K];
    }
    & { scalars: Record<string, number> };
  for (const { number, value } of fieldsOf(message)) {
    if (number === 1) event.wallTime = new Float64Array((value as Uint8Array).slice().buffer)[0];
    if (number === 2) event.step = value as number;
    if (number === 3) event.fileVersion = new TextDecoder().decode(value as Uint8Array);
    if (number === 7) event.sessionStatus = [...fieldsOf(value as Uint8Array)][0].value as number;
    if (number !== 5) continue;
    for (const { value: summary } of fieldsOf(value as Uint8Array)) {
      const parts = Object.fromEntries(
        [...fieldsOf(summary as Uint8Array)].map(({ number, value }) => [number, value]),
      );
      event.scalars[new TextDecoder().decode(parts[1] as Uint8Array)] =
        new Float32Array((parts[2] as Uint8Array).slice().buffer)[0];
    }
  }
  return event;
}
