/**
 * What follows from the comparison of two transcoders that were recorded on the same tokens, each finding with what it rests on. sentences.md has what
 * would make it false.
 * @module
 */

import { type MatchedSide, SAME_FEATURE } from "../core/analysis/matching.ts";
import type { Trait } from "../core/analysis/portrait.ts";
import type { NoEvolution, ToldComparison, ToldEvolution } from "./compared.ts";
import { type BothNames, shareAbove } from "./comparison_tables.ts";
import { capital, counted, decimal, integer, interval, percent, significant } from "./format.ts";

/** What is said of two transcoders, in the order of a report. */
export interface ComparisonFindings {
  /** Of their reconstructions. */
  readonly reconstruction: string[];
  /** Of features found again. */
  readonly matching: string[];
  /** Of how features go on. */
  readonly evolution: string[];
  /** Of each as a whole. */
  readonly traits: string[];
}

/**
 * What is to be said.
 *
 * @param told The comparison.
 * @param names What both are called within a sentence.
 * @returns Sentences with their leads in bold; counts that nothing is concluded from have none.
 */
export function comparisonFindings(told: ToldComparison, names: BothNames): ComparisonFindings {
  return {
    reconstruction: reconstructionFindings(told, names),
    matching: matchingFindings(told, names),
    evolution: evolutionFindings(told.evolution, names),
    traits: traitFindings(told, names),
  };
}

function reconstructionFindings(told: ToldComparison, [a, b]: BothNames): string[] {
  const { reconstructions, at_equal_l0, same_target, sides } = told;
  const own = same_target ? "" : " Each FVU is of its own target, so this says as much of the targets.";
  if (at_equal_l0 === null) {
    const { a: first, b: second, difference, difference_ci95: [low, high] } = reconstructions;
    const command = `\`mtc analyze compare ${sides[0].run} ${sides[1].run} --equal-l0\``;
    const isFirstSparser = first.l0 < second.l0;
    if (Math.min(first.l0, second.l0) === 0) {
      return [
        `${isFirstSparser ? a : b} has no active feature on these tokens, so that there is no L0 at which to compare.`,
      ];
    }
    if (isFirstSparser ? low > 0 : high < 0) {
      const [sparser, denser] = isFirstSparser ? [a, b] : [b, a];
      return [
        `**With fewer active features, less is left unexplained by ${sparser}:** FVU ${
          decimal(first.fvus.at(-1)!, 3)
        } against ${decimal(second.fvus.at(-1)!, 3)} at L0 ${decimal(first.l0, 1)} and ${
          decimal(second.l0, 1)
        }; difference ${decimal(difference, 3)} (95 % CI ${
          interval([low, high], 3)
        }). With its threshold raised to as few, ${denser} would leave more yet.${own} ${command} measures how much.`,
      ];
    }
    return [
      `**Not yet at equal L0:** ${a} has ${decimal(first.l0, 1)} active features per token, ${b} ${
        decimal(second.l0, 1)
      }. ` +
      `More of them leave less unexplained, so that FVU ${decimal(first.fvus.at(-1)!, 3)} against ${
        decimal(second.fvus.at(-1)!, 3)
      } is no verdict.${own} ${command} measures the denser one with its threshold raised.`,
    ];
  }
  const equal = at_equal_l0 === "equal" ? reconstructions : at_equal_l0;
  const { difference, difference_ci95: [low, high], resampled } = equal, [left, right] = [equal.a, equal.b];
  const figures = `FVU ${decimal(left.fvus.at(-1)!, 4)} against ${decimal(right.fvus.at(-1)!, 4)} at L0 ${
    decimal(left.l0, 1)
  } and ${decimal(right.l0, 1)}${
    at_equal_l0 === "equal"
      ? ""
      : `, the threshold of ${at_equal_l0.raised === "a" ? a : b} raised to ${significant(at_equal_l0.threshold)}`
  }; difference ${decimal(difference, 4)} (95 % CI ${interval([low, high], 4)}, ${resampled} resampled for both alike)`;
  const better = high < 0 ? [b, a] : low > 0 ? [a, b] : null;
  return [
    better
      ? `**At equal L0, less is left unexplained by ${better[0]}:** ${figures}.${own}`
      : `**At equal L0, no clear difference:** ${figures}.${own}`,
  ];
}

