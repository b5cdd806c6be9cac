/**
 * Loss recovered: how well the model predicts held-out text with transcoders in the place of what they were trained to predict, against
 * the model as it is and against zeros and means in that place.
 *
 * The text goes through the model's lower part once for the means of the targets. Then each batch goes through the whole model as it is, which
 * is kept, and for each way to change it through what lies above the change; at last the vocabulary is gone through once for all ways, since
 * the logits of a large one are too many to keep. A transcoder reads its source in the very pass that it changes. So where all of a run are
 * spliced in at once, a deeper one reads what those below it have made of the model: that is the replacement model.
 *
 * A prediction at token i is that of token i + 1. It is counted where token i is, and has a successor in its context. The target is
 * replaced at every counted token, so a prediction feels the replacement at its own token and, through attention, at those before it. Tokens
 * that are not counted (BOS) keep what the model computes for them.
 * @module
 */

import { LOSS_DEFINITIONS, type LossEvaluation, LossFigures, PredictionSums } from "../analysis/loss.ts";
import { UserError } from "../errors.ts";
import { createTensor, downloadAll, type Gpu, tensorFrom } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import type { Edit } from "../model/edits.ts";
import { contextsPerForward } from "../model/capacity.ts";
import type { DecoderConfig } from "../model/config.ts";
import type { Decoder, DecoderOptions, ForwardOptions } from "../model/forward.ts";
import { cutAt } from "../model/reach.ts";
import { depthOf, lowestOf, placeOf, type Tap, tapName, widthOf } from "../model/sites.ts";
import { countedPerContext, countedRows, NO_DOCUMENT, type TokenBatch } from "../text/contexts.ts";
import { prefixEnds } from "../transcoder/shape.ts";
import { columnMoments } from "../../wgsl/transcoder/step.ts";
import type { PlacedTranscoder, TranscodersOnText } from "./features.ts";
import { KeptBelow } from "./kept_below.ts";
import { normLimits, type NormSettings, withLimitedTaps } from "./norm_limits.ts";
import { type Analysis, contextsAtHand, type CountedTokens, overText, type Piece, recordTaken } from "./over_text.ts";
import { ablation, Splice } from "./splice.ts";

/** Transcoders and a text that is read to its end; the model must be loaded as {@link lossModel} says. */
export interface LossOptions extends Omit<TranscodersOnText, "tokens"> {
  /** Whether transcoders are measured each by itself and not together as well; they are together if left out. */
  readonly isApart?: boolean;
}

/** Tokens of a forward pass on GPUs: enough to fill their units, and few enough that all ways to change the model are kept beside each other. */
const GPU_TOKENS = 4096;

/**
 * How a model is loaded to measure the loss of it.
 *
 * @param gpu The device.
 * @param config The model.
 * @param settings How long contexts are, and what a run says of norms.
 * @param transcoders What each of them maps.
 * @returns Taps, capacity and head.
 * @throws {UserError} When the adapter cannot bind the tensors of a single context.
 */
export function lossModel(
  gpu: Gpu,
  config: DecoderConfig,
  settings: NormSettings & { readonly context: number },
  transcoders: readonly Pick<PlacedTranscoder["config"], "source" | "targets">[],
): Pick<DecoderOptions, "taps" | "maxTokens" | "head"> {
  const { context } = settings, most = contextsPerForward(gpu, config, context);
  const contexts = gpu.isCpu ? most : Math.min(most, Math.max(1, Math.floor(GPU_TOKENS / context)));
  const own = transcoders.flatMap(({ source, targets }) => [source, ...cutAt(lowestOf(targets)), ...targets]);
  return { taps: withLimitedTaps(own, settings), maxTokens: contexts * context, head: true };
}

/**
 * Measures the loss of the model with transcoders spliced in.
 *
 * @param options Which on what. Its progress counts the tokens of all forward passes.
 * @returns One evaluation per transcoder, in their order, each with the figures of all at once too: where two predict the same, of those
 * that map the same sites in different layers.
 * @throws {UserError} When there is no text or the device fails.
 * @throws {RangeError} When the model was loaded without its head or one of the taps.
 * @throws The signal's reason once it is aborted.
 */
