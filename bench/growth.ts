/**
 * Cost against dictionary size, batch, context and layers: measured, fitted, plotted; where it is worse than linear, the kernel
 * that makes it so is named.
 *
 *     deno task growth                           sizes that two cores and bindings of 128 MiB take: about three minutes
 *     deno task growth --width 2304 --batch 1024 --model 2b      on a GPU
 *
 * Writes growth.csv and growth.png into bench/growth/, and says on stdout what they show.
 */

import { Command, Option } from "commander";
import { csvFormat } from "d3-dsv";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { KernelClock, measureWorkloads, type WorkloadFigures } from "../core/bench/measure.ts";
import { GEMMA2_2B, randomModel, type RandomModelSizes } from "../core/bench/random_model.ts";
import { ForwardWorkload, StepWorkload, type Workload } from "../core/bench/workloads.ts";
import { type Gpu, openGpu } from "../core/gpu/device.ts";
import { wholeNumberOption, wholeNumbersOption } from "../commands/options.ts";
import { groupsFor } from "../commands/train/settings.ts";
import { decimal, integer, list, percent } from "../reports/format.ts";
import { renderPng } from "../reports/plots/render.ts";
import { TILES } from "../wgsl/shared/matmul.ts";
import { preferVulkan } from "../main.ts";
import { type GrowthCurve, growthFigure, type GrowthSeries } from "./growth_figure.ts";
import { fasterThanLinear, growthExponent, WORSE_THAN_LINEAR } from "./growth_fit.ts";
import { describeMachine } from "./machine.ts";

interface Options {
  readonly width: number;
  readonly batch: number;
  readonly model: "small" | "2b";
  readonly dictionaries: number[];
  readonly batches: number[];
  readonly contexts: number[];
  readonly layers: number[];
  readonly repeats: number;
  readonly out: string;
}

/** One size that grows, and what is timed at each. */
interface Sweep {
  readonly title: string;
  readonly detail: string;
  readonly size: string;
  readonly sizes: readonly number[];
  readonly make: (gpu: Gpu, size: number) => Promise<Workload>;
}

/** A model of Gemma-2's proportions that two cores can run through. */
const SMALL: RandomModelSizes = {
  ...GEMMA2_2B,
  name: "random small model",
  hidden_size: 256,
  intermediate_size: 1024,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 64,
};
const K = 48, AUX_K = 512;
/** The dictionary whose batches grow. */
const DICTIONARY = 4608;
/** Layers of the model that reads contexts of each length. */
const CONTEXT_LAYERS = 4;
/** Tokens through each number of layers, and their contexts' length. */
const LAYER_TOKENS = 512, LAYER_CONTEXT = 64;
/** Kernels shown in a panel. */
const SHOWN = 4;
function sweeps({ width, batch, model, dictionaries, batches, contexts, layers }: Options): Sweep[] {
  const step = (gpu: Gpu, features: number, batch_tokens: number) =>
    StepWorkload.make(gpu, { width, groups: groupsFor(features), k: K, aux_k: AUX_K, batch_tokens });
  const sizes = model === "2b" ? GEMMA2_2B : SMALL;
  const forward = (gpu: Gpu, depth: number, context: number, tokens: number) => {
    const files = randomModel({ ...sizes, num_hidden_layers: depth });
    return ForwardWorkload.load(gpu, files, [{ layer: depth - 1, site: "mlp_out" }], context, tokens);
  };
  return [
    {
      title: "Training step, dictionary",
      detail: `${integer(batch)} tokens, width ${integer(width)}, k ${K}`,
      size: "features of the dictionary",
      sizes: dictionaries,
      make: (gpu, features) => step(gpu, features, batch),
    },
    {
      title: "Training step, batch",
      detail: `${integer(DICTIONARY)} features, width ${integer(width)}, k ${K}`,
      size: "tokens per batch",
      sizes: batches,
      make: (gpu, tokens) => step(gpu, DICTIONARY, tokens),
    },
    {
      title: "Forward pass, context",
      detail: `one context, ${CONTEXT_LAYERS} layers of width ${integer(sizes.hidden_size)}`,
      size: "tokens per context",
      sizes: contexts,
      // One context: of more, an adapter takes as many at once as it has room for, which depends on their length.
      make: (gpu, context) => forward(gpu, CONTEXT_LAYERS, context, context),
    },
    {
      title: "Forward pass, layers",
      detail: `${integer(LAYER_TOKENS)} tokens, width ${integer(sizes.hidden_size)}`,
      size: "layers",
      sizes: layers,
      make: (gpu, depth) => forward(gpu, depth, LAYER_CONTEXT, LAYER_TOKENS),
    },
  ];
}

/** All sizes of a sweep take turns, so that a slow minute does not bend its curve. */
async function measureSweep({ title, sizes, make }: Sweep, repeats: number): Promise<WorkloadFigures[]> {
  const clock = new KernelClock();
  using gpu = await openGpu(clock.hear);
  const workloads: Workload[] = [];
  for (const size of sizes) workloads.push(await make(gpu, size));
  return await measureWorkloads(gpu, clock, workloads, repeats, (done, all) => {
    console.error(`${title}: ${done} of ${all}`);
  });
}

