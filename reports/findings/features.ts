/**
 * What single features of a layer do: stand for more than tokens, keep to subjects, move predictions, write what they read.
 * @module
 */

import { EXAMPLES } from "../../core/analysis/coherence.ts";
import { median, moments } from "../../core/analysis/statistics.ts";
import { coherenceVerdict, coherentFeatures } from "../coherence_table.ts";
import { bracketed } from "../evaluation_table.ts";
import { counted, decimal, integer, list, percent, significant } from "../format.ts";
import { switchedOff } from "../importance_table.ts";
import { type Finding, type KnownLayer, shareError } from "./finding.ts";

/** Features that are named for a finding. */
const NAMED = 3;

/** Features that fire on fewer tokens say nothing of documents. */
const LEAST_FIRES = 10;

/** Whether features stand for more than their tokens. */
export function meaningFinding({ coherence, named }: KnownLayer): Finding | null {
  if (coherence === undefined || coherence.features.length === 0) return null;
  const { features, beyond, random, source } = coherence, isSome = coherenceVerdict(coherence) === "some";
  const lead = isSome
    ? "**Meaning: some features are coherent beyond their tokens.**"
    : "**Meaning: no coherence beyond tokens and chance.**";
  const best = coherentFeatures(coherence).slice(0, NAMED).map(({ feature, coherence, ci95 }) =>
    `feature ${feature} (${named(feature)}; ${bracketed(coherence, ci95, (value) => decimal(value, 2))})`
  );
  return {
    question: "meaning",
    said: `${lead} At the ${EXAMPLES} strongest contexts of ${integer(beyond)} of ${
      counted(features.length, "judged feature")
    } (${
      percent(beyond / features.length)
    }) the model's states at ${source} are more alike than their tokens explain and than they are far out along 99 of 100 random directions${
      best.length > 0 ? `: most for ${list(best)}` : ""
    }. The median coherence is ${
      decimal(median(features.map(({ coherence }) => coherence)), 3)
    }, that of random directions ${decimal(random.median, 3)}.`,
    chance: `${
      integer(random.directions)
    } random directions with the second moment of the encoder: 1 % of the features, ${
      integer(Math.round(features.length / 100))
    }, would lie above their 99th percentile, ${decimal(random.limit, 3)}.`,
    doubt: `${
      best.length > 0
        ? "intervals of single features resample the documents of their examples, and are too narrow for the largest of many. "
        : ""
    }Alike states are no meaning that a reader has checked.`,
    wrong:
      "examples that a reader cannot tell from others with the same tokens, or states that are alike for their place or document alone.",
  };
}

/** Whether features keep to documents, as subjects do. */
export function topicsFinding({ recorded: { patterns: { patterns }, tokens }, named }: KnownLayer): Finding | null {
  const documents = new Set(tokens.document).size, judged = patterns.filter(({ fires }) => fires >= LEAST_FIRES);
  const beyond = (one: typeof judged[0]) => one.document_gini - one.document_gini_by_chance;
  const told = judged.filter((one) => Number.isFinite(beyond(one)));
  if (documents < 5 || told.length === 0) return null;
  const share = told.filter((one) => beyond(one) > 0).length / told.length, error = shareError(0.5, told.length);
  const isKept = share > 0.5 + error;
  const most = told.toSorted((a, b) => beyond(b) - beyond(a)).slice(0, NAMED);
  return {
    question: "topics",
    said: `${isKept ? "**Subjects: features keep to documents.**" : "**Subjects: features keep to no documents.**"} ${
      percent(share, 0)
    } of ${counted(told.length, "feature")} fire less evenly over ${
      counted(documents, "document")
    } than with contexts shuffled among them (Gini ${
      decimal(median(told.map(({ document_gini }) => document_gini)), 2)
    } against ${decimal(median(told.map(({ document_gini_by_chance }) => document_gini_by_chance)), 2)}, medians)${
      isKept
        ? `; most, ${
          list(most.map((one) =>
            `feature ${one.feature} (${named(one.feature)}; ${decimal(one.document_gini, 2)} against ${
              decimal(one.document_gini_by_chance, 2)
            })`
          ))
        }`
        : ""
    }.`,
    chance: `contexts shuffled among documents: half of the features, ±${percent(error, 0)}.`,
    doubt: "one shuffle for each feature; documents differ in style, time and writer as well as in subject.",
    wrong: "the same difference for features that fire on function words alone.",
  };
}