export async function measureLoss(options: LossOptions): Promise<LossEvaluation[]> {
  const { gpu, decoder, transcoders, settings, signal, onProgress } = options;
  const { include_bos: includeBos, exclude_tokens: excluded } = settings, limits = normLimits(settings);
  const batches = await contextsOf(options), contexts = batches.reduce((sum, { contexts }) => sum + contexts, 0);
  const changes = changesOf(transcoders, options.isApart);
  const targetsOf = ({ members }: Change) => members.flatMap((m) => transcoders[m].config.targets.map(tapName)).join();
  const ablations = 2 * new Set(changes.map(targetsOf)).size;
  const forwards = 2 + ablations + changes.reduce((sum, { ranks }) => sum + ranks.length, 0);
  const tokens = forwards * batches.reduce((sum, batch) => sum + countedRows(batch, includeBos, excluded).length, 0);
  let done = 0;
  const taken = ({ places }: Piece) => onProgress?.(done += places.length, tokens);
  const along = (analyses: readonly Analysis[]) =>
    overText(
      { gpu, decoder, source: contextsAtHand(batches), contexts, includeBos, excluded, limits, signal },
      analyses,
    );

  const means = await meansOf(gpu, transcoders, decoder, along, taken);
  using scratch = openScope(gpu);
  const lanes = transcoders.map((placed) => ({
    targets: placed.config.targets.map((tap) => {
      const mean = means.get(tapName(tap))!, shape = [1, mean.length];
      return {
        tap,
        zero: createTensor(scratch, "zeros", shape),
        mean: tensorFrom(scratch, `mean at ${tapName(tap)}`, shape, mean),
      };
    }),
    splice: new Splice(scratch, placed, decoder.config, decoder.maxTokens),
  }));
  const clean = new Clean(scratch, decoder, transcoders.map(({ config }) => lowestOf(config.targets)), taken);
  // Transcoders of one target share its ablations.
  const ablated = new Map<string, { readonly zero: Changed; readonly mean: Changed }>();
  const measured = changes.map((change) => {
    const { members, ranks } = change, targets = targetsOf(change);
    const changed = (edits: (lane: typeof lanes[number], i: number, counted: CountedTokens) => Edit[]) =>
      new Changed(
        scratch,
        decoder,
        clean.kept,
        (counted) => members.flatMap((m, i) => edits(lanes[m], i, counted)),
        taken,
      );
    const { zero, mean } = ablated.get(targets) ?? {
      zero: changed(({ targets }, _, counted) => targets.map(({ tap, zero }) => ablation(tap, zero, counted))),
      mean: changed(({ targets }, _, counted) => targets.map(({ tap, mean }) => ablation(tap, mean, counted))),
    };
    ablated.set(targets, { zero, mean });
    return {
      zero,
      mean,
      prefixes: ranks.map((rank) => changed(({ splice }, i, counted) => splice.edits(counted, rank[i]))),
    };
  });
  const ways = [...new Set(measured.flatMap(({ zero, mean, prefixes }) => [zero, mean, ...prefixes]))];
  await along([clean, ...ways, new Predictions(gpu, decoder, clean, ways)]);
  return evaluationsOf(transcoders, changes, clean.sums, measured);
}

/** A change of the model that is measured: ablations and splices of some transcoders' targets. */
interface Change {
  /** The transcoders, by number. */
  readonly members: readonly number[];
  /** For each way to splice them in, the rank of each one's prefix. */
  readonly ranks: readonly (readonly number[])[];
}

