/**
 * The model that belongs to the runs, loaded when a reader first asks for something that takes it, and given back when nobody has asked for a
 * while. One piece of work at a time is on the GPU; the others wait for their turn.
 * @module
 */

import { UsageError, UserError } from "../../core/errors.ts";
import { openGpu, type OwnedGpu } from "../../core/gpu/device.ts";
import { type ModelFiles, openModel } from "../../core/model/files.ts";
import type { Decoder } from "../../core/model/forward.ts";
import { type Tap, tapName } from "../../core/model/sites.ts";
import type { ActivationChange } from "../../core/passes/feature_change.ts";
import { withLimitedTaps } from "../../core/passes/norm_limits.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import { type FinishedTranscoder, loadRunModel, modelOf, openFinishedRun } from "../../core/runs/finished.ts";
import { tapsOf } from "../../core/runs/ids.ts";
import { readRecordTokens } from "../../core/runs/record.ts";
import { loadTokenizer, type Tokenizer } from "../../core/text/tokenizer.ts";
import type {
  ChangedAnswer,
  ChangeRequest,
  EffectsRequest,
  EncodedText,
  EncodeRequest,
  MeasuredEffects,
  WorkLine,
} from "../../reports/browser/served.ts";
import { changeAtHand } from "../change/at_hand.ts";
import { chooseFeatures, noTokens, requireFits } from "../change/request.ts";
import { encodeAtHand } from "../encoded_text.ts";
import { effectsAt } from "./effects.ts";
import type { FoundTranscoder } from "./runs.ts";

/** A model without work is given back after this long: the GPU may be wanted for training. */
const IDLE_MS = 10 * 60_000;
/** Features of a token, and tokens whose next one's distribution is told, with as many movers. */
const TOP_FEATURES = 64, TOP_PLACES = 8;

/** How work is told of: it waits, or how far it is. */
export type Tell = (line: WorkLine<never>) => void;

/** A model on a device. */
interface LoadedModel {
  readonly key: string;
  readonly taps: readonly Tap[];
  readonly files: ModelFiles;
  readonly gpu: OwnedGpu;
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
}

/** Does what takes the model. */
export class ModelDesk {
  readonly #model: string | undefined;
  #loaded: LoadedModel | null = null;
  #transcoder: FinishedTranscoder | null = null;
  /** Ends with the last piece of work that was asked for. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;

  /**
   * Loads nothing yet.
   *
   * @param model Where the runs' model lies now, if not where it lay.
   */
  constructor(model?: string) {
    this.#model = model;
  }

