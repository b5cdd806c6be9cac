/**
 * Every sentence of the reports that judges, with a run where it is said and one where it is false and not said. Held against
 * reports/sentences.md and against the sources, so that none is missing in either.
 */

import assert from "node:assert/strict";
import { hierarchyVerdict } from "../../core/analysis/hierarchy.ts";
import type { ParentFigures } from "../../core/analysis/parents.ts";
import type { Summary } from "../../core/analysis/statistics.ts";
import { comparePair, type TrainedAnalysis, type TranscoderAnalysis } from "../../core/runs/analysed.ts";
import type { RecordedFiring, TalliedCosines } from "../../core/runs/recorded.ts";
import { type Sweep, sweepsOf } from "../../core/runs/sweeps.ts";
import { verdict } from "../../reports/checks.ts";
import type { ToldComparison } from "../../reports/compared.ts";
import { askedOf } from "../../reports/findings/findings.ts";
import { hierarchyAnswers, verdictSentences } from "../../reports/hierarchy_table.ts";
import { comparisonReport } from "../../reports/markdown/comparison_report.ts";
import { insights } from "../../reports/markdown/insights.ts";
import { recommendations } from "../../reports/markdown/recommendations.ts";
import { growthSentences, stabilitySentence } from "../../reports/markdown/sweep_report.ts";
import { clusterSentence, graphSentence } from "../../reports/patterns_table.ts";
import { mapSentences, similaritySentences, writtenSentence } from "../../reports/similarity_table.ts";
import { weightSentences } from "../../reports/weights_table.ts";
import { caveats } from "../../reports/reconstructions.ts";
import { madeUpLayer } from "./known_layer.ts";
import { equalL0, evolutionWith, toldComparison } from "./told_comparison.ts";
import { syntheticAnalysis, type SyntheticRun } from "./synthetic_run.ts";

const small = { groups: [32, 64, 32], dIn: 16, dOut: 16 };
const analysis = (changes: Partial<SyntheticRun> = {}) => syntheticAnalysis({ ...small, ...changes });

const good = await analysis();
const imported = {
  ...{ tool: "gemma-scope", from: "params.npz", fingerprint: "0", activation: "jump-relu", remarks: [] } as const,
  ...{ source_hook: null, target_hook: null, trained_on: null, unfolded_gain: false, lost_columns: 0 },
};
const runs = {
  good,
  poor: await analysis({ fvu: 0.4 }),
  useless: await analysis({ fvu: 0.75 }),
  imported: { ...good, config: { ...good.config, imported }, metrics: [], course: null },
  sparse: await analysis({ l0: 30 }),
  dead: await analysis({ fvu: 0.4, deadShare: 0.3 }),
  someDead: await analysis({ deadShare: 0.02 }),
  silent: await analysis({ deadShare: 1 }),
  stopped: await analysis({ stoppedAt: 400 }),
  diverged: await analysis({ divergesAt: 300 }),
  rising: await analysis({ lateSlope: 0.01 }),
  risen: await analysis({ lateSlope: 0.004 }),
  worsening: { ...good, course: { ...good.course, lastFifthChange: 0.06 } },
  learning: await analysis({ gain: 0.15 }),
  learningPoor: await analysis({ fvu: 0.4, gain: 0.15 }),
  short: await analysis({ steps: 40 }),
  shortPoor: await analysis({ steps: 40, fvu: 0.4 }),
  jumping: await analysis({ spikes: [300, 400, 500] }),
  worse: evaluated({ fvu: 1.2, fvu_ci95: [1.1, 1.3] }),
  linear: evaluated({ linear_map: { ...good.evaluation.linear_map!, fvu: 0.17 } }),
  decided: evaluated({ target_variance: { ...good.evaluation.target_variance!, top_1: 0.5 } }),
  unfitted: evaluated({ linear_map: { ...good.evaluation.linear_map!, tokens: 100 } }),
  unsure: evaluated({ fvu: 0.3, fvu_ci95: [0.29, 0.31] }),
  overfit: evaluated({ fvu: 0.26, fvu_ci95: [0.25, 0.27] }),
  harmful: prefixed({ fvu: 0.406, ci95: [0.4, 0.412] }),
  skipping: evaluated({ skip_alone: { fvu: 0.5, ci95: [0.48, 0.52] } }),
  flat: prefixed({ fvu: 0.184, ci95: [0.178, 0.19] }),
  dense: featured((row) => ({ ...row, density: 0.6, fires: 60_000 })),
  thin: { ...good, statistics: { ...good.statistics, atSampleCap: 10 } },
  full: { ...good, statistics: { ...good.statistics, atSampleCap: 100 } },
  unjudged: featured((row) => ({ ...row, fires: 49 })),
  related: { ...good, statistics: { ...good.statistics, strengthAndFrequency: { correlation: -0.4, chance: 0.2 } } },
  lossless: withLoss({ share: 0.9, ends: [0.85, 1.02] }),
  partly: withLoss({ share: 0.9, ends: [0.85, 0.95] }),
  weak: withLoss({ share: 0.1, ends: [-0.02, 0.2] }),
  constant: withLoss({ share: 0.5, ends: [0.4, 0.6] }),
  harming: withLoss({ share: -0.2, ends: [-0.3, -0.1] }),
  harmless: withLoss({ share: 0.9, ends: [0.85, 0.95], zero: 2.9 }),
  unrelated: { ...good, statistics: { ...good.statistics, strengthAndFrequency: { correlation: 0.1, chance: 0.2 } } },
} satisfies Record<string, TranscoderAnalysis>;

