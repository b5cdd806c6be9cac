/**
 * What is found of a layer: twelve questions, each answered by its rule or by none.
 * @module
 */

import { attentionFinding, depthFinding, kindFinding, sourcesFinding } from "./composition.ts";
import { companyFinding, groupsFinding, othersFinding } from "./dictionary.ts";
import { meaningFinding, predictionsFinding, rankingsFinding, topicsFinding, writingFinding } from "./features.ts";
import type { Finding, KnownLayer, Question } from "./finding.ts";

/** The most findings of a page. */
export const MOST_FINDINGS = 10;

/** The rules, in the order in which they are read, and what each asks. */
const RULES: Readonly<Record<Question, readonly [asks: string, rule: (known: KnownLayer) => Finding | null]>> = {
  kind: ["whether tokens or context make its features", kindFinding],
  sources: ["what in the model lifts them", sourcesFinding],
  attention: ["whether more comes from attention where tokens tell less", attentionFinding],
  depth: ["whether they hang on context more than those of another layer", depthFinding],
  meaning: ["whether they stand for more than tokens", meaningFinding],
  others: ["whether another layer has them too", othersFinding],
  groups: ["whether the nested groups make a hierarchy", groupsFinding],
  predictions: ["whether predictions miss single features", predictionsFinding],
  writing: ["whether features write what they read", writingFinding],
  topics: ["whether features fire unevenly over documents", topicsFinding],
  company: ["whether features fire in clusters", companyFinding],
  rankings: ["whether what fires strongly moves predictions", rankingsFinding],
};

/** The answers to all questions. */
export interface Answers {
  /** Those that are told, in the order of the questions. */
  readonly told: readonly Finding[];
  /** What was asked and answered, and is not told for want of room. */
  readonly untold: string[];
  /** What could not be answered. */
  readonly unanswered: string[];
}

/**
 * Asks all questions of a layer.
 *
 * @param known What is known of it.
 * @returns What each asks, and the answer; null where there is none.
 */
export function askedOf(known: KnownLayer): { asks: string; finding: Finding | null }[] {
  return Object.values(RULES).map(([asks, rule]) => ({ asks, finding: rule(known) }));
}

/**
 * Chooses what a page tells.
 *
 * @param known What is known of a layer.
 * @returns The answers.
 */
export function answersOf(known: KnownLayer): Answers {
  const asked = askedOf(known), found = asked.filter(({ finding }) => finding !== null);
  return {
    told: found.slice(0, MOST_FINDINGS).map(({ finding }) => finding!),
    untold: found.slice(MOST_FINDINGS).map(({ asks }) => asks),
    unanswered: asked.filter(({ finding }) => finding === null).map(({ asks }) => asks),
  };
}
