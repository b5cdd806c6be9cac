/**
 * What `mtc train` and `mtc sweep` are asked for, whichever way they were asked, and the plan of it.
 * @module
 */

import { modelFingerprint } from "../../core/model/files.ts";
import { configOf } from "../../core/model/config.ts";
import { widthOf } from "../../core/model/sites.ts";
import { nameOfData } from "../../core/text/files.ts";
import type { TextSummary } from "../../core/text/summary.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import type { TrainingPlan } from "../../core/training/plan.ts";
import type { Precision } from "../../core/gpu/products.ts";
import configuration from "../../deno.json" with { type: "json" };

/**
 * The options that `mtc train` and `mtc sweep` share, as commander gives them; those of NUMBER_OPTIONS are numbers, or lists of them.
 */
export interface RunOptions extends Record<string, unknown> {
  model: string;
  data?: string[];
  textColumn?: string;
  badLines?: number;
  layers?: number[];
  source: string;
  target: string;
  groups?: number[];
  includeBos?: boolean;
  skip?: boolean;
  excludeTokens?: string[];
  precision: Precision;
  tensorboard?: true;
  runs: string;
  name?: string;
  dryRun?: boolean;
  json?: boolean;
  activations?: string;
  atOnce?: number;
}

/** Those of `mtc train`. */
export interface TrainOptions extends RunOptions {
  preset?: string;
  dictionary?: number;
  resume?: string;
  startFrom?: string;
  moreSteps?: number;
}

/** Those of `mtc sweep`. */
export interface SweepOptions extends RunOptions {
  dictionary?: number[];
  k?: number[];
  learningRate?: number[];
  seed?: number[];
  flat?: true;
}

/** What is trained, once the command line is understood: a plan, but for what only an open device can say. */
export interface TrainRequest extends Omit<TrainingPlan, "describe"> {
  /** Whether a resumed run has nothing left to do. */
  readonly isFinished: boolean;
  /** What is known of the text; of a resumed run, what it recorded. */
  readonly text: TextSummary;
  /** Of a resumed run, which of its transcoders have nothing left to do; absent where none has. */
  readonly whole?: readonly boolean[];
  /** Of a sweep: the text as it was when it was checked. It is trained in rounds, see {@link remaining}. */
  readonly sweep?: { readonly text: TextSummary };
  /** Of a run that goes on with a finished one, the directory of each transcoder's parent; such a run is resumed from there. */
  readonly parents?: readonly string[];
}

/** What is left of a run. */
export interface Remaining {
  /** What has been begun, each part with the transcoders that step together; a run that is no sweep is one, begun or not. */
  readonly begun: readonly TrainRequest[];
  /** The transcoders of a sweep that wait for a round; null when there are none. */
  readonly waiting: TrainRequest | null;
}

/**
 * Takes a run apart into what can be trained by itself.
 *
 * @param request The run.
 * @returns What of it is not finished. A transcoder of a sweep is what it would be alone, so that each is trained with whichever others are
 * left of its round.
 */
export function remaining(request: TrainRequest): Remaining {
  const { resumed, sweep, transcoders, whole = [] } = request;
  if (!sweep) return { begun: [request], waiting: null };
  if (!resumed) return { begun: [], waiting: request };
  const left = resumed.map((_, i) => i).filter((i) => !whole[i]);
  const rounds = Map.groupBy(left, (i) => resumed[i].round!), waiting = rounds.get(0);
  rounds.delete(0);
  const part = (members: readonly number[]) => {
    return { ...request, transcoders: members.map((i) => transcoders[i]), resumed: members.map((i) => resumed[i]) };
  };
  return {
    begun: [...rounds].sort(([a], [b]) => a - b).map(([, members]) => part(members)),
    waiting: waiting ? part(waiting) : null,
  };
}

/**
 * The plan of a request.
 *
 * @param request What is to be trained.
 * @param adapter The GPU's name, part of config.json.
 * @returns What training and finishing need.
 * @throws {UserError} When the model's weights cannot be read.
 */
export async function planOf(
  request: Omit<TrainRequest, "text">,
  adapter: string,
): Promise<TrainingPlan> {
  const { directory, settings, transcoders, model, data, reading, activations, resumed, round, hasEvents } = request;
  const config = configOf(model), { layers, dModel, vocabSize } = config, fingerprint = await modelFingerprint(model);
  const created = resumed?.[0].created ?? new Date().toISOString();
  return {
    ...{ directory, settings, transcoders, model, data, reading, activations, resumed, round, hasEvents },
    describe: ({ source, targets, settings: { groups }, start }, text) => ({
      mtc_version: configuration.version,
      adapter,
      created,
      model: { name: model.name, path: model.path, layers, d_model: dModel, vocab_size: vocabSize, fingerprint },
      data: {
        name: nameOfData(data),
        files: data === "builtin" ? [] : data,
        ...text,
      },
      ...activations && { activations },
      ...start && { parent: start.parent },
      d_in: widthOf(config, source.site),
      d_out: targets.reduce((sum, { site }) => sum + widthOf(config, site), 0),
      features: featureCount(groups),
      ...round && { round: round.number },
    }),
  };
}
