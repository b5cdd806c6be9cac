/**
 * <transcoder>_analysis_report.md: what one transcoder is, how good it is, and what its features do.
 * @module
 */
import type { Evaluation } from "../../core/analysis/evaluation.ts";
import type { TensorStatistics } from "../../core/analysis/weight_statistics.ts";
import { type Tap, tapName } from "../../core/model/sites.ts";
import { isTrainedHere, type TrainedAnalysis, type TranscoderAnalysis } from "../../core/runs/analysed.ts";
import type { Import, ParentReference, TranscoderConfig } from "../../core/runs/config.ts";
import { describeChats, describePassedOver } from "../../core/runs/passed_over.ts";
import { type Check, LIMITS_COME_FROM, successChecks, verdict } from "../checks.ts";
import {
  attributionNotes,
  attributionSentence,
  attributionTable,
  componentTable,
  mainSentence,
} from "../attribution_table.ts";
import {
  agreementTable,
  importanceNotes,
  importanceSentence,
  importanceTable,
  signSentence,
} from "../importance_table.ts";
import { lossSentence, lossTable, prefixNames, replacementTable } from "../loss_table.ts";
import { featureAnalysis, topFeatures } from "./feature_sections.ts";
import { filesOf } from "../file_names.ts";
import {
  capital,
  confidence,
  counted,
  decimal,
  duration,
  fileSize,
  integer,
  interval,
  known,
  list,
  percent,
  setting,
  significant,
  thresholdText,
  timestamp,
} from "../format.ts";
import { documentFvus, intervalBasis, leftOut, leftOutRecords, textRead } from "../held_out.ts";
import { glossary } from "./glossary.ts";
import { insights } from "./insights.ts";
import { bullets, code, document, numbered, numeric, plain, table } from "./markdown.ts";
import { activationText } from "../imported.ts";
import { featureToken, tokenCode } from "../tokens.ts";
import { silentNotes, silentSentence, silentTable } from "../silent_table.ts";
import { caveats, reconstructionTable, targetTable } from "../reconstructions.ts";
import { varianceShares } from "../target_variance.ts";
import { missingAnalyses, missingSentence } from "./missing.ts";
import { recommendations } from "./recommendations.ts";
import { wordsOf } from "./sections/section.ts";

/** The line under a report's title: when, by which version, about which run. */
export function provenance({ config, path }: Pick<TranscoderAnalysis, "config" | "path">, generated: Date): string {
  return `**Generated on:** ${timestamp(generated)} · **Run:** ${code(path)}, ${
    config.imported ? "imported" : "begun"
  } ${timestamp(new Date(config.created))}, ` +
    `mtc ${plain(config.mtc_version)} on ${plain(config.adapter)}`;
}

/** The success metrics as a table, and where their limits come from. */
export function checkTable(checks: Check[]): string {
  return table(
    ["Result", "Success metric", "Found"],
    checks.map((check) => [check.passed ? "✅ pass" : "❌ **fail**", check.requirement, check.found]),
  ) + `\n\n${LIMITS_COME_FROM}`;
}

function executiveSummary(transcoder: TranscoderAnalysis): string {
  const { evaluation, statistics, config } = transcoder;
  const average = statistics.withSamples > 0 ? statistics.samples / statistics.withSamples : 0;
  return bullets([
    `**Total Features:** ${integer(config.features)}`,
    `**Dead Features:** ${integer(evaluation.dead_features)} (${
      percent(evaluation.dead_fraction)
    }) on held-out text; ` +
    `${integer(config.features - statistics.alive)} never fired in the final pass`,
    `**Features with Samples:** ${integer(statistics.withSamples)}`,
    `**Total Samples Collected:** ${integer(statistics.samples)}`,
    `**Average Samples per Feature:** ${
      decimal(average, 1)
    } (of those with samples; at most ${config.samples_per_feature})`,
    `**Held-out FVU:** ${decimal(evaluation.fvu, 3)}${confidence(evaluation.fvu_ci95, 3)}${
      evaluation.linear_map ? `; the best linear map's is ${decimal(evaluation.linear_map.fvu, 3)}, the mean's 1` : ""
    }`,
    `**Held-out L0:** ${decimal(evaluation.l0, 1)}${config.imported ? "" : ` (k = ${config.k})`}`,
    isTrainedHere(transcoder) ? trainingExtent(transcoder) : `**Training:** ${UNKNOWN_TRAINING}`,
  ]);
}

