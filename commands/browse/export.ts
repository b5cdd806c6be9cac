/**
 * `mtc browse --export`: the explorer as one file that asks for nothing from anywhere.
 * @module
 */

import { Buffer } from "node:buffer";
import { gunzipSync } from "node:zlib";
import { UserError } from "../../core/errors.ts";
import type { ChosenTranscoder } from "../../core/runs/discovery.ts";
import { replaceFile, writeAll } from "../../core/files/atomic.ts";
import configuration from "../../deno.json" with { type: "json" };
import type { BrowserIndex } from "../../reports/browser/data.ts";
import { limitedTo, type Limits } from "../../reports/browser/limits.ts";
import { unpack } from "../../reports/browser/packed.ts";
import { PAGE_END, pageStart, partElement } from "../../reports/browser/page.ts";
import { counted, fileSize, integer } from "../../reports/format.ts";
import { type Multiplier, openMultiplier } from "../report/dictionary.ts";
import { pageContent } from "./client.ts";
import { headsOf } from "./heads.ts";
import { packedPart } from "./made_parts.ts";
import { keep, Shelf, type Subject } from "./shelf.ts";

/** Features of a transcoder whose details a file holds at most: those of the published recipe, and as many again. */
const DETAILED = 9216;

/** The strongest firings of each feature, of a transcoder with some details left out. */
const STRONGEST_OF_MANY = 10;

/** How much of a transcoder's features a file holds; null for all. */
function limitsOf({ config: { features } }: ChosenTranscoder): Limits | null {
  return features <= DETAILED ? null : { detailed: DETAILED, strongest: STRONGEST_OF_MANY };
}

/** What takes minutes to make must have a place in the end. */
async function requireFile(path: string): Promise<void> {
  const there = await Deno.stat(path).catch(() => null);
  if (!there?.isDirectory) return;
  throw new UserError({
    action: `write ${path}`,
    found: "it is a directory, not a file",
    remedy: "choose another path",
  });
}

/**
 * Writes the file.
 *
 * @param path The file.
 * @param transcoders What it is about.
 * @param passedOver What was passed over, a sentence each.
 * @throws {UserError} When a run cannot be read, or the file not be written.
 */
export async function exportPage(
  path: string,
  transcoders: readonly ChosenTranscoder[],
  passedOver: readonly string[],
): Promise<void> {
  await requireFile(path);
  const leftOut = transcoders.flatMap((one) => {
    const { name: { title }, config: { features } } = one, limits = limitsOf(one);
    return limits === null ? [] : [
      `${title}: so that this file stays small, it has the pages of the ${
        integer(limits.detailed)
      } features that the reconstruction needs most, with ${limits.strongest} firings each; of the other ${
        integer(features - limits.detailed)
      } it has the row of the table. \`mtc browse\` with the run shows all of it.`,
    ];
  });
  for (const note of leftOut) console.error(`mtc: ${note}`);
  const opened: Multiplier[] = [], multiplier = async () => opened[0] ?? (opened[0] = await openMultiplier());
  const shelf = new Shelf((subject, spare) => keep(subject, spare, multiplier));
  const named = new Map(transcoders.map((one) => [one.name.file, one]));
  let bytes = 0;
  try {
    const { transcoders: heads, pairs } = await headsOf(transcoders),
      matched = pairs.map(([a, b]): Subject => {
        return [named.get(a)!, named.get(b)!];
      });
    // All of it is made before the file is begun; weights that are damaged say so here.
    for (const subject of [...transcoders.map((one): Subject => [one]), ...matched]) await shelf.names(subject);
    const content = await pageContent(transcoders.map(({ name: { title } }) => title).join(", "), "'none'");
    const notes = [...passedOver, ...leftOut], { version } = configuration;
    const index: BrowserIndex = { version, served: false, transcoders: heads, pairs, notes };
    await replaceFile(path, async (file) => {
      const encoder = new TextEncoder();
      const write = async (text: string) => {
        const data = encoder.encode(text);
        bytes += data.length;
        await writeAll(file, data);
      };
      await write(pageStart(content, element("index", packedPart("index", index))));
      for (const one of transcoders) {
        for await (const [name, part] of partsOf(shelf, one)) await write(element(`${one.name.file}/${name}`, part));
      }
      for (const [n, pair] of pairs.entries()) {
        await write(element(`match/${pair.join("/")}`, (await shelf.read(matched[n], "match"))!));
      }
      await write(PAGE_END);
    });
  } finally {
    await shelf.close();
    opened[0]?.[Symbol.dispose]();
  }
  console.log(`${path}: ${counted(transcoders.length, "transcoder")}, ${fileSize(bytes)}`);
}

/** The parts of a transcoder as a file holds them. */
async function* partsOf(shelf: Shelf, one: ChosenTranscoder): AsyncGenerator<[name: string, part: Uint8Array]> {
  const limits = limitsOf(one), read = async (name: string) => (await shelf.read([one], name))!;
  const limit = limits && limitedTo(limits, unpack(gunzipped(await read("table"))));
  for (const name of await shelf.names([one])) {
    const part = await read(name), value = limit?.(name, () => JSON.parse(gunzipSync(part).toString()));
    yield [name, value ? packedPart(name, value) : part];
  }
}

function gunzipped(part: Uint8Array): ArrayBuffer {
  return new Uint8Array(gunzipSync(part)).buffer;
}

function element(name: string, part: Uint8Array): string {
  return partElement(name, Buffer.from(part).toString("base64"));
}