/** The good run with the loss of its model: 3 nats, 4 with zeros in the target's place unless said otherwise, 3.5 with its mean. */
function withLoss(
  { share, ends, zero = 4 }: { share: number; ends: [number, number]; zero?: number },
): TrainedAnalysis {
  const figures = (ce: number) =>
    ({ ce, ce_ci95: [ce, ce], kl: 0, kl_ci95: [0, 0], top1: 1, top1_ci95: [1, 1] }) as const;
  // Of what the mean costs, half a nat.
  const beyondMean = (share: number) => 2 * share - 1;
  const spliced = {
    ...{ recovered_zero: share, recovered_zero_ci95: ends },
    ...{ recovered_mean: beyondMean(share), recovered_mean_ci95: ends.map(beyondMean) as [number, number] },
  };
  const loss = {
    ...{ tokens: 2046, contexts: 33, documents: 6, resampled: "documents", definitions: {} },
    ...{ clean: { ce: 3, ce_ci95: [3, 3] }, zero: figures(zero), mean: figures(3.5) },
    per_prefix: [32, 96, 128].map((prefix) => ({ prefix, ...figures(4 - share), ...spliced })),
  } as unknown as TranscoderAnalysis["evaluation"]["loss"];
  return evaluated({ loss });
}

function evaluated(changes: Partial<TranscoderAnalysis["evaluation"]>): TrainedAnalysis {
  return { ...good, evaluation: { ...good.evaluation, ...changes } };
}

/** The good run with another prefix of 96 features. */
function prefixed(changes: { fvu: number; ci95: [number, number] }): TrainedAnalysis {
  const { fvu_per_prefix: prefixes } = good.evaluation;
  return evaluated({ fvu_per_prefix: prefixes.map((prefix, i) => i === 1 ? { ...prefix, ...changes } : prefix) });
}

function featured(change: (row: TrainedAnalysis["features"][0]) => TranscoderAnalysis["features"][0]) {
  return { ...good, features: good.features.map(change) };
}

type Run = keyof typeof runs;

