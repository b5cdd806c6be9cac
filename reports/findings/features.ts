/**
 * What single features of a layer do: stand for more than tokens, keep to subjects, move predictions, write what they read.
 * @module
 */

import { EXAMPLES } from "../../core/analysis/coherence.ts";
import { median } from "../../core/analysis/statistics.ts";
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
    wrong: isSome
      ? "examples that a reader cannot tell from others with the same tokens, or states that are alike for the token before, their place or their document alone."
      : "more features than chance gives above that limit at more examples of each, or in the states of another layer.",
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
    said: `${
      isKept
        ? "**Subjects: most features fire unevenly over documents.**"
        : "**Subjects: features fire over documents as chance has it.**"
    } ${percent(share, 0)} of ${counted(told.length, "feature")} fire less evenly over ${
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
    wrong: isKept
      ? "the same difference for features that fire on function words alone."
      : "more than half in text whose documents are of more different subjects, or longer.",
  };
}

/** Whether the model's predictions miss single features. */
export function predictionsFinding({ importance, named }: KnownLayer): Finding | null {
  if (importance === undefined) return null;
  const off = switchedOff(importance), by = 0.025;
  if (off.some(({ effect }) => effect.ce_rise_ci95.some(Number.isNaN))) return null;
  const [random, top] = (["random", "top"] as const).map((set) => {
    const of = off.filter(({ effect }) => effect.sets.includes(set)), limit = by + shareError(by, of.length);
    const worse = of.filter(({ effect }) => effect.ce_rise_ci95[0] > 0).length / of.length;
    return { features: of.length, worse, limit, isMissed: worse > limit };
  });
  if (random.features === 0) return null;
  const isMissed = random.isMissed || top.isMissed;
  const thousandths = (value: number) => significant(1000 * value, 2);
  const most = off.slice(0, NAMED).map(({ feature, effect: { ce_rise, ce_rise_ci95 } }) =>
    `feature ${feature} (${named(feature)}; ${bracketed(ce_rise, ce_rise_ci95, thousandths)})`
  );
  return {
    question: "predictions",
    said: `${
      random.isMissed
        ? "**Predictions: they miss single features.**"
        : top.isMissed
        ? "**Predictions: they miss some features that the reconstruction needs most.**"
        : "**Predictions: they miss no single feature for certain.**"
    } Of ${
      integer(random.features)
    } features drawn at random, each switched off alone, the next token's loss rises without ${
      percent(random.worse, 0)
    } so far that its whole interval lies above 0${
      top.features > 0
        ? `; of the ${integer(top.features)} that the reconstruction needs most, without ${percent(top.worse, 0)}`
        : ""
    }. Most is lost, in 10⁻³ nats of ${decimal(importance.clean_ce, 2)}, without ${list(most)}.`,
    chance: `2.5 % of the intervals would lie above 0 if nothing changed, up to ${
      percent(random.limit, 0)
    } in 95 of 100 draws.`,
    doubt: `${counted(importance.predictions, "prediction")} of ${
      counted(importance.documents, "document")
    }; those that are named are the largest of ${integer(off.length)}, so that some of their rise is luck.`,
    wrong: isMissed
      ? "as large a rise without random directions of the same size in their place, or none on other text."
      : "more intervals above 0 than chance gives once there are more predictions, which make them narrower.",
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
    wrong: isAgreed
      ? "no such correlation over other features or other text, or among features that fire as often."
      : "a correlation whose interval lies beyond unrelated ranks, over more features or more text.",
  };
}

/** Cosines of what features read and what they write. */
interface Alignment {
  /** Features that have one. */
  readonly features: number;
  /** Their middle. */
  readonly median: number;
  /** Share of them beyond chance, on either side. */
  readonly along: number;
  readonly against: number;
  /** What chance is, and how far 95 of 100 go by it. */
  readonly chance: string;
  readonly limit: number;
}

/**
 * How features write along what they read, held against encoders and decoders of different features where both are in raw units: those of a layer
 * are alike to begin with. Behind a norm, whose gain belongs to what is read, or without weights, against unrelated directions.
 */
function alignmentOf({ attribution, recorded: { dictionary } }: KnownLayer): Alignment | null {
  const [whole] = typeof dictionary === "string" ? [] : dictionary.weights.groups;
  if (whole && whole.alignment && whole.alignment_by_chance !== null && !attribution?.is_norm_fixed) {
    const { features, alignment: { median }, alignment_by_chance: deviation } = whole;
    return {
      ...{ features, median, along: whole.along!, against: whole.against!, limit: 1.96 * deviation },
      chance: "encoders and decoders of different features",
    };
  }
  const cosines = (attribution?.features ?? []).map(({ cosine }) => cosine).filter((cosine) => cosine !== null);
  if (attribution === undefined || cosines.length === 0) return null;
  const limit = attribution.cosine_chance, features = cosines.length;
  return {
    ...{ features, limit, median: median(cosines), chance: "unrelated directions" },
    along: cosines.filter((one) => one > limit).length / features,
    against: cosines.filter((one) => one < -limit).length / features,
  };
}

/** Whether features write what they read. */
export function writingFinding(known: KnownLayer): Finding | null {
  const found = alignmentOf(known);
  if (found === null || known.recorded.layer.features.length === 0) return null;
  const { features, along, against, limit } = found, chance = 0.025 + shareError(0.025, features);
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
      `${lead} The decoder of ${percent(along, 0)} of ${
        counted(features, "feature")
      } points along its encoder, that of ${
        percent(against, 0)
      } against it, further than those of chance; the median cosine is ${
        decimal(found.median, 2)
      }. Along amplifies what is there, against takes it away, the rest puts ` +
      "something else in its place.",
    chance: `${found.chance} stay within ±${decimal(limit, 2)} in 95 of 100; 2.5 % would lie on either side.`,
    doubt:
      "directions alone, and beyond chance may still be little; what a feature writes may be undone or carried further by what comes behind it.",
    wrong: Math.max(along, against) > chance
      ? "as large cosines between the encoders and decoders of different features that fire together."
      : "more on either side than chance gives among features that fire often.",
  };
}
