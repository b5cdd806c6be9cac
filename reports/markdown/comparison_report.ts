/**
 * <transcoder>_vs_<transcoder>_comparison.md: two transcoders side by side.
 * @module
 */
import type { Evaluation } from "../../core/analysis/evaluation.ts";
import type { ComparedPair, TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { verdict } from "../checks.ts";
import { topFeatures } from "./feature_sections.ts";
import { filesOf, pairFiles } from "../file_names.ts";
import {
  counted,
  decimal,
  duration,
  integer,
  interval,
  mappingText,
  percent,
  significant,
  thresholdText,
  timestamp,
} from "../format.ts";
import { varianceShares } from "../target_variance.ts";
import { denseFeatures, detectorShare, rareFeatures } from "./insights.ts";
import { bullets, type Column, document, numeric, plain, table } from "./markdown.ts";
import { tokenCode } from "../tokens.ts";

/** A figure's name, and its cell for either transcoder. */
type Row = [name: string, cell: (transcoder: TranscoderAnalysis) => string];

function sideBySide({ a, b }: ComparedPair, rows: Row[]): string {
  const columns: Column[] = ["", numeric(a.name.title), numeric(b.name.title)];
  return table(columns, rows.map(([name, value]) => [name, value(a), value(b)]));
}

function metricsTable(comparison: ComparedPair): string {
  const { evaluation: { fvu_per_prefix: a } } = comparison.a, { evaluation: { fvu_per_prefix: b } } = comparison.b;
  const samePrefixes = a.length === b.length && a.every(({ prefix }, i) => prefix === b[i].prefix);
  /** A row that is left out where neither has the figure, as in files of older versions. */
  const optional = (name: string, cell: (evaluation: Evaluation) => string | undefined): Row[] =>
    [comparison.a, comparison.b].some(({ evaluation }) => cell(evaluation) !== undefined)
      ? [[name, ({ evaluation }) => cell(evaluation) ?? "–"]]
      : [];
  return sideBySide(comparison, [
    ["Held-out FVU", ({ evaluation }) => decimal(evaluation.fvu, 4)],
    ["95 % CI", ({ evaluation }) => interval(evaluation.fvu_ci95, 4)],
    ...(samePrefixes ? a : []).slice(0, -1).map(({ prefix }, i): Row => [
      `FVU, first ${counted(prefix, "feature")}`,
      ({ evaluation }) => decimal(evaluation.fvu_per_prefix[i].fvu, 4),
    ]),
    ...optional("FVU of the best linear map", ({ linear_map }) => linear_map && decimal(linear_map.fvu, 4)),
    ["FVU of the mean", () => "1"],
    ...optional("FVU at unit variance", ({ fvu_unit_variance: fvu }) => fvu === undefined ? fvu : decimal(fvu, 4)),
    ...optional("Cosine", ({ cosine }) => cosine === undefined ? cosine : decimal(cosine, 4)),
    ...optional(
      "Target variance in the 1 / 5 / 20 largest dimensions",
      ({ target_variance }) => target_variance && varianceShares(target_variance),
    ),
    ["Explained variance", ({ evaluation }) => decimal(evaluation.explained_variance, 4)],
    ["Held-out L0", ({ evaluation }) => decimal(evaluation.l0, 2)],
    ["k", ({ config }) => integer(config.k)],
    [
      "Dead features",
      ({ evaluation }) => `${integer(evaluation.dead_features)} (${percent(evaluation.dead_fraction)})`,
    ],
    ["Features", ({ config }) => integer(config.features)],
    ["Inference threshold", ({ evaluation }) => thresholdText(evaluation)],
    ["Final training loss", ({ course }) => significant(course.finalLoss)],
    ["Steps", ({ course }) => integer(course.lastStep)],
    ["Training time", ({ course }) => duration(course.seconds)],
  ]);
}

function distributionTable(comparison: ComparedPair): string {
  return sideBySide(comparison, [
    ["Median density", ({ statistics }) => percent(10 ** statistics.logDensity.median, 3)],
    [
      "Density, middle 90 %",
      ({ statistics: { logDensity } }) => `${percent(10 ** logDensity.p05, 3)} to ${percent(10 ** logDensity.p95, 3)}`,
    ],
    ["Dense features", (transcoder) => integer(denseFeatures(transcoder).length)],
    ["Rare features", (transcoder) => integer(rareFeatures(transcoder))],
    ["Largest activation", ({ statistics }) => significant(statistics.maxActivation.max)],
    ["Median of the maxima", ({ statistics }) => significant(statistics.maxActivation.median)],
    ["Median token entropy", ({ statistics }) => `${decimal(statistics.tokenEntropy.median, 2)} bits`],
    ["Token detectors", (transcoder) => percent(detectorShare(transcoder))],
    ["Median feature norm", ({ weights }) => significant(weights.encoderNorms.median, 3)],
  ]);
}

/** "higher", "lower" or nothing to say, for numbers that must differ by a tenth to be called different. */
function relation(a: number, b: number, more: string, less: string): string {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return "";
  return b > a * 1.1 ? more : b < a / 1.1 ? less : "";
}

/** The differences that the numbers support, as sentences; distributions that hardly differ are called alike. */
export function differences(comparison: ComparedPair): string[] {
  const { a, b, diversity } = comparison;
  const A = a.name.phrase, B = b.name.phrase;
  const [aLow, aHigh] = a.evaluation.fvu_ci95, [bLow, bHigh] = b.evaluation.fvu_ci95;
  const fvus = `FVU ${decimal(a.evaluation.fvu, 3)} against ${decimal(b.evaluation.fvu, 3)}`;
  const density = [10 ** a.statistics.logDensity.median, 10 ** b.statistics.logDensity.median];
  const strength = [a.statistics.maxActivation.median, b.statistics.maxActivation.median];
  const entropy = [a.statistics.tokenEntropy.median, b.statistics.tokenEntropy.median];
  const mixed = entropy[1] - entropy[0];
  return [
    !Number.isFinite(a.evaluation.fvu + b.evaluation.fvu)
      ? `**Reconstruction:** cannot be compared: ${fvus}.`
      : aHigh < bLow
      ? `**Reconstruction:** ${a.name.title} is reconstructed better than ${B}: ${fvus}; the intervals do not overlap.`
      : bHigh < aLow
      ? `**Reconstruction:** ${b.name.title} is reconstructed better than ${A}: ${fvus}; the intervals do not overlap.`
      : `**Reconstruction:** no clear difference: ${fvus}; the intervals overlap.`,
    `**Frequency:** the median feature of ${B} fires ${
      relation(density[0], density[1], "more often", "less often") || "about as often"
    }: on ${percent(density[1], 2)} of the tokens, against ${percent(density[0], 2)} in ${A}.`,
    `**Strength:** the median of the features' maxima is ${
      relation(strength[0], strength[1], "larger", "smaller") || "about the same"
    } in ${B}: ${significant(strength[1], 3)} against ${significant(strength[0], 3)}, in units in which both ${
      nounOf(comparison)
    }s' ` +
    `targets have the same mean square.`,
    Math.abs(mixed) < 0.25 || !Number.isFinite(mixed)
      ? `**Selectivity:** features are about equally selective: median token entropy ${decimal(entropy[0], 1)} and ${
        decimal(entropy[1], 1)
      } bits.`
      : `**Selectivity:** features of ${B} peak on ${mixed > 0 ? "more" : "less"} mixed tokens: median entropy ${
        decimal(entropy[1], 1)
      } against ${decimal(entropy[0], 1)} bits, which suggests features that are ${
        mixed > 0 ? "less" : "more"
      } bound to single tokens.`,
    `**Diversity:** the features of ${A} peak on ${integer(diversity.a.distinct)} different tokens, ` +
    `those of ${B} on ${integer(diversity.b.distinct)}; weighted by frequency that is worth ` +
    `${decimal(diversity.a.effective, 0)} and ${decimal(diversity.b.effective, 0)} tokens.`,
  ];
}

/** What the two are to a reader: layers, unless they are of the same one. */
function nounOf({ a, b }: ComparedPair): string {
  return a.config.target.layer === b.config.target.layer ? "transcoder" : "layer";
}

function sharedTokenSection(comparison: ComparedPair): string {
  const { a, b, sharedTokens, tokenOverlap, sameModel } = comparison, noun = nounOf(comparison);
  if (!sameModel) return "The runs differ in model or text; their tokens are not compared.";
  if (sharedTokens.length === 0) return `No token is the top token of features in both ${noun}s.`;
  const shown = sharedTokens.slice(0, 20);
  return `${counted(sharedTokens.length, "token")} (${percent(tokenOverlap)} of the top tokens of either ${noun}) ` +
    `${sharedTokens.length === 1 ? "is" : "are"} the top token of features in both ${noun}s${
      shown.length < sharedTokens.length ? `; the ${shown.length} that most features share` : ""
    }:\n\n` +
    table(
      [
        "Token",
        numeric("Id"),
        numeric(`Features in ${a.name.phrase}`),
        numeric(`Features in ${b.name.phrase}`),
      ],
      shown.map((shared) => [tokenCode(shared.token), String(shared.id), integer(shared.a), integer(shared.b)]),
    );
}

/** The comparison of two transcoders. */
export function comparisonReport(comparison: ComparedPair, generated: Date): string {
  const { a, b } = comparison;
  const files = pairFiles(a.name, b.name);
  const both = [a, b];
  return document([
    `# ${a.name.title} vs ${b.name.title}`,
    bullets(both.map((transcoder) => `${transcoder.name.title}: ${verdict(transcoder).sentence}`)),
    `**Generated on:** ${timestamp(generated)} · **Runs:** ${
      both.map(({ path, config }) =>
        `\`${path}\` (${plain(config.model.name)}, ${mappingText(config, (end) => `\`${end}\``)})`
      )
        .join(" and ")
    }`,
    !comparison.sameModel && "**The runs differ in model or text. Read the numbers below with that in mind.**",
    "## Differences",
    bullets(differences(comparison)),
    "## Metrics Side by Side",
    metricsTable(comparison),
    `![FVU per prefix, density, largest activation and token entropy of both ${nounOf(comparison)}s](${files.plot})`,
    "## Distributions",
    distributionTable(comparison),
    ...both.flatMap((transcoder) => [`## Top Features of ${transcoder.name.title}`, topFeatures(transcoder, 10)]),
    "## Shared Top Tokens",
    sharedTokenSection(comparison),
    `Every figure is defined in [${filesOf(a.name).report}](${filesOf(a.name).report}#definitions).`,
  ]);
}