/** What a report on one run says; each sentence in a run where it is so and in one where it is not. */
const ofOne: [sentence: string, said: Run, silent: Run][] = [
  ["Good run.", "good", "learning"],
  ["Usable,", "learning", "poor"],
  ["Bad run.", "poor", "good"],
  ["Imported.", "imported", "good"],
  ["Reconstruction: none.", "diverged", "poor"],
  ["Reconstruction: worse than none.", "worse", "useless"],
  ["Reconstruction: within the goal.", "good", "unsure"],
  ["Reconstruction: at the goal.", "unsure", "poor"],
  ["Reconstruction: misses the goal.", "poor", "unsure"],
  ["Reconstruction: no better than a linear map.", "linear", "good"],
  ["Loss recovered: a part.", "partly", "lossless"],
  ["Loss recovered: all, as far as can be told.", "lossless", "partly"],
  ["Loss recovered: none for certain.", "weak", "constant"],
  ["Loss recovered: no more than a constant gives for certain.", "constant", "partly"],
  ["Loss recovered: worse than zeros.", "harming", "weak"],
  ["Loss recovered: nothing to recover.", "harmless", "partly"],
  ["One dimension decides:", "decided", "good"],
  ["The linear map was fitted on", "unfitted", "good"],
  ["Skip connection: alone it leaves", "skipping", "good"],
  ["Hierarchy: broken.", "harmful", "flat"],
  ["Hierarchy: the first 32 features are of no use alone.", "useless", "good"],
  ["Hierarchy: the first", "good", "harmful"],
  ["Sparsity: unknown.", "diverged", "sparse"],
  ["Sparsity: off.", "sparse", "good"],
  ["Sparsity: as asked.", "good", "sparse"],
  ["Sparsity: as measured.", "imported", "good"],
  ["Feature utilization: all", "good", "someDead"],
  ["Feature utilization:", "someDead", "good"],
  ["Activations: none.", "silent", "good"],
  ["Activation distribution:", "good", "silent"],
  ["Features that fire more often fire more", "related", "unrelated"],
  ["How strongly features fire on average shows no relation", "unrelated", "related"],
  ["Token selectivity:", "good", "unjudged"],
  ["Generalization: a gap.", "overfit", "good"],
  ["Generalization: no gap to be seen.", "good", "overfit"],
  ["Weights: broken.", "diverged", "good"],
  ["Encoder norms:", "good", "diverged"],
  ["Training: diverged.", "diverged", "rising"],
  ["Training: failed.", "rising", "risen"],
  ["Training: got worse again.", "risen", "good"],
  ["Training: getting worse at the end.", "worsening", "good"],
  ["Training: unfinished, still improving.", "learning", "good"],
  ["Training: levelled off.", "good", "learning"],
  ["Training: undecided.", "short", "good"],
  ["Throw this transcoder away", "diverged", "worse"],
  ["Finish the training.", "stopped", "good"],
  ["Train longer.", "learningPoor", "poor"],
  ["Look at the dead features first.", "dead", "poor"],
  ["Try more steps first.", "shortPoor", "poor"],
  ["Try more room.", "poor", "shortPoor"],
  ["Keep an eye on the", "someDead", "dead"],
  ["Fight dead features.", "dead", "someDead"],
  ["Mend the inference threshold.", "sparse", "good"],
  ["Lower the learning rate", "risen", "learning"],
  ["More steps would still help.", "learning", "good"],
  ["Look at the jumps of the loss", "jumping", "good"],
  ["Try more text or fewer passes.", "overfit", "good"],
  ["Begin with the first", "good", "poor"],
  ["A smaller dictionary may do.", "flat", "good"],
  ["Treat dense features with care.", "dense", "good"],
  ["Collect samples over more text.", "thin", "full"],
  ["Start reading here.", "good", "poor"],
];

