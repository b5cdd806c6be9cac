/**
 * Writes a run of one layer with random weights and a random record, as large as wanted, for the analyses to be timed on.
 *
 *     deno run -A bench/recorded_run.ts LIKE OUT [--features 4608] [--width 2304] [--seed 0]
 *     /usr/bin/time -v deno run -A main.ts analyze patterns --run OUT
 *
 * LIKE is the directory of a finished transcoder, whose config.json is taken over. The record has 131,072 tokens in contexts of 64, k 48; how often
 * features fire falls with a power of their rank, and each token's are drawn by themselves.
 */

import { join } from "node:path";
import { Command } from "commander";
import { wholeNumberOption } from "../commands/options.ts";
import { randomGenerator } from "../core/random.ts";
import { CONFIG_FILE, readConfig } from "../core/runs/config.ts";
import { writeRecord } from "../core/runs/record.ts";
import { TRANSCODER_FILE } from "../core/runs/transcoder.ts";
import { saveTranscoder } from "../core/transcoder/formats/native.ts";

const TOKENS = 2 ** 17, CONTEXT = 64, K = 48, VOCABULARY = 20_011, DOCUMENTS = 300;

/** How large a run is to be. */
export interface RecordedSizes {
  /** Features, a multiple of 4. */
  readonly features: number;
  /** Width of source and target, a multiple of 4. */
  readonly width: number;
  /** What all is drawn by. */
  readonly seed: number;
}

/**
 * Writes the run.
 *
 * @param like A finished transcoder's directory, whose config.json is taken over.
 * @param out Where to; what else lies there stays.
 * @param sizes How large.
 */
export async function writeRecordedRun(
  like: string,
  out: string,
  { features, width, seed }: RecordedSizes,
): Promise<void> {
  // Runs of one size are recorded on the same tokens, whatever they are seeded with.
  const random = randomGenerator(seed), text = randomGenerator(0);
  const groups = [features / 4, features / 2, features / 4];
  const gaussians = (count: number, scale: number) =>
    Float32Array.from({ length: count }, () => scale * random.gaussian());
  const config = await readConfig(like);
  const changes = { features, groups, d_in: width, d_out: width, k: K, context: CONTEXT };
  await Deno.mkdir(out, { recursive: true });
  await Deno.writeTextFile(
    join(out, CONFIG_FILE),
    JSON.stringify({ ...config, ...changes, model: { ...config.model, d_model: width } }),
  );
  const transcoder = {
    shape: { d_in: width, d_out: width, groups },
    thresholds: new Float32Array(features),
    weights: {
      encoder: gaussians(features * width, width ** -0.5),
      encoderBias: gaussians(features, 0.1),
      decoder: gaussians(features * width, width ** -0.5),
      decoderBias: gaussians(width, 0.5),
    },
  };
  await saveTranscoder(join(out, TRANSCODER_FILE), transcoder);
  let mass = 0;
  const cumulative = Float64Array.from({ length: features }, (_, rank) => mass += (rank + 20) ** -0.8);
  const drawn = (): number => {
    const at = random.float() * mass;
    let low = 0, high = features - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] < at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const index = new Uint32Array(TOKENS * K);
  for (let t = 0; t < TOKENS; t++) {
    const active = new Set<number>();
    while (active.size < K) active.add(drawn());
    index.set([...active].sort((a, b) => a - b), t * K);
  }
  const each = (of: (t: number) => number) => Uint32Array.from({ length: TOKENS }, (_, t) => of(t));
  const perDocument = Math.ceil(TOKENS / DOCUMENTS);
  await writeRecord(out, transcoder, {
    ...{ groups, context: CONTEXT, index, targetVariation: TOKENS },
    documents: Array.from({ length: DOCUMENTS }, (_, n) => ({ name: `document ${n}`, split: "train" })),
    place: each((t) => Math.floor(t / (CONTEXT - 1)) * CONTEXT + 1 + t % (CONTEXT - 1)),
    id: each(() => text.below(VOCABULARY)),
    tokenTexts: new Map(Array.from({ length: VOCABULARY }, (_, id) => [id, ` ${id}`])),
    document: each((t) => Math.floor(t / perDocument)),
    position: each((t) => t % perDocument),
    rowStart: Uint32Array.from({ length: TOKENS + 1 }, (_, t) => t * K),
    value: Float32Array.from({ length: TOKENS * K }, () => 0.5 - Math.log(1 - random.float())),
    targetSquares: new Float32Array(TOKENS).fill(1),
    residualSquares: new Float32Array(TOKENS * groups.length).fill(0.2),
    errorRemoved: gaussians(features * groups.length, 1),
  });
}

if (import.meta.main) {
  await new Command("recorded_run")
    .argument("<like>", "a finished transcoder's directory")
    .argument("<out>", "where the run is written")
    .addOption(wholeNumberOption("--features <n>", "features, a multiple of 4", { value: 4608 }))
    .addOption(wholeNumberOption("--width <n>", "width of source and target, a multiple of 4", { value: 2304 }))
    .addOption(wholeNumberOption("--seed <n>", "what all is drawn by", { least: 0, value: 0 }))
    .action(writeRecordedRun)
    .parseAsync(Deno.args, { from: "user" });
}