  /**
   * Encodes a text.
   *
   * @param transcoder With which transcoder, a finished one.
   * @param among What else was found, whose sites a model that is loaded should have.
   * @param request The text.
   * @param tell Hears how the work stands.
   * @param signal Ends it early.
   * @returns The features of each token.
   * @throws {UserError} When model or transcoder cannot be had, or the device fails.
   */
  encode(
    transcoder: FoundTranscoder,
    among: readonly FoundTranscoder[],
    { text }: Pick<EncodeRequest, "text">,
    tell: Tell,
    signal: AbortSignal,
  ): Promise<EncodedText> {
    return this.#inTurn(tell, signal, async () => {
      const placed = await this.#open(transcoder), model = await this.#load(placed, among, tell);
      if (model.tokenizer.encode(text).length === 0) throw noTokens("encode");
      const onProgress = (done: number, total: number) =>
        tell({ kind: "working", label: "Encoding contexts", done, total });
      const { tokens: [tokens], contexts } = await encodeAtHand(model, [placed], text, {
        top: TOP_FEATURES,
        onProgress,
        signal,
      });
      return { tokens, contexts };
    });
  }

  /**
   * Changes features on a text.
   *
   * @param transcoder Of which transcoder, a finished one.
   * @param among What else was found.
   * @param request Which, how, and on which text.
   * @param tell Hears how the work stands.
   * @param signal Ends it early.
   * @returns What that does.
   * @throws {UserError} When model or transcoder cannot be had, the text does not fit, there are no such features, or the device fails.
   */
  change(
    transcoder: FoundTranscoder,
    among: readonly FoundTranscoder[],
    { text, which, change, generate }: Omit<ChangeRequest, "transcoder">,
    tell: Tell,
    signal: AbortSignal,
  ): Promise<ChangedAnswer> {
    const verb = "change features";
    return this.#inTurn(tell, signal, async () => {
      const placed = await this.#open(transcoder), { config: { context } } = placed;
      const request = chooseFeatures("change", placed, which, activationChange(change));
      const model = await this.#load(placed, among, tell), ids = model.tokenizer.encode(text);
      if (ids.length === 0) throw noTokens(verb);
      requireFits(verb, ids.length, generate, context, true, () => "");
      tell({ kind: "working", label: "Changing features", done: 0, total: 1 });
      const onToken = (done: number) => tell({ kind: "working", label: "Generating", done, total: 2 * generate });
      const wishes = { top: TOP_PLACES, generate, temperature: 0, seed: 0, onToken, signal };
      return { what: request.phrase, ...await changeAtHand(model, request, ids, wishes) };
    });
  }

  /**
   * Measures what switching features off does to predictions in the reading set.
   *
   * @param transcoder Of which transcoder, a finished one with a record.
   * @param among What else was found.
   * @param request Which features, and around which tokens.
   * @param tell Hears how the work stands.
   * @param signal Ends it early.
   * @returns The losses around each token.
   * @throws {UserError} When model, transcoder or record cannot be had, there are no such features, or the device fails.
   */
  effects(
    transcoder: FoundTranscoder,
    among: readonly FoundTranscoder[],
    { which, tokens }: Omit<EffectsRequest, "transcoder">,
    tell: Tell,
    signal: AbortSignal,
  ): Promise<MeasuredEffects> {
    return this.#inTurn(tell, signal, async () => {
      const placed = await this.#open(transcoder), record = await readRecordTokens(transcoder.path);
      if (record === null) throw noRecord(transcoder);
      const request = chooseFeatures("switch off", placed, which, { kind: "scale", factor: 0 });
      const model = await this.#load(placed, among, tell), total = tokens.length;
      const onWindow = (done: number) => tell({ kind: "working", label: "Measuring examples", done, total });
      return await effectsAt(model, request, record, tokens, onWindow, signal);
    });
  }

  /** Gives the model back, once the work that is under way has ended. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    await this.#last.catch(() => {});
    await this.#release();
  }

  async #inTurn<T>(tell: Tell, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    clearTimeout(this.#idle);
    const before = this.#last;
    if (this.#waiting > 0) tell({ kind: "waiting", before: this.#waiting });
    this.#waiting++;
    const mine = before.catch(() => {}).then(async () => {
      signal.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        // After anything but a wrong request, or a reader who left, the device may be lost; the next piece of work opens another one.
        if (!signal.aborted && !(error instanceof UsageError)) await this.#release();
        throw error;
      }
    });
    this.#last = mine;
    try {
      return await mine;
    } finally {
      this.#waiting--;
      if (this.#waiting === 0) this.#idle = setTimeout(() => this.#last = this.#release(), IDLE_MS);
    }
  }

  async #open({ path }: FoundTranscoder): Promise<FinishedTranscoder> {
    if (this.#transcoder?.directory !== path) [this.#transcoder] = await openFinishedRun(path);
    return this.#transcoder;
  }

  /** The model of a transcoder, with the sites of all transcoders of that model, so that it need not be loaded for each. */
  async #load(placed: FinishedTranscoder, among: readonly FoundTranscoder[], tell: Tell): Promise<LoadedModel> {
    const { config, config: { context, precision } } = placed, key = modelKey(config);
    const configs = [config, ...among.flatMap((one) => one.config && modelKey(one.config) === key ? [one.config] : [])];
    const taps = configs.reduce((all, one) => withLimitedTaps([...all, ...tapsOf([one])], one), [] as Tap[]);
    const loaded = this.#loaded, has = new Set(loaded?.taps.map(tapName));
    if (loaded?.key === key && tapsOf([config]).every((tap) => has.has(tapName(tap)))) return loaded;
    await this.#release();
    const files = await openModel(this.#model ?? modelOf([placed])).catch((error) => Promise.reject(atHand(error)));
    let gpu: OwnedGpu | undefined;
    try {
      gpu = await openGpu(undefined, precision);
      const onLoading = (done: number, total: number) =>
        tell({ kind: "working", label: "Loading the model", done, total });
      const decoder = await loadRunModel(gpu, files, [placed], {
        taps,
        head: true,
        context,
        maxTokens: context,
        onLoading,
      });
      return this.#loaded = { key, taps, files, gpu, decoder, tokenizer: loadTokenizer(files) };
    } catch (error) {
      gpu?.[Symbol.dispose]();
      await files.weights.close();
      throw error;
    }
  }

  async #release(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = this.#transcoder = null;
    loaded?.gpu[Symbol.dispose]();
    await loaded?.files.weights.close();
  }
}

function noRecord({ path }: FoundTranscoder): UsageError {
  const remedy = `make it with \`mtc analyze features --run ${path}\``;
  return new UsageError({ action: "measure examples", requirement: "the run must have its record", remedy });
}

/** Transcoders of one key can share a loaded model. */
function modelKey({ model, context, precision }: TranscoderConfig): string {
  return JSON.stringify([model, context, precision]);
}

function activationChange({ kind, value }: ChangeRequest["change"]): ActivationChange {
  return kind === "scale" ? { kind, factor: value } : { kind, value, where: "everywhere" };
}

/** The server downloads nothing, and its command line is where a model is named. */
function atHand(error: unknown): unknown {
  if (!(error instanceof UserError)) return error;
  return new UserError({
    ...error.parts,
    remedy: "start `mtc browse` with --model and the place where the run's model lies now",
  });
}
