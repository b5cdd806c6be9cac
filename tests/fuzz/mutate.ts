/**
 * Ways to damage a file, as disks, broken downloads and careless hands do, and as somebody would who means it. What is done depends on
 * the random numbers alone.
 * @module
 */

/** Uniform numbers from 0 to below 1. */
export type Random = () => number;

/** Damages a file. */
export type Mutator = (bytes: Uint8Array, random: Random) => Uint8Array;

const below = (random: Random, n: number) => Math.floor(random() * n);
const pick = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)];

function joined(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A part of a file: its first byte, and the byte behind it. */
function part(bytes: Uint8Array, random: Random, most: number): [from: number, to: number] {
  const from = below(random, bytes.length + 1);
  return [from, Math.min(bytes.length, from + 1 + below(random, most))];
}

/** Damage of any file. */
export const BYTE_MUTATORS: Readonly<Record<string, Mutator>> = {
  "flip a bit"(bytes, random) {
    const changed = bytes.slice(), bit = below(random, 8 * bytes.length);
    if (bytes.length > 0) changed[bit >> 3] ^= 1 << (bit & 7);
    return changed;
  },
  "set bytes"(bytes, random) {
    const changed = bytes.slice(), [from, to] = part(bytes, random, 8);
    for (let i = from; i < to; i++) changed[i] = pick(random, [0, 1, 0x7f, 0x80, 0xff, below(random, 256)]);
    return changed;
  },
  "fill with zeros"(bytes, random) {
    const [from, to] = part(bytes, random, 512);
    return bytes.slice().fill(0, from, to);
  },
  "delete a part"(bytes, random) {
    const [from, to] = part(bytes, random, 64);
    return joined(bytes.subarray(0, from), bytes.subarray(to));
  },
  "double a part"(bytes, random) {
    const [from, to] = part(bytes, random, 64);
    return joined(bytes.subarray(0, to), bytes.subarray(from));
  },
  "insert noise"(bytes, random) {
    const [at] = part(bytes, random, 1),
      noise = Uint8Array.from({ length: 1 + below(random, 16) }, () => below(random, 256));
    return joined(bytes.subarray(0, at), noise, bytes.subarray(at));
  },
  "cut off"(bytes, random) {
    return bytes.slice(0, below(random, bytes.length + 1));
  },
  "swap two parts"(bytes, random) {
    const [a, b] = [below(random, bytes.length + 1), below(random, bytes.length + 1)].sort((a, b) => a - b);
    const length = Math.min(1 + below(random, 32), b - a, bytes.length - b), changed = bytes.slice();
    changed.set(bytes.subarray(b, b + length), a);
    changed.set(bytes.subarray(a, a + length), b);
    return changed;
  },
};

const HOSTILE: readonly unknown[] = [
  ...[null, true, "", "x", [], {}, -1, 0, 1, 0.5, 1e9, 2 ** 31, 2 ** 32 + 64, 2 ** 53, 1e15, 1e308, -1e308, 1e-320],
  ...["\x1b[2Jfake", "a\nmtc: b", "<img src=x onerror=1>", "../../x", "\0", "__proto__", "x".repeat(5000)],
];

/** Numbers that JSON can spell and JavaScript cannot: they are put in as text. */
const SPELLED = ["1e999", "-1e999", "1E400"];

/** The places of a JSON value that hold something: containers and keys. */
function places(value: unknown, into: [holder: Record<string, unknown>, key: string][] = []): typeof into {
  if (typeof value !== "object" || value === null) return into;
  for (const key of Object.keys(value)) {
    into.push([value as Record<string, unknown>, key]);
    if (into.length < 20_000) places((value as Record<string, unknown>)[key], into);
  }
  return into;
}

function mutateJson(text: string, random: Random): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  const all = places(value);
  if (all.length === 0) return JSON.stringify(pick(random, HOSTILE));
  const times = random() < 0.8 ? 1 : 2;
  let spelled = "";
  for (let n = 0; n < times; n++) {
    const [holder, key] = pick(random, all), [other, otherKey] = pick(random, all);
    const kind = below(random, 6), old = holder[key];
    if (kind === 0) delete holder[key];
    else if (kind === 1) holder[key] = structuredClone(other[otherKey]);
    else if (kind === 2 && typeof old === "number") {
      holder[key] = pick(random, [old + 1, -old, old * 2, old / 2, old + 0.5, old * 1e9]);
    } else if (kind === 3) holder[key] = spelled = "@spelled@";
    else if (kind === 4 && Array.isArray(holder)) holder.splice(Number(key), 1);
    else holder[key] = pick(random, HOSTILE);
  }
  const json = JSON.stringify(value);
  return spelled === "" ? json : json.replaceAll('"@spelled@"', pick(random, SPELLED));
}

