/**
 * The pass over text with frozen weights that collects samples and feature statistics.
 * @module
 */

import { FeatureTally } from "../analysis/samples.ts";
import { contextsPerForward } from "../model/capacity.ts";
import type { Decoder } from "../model/forward.ts";
import { createTensor, type Gpu, upload } from "../gpu/device.ts";
import { overlapped } from "../gpu/overlap.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { TokenBatch } from "../text/contexts.ts";
import type { TokenSource } from "../text/source.ts";
import { Encoder, type HostFeatures } from "../transcoder/encode.ts";
import { countedRows } from "./evaluation.ts";
import { prefixEnds } from "../transcoder/shape.ts";
import { oneBlock, recordGather } from "../gpu/row_blocks.ts";
import { type Mapping, tapsOf } from "../runs/ids.ts";
import type { RunSettings } from "../runs/settings.ts";
import type { Transcoder } from "../transcoder/weights.ts";

/** How the pass tells what it is doing, and hears that it should stop. */
export interface SampleObserver {
  /** Tokens done of all. */
  sampling(done: number, tokens: number): void;
  /** Throws when the user asked to stop. */
  checkInterrupt(): void;
}

/**
 * Takes the top samples and the statistics of every feature from text, with frozen weights.
 *
 * @param gpu The device.
 * @param settings The run's settings.
 * @param mappings What the transcoders map.
 * @param gemma2 The model, with the run's taps.
 * @param transcoders The finished transcoders, in the order of the mappings.
 * @param source Training text. One shorter than what is asked for is read once: a second time shows nothing new.
 * @param observer Hears of the progress and can interrupt.
 * @returns One tally per transcoder.
 * @throws {UserError} When the text or the device fails.
 */
export async function samplePass(
  gpu: Gpu,
  settings: RunSettings,
  mappings: readonly Mapping[],
  decoder: Decoder,
  transcoders: readonly Transcoder[],
  source: Pick<TokenSource, "next">,
  observer: SampleObserver,
): Promise<readonly FeatureTally[]> {
  const collector = new Collector(gpu, settings, mappings, decoder, transcoders);
  observer.sampling(0, settings.sample_tokens);
  await overlapped(collector.pieces(source), {
    submit: (piece) => collector.submit(piece),
    read: ({ places }) => collector.read(places.length),
    take(piece, features) {
      collector.take(piece, features);
      observer.sampling(Math.min(piece.tokensAfter, settings.sample_tokens), settings.sample_tokens);
      observer.checkInterrupt();
    },
  });
  return collector.tallies;
}

/** As many tokens of a forward pass as are encoded at once. */
interface Piece {
  /** Where its work is recorded; the first piece of a forward pass has that in front. */
  readonly pass: Pass;
  readonly batch: TokenBatch;
  /** The tokens, as flat indices in the batch. */
  readonly places: Uint32Array;
  /** Where in the batch's counted tokens the first of them stands. */
  readonly first: number;
  /** Tokens done with this piece. */
  readonly tokensAfter: number;
}

class Collector {
  readonly tallies: readonly FeatureTally[];
  readonly #encoders: readonly Encoder[];
  /** The source activations of each encoder, overwritten by each forward pass. */
  #sources: readonly Tensor[] = [];
  readonly #sourceTap: readonly number[];
  readonly #contexts: number;
  readonly #tokensAtOnce: number;
  readonly #order: Tensor;
  readonly #x: Tensor;

  constructor(
    readonly gpu: Gpu,
    readonly settings: RunSettings,
    mappings: readonly Mapping[],
    readonly decoder: Decoder,
    transcoders: readonly Transcoder[],
  ) {
    const { context, samples_per_feature, sample_threshold } = settings;
    const taps = tapsOf(mappings), width = decoder.config.dModel;
    this.#contexts = contextsPerForward(gpu, decoder.config, context);
    const rows = this.#contexts * context;
    this.#sourceTap = mappings.map(({ source }) =>
      taps.findIndex(({ layer, site }) => layer === source.layer && site === source.site)
    );
    this.#encoders = transcoders.map((transcoder) => new Encoder(gpu, transcoder, rows));
    this.#tokensAtOnce = Math.min(...this.#encoders.map(({ batchTokens }) => batchTokens));
    this.tallies = transcoders.map(({ shape }) =>
      new FeatureTally(prefixEnds(shape.groups).at(-1)!, samples_per_feature, sample_threshold)
    );
    this.#order = createTensor(gpu, "counted rows", [rows], "u32");
    this.#x = createTensor(gpu, "final pass source", [this.#tokensAtOnce, width]);
  }

  async *pieces(source: Pick<TokenSource, "next">): AsyncGenerator<Piece> {
    const { context, sample_tokens, include_bos } = this.settings, perContext = context - (include_bos ? 0 : 1);
    for (let tokens = 0, epoch = 0; tokens < sample_tokens && epoch === 0;) {
      const wanted = Math.ceil((sample_tokens - tokens) / perContext);
      const { batch, position } = await source.next(Math.min(this.#contexts, wanted));
      const places = countedRows(batch, include_bos);
      upload(this.gpu, this.#order, places);
      let pass = new Pass(this.gpu);
      const activations = this.decoder.forward(pass, batch);
      this.#sources = this.#sourceTap.map((tap) => activations[tap].tensor);
      for (let first = 0; first < places.length; first += this.#tokensAtOnce) {
        const taken = places.subarray(first, first + this.#tokensAtOnce);
        tokens += taken.length;
        yield { pass, batch, places: taken, first, tokensAfter: tokens };
        pass = new Pass(this.gpu);
      }
      epoch = position.epoch;
    }
  }

  submit({ pass, places, first }: Piece): void {
    const gathering = { rows: places.length, width: this.decoder.config.dModel, first, scale: 1 };
    for (const [i, encoder] of this.#encoders.entries()) {
      recordGather(pass, oneBlock(this.#sources[i]), this.#order, this.#x, gathering);
      encoder.recordEncode(pass, this.#x, places.length);
    }
    pass.submit();
  }

  async read(tokens: number): Promise<HostFeatures[]> {
    const features: HostFeatures[] = [];
    for (const encoder of this.#encoders) features.push(await encoder.readKept(tokens));
    return features;
  }

  take({ batch, places }: Piece, features: readonly HostFeatures[]): void {
    features.forEach((rows, i) => this.tallies[i].add(rows, batch, places));
  }
}