/** Whether the model's predictions miss single features. */
export function predictionsFinding({ importance, named }: KnownLayer): Finding | null {
  if (importance === undefined) return null;
  const off = switchedOff(importance), random = off.filter(({ effect }) => effect.sets.includes("random"));
  if (random.length === 0 || off.some(({ effect }) => effect.ce_rise_ci95.some(Number.isNaN))) return null;
  const worse = random.filter(({ effect }) => effect.ce_rise_ci95[0] > 0).length / random.length, by = 0.025;
  const isMissed = worse > by + shareError(by, random.length);
  const thousandths = (value: number) => significant(1000 * value, 2);
  const most = off.slice(0, NAMED).map(({ feature, effect: { ce_rise, ce_rise_ci95 } }) =>
    `feature ${feature} (${named(feature)}; ${bracketed(ce_rise, ce_rise_ci95, thousandths)})`
  );
  return {
    question: "predictions",
    said: `${
      isMissed
        ? "**Predictions: they miss single features.**"
        : "**Predictions: they miss no single feature for certain.**"
    } Each of ${integer(random.length)} features drawn at random was switched off alone: without ${
      percent(worse, 0)
    } of them the next token's loss rises beyond its interval. Most is lost, in 10⁻³ nats of ${
      decimal(importance.clean_ce, 2)
    }, without ${list(most)}.`,
    chance: `2.5 % of the intervals would lie above 0 if nothing changed, up to ${
      percent(by + shareError(by, random.length), 0)
    } in 95 of 100 draws.`,
    doubt: `${counted(importance.predictions, "prediction")} of ${
      counted(importance.documents, "document")
    }; those that are named are the largest of ${integer(off.length)}, so that some of their rise is luck.`,
    wrong: "as large a rise without random directions of the same size in their place, or none on other text.",
  };
}

/** Whether what fires strongly is what matters. */
export function rankingsFinding({ importance }: KnownLayer): Finding | null {
  const agreement = importance?.agreement.find(({ set }) => set === "random");
  const pair = agreement?.pairs.find(({ a, b }) => a === "mass" && b === "kl");
  if (importance === undefined || agreement === undefined || pair === undefined) return null;
  const [low] = pair.ci95;
  if (!Number.isFinite(pair.spearman + low)) return null;
  const isAgreed = low > agreement.chance;
  return {
    question: "rankings",
    said: `${
      isAgreed
        ? "**Rankings: what fires strongly moves predictions.**"
        : "**Rankings: what fires strongly need not move predictions.**"
    } Over ${
      counted(agreement.features, "feature")
    } drawn at random the rank correlation of a feature's activation mass with how far predictions move without it (KL) is ${
      bracketed(pair.spearman, pair.ci95, (value) => decimal(value, 2))
    }.`,
    chance: `unrelated ranks stay within ±${decimal(agreement.chance, 2)} in 95 of 100.`,
    doubt:
      `intervals resample ${importance.resampled}; on as much other text the KL ranks would agree with themselves to ${
        decimal(agreement.reliability.kl, 2)
      }.`,
    wrong: "a feature that is all but silent and whose loss is among the largest, on much more text.",
  };
}

/** Whether features write what they read. */
export function writingFinding({ attribution }: KnownLayer): Finding | null {
  if (attribution === undefined) return null;
  const cosines = attribution.features.map(({ cosine }) => cosine).filter((cosine) => cosine !== null),
    all = cosines.length;
  if (all === 0) return null;
  const limit = attribution.cosine_chance;
  const along = cosines.filter((one) => one > limit).length / all,
    against = cosines.filter((one) => one < -limit).length / all;
  const chance = 0.025 + shareError(0.025, all), { mean } = moments(cosines);
  const lead = along > 0.5
    ? "**Writing: mostly along what is read.**"
    : against > 0.5
    ? "**Writing: mostly against what is read.**"
    : along > chance && against > chance
    ? "**Writing: some along, some against what is read.**"
    : along > chance
    ? "**Writing: some along what is read.**"
    : against > chance
    ? "**Writing: some against what is read.**"
    : "**Writing: unrelated to what is read.**";
  return {
    question: "writing",
    said:
      `${lead} The decoder of ${percent(along, 0)} of ${counted(all, "feature")} points along its encoder, that of ${
        percent(against, 0)
      } against it, beyond what unrelated directions do; the mean cosine is ${
        decimal(mean, 2)
      }. Along amplifies what is there, against takes it away, the rest puts ` +
      "something else in its place.",
    chance: `unrelated directions stay within ±${decimal(limit, 2)} in 95 of 100; 2.5 % would lie on either side.`,
    doubt: `directions of a residual stream with a few large dimensions are not unrelated to begin with.`,
    wrong: "as large cosines between the encoders and decoders of different features.",
  };
}
