/**
 * How good transcoders become at equal work: mtc, its recipe in PyTorch, and two peers' trainers, on the same recorded activations in the
 * same order, with as many steps, features and kept features, each peer at the learning rate that was best for it on validation text.
 * @module
 */

import { join } from "node:path";
import { moments } from "../../core/analysis/statistics.ts";
import { UserError } from "../../core/errors.ts";
import { openSafetensors, writeSafetensors } from "../../core/files/safetensors.ts";
import type { Gpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import type { RunSettings } from "../../core/runs/settings.ts";
import { EMBEDDED } from "../../commands/train/settings.ts";
import { decimal } from "../../reports/format.ts";
import { numeric, table } from "../../reports/markdown/markdown.ts";
import { evaluate, load, permutations, REAL, train } from "../recorded_activations.ts";
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
  /** The best of those tried on validation text, which bench/training.md has. It is not run where there is none. */
  readonly learning_rates: { readonly embedded?: number; readonly real?: number };
  /** Whether activations are prepared for it as for mtc, instead of scaled to a mean square of 1 as its own trainer does. */
  readonly prepared?: true;
  /** What it has not, or has only here. */
  readonly lacks: string;
}

const SAE_LENS = {
  trainer: "sae-lens",
  name: "sae-lens 6.54.12, Matryoshka batch top-k",
  lacks: "no transcoder training: its target is patched in",
};
const SPARSIFY = {
  trainer: "sparsify",
  name: "eai-sparsify 1.3.3, transcoder, Adam",
  lacks: "no prefixes, top-k per token, no threshold",
};
const PEERS: readonly Peer[] = [
  {
    trainer: "pytorch",
    name: "mtc's recipe in PyTorch",
    learning_rates: { embedded: EMBEDDED.learning_rate, real: REAL.learning_rate },
    lacks: "other first directions: PyTorch's random numbers",
  },
  { ...SAE_LENS, learning_rates: { embedded: 1.5e-2 } },
  { ...withPreparation(SAE_LENS), learning_rates: { embedded: 2.5e-2, real: 1.2e-2 } },
  { ...SPARSIFY, learning_rates: { embedded: 2e-2 } },
  { ...withPreparation(SPARSIFY), learning_rates: { embedded: 4e-2, real: 1.2e-2 } },
];

function withPreparation(peer: Omit<Peer, "learning_rates">): Omit<Peer, "learning_rates"> {
  return { ...peer, name: `${peer.name}, given mtc's preparation`, prepared: true };
}

/** Recorded activations, `resid_mid` and `mlp_out`, and what is trained on them. */
interface Activations {
  readonly model: "embedded" | "real";
  readonly directory: string;
  readonly layers: readonly number[];
  readonly settings: RunSettings;
  /** The file of a tap and the tensor in it. */
  readonly tap: (split: "train" | Part, seed: number, tap: string) => [path: string, name: string];
  /** The file that has the order in which a seed draws rows. */
  readonly order: (seed: number) => string;
}

/** What bench/record_activations.py wrote of a real model. */
export interface RealActivations {
  readonly directory: string;
  readonly layer: number;
}

/**
 * Trains and measures, on activations of the embedded model that it records, or of another that are recorded.
 *
 * @param gpu The device.
 * @param python A Python with bench/peers/requirements-quality.txt.
 * @param part Which held-out text counts.
 * @param real Activations to take instead of the embedded model's.
 * @returns A table for each layer: means over the seeds.
 * @throws {UserError} When Python fails.
 */
export async function compareQuality(gpu: Gpu, python: string, part: Part, real?: RealActivations): Promise<string> {
  const made = await Deno.makeTempDir({ prefix: "mtc-quality-" });
  try {
    const activations = real ? await ordered(made, real) : await recorded(gpu, made);
    const tables: string[] = [];
    for (const layer of activations.layers) tables.push(await compareLayer(gpu, python, part, activations, layer));
    return tables.join("\n\n");
  } finally {
    await Deno.remove(made, { recursive: true });
  }
}

