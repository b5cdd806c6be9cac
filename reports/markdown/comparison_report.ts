/**
 * <transcoder>_vs_<transcoder>_comparison.md: two transcoders side by side.
 * @module
 */
import type { Detectors, SharedDistribution } from "../../core/analysis/comparison.ts";
import type { Interval } from "../../core/analysis/bootstrap.ts";
import type { Evaluation } from "../../core/analysis/evaluation.ts";
import { type LossEvaluation, meanRecovered } from "../../core/analysis/loss.ts";
import { tapName } from "../../core/model/sites.ts";
import type { ComparedPair, TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { verdict } from "../checks.ts";
import type { ReportedPair } from "../compared.ts";
import { recordedFindings, recordedSections } from "./comparison_sections.ts";
import { topFeatures } from "./feature_sections.ts";
import { filesOf, pairFiles } from "../file_names.ts";
import {
  counted,
  decimal,
  duration,
  integer,
  interval,
  known,
  mappingText,
  percent,
  significant,
  thresholdText,
  timestamp,
} from "../format.ts";
import { varianceShares } from "../target_variance.ts";
import { denseFeatures, detectorShare, rareFeatures } from "./insights.ts";
import { bullets, code, type Column, document, numeric, plain, table } from "./markdown.ts";
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
    ...lossRows(comparison, samePrefixes),
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
    ["k", ({ config }) => config.imported && config.imported.activation !== "top-k" ? "–" : integer(config.k)],
    [
      "Dead features",
      ({ evaluation }) => `${integer(evaluation.dead_features)} (${percent(evaluation.dead_fraction)})`,
    ],
    ["Features", ({ config }) => integer(config.features)],
    ["Inference threshold", ({ evaluation }) => thresholdText(evaluation)],
    ["Final training loss", ({ course }) => course ? significant(course.finalLoss) : "–"],
    ["Steps", ({ course }) => course ? integer(course.lastStep) : "imported"],
    ["Training time", ({ course }) => course ? duration(course.seconds) : "–"],
  ]);
}

/** What the model keeps with either in place, and with those of a run that hold both at once; nothing where neither was measured. */
function lossRows({ a, b }: ComparedPair, samePrefixes: boolean): Row[] {
  const losses = [a, b].map(({ evaluation: { loss } }) => loss), [first, second] = losses;
  const [known] = losses.filter((loss) => loss !== undefined);
  if (known === undefined) return [];
  const cell = (value: (loss: LossEvaluation) => string): Row[1] => ({ evaluation: { loss } }) =>
    loss ? value(loss) : "–";
  const whole = ({ per_prefix }: Pick<LossEvaluation, "per_prefix">) => per_prefix[per_prefix.length - 1];
  const teams = [first, second].map((loss) => loss?.replacement_model), [team] = teams;
  const isShared = team !== undefined && String(team.transcoders) === String(teams[1]?.transcoders);
  return [
    ["Loss recovered", cell((loss) => percent(whole(loss).recovered_zero))],
    ["95 % CI of it", cell((loss) => shareInterval(whole(loss).recovered_zero_ci95))],
    ...(samePrefixes ? known.per_prefix : []).slice(0, -1).map(({ prefix }, i): Row => [
      `Loss recovered, first ${counted(prefix, "feature")}`,
      cell(({ per_prefix }) => percent(per_prefix[i].recovered_zero)),
    ]),
    ["Loss recovered by the target's mean", cell((loss) => percent(meanRecovered(loss)))],
    ...isShared
      ? [
        [
          `Loss recovered, ${integer(team.transcoders.length)} in place at once`,
          cell(({ replacement_model }) =>
            percent(replacement_model!.per_prefix[replacement_model!.per_prefix.length - 1].recovered_zero)
          ),
        ] satisfies Row,
      ]
      : [],
  ];
}

function shareInterval([low, high]: Interval): string {
  return Number.isFinite(low + high) ? `${percent(low)} to ${percent(high)}` : "–";
}

function distributionTable(comparison: ComparedPair): string {
  const density = (share: number) => percent(share, 3);
  return sideBySide(comparison, [
    ["Median density", ({ statistics }) => known(10 ** statistics.logDensity.median, density)],
    [
      "Density, middle 90 %",
      ({ statistics: { logDensity: { p05, p95 } } }) =>
        known(10 ** p05, (low) => `${density(low)} to ${density(10 ** p95)}`),
    ],
    ["Dense features", (transcoder) => integer(denseFeatures(transcoder).length)],
    ["Rare features", (transcoder) => integer(rareFeatures(transcoder))],
    ["Largest activation", ({ statistics }) => known(statistics.maxActivation.max, significant)],
    ["Median of the maxima", ({ statistics }) => known(statistics.maxActivation.median, significant)],
    [
      "Median sample entropy",
      ({ statistics }) => known(statistics.tokenEntropy.median, (bits) => `${decimal(bits, 2)} bits`),
    ],
    ["Token detectors", detectorShare],
    ["Median feature norm", ({ weights }) => significant(weights.encoderNorms.median, 3)],
  ]);
}