/** Sizes may take different tiles of one product: their kernels go by the product's name. */
const TILE = new RegExp(`^matmul_(${Object.keys(TILES).toSorted((a, b) => b.length - a.length).join("|")})`);
const familyOf = (kernel: string) => kernel.replace(TILE, "matmul");

function kernelSeries(figures: readonly WorkloadFigures[]): GrowthSeries[] {
  const names = [...new Set(figures.flatMap(({ kernels }) => kernels.map(({ kernel }) => familyOf(kernel))))];
  const cost = (name: string, { kernels }: WorkloadFigures) =>
    kernels.reduce((sum, { kernel, milliseconds }) => sum + (familyOf(kernel) === name ? milliseconds ?? 0 : 0), 0);
  return names.map((name) => ({ name, milliseconds: figures.map((each) => cost(name, each)) }));
}

function curveOf(sweep: Sweep, figures: readonly WorkloadFigures[]): GrowthCurve {
  const { title, detail, size } = sweep, sizes = [...sweep.sizes];
  const whole = { name: "wall clock", milliseconds: figures.map(({ wall_ms }) => wall_ms) };
  const kernels = kernelSeries(figures).toSorted((a, b) => b.milliseconds.at(-1)! - a.milliseconds.at(-1)!);
  return { title, detail, size, sizes, whole, kernels, exponent: growthExponent(sizes, whole.milliseconds) };
}

/** What the curve says, and which kernels bend it upwards. */
function verdict({ title, sizes, whole, kernels, exponent }: GrowthCurve): string {
  const factor = sizes.at(-1)! / sizes[0], last = whole.milliseconds.at(-1)!;
  const grown =
    `${title}: ${integer(factor)} times the size costs ${decimal(last / whole.milliseconds[0], 1)} times as much, ` +
    `exponent ${decimal(exponent, 2)}`;
  const faster = fasterThanLinear(sizes, kernels).map(({ name, exponent, share }) =>
    `${name} (exponent ${decimal(exponent, 2)}, ${percent(share, 0)} of the largest)`
  );
  if (exponent > WORSE_THAN_LINEAR) {
    return `${grown}: worse than linear because of ${faster.length > 0 ? list(faster) : "no single kernel"}.`;
  }
  const within = faster.length > 0 ? `; on their own these are: ${list(faster)}` : "";
  return `${grown}: no worse than linear${within}.`;
}

function rowsOf({ title, size, sizes, whole, kernels }: GrowthCurve) {
  return [whole, ...kernels].flatMap(({ name, milliseconds }) =>
    sizes.map((value, i) => ({
      sweep: title,
      what_grows: size,
      size: value,
      kernel: name,
      milliseconds: milliseconds[i].toPrecision(5),
    }))
  );
}

async function growth(options: Options): Promise<void> {
  using gpu = await openGpu(null);
  const machine = await describeMachine(gpu.adapter);
  const curves: GrowthCurve[] = [];
  for (const sweep of sweeps(options)) {
    curves.push(curveOf(sweep, await measureSweep(sweep, options.repeats)));
  }
  await Deno.mkdir(options.out, { recursive: true });
  await Deno.writeTextFile(join(options.out, "growth.csv"), csvFormat(curves.flatMap(rowsOf)) + "\n");
  const shown = curves.map((curve) => ({ ...curve, kernels: curve.kernels.slice(0, SHOWN) }));
  await Deno.writeFile(join(options.out, "growth.png"), await renderPng(growthFigure(shown, machine)));
  console.log([machine, "", ...curves.map(verdict)].join("\n"));
}

preferVulkan();
await new Command("growth")
  .description("Measures what growth costs and plots it.")
  .addOption(wholeNumberOption("--width <n>", "width of the training step's activations", { value: 256 }))
  .addOption(wholeNumberOption("--batch <tokens>", "tokens per step while the dictionary grows", { value: 128 }))
  .addOption(new Option("--model <name>", "model of the forward passes").choices(["small", "2b"]).default("small"))
  .addOption(wholeNumbersOption("--dictionaries <list>", "features", 1, [4608, 9216, 18432, 36864, 65536]))
  .addOption(wholeNumbersOption("--batches <list>", "tokens per batch", 1, [128, 256, 512, 1024, 2048]))
  .addOption(wholeNumbersOption("--contexts <list>", "tokens per context", 1, [64, 128, 256, 512, 1024]))
  .addOption(wholeNumbersOption("--layers <list>", "layers", 1, [1, 2, 4, 8, 16]))
  .addOption(wholeNumberOption("-r, --repeats <n>", "samples of each size; medians are plotted", { value: 3 }))
  .option("--out <dir>", "where to write", fileURLToPath(new URL("growth", import.meta.url)))
  .action(growth)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit(0);