/** Whether so many matches above the limit are more than chance gives: 1.96 standard errors. */
function isFoundAgain({ same, judged, histogram_by_chance }: MatchedSide): boolean {
  const chance = shareAbove(histogram_by_chance, SAME_FEATURE), share = same / judged;
  return share - chance > 1.96 * Math.sqrt((share * (1 - share) + chance * (1 - chance)) / judged);
}

function matchingFindings({ matching: { a, b, mutual, assigned } }: ToldComparison, [A, B]: BothNames): string[] {
  if (a.judged === 0 || b.judged === 0) return ["One of them has no feature that fires often enough to be judged."];
  const found = ({ same, judged }: MatchedSide) => `${percent(same / judged)}`;
  const shares =
    `${found(a)} of the judged features of ${A} have a match above ${SAME_FEATURE} in ${B}, ${
      found(b)
    } of ${B} in ${A}; ` +
    `of shuffled contexts ${percent(shareAbove(a.histogram_by_chance, SAME_FEATURE))} and ${
      percent(shareAbove(b.histogram_by_chance, SAME_FEATURE))
    }`;
  const typical = (side: MatchedSide) =>
    `${decimal(side.best.median, 3)}, where chance stays below ${decimal(side.chance_limit, 3)} in 99 of 100`;
  const isTypical = [a, b].every(({ best, chance_limit }) => best.median > chance_limit);
  return [
    [a, b].every(isFoundAgain)
      ? `**Features are found again:** ${shares}. That is the same firing, not the same meaning: whatever both read of one token alone is found again, too.`
      : `**Features are not found again beyond chance:** ${shares}.`,
    isTypical
      ? `**The typical feature has a counterpart:** the median best correlation is ${typical(a)}, for ${A}; ${
        typical(b)
      }, for ${B}.`
      : `**The typical feature has no counterpart:** the median best correlation is ${typical(a)}, for ${A}; ${
        typical(b)
      }, for ${B}.`,
    `${counted(mutual.length, "pair is", "pairs are")} each other's best. ` +
    (assigned.pairs === 0
      ? "No feature has a partner beyond chance."
      : `Paired one to one, ${integer(assigned.pairs)} of the ${
        integer(a.judged)
      } features of ${A} have a partner, with a mean correlation of ${decimal(assigned.mean_correlation, 3)}.`) +
    ` ${capital(ownShare(a, A))}; ${ownShare(b, B)}.${
      a.unique + b.unique > 0 ? " Of features that truly lack one there, 1 in 100 passes for matched." : ""
    }`,
  ];
}

function ownShare({ unique, judged }: MatchedSide, name: string): string {
  return unique === 0
    ? `every feature of ${name} has a match beyond chance`
    : `${integer(unique)} of the ${integer(judged)} features of ${name} ${
      unique === 1 ? "has" : "have"
    } no match beyond chance`;
}

/** Why the question cannot be asked. */
const NOT_ASKED: Readonly<Record<NoEvolution, string>> = {
  "not added":
    "what they predict is not added to the residual stream as it is, so that no feature of one goes on in the other on a direct path",
  "not read": "neither reads the residual stream, or its norm, behind what the other predicts",
  "not before":
    "neither predicts what the other's source is computed from: features can go on only where one transcoder's targets lie before " +
    "the other's source",
  "other model": "they belong to different models",
  "nothing fires": "one of them has no feature that fires often enough",
  "left out": "the later one reads behind a norm, whose gain is in the model, and the model was not at hand",
};

