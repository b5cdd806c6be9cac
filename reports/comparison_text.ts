/**
 * What `mtc analyze compare` prints of two transcoders.
 * @module
 */

import type { ToldComparison } from "./compared.ts";
import { comparisonFindings, earlierFirst } from "./comparison_findings.ts";
import {
  type BothNames,
  contextLines,
  evolutionTable,
  linkTable,
  matchGroupTable,
  matchTable,
  pairTable,
  reconstructionTable,
  traitTable,
  uniqueTable,
} from "./comparison_tables.ts";
import { decimal, integer } from "./format.ts";

/** Pairs and links in tables, those of them with contexts, and features of each group without match. */
const SHOWN = 10, WITH_CONTEXTS = 5, UNIQUE_SHOWN = 3;

const NAMES: BothNames = ["A", "B"];

/** All that is printed of two transcoders. */
export function comparisonText(told: ToldComparison): string {
  const { sides: [a, b], matching, examples, evolution } = told, findings = comparisonFindings(told, NAMES);
  const sentences = (texts: readonly string[]) => texts.join(" ").replaceAll("**", "");
  const contexts = examples.pairs.slice(0, WITH_CONTEXTS);
  return [
    `A is ${a.run}, B is ${b.run}; ${integer(matching.tokens)} tokens of the reading set.`,
    reconstructionTable(told, NAMES),
    sentences(findings.reconstruction),
    matchTable(told, NAMES),
    matchGroupTable(told, NAMES),
    sentences(findings.matching),
    ...contexts.length > 0
      ? [
        "Pairs that are each other's best, and where the features of the first are strongest:",
        pairTable(told, NAMES, SHOWN),
        contextLines(contexts.map(({ a, b, correlation }) => [decimal(correlation, 3), [a, b]] as const)).join("\n"),
      ]
      : [],
    ...examples.unique.flat(2).length > 0
      ? ["Features that the other lacks, those that fire most:", uniqueTable(told, NAMES, UNIQUE_SHOWN)]
      : [],
    ...typeof evolution === "string" ? [] : [evolutionTable(evolution)],
    sentences(findings.evolution),
    ...typeof evolution !== "string" && examples.links.length > 0
      ? ["The strongest links:", linkTable(told, earlierFirst(evolution, NAMES), SHOWN)]
      : [],
    traitTable(told, NAMES),
    sentences(findings.traits),
    COMPARISON_NOTES.join(" "),
  ].filter((text) => text !== "").join("\n\n");
}

/** How the figures are defined. */
export const COMPARISON_NOTES: readonly string[] = [
  "FVU is of each one's own target, on the tokens that both were recorded on. At equal L0: the one with more active features keeps its largest " +
  "activations alone, as many over all tokens as the other one has, and what it then leaves unexplained is measured anew.",
  "Match: the feature of the other with the largest correlation of activations over all tokens. By chance: the same once the contexts of the other " +
  "are shuffled; a match must be above its 99th percentile. Judged are features that fire on 10 tokens or more.",
  "Response: the change of a later feature's pre-activation by what an earlier one writes into the residual stream, its gain included where the " +
  "later one reads through a norm, over the root mean square of the same for 1,024 random directions of that length with the second moment of " +
  "all that the earlier transcoder writes. Share: what the earlier feature's mean activation brings of the later one's; not told behind a norm, which " +
  "divides by the length of each token.",
  "Features, were they equally active: exp of the entropy of the features' shares in all activation, its interval over documents. Entropies and " +
  "shares of tokens and documents are medians over judged features, their intervals over features; by chance they are of as many tokens in shuffled " +
  "contexts.",
];
