/**
 * How the features of a layer stand to each other and to those of other layers.
 * @module
 */

import { SAME_FEATURE } from "../../core/analysis/matching.ts";
import { counted, decimal, integer, list, percent } from "../format.ts";
import { plain } from "../markdown/markdown.ts";
import { tokenCode } from "../tokens.ts";
import { type Finding, groupVerdict, type KnownLayer } from "./finding.ts";

/** Clusters that are named. */
const NAMED = 3;

/** Whether other layers have the same features. */
export function othersFinding({ recorded: { layer: { others } }, name }: KnownLayer): Finding | null {
  const [nearest] = others;
  if (nearest === undefined || nearest.judged === 0) return null;
  const same = nearest.same / nearest.judged, unique = nearest.unique / nearest.judged;
  const lead = same > 0.5
    ? `**Other layers: mostly found again in ${nearest.name}.**`
    : unique > 0.5
    ? `**Other layers: mostly lacking in ${nearest.name}.**`
    : `**Other layers: related to ${nearest.name}, and not the same.**`;
  return {
    question: "others",
    said: `${lead} On the same tokens ${integer(nearest.same)} of ${
      counted(nearest.judged, "feature")
    } of ${name.phrase} (${
      percent(same)
    }) fire as one of ${nearest.name} does, with a correlation above ${SAME_FEATURE}; ${integer(nearest.unique)} (${
      percent(unique)
    }) have no match there beyond chance${
      others.length > 1
        ? `; of ${
          list(others.slice(1).map(({ name, same, judged }) => `${name} ${percent(same / judged)} are found again`))
        }`
        : ""
    }.`,
    chance: "shuffled contexts, in which 1 % of the features would seem to have a match, and none above 0.7.",
    doubt: "what is not found may be split, merged or carried by several features there, which no single match shows.",
    wrong: same > 0.5
      ? "as many found again where tokens are laid beside other tokens of the same ids: then both read the token alone."
      : "as few features found again between two seeds of one layer: then dictionaries differ, not layers. `mtc analyze compare` of two seeds tells.",
  };
}

/** Whether the nested groups make a hierarchy. */
export function groupsFinding(known: KnownLayer): Finding | null {
  const found = groupVerdict(known), { flat } = known.recorded;
  if (found === null) return null;
  const { hierarchy: { nested, by_density, same_by_density }, verdict: { beyond_chance, beyond_density } } = found;
  const lead = beyond_chance === "no" ? "**Groups: no hierarchy.**" : {
    yes: "**Groups: a hierarchy beyond what frequency gives.**",
    no: "**Groups: a hierarchy that frequency gives as well.**",
    less: "**Groups: a worse hierarchy than frequency gives.**",
  }[beyond_density];
  return {
    question: "groups",
    said: `${lead} ${percent(nested.share, 0)} of ${
      counted(nested.judged, "feature")
    } of later groups have a parent in an earlier one, which is likelier by ${
      decimal(nested.mean_excess, 3)
    } where the child fires than anywhere; with the same features grouped by how often they fire that is ${
      decimal(by_density.mean_excess, 3)
    } (${percent(same_by_density, 0)} are in the same group either way)${
      flat
        ? `; in ${plain(flat.run)}, trained without nesting, by frequency, ${decimal(flat.parents.mean_excess, 3)}`
        : ""
    }.`,
    chance:
      "shuffled contexts, in which 1 % would have a parent; and the order of frequency, which contains rare features in frequent ones in any dictionary.",
    doubt: `± ${decimal(1.96 * nested.mean_excess_error, 3)} and ± ${
      decimal(1.96 * by_density.mean_excess_error, 3)
    } over features of one training.`,
    wrong: flat
      ? "another answer with other seeds of both, or with groups of other sizes."
      : beyond_chance === "yes" && beyond_density === "yes"
      ? "as much of it, by frequency, in a transcoder trained without nesting: `mtc analyze hierarchy --against` tells."
      : "more than frequency gives in another seed or with groups of other sizes, or a transcoder trained without nesting that has less of it by frequency: `mtc analyze hierarchy --against` tells.",
  };
}

/** Whether features fire in clusters. */
export function companyFinding({ recorded: { patterns: { clusters: found }, tokens } }: KnownLayer): Finding | null {
  const { clustered, silhouette, silhouette_by_chance, silhouette_error, clusters } = found;
  if (!Number.isFinite(silhouette + silhouette_by_chance)) return null;
  const isClustered = silhouette - silhouette_by_chance > 1.96 * silhouette_error;
  const told = clusters.slice(0, NAMED).map(({ features, tokens: known }) =>
    `${counted(features.length, "feature")} on ${
      list(known.map(({ id, share }) => `${tokenCode(tokens.tokenTexts.get(id)!)} ${percent(share, 0)}`))
    }`
  );
  return {
    question: "company",
    said: `${
      isClustered ? "**Company: features fire in clusters.**" : "**Company: no clusters beyond chance.**"
    } The mean silhouette of ${counted(clustered, "feature")} at their best cut is ${
      decimal(silhouette, 3)
    }, where 1 is far from all other clusters and 0 as near to another one, and ${
      decimal(silhouette_by_chance, 3)
    } with the contexts of each shuffled${told.length > 0 ? `; the largest: ${told.join("; ")}` : ""}.`,
    chance: "each feature's contexts shuffled by themselves, at the cut that is best for them.",
    doubt: `the difference is known to ± ${
      decimal(1.96 * silhouette_error, 3)
    }; clusters of a tree differ with the measure of likeness.`,
    wrong: isClustered
      ? "other clusters on another half of the text."
      : "clusters beyond chance by another measure of likeness, or on more text.",
  };
}