function evolutionFindings(told: ToldComparison["evolution"], names: BothNames): string[] {
  if (typeof told === "string") return [`How features go on is not told: ${NOT_ASKED[told]}.`];
  const [from, to] = earlierFirst(told, names), { figures, verdict } = told;
  const { judged, driving, inhibiting, chance_limit, by_chance, links, matched_links, matched } = figures;
  const drive = `${
    percent(driving / judged)
  } of the features of ${from} drive one of ${to}, through the residual stream alone, more than ${
    decimal(chance_limit, 1)
  } times as strongly as random directions of the same length typically do; one in a hundred of those directions does`;
  const answer = `of ${
    counted(matched.pairs, "pair", "pairs")
  } that fire most alike the later feature answers the earlier one with ${decimal(matched.mean, 2)} on average, ${
    decimal(matched.dealt, 2)
  } with partners dealt out anew (standard error of the difference ${decimal(matched.error, 2)})`;
  const strongest = verdict.driving === "yes" && links.length > 0
    ? ` The strongest response is ${decimal(links[0].response, 1)}, that of ${
      integer(by_chance.count)
    } random directions ${decimal(by_chance.max, 1)}. ${
      capital(counted(matched_links, "link joins", "links join"))
    } features that are also each other's best match.`
    : "";
  return [
    verdict.driving === "yes"
      ? `**Single features drive single later ones:** ${drive}, and ${
        percent(inhibiting / judged)
      } inhibit one as strongly.${strongest} Attention and MLPs in between may add to ` +
        "this or undo it; what is left of it shows when the earlier feature is switched off."
      : `**Single features drive no single later one beyond chance:** ${drive}, and this is too near to that to tell. That is the strongest response of each alone; many weak ones together it does not see.`,
    ...verdict.matched === null ? [] : [
      verdict.matched === "yes"
        ? `**Features that match answer each other:** ${answer}.`
        : `**Features that match do not answer each other:** ${answer}; that they fire alike comes from elsewhere.`,
    ],
  ];
}

/** The names of the earlier transcoder and the later one. */
export function earlierFirst({ from }: Pick<ToldEvolution, "from">, [a, b]: BothNames): BothNames {
  return from === "a" ? [a, b] : [b, a];
}

function traitFindings({ portraits, hierarchy }: ToldComparison, [a, b]: BothNames): string[] {
  const compared = (
    lead: string,
    { ci95: [low, high], ...trait }: Trait,
    words: readonly [more: string, less: string, alike: string],
    written: (value: number) => string,
    remark = "",
  ) =>
    Number.isFinite(low + high)
      ? [
        `${lead} ${low > 0 ? words[0] : high < 0 ? words[1] : words[2]}: ${written(trait.b)} against ${
          written(trait.a)
        } in ${a} (95 % CI of the difference ${written(low)} to ${written(high)}).${remark}`,
      ]
      : [];
  const bits = (value: number) => `${decimal(value, 2)} bits`,
    { effective_features, token_bits, document_bits } = portraits;
  return [
    ...compared(
      "**Diversity:** activation is shared by",
      effective_features,
      [`more features in ${b}`, `fewer features in ${b}`, `about as many features in ${b}`],
      (value) => decimal(value, 1),
    ),
    ...compared(
      "**Bound to tokens:**",
      token_bits,
      [`features of ${b} are more so`, `features of ${b} are less so`, `features of ${b} are about as much so`],
      bits,
      " By so much the entropy of a feature's tokens lies below that of as many random ones: it fires on few different tokens. Whether it fires " +
        "wherever these stand, so that the token tells it, is another question, which the pages on what each does answer.",
    ),
    ...compared(
      "**Bound to documents:**",
      document_bits,
      [`features of ${b} are more so`, `features of ${b} are less so`, `features of ${b} are about as much so`],
      (value) => `${decimal(value, 3)} bits`,
      " By so much the entropy of its documents lies below that in shuffled contexts.",
    ),
    ...hierarchy === null ? [] : compared(
      "**Parents in earlier groups:**",
      hierarchy.with_parent,
      [`more features have one in ${b}`, `fewer features have one in ${b}`, `about as many features have one in ${b}`],
      (value) => percent(value),
      " By chance 1 % have; frequency alone gives many features a parent, which `mtc analyze hierarchy` tells apart.",
    ),
  ];
}