Deno.test("a figure without an interval is judged by itself, and no interval is told", () => {
  const ends: [number, number] = [NaN, NaN];
  const [within, above] = [0.29, 0.31].map((fvu) => insights(evaluated({ fvu, fvu_ci95: ends }))[0].text);
  assert.match(within, /within the goal.*unexplained \(the best linear map leaves/);
  assert.match(above, /misses the goal.*unexplained \(the best linear map leaves/);
  const unmeasured = comparePair(good, evaluated({ fvu_ci95: ends }));
  assert.match(comparisonReport(unmeasured, new Date()), /no clear difference:.*; there are no intervals to tell by\./);
});

/** Said of any run. */
const always = ["Sample collection:"];

const other = await analysis({ layer: 4, fvu: 0.25, seed: 2 });
const old = {
  ...other,
  features: other.features.map((row) => ({ ...row, main_token_share: NaN, main_token_share_most: NaN })),
};

/** What a comparison says, beside the good run with a part of its loss recovered: with which, and where not. */
const ofTwo: [sentence: string, said: TrainedAnalysis, silent: TrainedAnalysis][] = [
  ["Reconstruction: cannot be compared", runs.diverged, other],
  ["Reconstruction: Layer 2 is reconstructed better than", other, good],
  ["Reconstruction: no clear difference", good, other],
  ["Loss recovered: Layer 2 recovers more than", runs.weak, runs.lossless],
  ["Loss recovered: no clear difference", runs.lossless, other],
  ["Frequency:", other, runs.silent],
  ["Strength:", other, runs.silent],
  ["Selectivity:", other, runs.silent],
  ["Token detectors:", other, old],
  ["The runs differ in model or text.", await analysis({ model: "another" }), other],
];

const strangers = toldComparison(0), twins = toldComparison(32);
const drives = toldComparison(20, { evolution: evolutionWith({ driving: 90, matched: 3 }) });
const drivesNot = toldComparison(20, { evolution: evolutionWith({ driving: 9, matched: 0.6 }) });
const better = toldComparison(20, { at_equal_l0: equalL0(0.1, [0.08, 0.12]) });
const alikeOnes = toldComparison(20, { at_equal_l0: equalL0(0.01, [-0.01, 0.03]) });
const sided = (difference: number, error: number) => ({
  ...{ a: 0.5, b: 0.5 + difference, a_by_chance: 0.01, b_by_chance: 0.01, difference },
  ci95: [difference - error, difference + error] as [number, number],
});
/** The first leaves less with 20 features on a token than the second with 30. */
const sparser = toldComparison(20, {
  reconstructions: {
    ...{ ...twins.reconstructions, difference: 0.1, difference_ci95: [0.08, 0.12] },
    a: { l0: 20, fvus: [0.2], ci95: [0.19, 0.21] },
    b: { l0: 30, fvus: [0.3], ci95: [0.29, 0.31] },
  },
});
const nested = toldComparison(20, { hierarchy: { with_parent: sided(0.2, 0.1), mean_depth: [0.5, 0.7] } });
/** Where there is nothing to draw resamples of. */
const unresampled = toldComparison(20, {
  portraits: {
    ...twins.portraits,
    ...{ effective_features: sided(1, NaN), token_bits: sided(1, NaN), document_bits: sided(1, NaN) },
  },
});

/** What a comparison says of two transcoders with records: where it is so, and where not. */
const ofRecords: [sentence: string, said: ToldComparison, silent: ToldComparison][] = [
  ["Not yet at equal L0:", twins, sparser],
  ["With fewer active features, less is left unexplained by layer 2:", sparser, twins],
  ["At equal L0, less is left unexplained by layer 2:", better, alikeOnes],
  ["At equal L0, no clear difference:", alikeOnes, better],
  ["Features are found again:", twins, strangers],
  ["Features are not found again beyond chance:", strangers, twins],
  ["The typical feature has a counterpart:", twins, strangers],
  ["The typical feature has no counterpart:", strangers, twins],
  ["Single features drive single later ones:", drives, drivesNot],
  ["Single features drive no single later one beyond chance:", drivesNot, drives],
  ["Features that match answer each other:", drives, drivesNot],
  ["Features that match do not answer each other:", drivesNot, drives],
  ["Diversity:", twins, unresampled],
  ["Bound to tokens:", twins, unresampled],
  ["Bound to documents:", twins, unresampled],
  ["Parents in earlier groups:", nested, twins],
];

/** Dictionaries of 128 and 256 features, for each seed the FVU of either. */
function sweepWith(fvus: [smaller: number, larger: number][]): Sweep {
  const member = (seed: number, scale: number, fvu: number): TrainedAnalysis => ({
    ...evaluated({ fvu }),
    config: {
      ...good.config,
      ...{ seed, features: scale * good.config.features, groups: good.config.groups.map((size) => scale * size) },
    },
  });
  return sweepsOf([
    ...fvus.flatMap(([smaller, larger], seed) => [member(seed, 1, smaller), member(seed, 2, larger)]),
    // One of another k for each, so that there are enough.
    { ...good, config: { ...good.config, seed: 9, k: 1 } },
  ])[0];
}

const falling = sweepWith([[0.3, 0.2], [0.31, 0.21]]), scattered = sweepWith([[0.3, 0.2], [0.2, 0.3]]);

/** Of so many features and as many random directions so many are found in the other seed. */
function stableWith(found: number, byChance: number, judged = 100): Sweep {
  const stability = { groups: [{ features: judged, judged, found }], random: { judged, found: byChance } };
  return { ...falling, settings: falling.settings.map((setting) => ({ ...setting, stability })) };
}

/** What the report on a sweep says. */
const ofSweeps: [sentence: string, said: Sweep, silent: Sweep][] = [
  ["FVU falls with", falling, scattered],
  ["FVU rises with", sweepWith([[0.2, 0.3], [0.21, 0.31]]), falling],
  ["FVU shows no clear growth with", scattered, falling],
  ["One seed gives no interval:", sweepWith([[0.3, 0.2]]), falling],
  ["Most features are found again in other seeds:", stableWith(80, 1), stableWith(55, 1)],
  ["Some features are found again in other seeds:", stableWith(55, 1), stableWith(80, 1)],
  [
    "Hardly any feature is found again in other seeds, though more than by chance:",
    stableWith(60, 0, 10_000),
    stableWith(600, 0, 10_000),
  ],
  ["Features are found again no more than chance:", stableWith(1, 0), stableWith(60, 0, 10_000)],
];

/** Figures of children and parents: so much excess, so many families, so alike beyond chance; all ± 0.02. */
function parentFigures({ share = 0.5, excess = 0.3, families = 8, alike = 0.2 } = {}): ParentFigures {
  return {
    ...{ judged: 100, kept: 100 * share, share, mean_excess: excess, mean_excess_error: 0.01 },
    ...{ median_containment: 0.5, median_lift: 2, mean_cosine: 0.1, mean_cosine_by_chance: 0 },
    ...{ families, sibling_correlation: 0.1 + alike, sibling_correlation_by_chance: 0.1, sibling_error: 0.01 },
  };
}

/** What is answered of a hierarchy, beside one by frequency and perhaps one without nesting. */
function answered(own: Parameters<typeof parentFigures>[0], density: typeof own = {}, flat?: typeof own): string[] {
  const nested = parentFigures(own), by_density = parentFigures(density);
  const parents = flat && parentFigures(flat), verdict = hierarchyVerdict({ nested, by_density }, parents ?? null);
  const other = parents === undefined ? null : {
    ...{ run: "flat", features: 128, groups: [128], parents },
    ...{ fvu: 0.2, nested_fvu: 0.2, l0: 30, nested_l0: 30 },
  };
  return hierarchyAnswers({ nested, by_density, flat: other, verdict }).map(({ lead, text }) => `${lead} ${text}`);
}

Deno.test("lift that orders two dictionaries the other way than excess is told, with why", () => {
  const nested = { ...parentFigures({ excess: 0.4 }), median_lift: 4 }, by_density = nested;
  const sentences = (median_lift: number) => {
    const parents = { ...parentFigures({ excess: 0.3 }), median_lift };
    const flat = {
      run: "flat",
      features: 128,
      groups: [128],
      parents,
      fvu: 0.2,
      nested_fvu: 0.2,
      l0: 30,
      nested_l0: 30,
    };
    const verdict = hierarchyVerdict({ nested, by_density }, parents);
    return verdictSentences({ nested, by_density, same_by_density: 0.7, flat, verdict }).join(" ");
  };
  assert.match(
    sentences(5),
    /Lift points the other way, 4\.00 with nesting and 5\.00 without: the parents of nested groups fire/,
  );
  assert.doesNotMatch(sentences(3), /Lift points/);
});

const equal = answered({}), nestedMore = answered({ excess: 0.4 });

/** Clusters of 20 features with such a mean silhouette, where shuffled ones have 0.01. */
const clustered = (silhouette: number) => [
  clusterSentence({
    ...{ often: 20, clustered: 20, clusters: [], silhouette, silhouette_by_chance: 0.01, silhouette_error: 0.01 },
  }),
];

/** A graph in which so many of 1,000 features have an edge. */
const connected = (features: number) => [
  graphSentence({ threshold: 0.1, features: 1000, edges: [], connected: features, largest_part: 2 }),
];

const around = (median: number): Summary => ({
  ...{ median, p05: median - 0.1, p95: median + 0.1, max: median + 0.2 },
} as Summary);

/** A dictionary whose typical nearest row has such a cosine, where random ones have 0.4 ± 0.1, and whose features fire alike or not at all. */
function alikeWith({ nearest = 0.4, correlation = 0.5, duplicates = 0 } = {}): string[] {
  const decoder = { cosines: { largest: around(nearest) }, by_chance: { largest: around(0.4) } } as TalliedCosines;
  const firing = {
    correlation: { largest: around(correlation), by_chance: around(0.1) },
    ...{ duplicate_pairs: duplicates, absorbed_pairs: 0, absorbed_by_chance: 0 },
  } as RecordedFiring;
  // One sentence a paragraph, as they stand behind one another.
  return similaritySentences({ decoder, firing });
}

/** Features of one cluster with such a cosine, dealt out anew 0.1 ± 0.02. */
const writing = (within: number) => writtenSentence({ within, by_chance: 0.1, by_chance_std: 0.02 / 1.96 });

/** A map of rows that vary, or do not. */
const mapped = (share: number) =>
  mapSentences({ x: new Float32Array(), y: new Float32Array(), shares: [share, share], share_by_chance: 0.1 });

/** Rows with so many dimensions, where random ones have 10. */
const spread = (dimensions: number) =>
  weightSentences(
    {
      groups: [{
        ...{ along: 0.1, against: 0 },
        decoder_rank: { participation_ratio: dimensions, of_random: 10 },
      }],
      tensors: {},
    } as unknown as Parameters<typeof weightSentences>[0],
  );

/** What the page about features says. */
const ofFeatures: [sentence: string, said: readonly string[], silent: readonly string[]][] = [
  ["Nested groups: not to be judged.", withoutJudged(), equal],
  ["Nested groups: no hierarchy.", answered({ share: 0.01 }), equal],
  ["Nested groups: no useful hierarchy.", equal, nestedMore],
  ["Nested groups: a hierarchy, which frequency shows as well.", answered({}, {}, { excess: 0.1 }), equal],
  ["Nested groups: a hierarchy beyond frequency.", nestedMore, equal],
  ["Nested groups: a hierarchy that nesting makes.", answered({ excess: 0.4 }, {}, {}), nestedMore],
  ["Nested groups: a hierarchy, but not by nesting.", answered({ excess: 0.4 }, {}, { excess: 0.4 }), nestedMore],
  ["Grouping by parent: not to be judged.", answered({ families: 1 }), equal],
  ["Grouping by parent: no better than by chance.", answered({ alike: 0.01 }), equal],
  ["Grouping by parent: related features.", answered({}, { families: 0 }), equal],
  ["Grouping by parent: related features, but groups by frequency do as well.", equal, answered({ alike: 0.3 })],
  ["Grouping by parent: related features, beyond frequency.", answered({ alike: 0.3 }), equal],
  [
    "Grouping by parent: related features, but not by nesting.",
    answered({ alike: 0.3 }, {}, { alike: 0.3 }),
    answered({ alike: 0.3 }),
  ],
  ["Without nesting they are more alike.", answered({}, {}, { alike: 0.3 }), answered({}, {}, {})],
  ["Without nesting they are less alike.", answered({ alike: 0.3 }, {}, {}), answered({}, {}, {})],
  [
    "With nesting and without they are as alike, as far as can be told.",
    answered({}, {}, {}),
    answered({ alike: 0.3 }, {}, {}),
  ],
  ["Features that fire alike form clusters beyond chance", clustered(0.1), clustered(0.02)],
  ["Features form no clusters beyond chance", clustered(0.02), clustered(0.1)],
  ["Too few features for clusters:", clustered(NaN), clustered(0.1)],
  ["Features fire in company beyond chance:", connected(30), connected(12)],
  ["Features fire in company no more than by chance:", connected(12), connected(30)],
  [
    "The typical feature's decoder row lies nearer to another than 95 % of random directions do.",
    alikeWith({ nearest: 0.6 }),
    alikeWith(),
  ],
  [
    "The typical feature's decoder row lies further from all others than 95 % of random directions do.",
    alikeWith({ nearest: 0.2 }),
    alikeWith(),
  ],
  [
    "The typical feature's decoder row lies as near to another as random directions do.",
    alikeWith(),
    alikeWith({ nearest: 0.6 }),
  ],
  ["The typical one that fires has a largest correlation of", alikeWith(), alikeWith({ correlation: NaN })],
  [
    "No two features fire on one token, so that nothing is said of how alike they fire.",
    alikeWith({ correlation: NaN }),
    alikeWith(),
  ],
  ["No two features are duplicates", alikeWith(), alikeWith({ duplicates: 2 })],
  ["Features that fire alike write alike:", writing(0.2), writing(0.11)],
  ["Features that fire alike write less alike than others:", writing(0.05), writing(0.11)],
  ["Features that fire alike do not write alike:", writing(0.11), writing(0.2)],
  ["The map shows", mapped(0.2), mapped(NaN)],
  ["The decoder's rows use", spread(8), spread(NaN)],
];

function withoutJudged(): string[] {
  const none = { ...parentFigures({ families: 0 }), judged: 0, kept: 0, share: NaN };
  const both = { nested: none, by_density: none };
  return hierarchyAnswers({ ...both, flat: null, verdict: hierarchyVerdict(both, null) }).map(({ lead }) => lead);
}

const plain = (text: string) => text.replaceAll("**", "");

/** Whether a paragraph begins so, or holds it behind its first sentence. */
function says(texts: readonly string[], sentence: string): boolean {
  const [text] = [texts.map(plain).map((text) => `\n${text}`).join("")];
  const others = ["Feature utilization: all", "Hierarchy: the first 32 features are of no use alone."];
  // The general form of a sentence is not said where the special one is.
  if (others.some((special) => special !== sentence && special.startsWith(sentence) && text.includes(special))) {
    return false;
  }
  return text.includes(`\n${sentence}`) || text.includes(`. ${sentence}`);
}

const textsOf = (run: TranscoderAnalysis) => [
  verdict(run).sentence,
  ...insights(run).map(({ text }) => text),
  ...recommendations(run),
  ...caveats(run.evaluation, run.config),
];

for (const [sentence, said, silent] of ofOne) {
  Deno.test(`"${sentence}" is said where it is so, and not where it is not`, () => {
    assert.ok(says(textsOf(runs[said]), sentence), textsOf(runs[said]).join("\n"));
    assert.ok(!says(textsOf(runs[silent]), sentence), textsOf(runs[silent]).join("\n"));
  });
}

for (const [sentence, said, silent] of ofTwo) {
  Deno.test(`comparison: "${sentence}" is said where it is so, and not where it is not`, () => {
    const lines = (b: TrainedAnalysis) =>
      comparisonReport(comparePair(runs.partly, b), new Date()).split("\n").map((line) => line.replace(/^- /, ""));
    assert.ok(says(lines(said), sentence), lines(said).join("\n"));
    assert.ok(!says(lines(silent), sentence), lines(silent).join("\n"));
  });
}

for (const [sentence, said, silent] of ofRecords) {
  Deno.test(`records: "${sentence}" is said where it is so, and not where it is not`, () => {
    const lines = (told: ToldComparison) =>
      comparisonReport({ ...comparePair(good, other), told }, new Date()).split("\n").map((line) =>
        line.replace(/^- /, "")
      );
    assert.ok(says(lines(said), sentence), lines(said).join("\n"));
    assert.ok(!says(lines(silent), sentence), lines(silent).join("\n"));
  });
}

for (const [sentence, said, silent] of ofSweeps) {
  Deno.test(`sweep: "${sentence}" is said where it is so, and not where it is not`, () => {
    const lines = (sweep: Sweep) => [...growthSentences(sweep), stabilitySentence(sweep)];
    assert.ok(says(lines(said), sentence), lines(said).join("\n"));
    assert.ok(!says(lines(silent), sentence), lines(silent).join("\n"));
  });
}

for (const [sentence, said, silent] of ofFeatures) {
  Deno.test(`features: "${sentence}" is said where it is so, and not where it is not`, () => {
    assert.ok(says(said, sentence), said.join("\n"));
    assert.ok(!says(silent, sentence), silent.join("\n"));
  });
}

const layers = {
  plain: madeUpLayer(),
  tokens: madeUpLayer({ r2s: new Array(100).fill(0.9) }),
  undecided: madeUpLayer({ close: 60 }),
  half: madeUpLayer({ r2s: Array.from({ length: 100 }, (_, i) => i % 2) }),
  alike: madeUpLayer({ otherR2s: Array.from({ length: 100 }, (_, i) => 0.4 * i / 99) }),
  embedded: madeUpLayer({ shares: [0.45, 0.3, 0.05] }),
  level: madeUpLayer({ shares: [0.5, 0.45, 0.05] }),
  unrelated: madeUpLayer({ attention: 0.1 }),
  bringing: madeUpLayer({ attention: 0.5 }),
  coherent: madeUpLayer({ coherence: Array.from({ length: 100 }, (_, i) => 0.4 * i / 99) }),
  same: madeUpLayer({ nearest: [80, 0] }),
  own: madeUpLayer({ nearest: [0, 80] }),
  childless: madeUpLayer({ groups: [0.01, 0.2, 0.1] }),
  frequent: madeUpLayer({ groups: [0.4, 0.2, 0.19] }),
  worse: madeUpLayer({ groups: [0.4, 0.1, 0.2] }),
  scattered: madeUpLayer({ silhouettes: [0.1, 0.12] }),
  even: madeUpLayer({ ginis: [0.3, 0.35] }),
  unfelt: madeUpLayer({ lossRise: -0.001 }),
  needed: madeUpLayer({ lossRise: -0.001, topRise: 0.001 }),
  unranked: madeUpLayer({ ranks: 0.1 }),
  along: madeUpLayer({ cosines: new Array(100).fill(0.5) }),
  against: madeUpLayer({ cosines: new Array(100).fill(-0.5) }),
  fewAlong: madeUpLayer({ cosines: Array.from({ length: 100 }, (_, i) => i < 20 ? 0.4 : 0) }),
  fewAgainst: madeUpLayer({ cosines: Array.from({ length: 100 }, (_, i) => i < 20 ? -0.4 : 0) }),
  both: madeUpLayer({ cosines: Array.from({ length: 100 }, (_, i) => i < 20 ? 0.4 : i < 40 ? -0.4 : 0) }),
};
type Layer = keyof typeof layers;

/** What a page on a layer says. */
const ofLayers: [sentence: string, said: Layer, silent: Layer][] = [
  ["Kind: mostly made from context.", "plain", "undecided"],
  ["Kind: mostly told by their token.", "tokens", "plain"],
  ["Kind: too many lie near the limit to tell.", "undecided", "half"],
  ["Kind: neither tokens nor context make most.", "half", "undecided"],
  ["Sources: mostly", "plain", "embedded"],
  ["Sources: more from", "embedded", "level"],
  ["Sources: none leads for certain.", "level", "embedded"],
  ["Attention: more comes from it where tokens tell less.", "plain", "unrelated"],
  ["Attention: more comes from it where tokens tell more.", "bringing", "unrelated"],
  ["Attention: unrelated to what tokens tell.", "unrelated", "plain"],
  ["Depth: more context than", "plain", "alike"],
  ["Depth: less context than", "tokens", "plain"],
  ["Depth: as much context as", "alike", "plain"],
  ["Meaning: some features are coherent beyond their tokens.", "coherent", "plain"],
  ["Meaning: no coherence beyond tokens and chance.", "plain", "coherent"],
  ["Other layers: mostly found again in", "same", "plain"],
  ["Other layers: mostly lacking in", "own", "plain"],
  ["Other layers: related to", "plain", "own"],
  ["Groups: no hierarchy.", "childless", "worse"],
  ["Groups: a hierarchy beyond what frequency gives.", "plain", "frequent"],
  ["Groups: a hierarchy that frequency gives as well.", "frequent", "plain"],
  ["Groups: a worse hierarchy than frequency gives.", "worse", "frequent"],
  ["Predictions: they miss single features.", "plain", "unfelt"],
  ["Predictions: they miss some features that the reconstruction needs most.", "needed", "plain"],
  ["Predictions: they miss no single feature for certain.", "unfelt", "needed"],
  ["Writing: mostly along what is read.", "along", "both"],
  ["Writing: mostly against what is read.", "against", "both"],
  ["Writing: some along, some against what is read.", "both", "plain"],
  ["Writing: some along what is read.", "fewAlong", "both"],
  ["Writing: some against what is read.", "fewAgainst", "both"],
  ["Writing: unrelated to what is read.", "plain", "along"],
  ["Subjects: most features fire unevenly over documents.", "plain", "even"],
  ["Subjects: features fire over documents as chance has it.", "even", "plain"],
  ["Company: features fire in clusters.", "plain", "scattered"],
  ["Company: no clusters beyond chance.", "scattered", "plain"],
  ["Rankings: what fires strongly moves predictions.", "plain", "unranked"],
  ["Rankings: what fires strongly need not move predictions.", "unranked", "plain"],
];

for (const [sentence, said, silent] of ofLayers) {
  Deno.test(`layer: "${sentence}" is said where it is so, and not where it is not`, () => {
    const of = (layer: Layer) => askedOf(layers[layer]).map(({ finding }) => finding!.said).join("\n");
    assert.ok(of(said).includes(`**${sentence}`), of(said));
    assert.ok(!of(silent).includes(`**${sentence}`), of(silent));
  });
}

Deno.test("reports/sentences.md lists these sentences and no others, and what the sources put in bold is among them", async () => {
  const read = (name: string) => Deno.readTextFile(new URL(`../../reports/${name}`, import.meta.url));
  const [table] = (await read("sentences.md")).split("\n## ");
  const listed = [...table.matchAll(/^\| ([^|]+?) \|/gm)].map(([, cell]) => cell)
    .filter((cell) => cell !== "Sentence");
  const tested = [...ofOne, ...ofTwo, ...ofRecords, ...ofSweeps, ...ofFeatures, ...ofLayers].map(([sentence]) =>
    sentence
  );
  const written = [...tested, ...always].map((sentence) =>
    sentence.replace(" 32 ", " *n* ").replace(": Layer 2", ": *a*").replace("by layer 2:", "by *a*:")
  );
  assert.deepEqual(listed.toSorted(), written.toSorted());
  for (
    const source of [
      "checks.ts",
      "reconstructions.ts",
      "markdown/insights.ts",
      "markdown/recommendations.ts",
      "markdown/comparison_report.ts",
      "comparison_findings.ts",
      "markdown/sweep_report.ts",
      "findings/composition.ts",
      "findings/dictionary.ts",
      "findings/features.ts",
    ]
  ) {
    const text = await read(source);
    const bold = [...text.matchAll(/`\*\*(.+?)(?:\*\*|\$\{|`)/g), ...text.matchAll(/"\*\*(.+?)\*\*/g)].map(([, lead]) =>
      lead
    );
    assert.ok(bold.length > 0, source);
    for (const lead of bold.map((lead) => lead.trim()).filter((lead) => !["Generated on:", "Runs:"].includes(lead))) {
      assert.ok(
        written.some((sentence) => sentence.startsWith(lead) || lead.startsWith(sentence)),
        `${source}: ${lead}`,
      );
    }
  }
});