/** Which way the second's median lies from the first's, where the interval of their difference leaves 0 out. */
function relation({ ci95: [low, high] }: SharedDistribution, more: string, less: string, alike: string): string {
  return low > 0 ? more : high < 0 ? less : alike;
}

/** The differences that the numbers support, as sentences; medians that chance may have set apart are called alike. */
export function differences(comparison: ComparedPair): string[] {
  const { a, b, logDensity, logMaxActivation, tokenEntropy, detectors, sameModel } = comparison;
  const A = a.name.phrase, B = b.name.phrase, noun = nounOf(comparison);
  const [aLow, aHigh] = a.evaluation.fvu_ci95, [bLow, bHigh] = b.evaluation.fvu_ci95;
  const fvus = `FVU ${decimal(a.evaluation.fvu, 3)} against ${decimal(b.evaluation.fvu, 3)}`;
  const better = aHigh < bLow ? [a, B] as const : bHigh < aLow ? [b, A] as const : null;
  const density = [a, b].map(({ statistics }) => percent(10 ** statistics.logDensity.median, 2));
  const strength = [a, b].map(({ statistics }) => significant(statistics.maxActivation.median, 3));
  const entropy = [a, b].map(({ statistics }) => decimal(statistics.tokenEntropy.median, 1));
  const sameTarget = sameModel && targetsOf(a) === targetsOf(b);
  const sameCap = a.config.samples_per_feature === b.config.samples_per_feature;
  const factor = ({ ci95: [low, high] }: SharedDistribution) =>
    `(95 % CI of the ratio ${decimal(10 ** low, 2)} to ${decimal(10 ** high, 2)})`;
  const onTokens = ({ features, judged, tokens }: Detectors) =>
    `${integer(features)} of ${counted(judged, "judged feature")} on ${counted(tokens, "different token")}`;
  return [
    !Number.isFinite(a.evaluation.fvu + b.evaluation.fvu)
      ? `**Reconstruction:** cannot be compared: ${fvus}.`
      : better
      ? `**Reconstruction:** ${better[0].name.title} ${
        layersOf(better[0]).length > 1 ? "are" : "is"
      } reconstructed better than ${better[1]}: ${fvus}; the intervals do not overlap.${
        sameTarget ? "" : " As the targets differ, this says as much of them as of the transcoders."
      }`
      : `**Reconstruction:** no clear difference: ${fvus}; ${
        Number.isFinite(aLow + bLow) ? "the intervals overlap" : "there are no intervals to tell by"
      }.`,
    lossDifference(comparison),
    !hasInterval(logDensity)
      ? ""
      : `**Frequency:** the median feature of ${B} fires ${
        relation(logDensity, "more often", "less often", "about as often")
      }: on ${density[1]} of the tokens, against ${density[0]} in ${A} ${factor(logDensity)}. ${
        activeFeatures(comparison)
      }`,
    !hasInterval(logMaxActivation)
      ? ""
      : `**Strength:** the median of the features' maxima is ${
        relation(logMaxActivation, "larger", "smaller", "about the same")
      } in ${B}: ${strength[1]} against ${strength[0]} ${factor(logMaxActivation)}, in units in which both ${noun}s' ` +
        `targets vary by the same.`,
    !hasInterval(tokenEntropy) || !sameCap
      ? ""
      : `**Selectivity:** the strongest activations of ${B} are on ${
        relation(tokenEntropy, "more mixed", "less mixed", "about as mixed")
      } tokens: median entropy ${entropy[1]} against ${entropy[0]} bits (95 % CI of the difference ${
        interval(tokenEntropy.ci95, 2)
      }). The tokens of all firings are another question, below.`,
    detectors.a.judged === 0 || detectors.b.judged === 0
      ? ""
      : `**Token detectors:** ${onTokens(detectors.a)} in ${A}, ${onTokens(detectors.b)} in ${B}.`,
  ].filter((sentence) => sentence !== "");
}

/** How far the numbers of features and of active ones set the frequencies apart by themselves. */
function activeFeatures({ a, b }: ComparedPair): string {
  const ratio = (b.evaluation.l0 / b.config.features) / (a.evaluation.l0 / a.config.features);
  return `With ${decimal(b.evaluation.l0, 1)} of ${integer(b.config.features)} features active on a token there and ${
    decimal(a.evaluation.l0, 1)
  } of ${integer(a.config.features)} here, the mean frequency differs by a factor of ${decimal(ratio, 2)}.`;
}

