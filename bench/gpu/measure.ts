/**
 * What bench/gpu.sh measures of mtc alone, a part per process, so that one that fails takes no other with it.
 *
 *     deno run -A bench/gpu/measure.ts products|step|forward [--precision f16] [--repeats 5] [--small]
 *
 * JSON goes to stdout, the tables of `mtc bench` to stderr.
 */

import { Command, Option } from "commander";
import process from "node:process";
import { median } from "../../core/analysis/statistics.ts";
import { benchmark, type BenchmarkFigures, shareOfRoofline } from "../../core/bench/benchmark.ts";
import { GEMMA2_2B, randomModel } from "../../core/bench/random_model.ts";
import { bellCurve } from "../../core/bench/random_numbers.ts";
import { ForwardWorkload, StepWorkload, type Workload } from "../../core/bench/workloads.ts";
import { UserError } from "../../core/errors.ts";
import { createTensor, type Gpu, openGpu, upload } from "../../core/gpu/device.ts";
import { candidateTiles, type Precision, type TileName } from "../../core/gpu/products.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { elements, type Tensor } from "../../core/gpu/tensor.ts";
import type { NeededProduct } from "../../core/gpu/tune.ts";
import { WallClock } from "../../core/gpu/wall_clock.ts";
import { matmul, matmulBiasRelu } from "../../wgsl/shared/matmul.ts";
import { benchTable } from "../../commands/bench_table.ts";
import { EMBEDDED, PUBLISHED } from "../../commands/train/settings.ts";
import { preferVulkan } from "../../main.ts";
import { describeMachine } from "../machine.ts";
import { SMALL_GEMMA2 } from "../small_gemma2.ts";

/** What every part tells. */
interface Figures {
  /** Machine and date. */
  readonly machine: string;
  /** The most host memory that the process had, in bytes. */
  readonly peak_host_bytes: number;
}

/** A matrix product in every tile that the adapter gets. */
export interface ProductFigures {
  readonly what: string;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly tiles: readonly { readonly tile: TileName; readonly flops_per_s: number }[];
}

/** The part `products`. */
export interface ProductsPart extends Figures {
  readonly products: readonly ProductFigures[];
}

/** The parts `step` and `forward`. */
export interface WorkloadPart extends Figures {
  readonly sizes: string;
  /** Layers of the forward pass; 0 for a step. */
  readonly layers: number;
  readonly tokens: number;
  /** One run by the wall clock, and all its kernels by the GPU's; null without one. */
  readonly wall_ms: number;
  readonly kernels_ms: number | null;
  /** The least time that the roofline allows over the wall clock's. */
  readonly share_of_roofline: number;
  readonly roofline: BenchmarkFigures["roofline"];
}

interface Options {
  readonly precision: Precision;
  readonly repeats: number;
  readonly small?: true;
}

/** The layers up to the activations of layer 17, the deeper of the two that the published recipe trains on. */
const LAYERS = 18;
/** A product of random numbers, and what it is in the work of mtc. */
type NamedProduct = NeededProduct & { readonly what: string };

const PRODUCTS: readonly NamedProduct[] = [
  { what: "large", rows: 8192, columns: 8192, depth: 4096, weight: "f32", epilogue: "none" },
  { what: "the encoder's", rows: 4608, columns: 1024, depth: 2304, weight: "f32", epilogue: "bias_relu" },
  { what: "gate and up of 2B", rows: 16384, columns: 18432, depth: 2304, weight: "bf16", epilogue: "geglu" },
];
const SMALL_PRODUCTS: readonly NamedProduct[] = [
  { what: "large", rows: 256, columns: 256, depth: 256, weight: "f32", epilogue: "none" },
  { what: "the encoder's", rows: 512, columns: 128, depth: 128, weight: "f32", epilogue: "bias_relu" },
  { what: "gate and up", rows: 256, columns: 512, depth: 128, weight: "bf16", epilogue: "geglu" },
];
/** A sample is at least this long. */
const SHORTEST_S = 0.1;

/** A mebibyte of random numbers again and again; `asPairs` makes each of them two of bfloat16. */
function fillRandomly(gpu: Gpu, tensor: Tensor, asPairs = false): void {
  const numbers = bellCurve(2 ** 18, 1, 1), bits = new Uint32Array(numbers.buffer);
  if (asPairs) bits.forEach((value, i) => bits[i] = value & 0xffff0000 | value >>> 16);
  const count = elements(tensor.shape);
  for (let first = 0; first < count; first += numbers.length) {
    upload(gpu, tensor, numbers.subarray(0, Math.min(numbers.length, count - first)), first);
  }
}

