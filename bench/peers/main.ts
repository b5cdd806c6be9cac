/**
 * mtc beside its peers, on the same machine in the same call: a training step and a Gemma-2 layer beside PyTorch, matrix products
 * beside tfjs. They take turns, and while one works the others sleep; medians are compared.
 *
 *     deno task peers [--only step,layer,product] [--repeats 5] [--python python3] [--json]
 *     deno task peers --quality [--part validation] [--activations DIRECTORY --layer 12] [--python python3]
 *
 * Python needs bench/peers/requirements.txt, for --quality requirements-quality.txt.
 */

import { Command, Option } from "commander";
import { fileURLToPath } from "node:url";
import { wholeNumberOption } from "../../commands/options.ts";
import { median } from "../../core/analysis/statistics.ts";
import { GEMMA2_2B, randomModel } from "../../core/bench/random_model.ts";
import { ForwardWorkload, StepWorkload } from "../../core/bench/workloads.ts";
import { UserError } from "../../core/errors.ts";
import { type Gpu, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { Pass } from "../../core/gpu/run.ts";
import { WallClock } from "../../core/gpu/wall_clock.ts";
import { EMBEDDED, PUBLISHED } from "../../commands/train/settings.ts";
import { decimal, integer, significant } from "../../reports/format.ts";
import { numeric, table } from "../../reports/markdown/markdown.ts";
import { preferVulkan } from "../../main.ts";
import { describeMachine } from "../machine.ts";
import { SMALL_GEMMA2 } from "../small_gemma2.ts";
import { Child } from "./child.ts";
import { ProductWorkload } from "./product_workload.ts";
import { compareQuality, type Part } from "./quality.ts";

interface Options {
  readonly only: string;
  readonly shape: keyof typeof SHAPES;
  readonly repeats: number;
  readonly python: string;
  readonly tokens?: number;
  readonly json?: true;
  readonly quality?: true;
  readonly part: Part;
  readonly activations?: string;
  readonly layer: number;
}

/** Something that can be run a number of times, and tells how many seconds that took. */
interface Contestant {
  readonly name: string;
  readonly run: (count: number) => Promise<number>;
}

/** One row of the result. */
interface Comparison {
  readonly what: string;
  /** Medians in milliseconds, ours first. */
  readonly milliseconds: readonly { readonly name: string; readonly median: number; readonly all: readonly number[] }[];
  /** The best peer's median over ours: above 1 where mtc is faster. */
  readonly ratio: number;
  /** Tokens, or operations, that one run takes in. */
  readonly amount: { readonly count: number; readonly unit: "tokens" | "operations" };
}

/** What the step and the layer have for sizes. */
const SHAPES = {
  "2b": { recipe: PUBLISHED, model: GEMMA2_2B },
  small: { recipe: EMBEDDED, model: SMALL_GEMMA2 },
} as const;

/** A sample is at least this long. */
const SHORTEST_S = 0.1;
const THREADS = navigator.hardwareConcurrency;
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** In turns: ours, then each of the peer's variants, again and again. */
async function compare(
  what: string,
  contestants: readonly Contestant[],
  repeats: number,
  amount: Comparison["amount"],
): Promise<Comparison> {
  const counts: number[] = [];
  for (const { run } of contestants) counts.push(Math.ceil(SHORTEST_S / await run(1)));
  const samples = contestants.map((): number[] => []);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [i, { run }] of contestants.entries()) samples[i].push(1000 * await run(counts[i]) / counts[i]);
    console.error(`${what}: ${repeat + 1} of ${repeats}`);
  }
  const milliseconds = contestants.map(({ name }, i) => ({ name, median: median(samples[i]), all: samples[i] }));
  const [ours, ...peers] = milliseconds.map((entry) => entry.median);
  return { what, milliseconds, ratio: Math.min(...peers) / ours, amount };
}