/** Which of both keeps more of the loss, where both were measured and zeros in the place of either cost something. */
function lossDifference({ a, b }: ComparedPair): string {
  const [first, second] = [a, b].map(({ evaluation: { loss } }) =>
    loss && loss.zero.ce > loss.clean.ce ? loss.per_prefix[loss.per_prefix.length - 1] : undefined
  );
  if (first === undefined || second === undefined) return "";
  const [aLow, aHigh] = first.recovered_zero_ci95, [bLow, bHigh] = second.recovered_zero_ci95;
  const shares = `${percent(first.recovered_zero)} against ${
    percent(second.recovered_zero)
  } of what zeros in its place cost`;
  const better = aHigh < bLow ? [b, a] : bHigh < aLow ? [a, b] : null;
  return better
    ? `**Loss recovered:** ${better[0].name.title} recovers more than ${
      better[1].name.phrase
    }: ${shares}; the intervals do not overlap.`
    : `**Loss recovered:** no clear difference: ${shares}; ${
      Number.isFinite(aLow + bLow) ? "the intervals overlap" : "there are no intervals to tell by"
    }.`;
}

function hasInterval({ ci95: [low, high] }: SharedDistribution): boolean {
  return Number.isFinite(low + high);
}

function targetsOf({ config }: TranscoderAnalysis): string {
  return config.targets.map(tapName).join();
}

function layersOf({ config }: TranscoderAnalysis): number[] {
  return [...new Set(config.targets.map(({ layer }) => layer))];
}

/** What the two are to a reader: layers, unless they are of the same one or of several. */
function nounOf({ a, b }: ComparedPair): string {
  const [first, second] = [a, b].map(layersOf), areSingle = first.length === 1 && second.length === 1;
  return areSingle && first[0] !== second[0] ? "layer" : "transcoder";
}

/** A way from one to the other, no evidence that they are alike: frequent tokens are detected in any two. */
function sharedTokenSection(comparison: ComparedPair): string {
  const { a, b, sharedTokens, sameModel } = comparison, noun = nounOf(comparison);
  if (!sameModel) return "The runs differ in model or text; their tokens are not compared.";
  if (sharedTokens.length === 0) return `No token has detectors in both ${noun}s.`;
  const shown = sharedTokens.slice(0, 20);
  return `${counted(sharedTokens.length, "token")} ${
    sharedTokens.length === 1 ? "has" : "have"
  } detectors in both ${noun}s${
    shown.length < sharedTokens.length ? `; the ${shown.length} that most features share` : ""
  }. Frequent tokens have some in any transcoder, so that this is a place to compare features, not evidence that they are alike.\n\n` +
    table(
      [
        "Token",
        numeric("Id"),
        numeric(`Detectors in ${a.name.phrase}`),
        numeric(`Detectors in ${b.name.phrase}`),
      ],
      shown.map((shared) => [tokenCode(shared.token), String(shared.id), integer(shared.a), integer(shared.b)]),
    );
}

/** The comparison of two transcoders. */
export function comparisonReport(comparison: ReportedPair, generated: Date): string {
  const { a, b } = comparison;
  const files = pairFiles(a.name, b.name);
  const both = [a, b];
  return document([
    `# ${a.name.title} vs ${b.name.title}`,
    bullets(both.map((transcoder) => `${transcoder.name.title}: ${verdict(transcoder).sentence}`)),
    `**Generated on:** ${timestamp(generated)} · **Runs:** ${
      both.map(({ path, config }) =>
        `${code(path)} (${plain(config.model.name)}, ${mappingText(config, (end) => `\`${end}\``)})`
      )
        .join(" and ")
    }`,
    !comparison.sameModel && "**The runs differ in model or text. Read the numbers below with that in mind.**",
    "## What Was Found",
    bullets([...differences(comparison), ...recordedFindings(comparison)]),
    "## Metrics Side by Side",
    metricsTable(comparison),
    `![FVU per prefix, density, largest activation and token entropy of both ${nounOf(comparison)}s](${files.plot})`,
    ...recordedSections(comparison),
    "## Distributions",
    distributionTable(comparison),
    ...both.flatMap((transcoder) => [`## Top Features of ${transcoder.name.title}`, topFeatures(transcoder, 10)]),
    "## Shared Token Detectors",
    sharedTokenSection(comparison),
    `Every figure is defined in [${filesOf(a.name).report}](${filesOf(a.name).report}#definitions).`,
  ]);
}