/** The embedded model's, with the demo's recipe. */
async function recorded(gpu: Gpu, directory: string): Promise<Activations> {
  await record(gpu, directory, SEEDS);
  const order = (seed: number) => join(directory, `train.${seed}.safetensors`);
  const tap: Activations["tap"] = (split, seed, name) => [
    split === "train" ? order(seed) : join(directory, `${split}.safetensors`),
    name,
  ];
  return { model: "embedded", directory, layers: LAYERS, settings: EMBEDDED, tap, order };
}

/** A real model's, with an order for each seed, which go into a directory of their own. */
async function ordered(made: string, { directory, layer }: RealActivations): Promise<Activations> {
  const tap: Activations["tap"] = (split, _, name) => [join(directory, `${split}.${name}.safetensors`), "x"];
  const order = (seed: number) => join(made, `order.${seed}.safetensors`);
  const file = await openSafetensors(tap("train", 0, `${layer}.resid_mid`)[0]), [rows] = file.info("x").shape;
  await file.close();
  for (const seed of SEEDS) {
    const data = permutations({ ...REAL, seed }, REAL.steps, rows);
    await writeSafetensors(order(seed), [{ name: "order", dtype: "U32", shape: [data.length], data }]);
  }
  const settings = { ...REAL, passes: Math.ceil(REAL.steps * REAL.batch_tokens / rows) };
  return { model: "real", directory, layers: [layer], settings, tap, order };
}

async function compareLayer(
  gpu: Gpu,
  python: string,
  part: Part,
  activations: Activations,
  layer: number,
): Promise<string> {
  const { model, directory, settings, order } = activations, { groups, learning_rate } = settings;
  const ends = groups.map((_, g) => groups.slice(0, g + 1).reduce((a, b) => a + b, 0));
  const rows: string[][] = [];
  // Without prefixes, too, as one of the peers has none.
  for (
    const [name, groups, lacks] of [["mtc", settings.groups, ""], [
      "mtc, one group",
      ends.slice(-1),
      "no prefixes",
    ]] as const
  ) {
    const ours: Quality[] = [];
    for (const seed of SEEDS) {
      ours.push(await trainOurs(gpu, { ...activations, settings: { ...settings, groups, seed } }, part, layer));
      console.error(`${name}, layer ${layer}, seed ${seed}: ${ours.at(-1)!.fvu}`);
    }
    rows.push(row(name, learning_rate, ours, lacks));
  }
  for (const { trainer, name, learning_rates, prepared, lacks } of PEERS) {
    const { [model]: learning_rate } = learning_rates;
    if (learning_rate === undefined) continue;
    const requests = SEEDS.map((seed) => ({
      ...{ ...settings, learning_rate, seed },
      ...{ directory, parts: [part], trainer, prepared, layer, order: order(seed) },
    }));
    rows.push(row(name, learning_rate, await ask(python, requests, part), lacks));
  }
  const fvus = ends.map((end, e) => numeric(e === 0 ? `FVU ${end}` : String(end)));
  const columns = ["", numeric("rate"), ...fvus, numeric("L0"), "dead", ""];
  return `Layer ${layer}, ${part} text, means of ${SEEDS.length} seeds\n\n${table(columns, rows)}`;
}

async function trainOurs(
  device: Gpu,
  { settings, tap, order: orderOf }: Activations,
  part: Part,
  layer: number,
): Promise<Quality> {
  using gpu = openScope(device);
  const { seed } = settings;
  const ends = (split: "train" | Part) =>
    Promise.all(["resid_mid", "mlp_out"].map((site) => load(gpu, ...tap(split, seed, `${layer}.${site}`))));
  const file = await openSafetensors(orderOf(seed)), order = await file.read("order") as Uint32Array<ArrayBuffer>;
  await file.close();
  const [source, target] = await ends("train"), [x, y] = await ends(part);
  const measured = order.length / settings.passes;
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