/** Ours: recorded and submitted run by run, as training does. */
function contestant(gpu: Gpu, clock: WallClock, record: (pass: Pass, n: number) => void): Contestant {
  let n = 0;
  const run = (count: number) =>
    clock.seconds(() => {
      const pass = new Pass(gpu);
      for (let i = 0; i < count; i++) {
        record(pass, ++n);
        pass.submit();
      }
    });
  return { name: "mtc", run };
}

function variantsOf(child: Child, isCounted: (variant: string) => boolean = () => true): Contestant[] {
  return child.variants.filter(isCounted).map((variant) => ({
    name: `${child.peer}: ${variant}`,
    run: (count: number) => child.run(variant, count),
  }));
}

const PYTHON_REMEDY = "install bench/peers/requirements.txt, or name another Python with --python";

async function compareStep(gpu: Gpu, clock: WallClock, { python, repeats, shape }: Options): Promise<Comparison[]> {
  const { recipe: { groups, k, aux_k, batch_tokens: tokens }, model: { hidden_size: width } } = SHAPES[shape];
  const step = await StepWorkload.make(gpu, { width, groups, k, aux_k, batch_tokens: tokens });
  const request = JSON.stringify({ width, groups, k, tokens, threads: THREADS });
  const child = await Child.start(python, [path("transcoder.py"), request], PYTHON_REMEDY);
  // PyTorch is given its batch, so the gathers are left out here; one run compiles and fills the batch.
  const pass = new Pass(gpu);
  step.record(pass, 1);
  pass.submit();
  const ours = contestant(gpu, clock, (pass, n) => step.recordStep(pass, n + 1));
  await ours.run(1);
  try {
    const amount = { count: tokens, unit: "tokens" } as const;
    return [await compare(`Training step, ${step.sizes}`, [ours, ...variantsOf(child)], repeats, amount)];
  } finally {
    await child.stop();
  }
}

async function compareLayer(gpu: Gpu, clock: WallClock, options: Options): Promise<Comparison[]> {
  const { python, repeats, shape, tokens = gpu.isCpu ? 512 : Infinity } = options;
  const { context } = PUBLISHED,
    { name, num_hidden_layers: _, ...sizes } = SHAPES[shape].model,
    taps = [{ layer: 0, site: "mlp_out" }] as const;
  const layer = await ForwardWorkload.load(gpu, randomModel(SHAPES[shape].model), taps, context, tokens);
  const request = JSON.stringify({ sizes, contexts: layer.tokens / context, context, threads: THREADS });
  const child = await Child.start(python, [path("gemma2_layer.py"), request], PYTHON_REMEDY);
  const ours = contestant(gpu, clock, (pass) => layer.record(pass));
  await ours.run(1);
  try {
    const amount = { count: layer.tokens, unit: "tokens" } as const,
      what = `One layer, ${name}, ${layer.tokens} tokens`;
    const exact = variantsOf(child, (variant) => variant.startsWith("f32"));
    const rounded = variantsOf(child, (variant) => !variant.startsWith("f32"));
    const all = await compare(what, [ours, ...exact, ...rounded], repeats, amount);
    // tf32 rounds the inputs of products to eleven bits, bf16 every activation to eight: they are shown, but no match for f32.
    const best = Math.min(...all.milliseconds.slice(1, 1 + exact.length).map((entry) => entry.median));
    return [{ ...all, ratio: best / all.milliseconds[0].median }];
  } finally {
    await child.stop();
  }
}

const PRODUCTS = [[1024, 1024, 1024], [1024, 4608, 2304]] as const;

async function compareProducts(gpu: Gpu, clock: WallClock, { repeats }: Options): Promise<Comparison[]> {
  const args = [
    "run",
    "--quiet",
    "-A",
    "--config",
    path("tfjs/deno.json"),
    path("tfjs/product.ts"),
    JSON.stringify(PRODUCTS),
  ];
  const child = await Child.start(Deno.execPath(), args, "see what Deno says above");
  try {
    const rows: Comparison[] = [];
    for (const [i, [rowCount, columns, depth]] of PRODUCTS.entries()) {
      using scope = openScope(gpu);
      const product = await ProductWorkload.make(scope, { rows: rowCount, columns, depth });
      const ours = contestant(gpu, clock, (pass) => product.record(pass));
      await ours.run(1);
      const peer = { name: child.peer, run: (count: number) => child.run(child.variants[i], count) };
      const amount = { count: 2 * rowCount * columns * depth, unit: "operations" } as const;
      const what = `Matrix product ${integer(rowCount)} × ${integer(depth)} × ${integer(columns)}`;
      rows.push(await compare(what, [ours, peer], repeats, amount));
    }
    return rows;
  } finally {
    await child.stop();
  }
}

