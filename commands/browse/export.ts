/**
 * `mtc browse --export`: the explorer as one file that asks for nothing from anywhere.
 * @module
 */

import { gzipSync } from "node:zlib";
import type { ChosenTranscoder } from "../../core/runs/discovery.ts";
import { replaceFile, writeAll } from "../../core/files/atomic.ts";
import configuration from "../../deno.json" with { type: "json" };
import { PAGE_END, pageStart, partElement } from "../../reports/browser/page.ts";
import { counted, fileSize, integer } from "../../reports/format.ts";
import { Progress } from "../progress.ts";
import { openMultiplier } from "../report/dictionary.ts";
import { pageContent } from "./client.ts";
import { explore, type Limits } from "./explored.ts";

/** Features of a transcoder whose details a file holds at most: those of the published recipe, and as many again. */
const DETAILED = 9216;

/** The strongest firings of each feature, of a transcoder with all details, and of one with some left out. */
const STRONGEST = 20, STRONGEST_OF_MANY = 10;

function limitsOf(features: number): Limits {
  return features <= DETAILED ? { strongest: STRONGEST } : { detailed: DETAILED, strongest: STRONGEST_OF_MANY };
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
  const leftOut = transcoders.flatMap(({ config: { features }, name: { title } }) => {
    const { detailed, strongest } = limitsOf(features);
    return detailed === undefined ? [] : [
      `${title}: so that this file stays small, it has the pages of the ${
        integer(detailed)
      } features that the reconstruction needs most, with ${strongest} ` +
      `firings each; of the other ${
        integer(features - detailed)
      } it has the row of the table. \`mtc browse\` with the run shows all of it.`,
    ];
  });
  for (const note of leftOut) console.error(`mtc: ${note}`);
  const opened: Awaited<ReturnType<typeof openMultiplier>>[] = [];
  const multiplier = async () => opened[0] ?? (opened[0] = await openMultiplier());
  const notes = [...passedOver, ...leftOut], { version } = configuration;
  const explored = explore(transcoders, { version, served: false, notes, multiplier, limits: limitsOf });
  const content = await pageContent(transcoders.map(({ name: { title } }) => title).join(", "), "'none'");
  const progress = new Progress("Writing");
  let bytes = 0;
  try {
    const [index, ...names] = await explored.names();
    await replaceFile(path, async (file) => {
      const encoder = new TextEncoder();
      const write = async (text: string) => {
        const data = encoder.encode(text);
        bytes += data.length;
        await writeAll(file, data);
      };
      await write(pageStart(content, await packed(index)));
      for (const [n, name] of names.entries()) {
        await write(await packed(name));
        progress.advance({ done: n + 1, total: names.length });
      }
      await write(PAGE_END);
    });
  } finally {
    progress.stop();
    opened[0]?.[Symbol.dispose]();
  }
  console.log(`${path}: ${counted(transcoders.length, "transcoder")}, ${fileSize(bytes)}`);

  async function packed(name: string): Promise<string> {
    return partElement(name, gzipSync(JSON.stringify(await explored.part(name)), { level: 9 }).toString("base64"));
  }
}