/** What is said of the training of one that was imported. */
export const UNKNOWN_TRAINING: string = "Imported: its training is not known here.";

function trainingExtent({ course, config: { steps } }: TrainedAnalysis): string {
  return `**Training:** ${integer(course.lastStep)} of ${counted(steps, "step")}, ${counted(course.tokens, "token")}, ${
    duration(course.seconds)
  }`;
}

function placed({ site, layer }: Tap): string {
  return `\`${site}\` of layer ${layer}`;
}

/** What the transcoder is and how it was trained. */
export function configuration(transcoder: TranscoderAnalysis): string {
  const { config, evaluation } = transcoder;
  const { source, targets } = config, layers = [...new Set(targets.map(({ layer }) => layer))];
  const mapping = targets.every(({ layer }) => layer === source.layer)
    ? `\`${source.site}\` → ${list(targets.map(({ site }) => `\`${site}\``))} transcoder`
    : `${placed(source)} → ${list(targets.map(placed))}`;
  return bullets([
    `**Model:** ${plain(config.model.name)} (${
      counted(config.model.layers, "layer")
    }, width ${config.model.d_model}, ` +
    `vocabulary ${integer(config.model.vocab_size)})`,
    `**Layer${layers.length > 1 ? "s" : ""}:** ${list(layers.map(String))} (${mapping})`,
    `**Text:** ${plain(config.data.name)} (${textSize(config.data)})`,
    `**Dictionary Size:** ${integer(config.features)} (Matryoshka: [${config.groups.join(", ")}]), ` +
    `widths ${config.d_in} → ${config.d_out}${config.skip ? ", with a skip connection" : ""}`,
    ...isTrainedHere(transcoder)
      ? trainingSettings(transcoder)
      : importedFrom(config.imported!, { config, evaluation }),
    ...config.exclude_tokens.length === 0 ? [] : [
      `**Left out:** tokens with the ids ${config.exclude_tokens.join(", ")}, from ${
        config.imported ? "" : "training, "
      }metrics and samples`,
    ],
    ...config.median_norms === undefined ? [] : [
      `**Left out for their norms:** tokens whose activation at a source is longer than ${
        setting(config.exclude_norm_above)
      } times the median there, ${
        list(config.median_norms.map(({ norm, ...tap }) => `${significant(norm)} at \`${tapName(tap)}\``))
      }`,
    ],
  ]);
}

function importedFrom(
  { tool, from, fingerprint, source_hook, target_hook, trained_on, unfolded_gain, remarks }: Import,
  { config, evaluation }: Pick<TranscoderAnalysis, "config" | "evaluation">,
): string[] {
  const named = [source_hook && `reads ${code(source_hook)}`, target_hook && `predicts ${code(target_hook)}`].filter(
    Boolean,
  );
  return [
    `**Imported From:** ${tool}, ${code(from)}, SHA-256 ${fingerprint.slice(0, 12)}${
      named.length > 0 ? `; it ${named.join(" and ")} there` : ""
    }${unfolded_gain ? ", so that its encoder was divided by the gain of the norm" : ""}${
      trained_on === null ? "" : `; its files name the model ${code(trained_on)}`
    }`,
    `**Activation:** ${activationText(config, evaluation)}`,
    `**Context:** ${config.context}, BOS ${config.include_bos ? "included" : "excluded"}, in what is measured here`,
    ...remarks.map((remark) => `**Note:** ${plain(remark)}`),
  ];
}

/** How a transcoder was trained. */
function trainingSettings({ config, course }: TrainedAnalysis): string[] {
  return [
    `**Top-k:** ${config.k} (batch top-k)`,
    `**Learning Rate:** ${setting(config.learning_rate)} with ${counted(config.warmup_steps, "step")} of warm-up, ` +
    `cosine decay to ${percent(config.final_lr_fraction, 0)}; Adam (${config.beta1}, ${config.beta2}), ` +
    `ε ${setting(config.epsilon)}`,
    `**Auxiliary Loss:** weight ${setting(config.aux_weight)}, ${integer(config.aux_k)} features dead after ` +
    `${counted(config.dead_after_tokens, "token")}`,
    `**Training Steps:** ${integer(course.lastStep)} of ${integer(config.steps)}, ${
      counted(config.batch_tokens, "token")
    } ` +
    `each, context ${config.context}, BOS ${config.include_bos ? "included" : "excluded"}, seed ${config.seed}`,
    ...config.parent === undefined ? [] : [startedFrom(config.parent)],
  ];
}

function startedFrom({ name, steps, fingerprint, goes_on }: ParentReference): string {
  return `**Started From:** ${goes_on ? "all of the training" : "the weights"} of ${code(name)} after ${
    counted(steps, "step")
  }, ` +
    `SHA-256 ${fingerprint.slice(0, 12)}`;
}

/** A text that was read as a stream has no documents that were counted. */
function textSize(data: TranscoderConfig["data"]): string {
  const { train_documents, held_out_documents, bytes, file_count } = data,
    passed = describePassedOver(data.passed_over);
  const beside = [
    ...data.column === undefined ? [] : [`; what stands under ${code(data.column)}`],
    ...data.chat === undefined ? [] : [`; ${plain(describeChats(data.chat))}`],
    ...passed === "" ? [] : [`; ${plain(passed)}`],
    ...data.left_out === undefined ? [] : [`; without ${leftOutRecords(data.left_out)}`],
  ].join("");
  if (train_documents === null || held_out_documents === null) {
    return `${fileSize(bytes)} in ${
      counted(file_count, "file")
    }, read as a stream; every 20th document held out, in turn for validation and test${beside}`;
  }
  return `${counted(train_documents, "document")} to train on, ${
    integer(held_out_documents)
  } held out for validation and test${beside}`;
}

function heldOut({ evaluation, config }: TranscoderAnalysis): string {
  const q = evaluation.l0_quantiles, { fvu_unit_variance, fvu_unit_variance_ci95: unit, target_variance } = evaluation;
  const { cosine, cosine_ci95 } = evaluation;
  const metrics = table(["Metric", numeric("Value"), numeric("95 % CI")], [
    ["FVU", decimal(evaluation.fvu, 4), interval(evaluation.fvu_ci95, 4)],
    ...fvu_unit_variance !== undefined && unit
      ? [["FVU at unit variance", decimal(fvu_unit_variance, 4), interval(unit, 4)]]
      : [],
    ...cosine !== undefined && cosine_ci95 ? [["Cosine", decimal(cosine, 4), interval(cosine_ci95, 4)]] : [],
    ["Explained variance", decimal(evaluation.explained_variance, 4), ""],
    ["FVU, all elements", decimal(evaluation.fvu_all_elements, 4), ""],
    ["L0", decimal(evaluation.l0, 2), interval(evaluation.l0_ci95, 2)],
    ["L0 at 5 / 25 / 50 / 75 / 95 % of the tokens", [q.p05, q.p25, q.p50, q.p75, q.p95].map(integer).join(" / "), ""],
    ...target_variance
      ? [["Target variance in the 1 / 5 / 20 largest dimensions", varianceShares(target_variance), ""]]
      : [],
    ["Dead features", `${integer(evaluation.dead_features)} (${percent(evaluation.dead_fraction)})`, ""],
    ["Inference threshold", thresholdText(evaluation), ""],
  ]);
  const read = `${textRead(evaluation)}; ${leftOut(evaluation, config.include_bos)}; features are active above ${
    evaluation.threshold_range ? "a fixed threshold each" : "one fixed threshold"
  }. ${capital(intervalBasis(evaluation))}.`;
  const parts = [
    read,
    metrics,
    reconstructionTable(evaluation),
    ...eachTarget(evaluation),
    ...caveats(evaluation, config),
    documentFvus(evaluation),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

/** The targets one by one, where there are several. */
export function eachTarget(evaluation: Evaluation): string[] {
  if (evaluation.fvu_per_target === undefined) return [];
  return ["Above, the targets weigh the same. Each alone, of its raw activations:", targetTable(evaluation)];
}

/** How well the model predicts with the transcoder in place; nothing where that was not measured. */
function lossRecovered({ name, evaluation: { loss } }: TranscoderAnalysis): string[] {
  if (loss === undefined) return [];
  const own = [
    "## Loss Recovered",
    lossSentence(loss),
    lossTable(loss.clean, loss, prefixNames(loss.per_prefix)),
    `![FVU and loss recovered of each prefix](${filesOf(name).prefixes})`,
  ];
  if (loss.replacement_model === undefined) return own;
  const members = loss.replacement_model.transcoders.map(code).join(" and ");
  return [...own, `The same with ${members} in place at once:`, replacementTable(loss)];
}

/** What features are known by: the tokens of all their firings on the reading set, without a record the one of most samples. */
function knownBy({ recorded, features }: TranscoderAnalysis): (feature: number) => string {
  return recorded ? wordsOf({ recorded }).name : (feature) => featureToken(features[feature], tokenCode) ?? "–";
}

/** How many features the table of those that matter most shows. */
const MOST_IMPORTANT = 20;

/** Which features matter; nothing where that was not measured. */
function featureImportance(transcoder: TranscoderAnalysis): (string | false)[] {
  const { name, importance } = transcoder;
  if (importance === undefined) return [];
  return [
    "## Feature Importance",
    importanceSentence(importance),
    importanceTable(importance, knownBy(transcoder), MOST_IMPORTANT),
    signSentence(importance),
    `![Four panels: effect on loss and predictions, agreement and reliability of the rankings](${
      filesOf(name).importance
    })`,
    "The same features ranked by each measure:",
    agreementTable(importance),
    silentSentence(importance.silent),
    silentTable(importance.silent),
    bullets([...importanceNotes(importance), ...silentNotes(importance.silent)]),
  ];
}

/** What features are made of; nothing where that was not measured. */
function featureAttribution(transcoder: TranscoderAnalysis): (string | false)[] {
  const { name, attribution } = transcoder;
  if (attribution === undefined) return [];
  return [
    "## What Features Are Made Of",
    attributionSentence(attribution),
    mainSentence(attribution),
    attributionTable(attribution, knownBy(transcoder), tokenCode, MOST_IMPORTANT),
    `![Panels: shares of single features, of all together, how they are spread, what features read and write](${
      filesOf(name).attribution
    })`,
    componentTable(attribution),
    bullets(attributionNotes(attribution)),
  ];
}

function weightTable({ weights }: TranscoderAnalysis): string {
  const row = (name: string, shape: string, { mean, std, min, max }: Omit<TensorStatistics, "shape" | "nonFinite">) => [
    name,
    shape,
    significant(mean, 3),
    significant(std, 3),
    `[${significant(min, 3)}, ${significant(max, 3)}]`,
  ];
  const tensor = (name: string, statistics: TensorStatistics) =>
    row(name, statistics.shape.map(integer).join(" × "), statistics);
  const { encoderNorms, decoderNorms } = weights;
  return table(["", "Shape", numeric("Mean"), numeric("Std"), numeric("Range")], [
    tensor("Encoder weights (W_enc)", weights.encoder),
    tensor("Decoder weights (W_dec)", weights.decoder),
    row("Feature norms (encoder columns)", integer(encoderNorms.count), encoderNorms),
    row("Decoder norms (decoder rows)", integer(decoderNorms.count), decoderNorms),
    tensor("Encoder bias (b_enc)", weights.encoderBias),
    tensor("Decoder bias (b_dec)", weights.decoderBias),
    ...weights.skip ? [tensor("Skip connection (W_skip)", weights.skip)] : [],
  ]);
}

function groupTable({ statistics, evaluation }: TranscoderAnalysis): string {
  const columns = ["Features", "Dead", "Density", "Max activation", "Feature norm", "Sample entropy", "Activations"];
  return table(
    ["Group", ...columns.map(numeric), numeric("FVU of its prefix")],
    statistics.groups.map((group, i) => [
      String(group.group),
      `${integer(group.start)}–${integer(group.end - 1)}`,
      integer(group.dead),
      known(group.medianDensity, (density) => percent(density, 2)),
      known(group.medianMaxActivation, (activation) => decimal(activation, 2)),
      known(group.medianEncoderNorm, (norm) => decimal(norm, 3)),
      Number.isFinite(group.medianTokenEntropy) ? `${decimal(group.medianTokenEntropy, 2)} bits` : "–",
      known(group.shareOfActivations, percent),
      decimal(evaluation.fvu_per_prefix[i]?.fvu ?? NaN, 3),
    ]),
  );
}

/** The analysis report of one transcoder. */
export function analysisReport(transcoder: TranscoderAnalysis, generated: Date): string {
  const files = filesOf(transcoder.name), missing = missingAnalyses(transcoder);
  return document([
    `# ${transcoder.name.title} ${
      transcoder.config.groups.length > 1 || !transcoder.config.imported ? "Matryoshka " : ""
    }Transcoder Analysis Report`,
    verdict(transcoder).sentence,
    provenance(transcoder, generated),
    "## Executive Summary",
    executiveSummary(transcoder),
    `### Success Metrics`,
    checkTable(successChecks(transcoder)),
    transcoder.config.imported ? "## Origin" : "## Training Configuration",
    configuration(transcoder),
    "## Held-out Evaluation",
    heldOut(transcoder),
    ...lossRecovered(transcoder),
    "## Model Weight Analysis",
    transcoder.config.imported
      ? "In the units of raw activations."
      : "In the units of raw activations: how training prepared them is folded in.",
    weightTable(transcoder),
    `![Four panels: strongest features, samples per feature, encoder weights, feature norms](${files.overview})`,
    "## Top Features by Activation",
    topFeatures(transcoder),
    `![Largest activation of each feature against how often it fires](${files.scatter})`,
    "## Feature Analysis",
    featureAnalysis(transcoder),
    ...featureImportance(transcoder),
    ...featureAttribution(transcoder),
    "## Matryoshka Hierarchy",
    "Medians are over the features of the group that fired, that of the sample entropy over those with all their samples. " +
    "*Activations* is the group's share of all activations of the final pass.",
    groupTable(transcoder),
    "## Key Insights",
    numbered(insights(transcoder).map(({ text }) => text)),
    "## Recommendations",
    numbered(recommendations(transcoder)),
    missing.length > 0 && "## Not Analysed Yet",
    bullets(missing.map((one) => `\`${one.command}\`: ${plain(missingSentence(one))}`)),
    "## Definitions",
    glossary(transcoder),
    "## Files Generated",
    bullets([
      `[\`${files.overview}\`](${files.overview}): overview plots`,
      `[\`${files.scatter}\`](${files.scatter}): activation against frequency`,
      `[\`${files.summary}\`](${files.summary}): how the training went`,
      ...isTrainedHere(transcoder) ? [`[\`${files.curves}\`](${files.curves}): training curves`] : [],
      ...transcoder.recorded
        ? [
          `[\`${files.features}\`](${files.features}): what features do on the reading set, all of them and one by one`,
        ]
        : [],
      ...transcoder.evaluation.loss
        ? [`[\`${files.prefixes}\`](${files.prefixes}): FVU and loss recovered of each prefix`]
        : [],
      ...transcoder.importance
        ? [`[\`${files.importance}\`](${files.importance}): what is lost without a feature`]
        : [],
      ...transcoder.attribution ? [`[\`${files.attribution}\`](${files.attribution}): what features are made of`] : [],
      `\`${files.report}\`: this report`,
    ]),
  ]);
}