/** Each transcoder alone, then those that work together, if they are to. */
function changesOf(transcoders: readonly PlacedTranscoder[], areApart = false): Change[] {
  const all = transcoders.map((_, i) => i),
    prefixes = transcoders.map(({ transcoder: { shape } }) => shape.groups.length);
  const alone = all.map((i) => ({ members: [i], ranks: Array.from({ length: prefixes[i] }, (_, p) => [p]) }));
  if (areApart) return alone;
  const isApart = (members: readonly number[]) => {
    const places = members.flatMap((m) => transcoders[m].config.targets.map((tap) => tapName(placeOf(tap))));
    return new Set(places).size === places.length;
  };
  // Two of one target cannot stand in its place at once; those that map the same sites in different layers can.
  const sites = ({ config: { source, targets } }: PlacedTranscoder) =>
    [source, ...targets].map(({ site }) => site).join(" ");
  const teams = isApart(all) ? [all] : Object.values(Object.groupBy(all, (i) => sites(transcoders[i])));
  const depth = (m: number) => depthOf(lowestOf(transcoders[m].config.targets));
  const together = teams.flatMap((team = []) => {
    // From below, in whatever order they were given.
    const members = team.toSorted((a, b) => depth(a) - depth(b));
    if (members.length === 1 || !isApart(members)) return [];
    const counts = members.map((m) => prefixes[m]), [count] = counts;
    // Dictionaries with different numbers of prefixes have only their ends in common.
    const isAlike = counts.every((other) => other === count);
    const ranks = isAlike ? alone[members[0]].ranks.map(([p]) => members.map(() => p)) : [counts.map((n) => n - 1)];
    return [{ members, ranks }];
  });
  return [...alone, ...together];
}

function evaluationsOf(
  transcoders: readonly PlacedTranscoder[],
  changes: readonly Change[],
  clean: PredictionSums,
  measured: readonly { zero: Changed; mean: Changed; prefixes: readonly Changed[] }[],
): LossEvaluation[] {
  const figures = new LossFigures(clean), common = figures.common();
  const ends = transcoders.map(({ transcoder: { shape } }) => prefixEnds(shape.groups));
  const replacement = <Prefix>(change: number, named: readonly Prefix[]) => {
    const { zero, mean, prefixes } = measured[change];
    return figures.replacement({ zero: zero.sums, mean: mean.sums, prefixes: prefixes.map(({ sums }) => sums) }, named);
  };
  const mapping = ({ config: { source, targets } }: PlacedTranscoder) =>
    `${tapName(source)} -> ${targets.map(tapName).join(" + ")}`;
  const together = changes.slice(transcoders.length).map(({ members, ranks }, i) => ({
    members,
    figures: {
      transcoders: members.map((m) => mapping(transcoders[m])),
      ...replacement(
        transcoders.length + i,
        ranks.map((rank) => ({ prefixes: members.map((m, at) => ends[m][rank[at]]) })),
      ),
    },
  }));
  return transcoders.map((_, i) => {
    const team = together.find(({ members }) => members.includes(i));
    return {
      ...common,
      ...replacement(i, ends[i].map((prefix) => ({ prefix }))),
      ...team ? { replacement_model: team.figures } : {},
      definitions: { ...LOSS_DEFINITIONS },
    };
  });
}

/** The contexts to measure, kept on the host since the text goes through the model more than once. */
async function contextsOf(
  { decoder, source, settings: { context, include_bos: includeBos, exclude_tokens: excluded } }: LossOptions,
): Promise<TokenBatch[]> {
  const action = "measure the loss", batches: TokenBatch[] = [];
  if (countedPerContext(context, includeBos) < 2) {
    throw new UserError({
      action,
      requirement: "a counted token must have a successor in its context",
      found: `contexts have ${context} tokens, BOS included`,
      remedy: "train with a longer --context",
    });
  }
  let found = 0;
  for (let isEnd = false; !isEnd;) {
    const { batch, done } = await source.next(decoder.contextsAtOnce);
    isEnd = done;
    if (batch.contexts > 0) batches.push(batch);
    found += countedRows(batch, includeBos, excluded).length;
  }
  if (found > 0) return batches;
  throw new UserError({
    action,
    requirement: "the held-out text must have a token that is not left out",
    found: "it has none",
    remedy: "give more text",
  });
}