async function measureProduct(gpu: Gpu, product: NamedProduct, tiles: readonly TileName[], repeats: number) {
  const { what, rows, columns, depth, weight: format, epilogue } = product, size = { rows, columns, depth };
  using scratch = openScope(gpu);
  const x = createTensor(scratch, "x", [rows, depth]), bias = createTensor(scratch, "bias", [rows]);
  const weight = createTensor(scratch, "W", [depth, format === "bf16" ? columns / 2 : columns]);
  const y = createTensor(scratch, "y", [rows, epilogue === "geglu" ? columns / 2 : columns]);
  fillRandomly(gpu, x);
  fillRandomly(gpu, weight, format === "bf16");
  const clock = await WallClock.start(gpu), pass = new Pass(gpu), figures: ProductFigures["tiles"][number][] = [];
  for (const tile of tiles) {
    const seconds = (count: number) =>
      clock.seconds(() => {
        for (let i = 0; i < count; i++) {
          if (epilogue === "bias_relu") pass.run(matmulBiasRelu(tile), { x, weight, bias, y }, size);
          else pass.run(matmul(tile, format, epilogue), { x, weight, y }, size);
        }
        pass.submit();
      });
    // The first time also compiles.
    await seconds(1);
    let count = 1, took = await seconds(count);
    // A single run is too short to tell how many fill a sample.
    for (; took < SHORTEST_S; took = await seconds(count)) {
      count = Math.ceil(count * Math.min(8, 1.2 * SHORTEST_S / took));
    }
    const samples: number[] = [];
    for (let repeat = 0; repeat < repeats; repeat++) samples.push(await seconds(count) / count);
    figures.push({ tile, flops_per_s: 2 * rows * columns * depth / median(samples) });
    console.error(`${what}, ${tile}: ${figures.at(-1)!.flops_per_s.toExponential(3)} operations per second`);
  }
  return { what, rows, columns, depth, tiles: figures };
}

async function measureProducts({ precision, repeats, small }: Options): Promise<Omit<ProductsPart, keyof Figures>> {
  using gpu = await openGpu(null, precision);
  const candidates = candidateTiles(gpu, precision);
  // llvmpipe takes half a minute to compile one f16 product, and longer for the larger tile, the first of the two.
  const isSlow = small && precision === "f16", tiles = isSlow ? candidates.slice(-1) : candidates;
  const products: ProductFigures[] = [];
  for (const product of small ? SMALL_PRODUCTS.slice(0, isSlow ? 1 : undefined) : PRODUCTS) {
    // The transcoder's product is never rounded.
    if (precision === "f16" && product.epilogue === "bias_relu") continue;
    products.push(await measureProduct(gpu, product, tiles, repeats));
  }
  return { products };
}

async function measureWorkload(
  make: (gpu: Gpu) => Promise<Workload>,
  { precision, repeats }: Options,
  layers: number,
): Promise<Omit<WorkloadPart, keyof Figures>> {
  const figures = await benchmark(async (gpu) => [await make(gpu)], precision, repeats, (label, done, all) => {
    console.error(`${label}: ${done} of ${all}`);
  });
  console.error(benchTable(figures, () => true));
  const { roofline, workloads: [{ sizes, tokens, wall_ms, kernels_ms, kernels }] } = figures;
  const share_of_roofline = shareOfRoofline(kernels, wall_ms, roofline);
  return { sizes, layers, tokens, wall_ms, kernels_ms, share_of_roofline, roofline };
}

function measureStep(options: Options): Promise<Omit<WorkloadPart, keyof Figures>> {
  const { groups, k, aux_k, batch_tokens } = options.small ? EMBEDDED : PUBLISHED;
  const sizes = { width: (options.small ? SMALL_GEMMA2 : GEMMA2_2B).hidden_size, groups, k, aux_k, batch_tokens };
  return measureWorkload((gpu) => StepWorkload.make(gpu, sizes), options, 0);
}

async function measureForward(options: Options): Promise<Omit<WorkloadPart, keyof Figures>> {
  const model = options.small ? SMALL_GEMMA2 : GEMMA2_2B;
  const toLayer = (layers: number) => {
    const taps = [...new Set([Math.min(8, layers - 1), layers - 1])].flatMap((layer) => [
      { layer, site: "resid_mid" } as const,
      { layer, site: "mlp_out" } as const,
    ]);
    const most = options.small ? 256 : Infinity;
    const load = (gpu: Gpu) =>
      ForwardWorkload.load(gpu, randomModel(model), taps, PUBLISHED.context, most, options.precision);
    return measureWorkload(load, options, layers);
  };
  try {
    return await toLayer(LAYERS);
  } catch (error) {
    // Above all a card whose memory does not hold them.
    if (!(error instanceof UserError)) throw error;
    console.error(`${LAYERS} layers: ${error.message}; a single one is measured`);
    return await toLayer(1);
  }
}

const PARTS = { products: measureProducts, step: measureStep, forward: measureForward };

async function adapterOf(): Promise<string> {
  using gpu = await openGpu(null);
  return gpu.adapter;
}

async function measure(part: keyof typeof PARTS, options: Options): Promise<void> {
  const machine = await adapterOf().then(describeMachine), figures = await PARTS[part](options);
  console.log(JSON.stringify({ machine, peak_host_bytes: 1024 * process.resourceUsage().maxRSS, ...figures }));
}

if (import.meta.main) {
  preferVulkan();
  await new Command("measure")
    .description("Measures one part of what bench/gpu.sh tells.")
    .argument("<part>", `one of ${Object.keys(PARTS).join(", ")}`)
    .addOption(
      new Option("--precision <type>", "what products round their inputs to").choices(["f32", "f16"]).default("f32"),
    )
    .option("-r, --repeats <n>", "samples of each; medians are told", Number, 5)
    .option("--small", "sizes for a software driver")
    .action(measure)
    .parseAsync(Deno.args, { from: "user" });
  Deno.exit(0);
}
