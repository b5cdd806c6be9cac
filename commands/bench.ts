/**
 * `mtc bench`: every kernel of a training step and a forward pass, against what this adapter reaches at its best.
 * @module
 */

import { Command, Option } from "commander";
import type { BenchmarkFigures } from "../core/bench/benchmark.ts";
import type { StepSizes, Workload } from "../core/bench/workloads.ts";
import { UsageError } from "../core/errors.ts";
import type { Gpu } from "../core/gpu/device.ts";
import type { Precision } from "../core/gpu/products.ts";
import type { ModelFiles } from "../core/model/files.ts";
import { checkLayer } from "../core/model/sites.ts";
import { duration, integer } from "../reports/format.ts";
import { jsonOption, layersOption, precisionOption, wholeNumberOption } from "./options.ts";
import { Pace, Progress } from "./progress.ts";
import { defaultLayers, EMBEDDED, groupsFor, PUBLISHED } from "./train/settings.ts";

interface BenchOptions {
  model: string;
  layers?: number[];
  shape?: "2b";
  dictionary?: number;
  batch?: number;
  context?: number;
  repeats: number;
  precision: Precision;
  kernel?: string;
  showShader?: string;
  json?: true;
}

/** The layers of Gemma-2-2B that a forward pass to the activations of layer 17 runs through. */
const LAYERS_2B = 18;
/** Tokens that the published recipe trains on. */
const PUBLISHED_TOKENS = PUBLISHED.steps * PUBLISHED.batch_tokens;
/** Tokens of a forward pass of one 2B layer on a CPU, where 1,024 of them take ten seconds. */
const CPU_TOKENS_2B = 512;

/** What is measured: a model, with the step of the embedded recipe or of the published one. */
interface Subject {
  readonly files: ModelFiles;
  /** Width of its residual stream. */
  readonly width: number;
  readonly isEmbedded: boolean;
  /** Those that a run trains. */
  readonly layers: readonly number[];
}

/** What the options name is refused here, before a device is opened. */
async function openSubject({ model, layers: given, shape }: BenchOptions): Promise<Subject> {
  if (shape === "2b") {
    const { GEMMA2_2B, randomModel } = await import("../core/bench/random_model.ts");
    return { files: randomModel(GEMMA2_2B), width: GEMMA2_2B.hidden_size, isEmbedded: false, layers: [0] };
  }
  const { configOf } = await import("../core/model/config.ts");
  const { BUILTIN } = await import("../core/model/files.ts");
  const { openModelVisibly } = await import("./open_model.ts");
  const files = await openModelVisibly(model), isEmbedded = model === BUILTIN, { dModel, layers } = configOf(files);
  const trained = given ?? defaultLayers(layers, isEmbedded);
  for (const layer of trained) checkLayer(layer, layers);
  return { files, width: dModel, isEmbedded, layers: trained };
}

/** The sizes of the step: a recipe's, with the command line's changes. */
function stepSizes({ width, isEmbedded }: Subject, { dictionary, batch }: BenchOptions): StepSizes {
  const { groups, k, aux_k, batch_tokens } = isEmbedded ? EMBEDDED : PUBLISHED;
  return {
    width,
    groups: dictionary === undefined ? groups : groupsFor(dictionary),
    k: Math.min(k, dictionary ?? k),
    aux_k,
    batch_tokens: batch ?? batch_tokens,
  };
}

async function makeWorkloads(gpu: Gpu, subject: Subject, options: BenchOptions): Promise<Workload[]> {
  const { ForwardWorkload, StepWorkload } = await import("../core/bench/workloads.ts");
  const { shape, context = PUBLISHED.context, precision } = options, { files, layers } = subject;
  const step = await StepWorkload.make(gpu, stepSizes(subject, options));
  const taps = layers.flatMap((layer) => [{ layer, site: "resid_mid" } as const, { layer, site: "mlp_out" } as const]);
  if (shape === "2b") {
    const maxTokens = gpu.isCpu ? CPU_TOKENS_2B : Infinity;
    return [step, await ForwardWorkload.load(gpu, files, taps, context, maxTokens, precision)];
  }
  const { loadModelWorkloads } = await import("../core/bench/model_workloads.ts");
  return [step, ...await loadModelWorkloads(gpu, files, { taps, context, precision })];
}

/** What the figures of one layer and one step mean for the published recipe. */
interface Projection {
  /** Tokens per second through the layers up to the activations of layer 17. */
  readonly harvest_tokens_per_s: number;
  /** Seconds of the forward passes over the recipe's tokens. */
  readonly harvest_s: number;
  /** Seconds of the recipe's steps. */
  readonly steps_s: number;
}

/**
 * Where kernels are timed, only their share is multiplied: the embedding is gathered once, not in every layer. They are timed in runs of
 * their own; where those were slower than the whole, the whole is what is known.
 */
function project([step, layer]: BenchmarkFigures["workloads"]): Projection {
  const kernels = Math.min(layer.kernels_ms ?? Infinity, layer.wall_ms);
  const pass_ms = LAYERS_2B * kernels + layer.wall_ms - kernels;
  const perSecond = 1000 * layer.tokens / pass_ms;
  return {
    harvest_tokens_per_s: perSecond,
    harvest_s: PUBLISHED_TOKENS / perSecond,
    steps_s: PUBLISHED_TOKENS / step.tokens * step.wall_ms / 1000,
  };
}

