/**
 * Changed forward passes that begin where they differ: what lies below the change is computed once, and kept.
 * @module
 */

import { createTensor, type Gpu } from "../gpu/device.ts";
import { createRowBlocks, recordGather, recordStore, type RowBlocks } from "../gpu/row_blocks.ts";
import type { Pass } from "../gpu/run.ts";
import { elements, type Tensor } from "../gpu/tensor.ts";
import type { DecoderConfig } from "../model/config.ts";
import type { Edit } from "../model/edits.ts";
import type { Activations, Decoder } from "../model/forward.ts";
import { cutAt } from "../model/reach.ts";
import { depthOf, lowestOf, placeOf, type Tap, tapName, widthOf } from "../model/sites.ts";
import { activationsAt, type Analysis, type Piece } from "./over_text.ts";

/**
 * The activations of a batch where changes begin, and at the model's taps below. Once they are there, by one of {@link KeptBelow.keep},
 * {@link KeptBelow.record} and {@link KeptBelow.recordFrom}, a pass of the same batch with {@link begin} in front of its other edits computes
 * only what lies above the lowest of these.
 */
export class KeptBelow {
  readonly #taps: readonly Tap[];
  /** f32 [the model's most tokens, width], by the name of the place. */
  readonly #kept: ReadonlyMap<string, { readonly tap: Tap; readonly tensor: Tensor }>;

  /**
   * Allocates room for the activations.
   *
   * @param gpu The device.
   * @param decoder The model; its taps are those that the passes ask for.
   * @param lowest The lowest site of each change, at least one.
   */
  constructor(
    gpu: Gpu,
    { config, maxTokens, taps }: Pick<Decoder, "config" | "maxTokens" | "taps">,
    lowest: readonly Tap[],
  ) {
    this.#taps = taps;
    this.#kept = new Map(
      lowest.flatMap((site) => sitesBelow(taps, site)).map((tap) => [tapName(tap), {
        tap,
        tensor: createTensor(gpu, `kept ${tapName(tap)}`, [maxTokens, widthOf(config, tap.site)]),
      }]),
    );
  }

  /**
   * The edits of a pass that keeps its activations and changes nothing. What begins there gives the very bits that it would give if it
   * ran all behind these edits: both end the branch of the lowest site in the same kernels.
   */
  get keep(): Edit[] {
    return [...this.#kept.values()].map(({ tap, tensor }) => ({
      kind: "rewrite",
      tap,
      record: (pass, activations) => pass.copy(activations, 0, tensor, 0, elements(tensor.shape)),
    }));
  }

  /**
   * Records keeping what a pass without edits has left at its taps, for whom that pass is there already. It ends branches in fewer
   * kernels, so what begins there gives what it would give if it ran all but for rounding.
   *
   * @param pass The pass of that forward, or a later one.
   * @param activations What it gave; all that is kept must be among it.
   * @throws {RangeError} When some is not.
   */
  record(pass: Pass, activations: readonly Activations[]): void {
    const given = new Map(activations.map((one) => [tapName(placeOf(one.tap)), one]));
    for (const [name, { tensor }] of this.#kept) {
      const one = given.get(name);
      if (one === undefined) {
        throw new RangeError(
          `Cannot keep ${name}: it must be among the taps, they are ${[...given.keys()].join(", ")}`,
        );
      }
      pass.copy(one.tensor, 0, tensor, 0, one.tokens * one.width);
    }
  }

  /**
   * Records taking what is kept of a whole text.
   *
   * @param pass Where to record.
   * @param text That of the same lowest site.
   * @param order u32: the rows of the text that the batch has.
   * @param tokens How many.
   */
  recordFrom(pass: Pass, text: KeptText, order: Tensor, tokens: number): void {
    text.taps.forEach((tap, i) => {
      const { tensor } = this.#kept.get(tapName(placeOf(tap)))!, [, width] = tensor.shape;
      recordGather(pass, text.kept[i], order, tensor, { rows: tokens, width, first: 0 });
    });
  }

  /**
   * The edits that let a pass begin with what was kept; those that change it come behind them.
   *
   * @param changed The sites that it changes; the lowest of them is one of those that this was made for.
   * @returns Edits at that site and below.
   */
  begin(changed: readonly Tap[]): Edit[] {
    return sitesBelow(this.#taps, lowestOf(changed)).map((tap) => {
      return { kind: "replace", tap, tensor: this.#kept.get(tapName(tap))!.tensor };
    });
  }
}

/** What all above a site is computed from, and the taps below it, which edits may read: each place once. */
function sitesBelow(taps: readonly Tap[], site: Tap): Tap[] {
  const below = [...cutAt(site), ...taps.filter((tap) => depthOf(tap) < depthOf(site))].map(placeOf);
  return [...new Map(below.map((tap) => [tapName(tap), tap])).values()];
}

/** What every token of a text has where changes begin, for passes whose batches are put together of its contexts. */
export class KeptText implements Analysis<null> {
  readonly taps: readonly Tap[];
  readonly tokensAtOnce: number = Infinity;
  /** f32 [tokens of the text, width] at each tap. */
  readonly kept: readonly RowBlocks[];

  /**
   * Allocates room for the whole text.
   *
   * @param gpu The device.
   * @param config The model's.
   * @param lowest The lowest site of the changes.
   * @param tokens All tokens of the text, also those that do not count.
   * @throws {UserError} When a token is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, config: DecoderConfig, lowest: Tap, tokens: number) {
    this.taps = cutAt(lowest);
    this.kept = this.taps.map(({ site }) => createRowBlocks(gpu, `kept ${site}`, tokens, widthOf(config, site)));
  }

  record(pass: Pass, piece: Piece): void {
    const { batch: { ids: { length: tokens }, context }, contextsBefore } = piece;
    this.taps.forEach((tap, i) => {
      recordStore(pass, activationsAt(piece, tap).tensor, this.kept[i], contextsBefore * context, tokens);
    });
  }

  read(): Promise<null> {
    return Promise.resolve(null);
  }

  take(): void {}
}
