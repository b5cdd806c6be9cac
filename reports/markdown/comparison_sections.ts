/**
 * What the records of two transcoders add to their comparison, section by section.
 * @module
 */
import type { ReportedPair, ToldComparison } from "../compared.ts";
import { comparisonFindings, earlierFirst } from "../comparison_findings.ts";
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
} from "../comparison_tables.ts";
import { COMPARISON_NOTES } from "../comparison_text.ts";
import { pairFiles } from "../file_names.ts";
import { capital, decimal, integer } from "../format.ts";
import { contextBlock } from "../tokens.ts";
import { bullets } from "./markdown.ts";

/** Pairs and links in tables, those with contexts, and features of each group without match. */
const SHOWN = 15, WITH_CONTEXTS = 8, UNIQUE_SHOWN = 3;

/** What both are called within a sentence, and at the head of a column. */
function namesOf({ a, b }: ReportedPair): { phrases: BothNames; titles: BothNames } {
  return { phrases: [a.name.phrase, b.name.phrase], titles: [a.name.title, b.name.title] };
}

/** What is found of them on the tokens that both were recorded on, as bullets; nothing without records. */
export function recordedFindings(comparison: ReportedPair): string[] {
  const { told } = comparison;
  if (told === undefined) return [];
  const { reconstruction, matching, evolution, traits } = comparisonFindings(told, namesOf(comparison).phrases);
  return [...reconstruction, ...matching, ...evolution, ...traits].map(capital);
}

/** The sections: paragraphs, tables and figures with their headings. */
export function recordedSections(comparison: ReportedPair): string[] {
  const { told, why, a, b } = comparison;
  if (told === undefined) {
    return [
      "## Features Found Again",
      `Whether features of one are found again in the other, and how they go on, is not told${
        why === undefined ? "" : `: ${why}`
      }. \`mtc analyze compare ${a.path} ${b.path}\` does it.`,
    ];
  }
  const { titles } = namesOf(comparison);
  return [
    ...reconstructionSection(told, titles),
    ...matchingSection(comparison, told, titles),
    ...evolutionSection(told, titles),
    "## Each as a Whole",
    traitTable(told, titles),
    "## How Far This Goes",
    bullets([
      "All of it is of one pair of trainings. How far another seed alone moves each figure is seen where one is compared with its own twin: " +
      `\`mtc train --seed\`, then \`mtc analyze compare\` of the two; what differs here by less than there is no difference of ${
        titles[0]
      } and ${titles[1]}.`,
      "A match says that two features fire alike on this text. On another text they may part, and several features together may do what none does alone.",
      ...typeof told.evolution === "string" ? [] : [
        "A response is arithmetic on weights: it says what could be carried on the direct path, not that the model uses it. `mtc ablate` of the earlier " +
        "feature shows what its absence does to the predictions.",
      ],
    ]),
    "## How These Figures Are Defined",
    bullets([...COMPARISON_NOTES]),
  ];
}

function reconstructionSection(told: ToldComparison, titles: BothNames): string[] {
  return [
    "## On the Same Tokens",
    `The ${
      integer(told.matching.tokens)
    } tokens of the reading set that both were recorded on; most of them are of the text for training, for both alike.`,
    reconstructionTable(told, titles),
  ];
}

function matchingSection(comparison: ReportedPair, told: ToldComparison, titles: BothNames): string[] {
  const { matching, examples } = told, { matching: plot } = pairFiles(comparison.a.name, comparison.b.name);
  const shown = examples.pairs.slice(0, WITH_CONTEXTS);
  return [
    "## Features Found Again",
    matchTable(told, titles),
    `![Best matches of either against chance, groups, and responses where features go on](${plot})`,
    matchGroupTable(told, titles),
    ...examples.pairs.length === 0 ? [] : [
      `${titles[0]} and ${titles[1]}: pairs that are each other's best, the first ${
        integer(Math.min(SHOWN, examples.pairs.length))
      } of ${integer(matching.mutual.length)}, and where their features are strongest.`,
      pairTable(told, titles, SHOWN),
      contextBlock(contextLines(shown.map(({ a, b, correlation }) => [decimal(correlation, 3), [a, b]] as const))),
    ],
    ...examples.unique.flat(2).length === 0 ? [] : [
      "Features that the other lacks, those of each group that fire most. That none fires like them says nothing of whether several together do.",
      uniqueTable(told, titles, UNIQUE_SHOWN),
    ],
  ];
}

function evolutionSection(told: ToldComparison, titles: BothNames): string[] {
  const { evolution, examples: { links } } = told;
  if (typeof evolution === "string") return [];
  const names = earlierFirst(evolution, titles), shown = links.slice(0, WITH_CONTEXTS);
  return [
    `## From ${names[0]} to ${names[1]}`,
    "What features of the earlier transcoder write into the residual stream, and how strongly features of the later one answer to it on the direct " +
    "path. Attention and MLPs in between are left out.",
    evolutionTable(evolution),
    ...links.length === 0 ? [] : [
      "The strongest links:",
      linkTable(told, names, SHOWN),
      contextBlock(contextLines(shown.map(({ from, to, response }) => [decimal(response, 1), [from, to]] as const))),
    ],
  ];
}
