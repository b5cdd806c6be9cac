/**
 * A model's forward pass at its own sizes: to the depth that a run needs, and whole, with the loss. The weights are its own, but only
 * those of its first layer are loaded and stand in for every layer's: their sizes are the same, and so are their times.
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Precision } from "../gpu/products.ts";
import type { Pass } from "../gpu/run.ts";
import { tuneTiles } from "../gpu/tune.ts";
import { contextsPerForward } from "../model/capacity.ts";
import { configOf, type DecoderConfig } from "../model/config.ts";
import { Embedding } from "../model/embedding.ts";
import type { ModelFiles } from "../model/files.ts";
import { Decoder } from "../model/forward.ts";
import { headColumns } from "../model/head.ts";
import { reachOf } from "../model/reach.ts";
import type { Tap } from "../model/sites.ts";
import { loadHead, loadLayers, productsOf } from "../model/weights.ts";
import { randomGenerator } from "../random.ts";
import type { Sparsity } from "./costs.ts";
import { count, type Workload } from "./workloads.ts";

/** What of a model is measured. */
export interface ModelPasses {
  /** The sites that the shorter forward pass goes to, in layers that the model has. */
  readonly taps: readonly Tap[];
  /** Tokens per context. */
  readonly context: number;
  /** What the layers' products round their inputs to. */
  readonly precision: Precision;
}

/** On a CPU a pass of the whole model is cut to about so many operations, five seconds on two cores, but not below a context. */
const CPU_FLOPS = 1e11;

/**
 * Loads one layer of a model, and its head.
 *
 * @param gpu The device.
 * @param files The model; its weights must stay open while the workloads run.
 * @param passes What is measured.
 * @returns The forward pass to the taps, and that through all layers and the head. Both take in as many contexts as training would; on a
 * CPU no more than take a few seconds.
 * @throws {UserError} When the model cannot be loaded, or the adapter cannot bind its tensors.
 */
export async function loadModelWorkloads(gpu: Gpu, files: ModelFiles, passes: ModelPasses): Promise<Workload[]> {
  const { taps, context, precision } = passes, config = configOf(files), { layers, vocabSize } = config;
  const most = gpu.isCpu ? Math.max(1, Math.floor(CPU_FLOPS / (context * flopsPerToken(config)))) : Infinity;
  const contexts = Math.min(contextsPerForward(gpu, config, context), most), maxTokens = contexts * context;
  const embedding = new TimedEmbedding(new Embedding(files.weights, config));
  const [first] = await loadLayers(gpu, files.weights, config, reachOf([{ layer: 0, site: "resid_post" }]));
  const head = await loadHead(gpu, files.weights, config, headColumns(gpu, config, maxTokens));
  const tiles = await tuneTiles(gpu, productsOf([first], maxTokens, precision));
  const alike = new Array(layers).fill(first), common = { context, maxTokens, precision };
  const deepest = Math.max(...taps.map(({ layer }) => layer));
  const shorter = new Decoder(gpu, config, { ...common, taps }, embedding, alike, null, tiles);
  const whole = new Decoder(gpu, config, { ...common, taps: [], head: true }, embedding, alike, head, tiles);
  const cut = `${count(contexts)} contexts of ${count(context)} tokens`;
  return [
    new ModelWorkload("Forward pass", `${files.name}, layers 0 to ${deepest}, ${cut}`, shorter, embedding),
    new ModelWorkload(
      "Whole model",
      `${files.name}, ${layers} layers, loss over ${count(vocabSize)} tokens, ${cut}`,
      whole,
      embedding,
    ),
  ];
}

/** Operations of all products of a token. */
function flopsPerToken({ layers, dModel, dMlp, heads, keyValueHeads, headDim, vocabSize }: DecoderConfig): number {
  const perLayer = 2 * (heads + keyValueHeads) * headDim + 3 * dMlp;
  return 2 * dModel * (layers * perLayer + vocabSize);
}

/** Gathers embedded tokens and remembers how long that took. */
class TimedEmbedding {
  /** Milliseconds of the last gathering. */
  took = 0;

  constructor(readonly embedding: Embedding) {}

  gather(ids: Uint32Array): Float32Array<ArrayBuffer> {
    const begun = performance.now(), rows = this.embedding.gather(ids);
    this.took = performance.now() - begun;
    return rows;
  }
}

/** One forward pass of random tokens, with the loss where the model has its head. */
class ModelWorkload implements Workload {
  readonly tokens: number;
  readonly #batch: { readonly contexts: number; readonly context: number; readonly ids: Uint32Array<ArrayBuffer> };

  constructor(
    readonly name: string,
    readonly sizes: string,
    readonly decoder: Decoder,
    readonly embedding: TimedEmbedding,
  ) {
    const random = randomGenerator(6), { maxTokens: tokens, contextsAtOnce: contexts, config } = decoder;
    this.tokens = tokens;
    const ids = Uint32Array.from({ length: tokens }, () => random.below(config.vocabSize));
    this.#batch = { contexts, context: tokens / contexts, ids };
  }

  get embedding_ms(): number {
    return this.embedding.took;
  }

  record(pass: Pass): void {
    this.decoder.forward(pass, this.#batch);
    if (this.decoder.taps.length === 0) this.decoder.recordLoss(pass, this.#batch);
  }

  sparsity(): Promise<Sparsity> {
    return Promise.resolve({ kept: 0, auxKept: 0, dead: 0 });
  }
}
