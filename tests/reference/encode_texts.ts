/**
 * The ids of texts by mtc's tokenizer, for compare_tokenizer.py: reads lines of JSON strings on stdin, writes for each the number of
 * its ids and the ids, as little-endian u32.
 *
 *     deno run -A tests/reference/encode_texts.ts TOKENIZER_DIRECTORY < texts.jsonl > ids.bin
 */

import { join } from "node:path";
import { loadTokenizer } from "../../core/text/tokenizer.ts";

const [directory] = Deno.args;
const [tokenizerJson, tokenizerConfig] = await Promise.all(
  ["tokenizer.json", "tokenizer_config.json"].map((name) => Deno.readFile(join(directory, name))),
);
const { encode } = loadTokenizer({ tokenizerJson, tokenizerConfig });
const lines = (await new Response(Deno.stdin.readable).text()).trimEnd().split("\n");
const encoded = lines.map((line) => encode(JSON.parse(line)));
const all = new Uint32Array(encoded.reduce((sum, ids) => sum + 1 + ids.length, 0));
let at = 0;
for (const ids of encoded) {
  all[at] = ids.length;
  all.set(ids, at + 1);
  at += 1 + ids.length;
}
await new Blob([all]).stream().pipeTo(Deno.stdout.writable);