const encoder = new TextEncoder(), decoder = new TextDecoder();

/** Damage of a JSON file: values of another kind, of a size that cannot be, gone, or in another's place. */
export const JSON_MUTATORS: Readonly<Record<string, Mutator>> = {
  "change JSON": (bytes, random) => encoder.encode(mutateJson(decoder.decode(bytes), random)),
};

/** Likewise of a line of JSON among others. */
export const LINES_MUTATORS: Readonly<Record<string, Mutator>> = {
  "change a line"(bytes, random) {
    const lines = decoder.decode(bytes).split("\n"), at = below(random, lines.length);
    lines[at] = mutateJson(lines[at], random);
    return encoder.encode(lines.join("\n"));
  },
  "move lines"(bytes, random) {
    const lines = decoder.decode(bytes).split("\n"), from = below(random, lines.length);
    const [line] = lines.splice(from, 1);
    if (random() < 0.7) lines.splice(below(random, lines.length + 1), 0, line, ...random() < 0.3 ? [line] : []);
    return encoder.encode(lines.join("\n"));
  },
};

const CELLS = [
  "",
  "-1",
  "1.5",
  "NaN",
  "Infinity",
  "1e999",
  "0x10",
  "1e400",
  " ",
  '"',
  "9007199254740993",
  "x",
  "\x1b[2J",
  "1,2",
];

/** Damage of a table: a cell, or the order of lines. */
export const CSV_MUTATORS: Readonly<Record<string, Mutator>> = {
  "change a cell"(bytes, random) {
    const lines = decoder.decode(bytes).split("\n"), at = below(random, lines.length), cells = lines[at].split(",");
    cells[below(random, cells.length)] = pick(random, CELLS);
    lines[at] = cells.join(",");
    return encoder.encode(lines.join("\n"));
  },
  "move lines": LINES_MUTATORS["move lines"],
};

/** Damage of a safetensors header, with its length put right. */
export const SAFETENSORS_MUTATORS: Readonly<Record<string, Mutator>> = {
  "change the header"(bytes, random) {
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    const header = encoder.encode(mutateJson(decoder.decode(bytes.subarray(8, 8 + length)), random));
    const front = new Uint8Array(8);
    new DataView(front.buffer).setBigUint64(0, BigInt(header.length), true);
    return joined(front, header, bytes.subarray(8 + length));
  },
  "change numbers"(bytes, random) {
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)), start = 8 + length;
    const changed = bytes.slice(), words = Math.floor((bytes.length - start) / 4);
    if (words === 0) return changed;
    const at = start + 4 * below(random, words), view = new DataView(changed.buffer);
    for (let i = 0; i < 1 + below(random, 4) && at + 4 * i + 4 <= bytes.length; i++) {
      view.setUint32(
        at + 4 * i,
        pick(random, [0x7fc00000, 0x7f800000, 0xff800000, 0xffffffff, 0x7fffffff, 65535, 0]),
        true,
      );
    }
    return changed;
  },
};
