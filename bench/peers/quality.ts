/**
 * How good transcoders become at equal work: mtc, its recipe in PyTorch, and two peers' trainers, on the same recorded activations in the
 * same order, with as many steps, features and kept features, each peer at the learning rate that was best for it on validation text.
 * @module
 */

import { join } from "node:path";
import { moments } from "../../core/analysis/statistics.ts";
import { UserError } from "../../core/errors.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import type { Gpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { EMBEDDED } from "../../commands/train/settings.ts";
import { decimal } from "../../reports/format.ts";
import { numeric, table } from "../../reports/markdown/markdown.ts";
import { evaluate, load, train } from "../recorded_activations.ts";
import { LAYERS, record, SEEDS } from "./record.ts";

/** The held-out text that is read: for choosing, or for what is published. */
export type Part = "validation" | "test";

/** What one training gave. */
interface Quality {
  /** Of each prefix; of the whole alone where there are no prefixes. */
  readonly fvu: readonly number[];
  /** Features per token. */
  readonly l0: number;
  /** Features that never fired. */
  readonly dead: number;
}

/** A trainer in PyTorch, as quality.py knows it. */
interface Peer {
  readonly trainer: string;
  readonly name: string;
  /** The best of those tried, for layers 2 and 4; bench/training.md has the others. */
  readonly learning_rate: number;
  /** What it has not, or has only here. */
  readonly lacks: string;
}

const PEERS: readonly Peer[] = [
  {
    trainer: "pytorch",
    name: "mtc's recipe in PyTorch",
    learning_rate: EMBEDDED.learning_rate,
    lacks: "other first directions: PyTorch's random numbers",
  },
  {
    trainer: "sae-lens",
    name: "sae-lens 6.54.12, Matryoshka batch top-k",
    learning_rate: 1.5e-2,
    lacks: "no transcoder training: its target is patched in",
  },
  {
    trainer: "sparsify",
    name: "eai-sparsify 1.3.3, transcoder, Adam",
    learning_rate: 2e-2,
    lacks: "no prefixes, top-k per token, no threshold",
  },
];

/**
 * Records, trains and measures.
 *
 * @param gpu The device.
 * @param python A Python with bench/peers/requirements-quality.txt.
 * @param part Which held-out text counts.
 * @returns A table for each layer: means over the seeds.
 * @throws {UserError} When Python fails.
 */
export async function compareQuality(gpu: Gpu, python: string, part: Part): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: "mtc-quality-" });
  try {
    await record(gpu, directory, SEEDS);
    const tables: string[] = [];
    for (const layer of LAYERS) {
      const ours: Quality[] = [];
      for (const seed of SEEDS) {
        ours.push(await trainOurs(gpu, directory, part, layer, seed));
        console.error(`mtc, layer ${layer}, seed ${seed}: ${ours.at(-1)!.fvu}`);
      }
      const rows = [row("mtc", EMBEDDED.learning_rate, ours, "")];
      for (const { trainer, name, learning_rate, lacks } of PEERS) {
        const requests = SEEDS.map((seed) => ({
          ...{ ...EMBEDDED, learning_rate, seed },
          ...{ directory, parts: [part], trainer, layer },
        }));
        rows.push(row(name, learning_rate, await ask(python, requests, part), lacks));
      }
      const columns = [
        "",
        numeric("rate"),
        numeric("FVU 128"),
        numeric("384"),
        numeric("512"),
        numeric("L0"),
        "dead",
        "",
      ];
      tables.push(`Layer ${layer}, ${part} text, means of ${SEEDS.length} seeds\n\n${table(columns, rows)}`);
    }
    return tables.join("\n\n");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function trainOurs(device: Gpu, directory: string, part: Part, layer: number, seed: number): Promise<Quality> {
  using gpu = openScope(device);
  const drawn = join(directory, `train.${seed}.safetensors`), held = join(directory, `${part}.safetensors`);
  const ends = (path: string) =>
    Promise.all(["resid_mid", "mlp_out"].map((site) => load(gpu, path, `${layer}.${site}`)));
  const file = await openSafetensors(drawn), order = await file.read("order") as Uint32Array<ArrayBuffer>;
  await file.close();
  const [source, target] = await ends(drawn), [x, y] = await ends(held);
  const settings = { ...EMBEDDED, seed }, measured = order.length / settings.passes;
  const transcoder = await train(gpu, settings, settings.steps, "by dimension", source, target, order, measured);
  const { fvu_per_prefix, l0, dead_features } = await evaluate(gpu, transcoder, settings.k, x, y);
  return { fvu: fvu_per_prefix.map(({ fvu }) => fvu), l0, dead: dead_features };
}

async function ask(python: string, requests: readonly unknown[], part: Part): Promise<Quality[]> {
  const script = new URL("quality.py", import.meta.url).pathname;
  const args = [script, ...requests.map((request) => JSON.stringify(request))];
  const { success, stdout } = await new Deno.Command(python, { args, stderr: "inherit" }).output();
  if (!success) {
    const remedy = "install bench/peers/requirements-quality.txt, or name another Python with --python";
    throw new UserError({ action: "compare quality", requirement: `${python} must run ${script}`, remedy });
  }
  // Peers greet on stdout, too.
  const lines = new TextDecoder().decode(stdout).split("\n").filter((line) => line.startsWith("{"));
  return lines.map((line) => JSON.parse(line).parts[part]);
}

/** Means over the seeds; the whole's with the seeds' standard deviation. */
function row(name: string, rate: number, measured: readonly Quality[], lacks: string): string[] {
  const prefixes = measured[0].fvu.map((_, p) => measured.map(({ fvu }) => fvu[p]));
  const means = prefixes.map((values) => decimal(moments(values).mean, 4));
  const whole = prefixes.at(-1)!, { mean, std } = moments(whole);
  const scatter = decimal(std * Math.sqrt(whole.length / (whole.length - 1)), 4);
  const inner = means.length > 1 ? means.slice(0, -1) : ["-", "-"];
  return [
    name,
    String(rate),
    ...inner,
    `${decimal(mean, 4)} ± ${scatter}`,
    decimal(moments(measured.map(({ l0 }) => l0)).mean, 1),
    measured.map(({ dead }) => dead).join(", "),
    lacks,
  ];
}