const COMPARISONS = { step: compareStep, layer: compareLayer, product: compareProducts };

function speed({ count, unit }: Comparison["amount"], milliseconds: number): string {
  const perSecond = 1000 * count / milliseconds;
  return unit === "tokens" ? `${integer(perSecond)} tokens/s` : `${significant(perSecond / 1e9, 3)} GFLOP/s`;
}

function render(machine: string, comparisons: readonly Comparison[]): string {
  const rows = comparisons.flatMap(({ what, milliseconds, amount }) =>
    milliseconds.map(({ name, median }, i) => [
      i === 0 ? what : "",
      name,
      significant(median, 4),
      speed(amount, median),
      i === 0 ? "" : decimal(median / milliseconds[0].median, 2),
    ])
  );
  const columns = ["", "who", numeric("ms, median"), numeric("speed"), numeric("mtc's speed over its")];
  const best = comparisons.map(({ what, ratio }) => `${what}: ${decimal(ratio, 2)} times the best peer's speed.`);
  return [machine, "", table(columns, rows), "", ...best].join("\n");
}

async function peers(options: Options): Promise<void> {
  if (options.quality) {
    using gpu = await openGpu(null);
    const { python, part, activations: directory, layer } = options;
    const real = directory === undefined ? undefined : { directory, layer };
    const { adapter } = gpu, tables = await compareQuality(gpu, python, part, real);
    console.log(`${await describeMachine(adapter)}\n\n${tables}`);
    return;
  }
  const chosen = options.only.split(",").map((name) => {
    const found = COMPARISONS[name as keyof typeof COMPARISONS];
    if (!found) {
      const requirement = `it must be one of ${Object.keys(COMPARISONS)}`;
      throw new UserError({ action: `compare "${name}"`, requirement, remedy: "give --only" });
    }
    return found;
  });
  const comparisons: Comparison[] = [];
  let adapter = "";
  for (const comparison of chosen) {
    // A device each: the tensors of one are gone when the next begins.
    using gpu = await openGpu(null);
    adapter = gpu.adapter;
    comparisons.push(...await comparison(gpu, await WallClock.start(gpu), options));
  }
  const machine = await describeMachine(adapter);
  console.log(options.json ? JSON.stringify({ machine, comparisons }, null, 2) : render(machine, comparisons));
}

preferVulkan();
await new Command("peers")
  .description("Measures mtc beside PyTorch and tfjs, in turns.")
  .option("--only <names>", "which comparisons: step, layer, product", "step,layer,product")
  .addOption(
    new Option("--shape <name>", "sizes of step and layer: the published recipe's, or small ones to try it out")
      .choices(Object.keys(SHAPES)).default("2b"),
  )
  .addOption(wholeNumberOption("-r, --repeats <n>", "samples of each; medians are shown", { value: 5 }))
  .option("--python <path>", "a Python that has bench/peers/requirements.txt", "python3")
  .addOption(wholeNumberOption("--tokens <n>", "most tokens of the layer's pass"))
  .option("--json", "print JSON, with every sample")
  .option("--quality", "compare what training gives instead: FVU, L0 and dead features at equal work")
  .addOption(
    new Option("--part <name>", "held-out text for --quality").choices(["validation", "test"]).default("test"),
  )
  .option("--activations <directory>", "what bench/record_activations.py wrote, for --quality on a real model")
  .addOption(wholeNumberOption("--layer <n>", "which layer of it", { value: 12 }))
  .action(peers)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit(0);