function projectionLine({ harvest_tokens_per_s, harvest_s, steps_s }: Projection): string {
  return `\n${LAYERS_2B} such layers, to the activations of layer 17: ${integer(harvest_tokens_per_s)} tokens/s.\n` +
    `${integer(PUBLISHED_TOKENS)} tokens would take ${duration(harvest_s)} to harvest and ${
      duration(steps_s)
    } of steps.`;
}

async function findKernels(name: string) {
  const { KERNELS } = await import("../core/bench/catalogue.ts");
  const found = KERNELS.filter((kernel) => kernel.name.includes(name));
  if (found.length > 0) return found;
  throw new UsageError({
    action: "find a kernel",
    requirement: `the name of one of ${KERNELS.length} must contain "${name}"`,
    found: "none does",
    remedy: "mtc bench lists those it times",
  });
}

async function showShader(name: string): Promise<void> {
  const found = await findKernels(name), exact = found.filter((kernel) => kernel.name === name);
  for (const { source } of exact.length > 0 ? exact : found) console.log(source.trimEnd());
}

/** The figures as a program reads them: each with its share of the roofline. */
async function asJson(figures: BenchmarkFigures, projection: Projection | null) {
  const { boundOf } = await import("../core/bench/benchmark.ts");
  const { adapter, is_software, roofline, workloads } = figures;
  return {
    adapter,
    is_software,
    roofline: { flops_per_s: roofline.flops, bytes_per_s: roofline.bytes },
    workloads: workloads.map(({ kernels, ...workload }) => ({
      ...workload,
      kernels: kernels.map(({ milliseconds, ...kernel }) => ({
        ...kernel,
        milliseconds,
        roofline: milliseconds === null ? null : boundOf(kernel, milliseconds, roofline),
      })),
    })),
    projection,
  };
}

async function bench(options: BenchOptions): Promise<void> {
  if (options.showShader !== undefined) return await showShader(options.showShader);
  if (options.kernel !== undefined) await findKernels(options.kernel);
  const subject = await openSubject(options), { weights } = subject.files;
  stepSizes(subject, options); // refuses a dictionary that cannot be divided
  const { benchmark } = await import("../core/bench/benchmark.ts");
  const progress = new Progress("Benchmarking");
  let figures: BenchmarkFigures, pace = new Pace();
  try {
    const make = (gpu: Gpu) => makeWorkloads(gpu, subject, options);
    figures = await benchmark(make, options.precision, options.repeats, (label, done, all) => {
      if (done === 0) pace = new Pace(); // what is done before measuring begins tells nothing
      progress.show(done, all, label, pace.left(done, all));
    });
  } finally {
    progress.stop();
    await weights.close();
  }
  const isPublished = options.shape === "2b" && options.dictionary === undefined && options.batch === undefined;
  const projection = isPublished ? project(figures.workloads) : null;
  if (options.json) {
    console.log(JSON.stringify(await asJson(figures, projection), null, 2));
    return;
  }
  const { benchTable } = await import("./bench_table.ts");
  console.log(benchTable(figures, (kernel) => kernel.includes(options.kernel ?? "")));
  if (projection) console.log(projectionLine(projection));
}

/** The command `mtc bench`. */
export function benchCommand(): Command {
  return new Command("bench")
    .description(
      "Times every kernel of a training step on random numbers, of a model's forward pass to the layers that are trained, " +
        "and of the whole model with its loss, the weights of its first layer in place of every layer's. It holds them " +
        "against a roofline that it measures itself: the largest copy and the largest f32 matrix product.",
    )
    .addOption(
      new Option("-m, --model <model>", "a Hugging Face directory of Gemma-2 or Gemma-3, or hf:OWNER/NAME[@REVISION]")
        .default("builtin"),
    )
    .addOption(layersOption("layers that a run trains: the shorter pass goes to the deepest (default: as mtc train)"))
    .addOption(
      new Option("--shape <name>", "Gemma-2-2B's sizes instead of a model: one layer with random weights")
        .choices(["2b"]).conflicts(["model", "layers"]),
    )
    .addOption(wholeNumberOption("-d, --dictionary <n>", "features of the dictionary"))
    .addOption(wholeNumberOption("--batch <tokens>", "tokens per step"))
    .addOption(wholeNumberOption("--context <tokens>", "tokens per context of the forward pass"))
    .addOption(wholeNumberOption("-r, --repeats <n>", "samples of each; medians are shown", { value: 5 }))
    .addOption(precisionOption(false))
    .option("--kernel <name>", "list only kernels whose name contains this")
    .option("--show-shader <kernel>", "print a kernel's WGSL text and do nothing else")
    .addOption(jsonOption("JSON, with every rate's operations, bytes and times"))
    .addHelpText(
      "after",
      "\nExample:\n  mtc bench --model gemma-3-270m --layers 12\n  mtc bench --shape 2b --json | jq .roofline",
    )
    .action(bench);
}