/** The mean of each target over the counted tokens, by the target's name. */
async function meansOf(
  gpu: Gpu,
  transcoders: readonly PlacedTranscoder[],
  decoder: Decoder,
  along: (analyses: readonly Analysis[]) => Promise<unknown>,
  taken: (piece: Piece) => void,
): Promise<ReadonlyMap<string, Float32Array<ArrayBuffer>>> {
  using scratch = openScope(gpu);
  const targets = new Map(transcoders.flatMap(({ config }) => config.targets.map((tap) => [tapName(tap), tap])));
  const means = new TargetMeans(scratch, [...targets.values()], decoder, taken);
  await along([means]);
  return means.results();
}

/** Sums the targets: means in f32 on the GPU, piece by piece, sums of those in float64 here. */
class TargetMeans implements Analysis<readonly ArrayBuffer[]> {
  readonly taps: readonly Tap[];
  readonly tokensAtOnce: number;
  readonly forward: ForwardOptions = { end: "taps" };
  readonly #gpu: Gpu;
  /** f32 [tokensAtOnce, width] of the target that is recorded. */
  readonly #y: Tensor;
  readonly #moments: readonly Tensor[];
  readonly #sums: readonly Float64Array[];
  readonly #taken: (piece: Piece) => void;
  #tokens = 0;

  constructor(gpu: Gpu, taps: readonly Tap[], { config, maxTokens }: Decoder, taken: (piece: Piece) => void) {
    const widths = taps.map(({ site }) => widthOf(config, site));
    this.taps = taps;
    this.tokensAtOnce = maxTokens;
    this.#gpu = gpu;
    this.#y = createTensor(gpu, "target", [maxTokens, Math.max(...widths)]);
    this.#moments = widths.map((width) => createTensor(gpu, "target's moments", [2, width]));
    this.#sums = widths.map((width) => new Float64Array(width));
    this.#taken = taken;
  }

  record(pass: Pass, piece: Piece): void {
    this.#moments.forEach((moments, i) => {
      const [, width] = moments.shape;
      recordTaken(pass, piece, this.taps[i], this.#y);
      pass.run(columnMoments, { x: this.#y, moments }, { rows: piece.places.length, width, slot: 0 });
    });
  }

  read(): Promise<ArrayBuffer[]> {
    return downloadAll(this.#gpu, this.#moments.map((moments) => front(moments, 1)));
  }

  take(piece: Piece, means: readonly ArrayBuffer[]): void {
    const tokens = piece.places.length;
    this.#tokens += tokens;
    this.#sums.forEach((sum, i) => new Float32Array(means[i]).forEach((mean, d) => sum[d] += tokens * mean));
    this.#taken(piece);
  }

  results(): Map<string, Float32Array<ArrayBuffer>> {
    return new Map(
      this.#sums.map((sum, i) => [tapName(this.taps[i]), Float32Array.from(sum, (value) => value / this.#tokens)]),
    );
  }
}

/** The model as it is. */
class Clean implements Analysis<void> {
  readonly taps: readonly Tap[] = [];
  readonly tokensAtOnce = Infinity;
  readonly sums: PredictionSums = new PredictionSums();
  /** What the batch at hand has below the changes, */
  readonly kept: KeptBelow;
  /** and what the head reads of it: f32 [tokens, d_model]. */
  readonly normed: Tensor;
  readonly #decoder: Decoder;
  readonly #taken: (piece: Piece) => void;

  constructor(gpu: Gpu, decoder: Decoder, lowest: readonly Tap[], taken: (piece: Piece) => void) {
    this.kept = new KeptBelow(gpu, decoder, lowest);
    this.normed = createNormed(gpu, decoder);
    this.#decoder = decoder;
    this.#taken = taken;
  }

  record(pass: Pass, { batch, activations }: Piece): void {
    this.kept.record(pass, activations);
    this.#decoder.recordNormed(pass, batch.ids.length, this.normed);
  }

  /** Everything stays on the GPU. */
  read(): Promise<void> {
    return Promise.resolve();
  }

  take(piece: Piece): void {
    this.#taken(piece);
  }
}

/** The model with edits. */
class Changed implements Analysis<void> {
  readonly taps: readonly Tap[] = [];
  readonly tokensAtOnce = Infinity;
  readonly sums: PredictionSums = new PredictionSums();
  readonly forward: (counted: CountedTokens) => ForwardOptions;
  /** What the head reads of the batch at hand: f32 [tokens, d_model]. */
  readonly normed: Tensor;
  readonly #decoder: Decoder;
  readonly #taken: (piece: Piece) => void;

  constructor(
    gpu: Gpu,
    decoder: Decoder,
    kept: KeptBelow,
    editsOf: (counted: CountedTokens) => Edit[],
    taken: (piece: Piece) => void,
  ) {
    this.forward = (counted) => {
      const edits = editsOf(counted);
      return { edits: [...kept.begin(edits.map(({ tap }) => tap)), ...edits] };
    };
    this.normed = createNormed(gpu, decoder);
    this.#decoder = decoder;
    this.#taken = taken;
  }

  record(pass: Pass, { batch }: Piece): void {
    this.#decoder.recordNormed(pass, batch.ids.length, this.normed);
  }

  /** Everything stays on the GPU. */
  read(): Promise<void> {
    return Promise.resolve();
  }

  take(piece: Piece): void {
    this.#taken(piece);
  }
}

function createNormed(gpu: Gpu, { maxTokens, config: { dModel } }: Decoder): Tensor {
  return createTensor(gpu, "normed residual", [maxTokens, dModel]);
}

/** What the model as it is and the changed ones predict, once they have run on a batch. */
class Predictions implements Analysis<readonly Float32Array[]> {
  readonly taps: readonly Tap[] = [];
  readonly tokensAtOnce = Infinity;
  /** It rides along the last of them. */
  readonly forward: Changed["forward"];
  readonly #gpu: Gpu;
  readonly #decoder: Decoder;
  readonly #clean: Clean;
  readonly #changed: readonly Changed[];
  #recorded: readonly Tensor[] = [];

  constructor(gpu: Gpu, decoder: Decoder, clean: Clean, changed: readonly Changed[]) {
    this.forward = changed[changed.length - 1].forward;
    this.#gpu = gpu;
    this.#decoder = decoder;
    this.#clean = clean;
    this.#changed = changed;
  }

  record(pass: Pass, { batch }: Piece): void {
    const normed = this.#changed.map(({ normed }) => normed);
    const { loss, comparisons } = this.#decoder.recordPredictions(pass, batch, this.#clean.normed, normed);
    this.#recorded = [loss, ...comparisons].map((tensor) => front(tensor, batch.ids.length));
  }

  /** The loss of the model as it is, then the comparison of each changed one. */
  async read(): Promise<Float32Array[]> {
    return (await downloadAll(this.#gpu, this.#recorded)).map((bytes) => new Float32Array(bytes));
  }

  take(piece: Piece, [cleanLoss, ...comparisons]: readonly Float32Array[]): void {
    const { places, ...where } = predictionsOf(piece);
    const [nothing, everything] = [0, 1].map((value) => places.map(() => value));
    this.#clean.sums.add({ ...where, loss: places.map((place) => cleanLoss[place]), kl: nothing, same: everything });
    for (const [i, comparison] of comparisons.entries()) {
      const [loss, kl, same] = [0, 1, 2].map((column) => places.map((place) => comparison[3 * place + column]));
      this.#changed[i].sums.add({ ...where, loss, kl, same });
    }
  }
}

/** The counted tokens that a token of the text follows, with context and document of each. */
function predictionsOf({ batch, contextsBefore, places: counted }: Piece) {
  const { context: length, document: documents } = batch;
  const isFollowed = (place: number) => place % length < length - 1 && documents[place + 1] !== NO_DOCUMENT;
  const places = Array.from(counted).filter(isFollowed), rows = places.map((place) => Math.floor(place / length));
  // BOS is of no document; what stands behind it is.
  return {
    places,
    context: rows.map((row) => contextsBefore + row),
    document: rows.map((row) => documents[row * length + 1]),
  };
}
