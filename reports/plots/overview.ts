/**
 * <transcoder>_analysis_overview.png and <transcoder>_activation_vs_samples.png.
 * @module
 */
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { counted, integer, mappingText, percent, significant } from "../format.ts";
import {
  figureTitle,
  grid,
  groupColor,
  groupName,
  heading,
  histogramPanel,
  logarithmicAxis,
  palette,
  panelSize,
  type Spec,
  upright,
} from "./theme.ts";

function strongestPanel(transcoder: TranscoderAnalysis): Spec {
  const { strongest, maxActivation } = transcoder.statistics;
  const values = strongest.slice(0, 50).map((row) => ({
    feature: String(row.feature),
    group: groupName(row.group),
    value: row.max_activation,
  }));
  const detail = strongest.length === 0
    ? "no feature fired"
    : `strongest ${significant(maxActivation.max)}, median of all features ${significant(maxActivation.median)}`;
  return {
    ...panelSize,
    title: heading(`The ${values.length} features with the largest activation`, detail),
    data: { values },
    mark: { type: "bar" },
    encoding: {
      x: {
        field: "feature",
        type: "nominal",
        sort: null,
        title: "feature, by falling maximum",
        scale: { paddingInner: 0.25, paddingOuter: 0.3 },
        axis: { labelAngle: -90, labelFontSize: 7.5, ticks: false, labelOverlap: false },
      },
      y: { field: "value", ...upright("maximum activation") },
      color: groupColor(transcoder.config, "top-right"),
    },
  };
}

/** Four panels: the strongest features, samples per feature, encoder weights, feature norms. */
export function overviewFigure(transcoder: TranscoderAnalysis): Spec {
  const { config, statistics, weights } = transcoder;
  const cap = config.samples_per_feature;
  const norms = weights.encoderNorms;
  const notDrawn = `cannot be drawn: ${integer(weights.encoder.nonFinite)} weights are not finite`;
  return grid(
    [
      strongestPanel(transcoder),
      histogramPanel(
        statistics.sampleHistogram,
        heading(
          "Samples kept per feature",
          `${percent(statistics.atSampleCap / config.features)} reach the limit of ${cap}, which is the last bar`,
        ),
        {
          x: "samples of the feature",
          y: "features",
          values: [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => share * cap),
        },
        palette[2],
      ),
      histogramPanel(
        weights.encoderHistogram,
        heading(
          "Encoder weights (W_enc)",
          weights.encoder.nonFinite > 0
            ? notDrawn
            : `mean ${significant(weights.encoder.mean, 2)}, std ${significant(weights.encoder.std, 3)}; ` +
              `${integer(weights.encoderOutside)} beyond 5 std not drawn`,
        ),
        { x: "weight", y: "weights" },
      ),
      histogramPanel(
        weights.encoderNormHistogram,
        heading(
          "Feature norms (lengths of the encoder columns)",
          weights.encoder.nonFinite > 0
            ? notDrawn
            : `median ${significant(norms.median, 3)}, 90 % between ${significant(norms.p05, 3)} and ${
              significant(norms.p95, 3)
            }`,
        ),
        { x: "norm", y: "features" },
        palette[3],
      ),
    ],
    2,
    figureTitle(
      `${transcoder.name.title}: features and weights at a glance`,
      `${integer(config.features)} features, ${mappingText(config)}, ${config.model.name}`,
    ),
    "independent",
  );
}

/** Largest activation of each feature against how often it fired, with the limit of the samples. No trend: maxima grow with draws. */
export function scatterFigure(transcoder: TranscoderAnalysis): Spec {
  const { config, statistics } = transcoder;
  const { strongest } = statistics;
  const fires = strongest.map((row) => row.fires);
  const [least, most] = [Math.min(...fires), Math.max(...fires)];
  const silent = config.features - statistics.alive;
  const cap = config.samples_per_feature;
  const x = { field: "fires", type: "quantitative" };
  const points = {
    data: {
      values: strongest.map((row) => ({ fires: row.fires, value: row.max_activation, group: groupName(row.group) })),
    },
    mark: { type: "point", filled: true, size: 16, opacity: 0.55 },
    encoding: {
      x: {
        ...x,
        title: `activations in the final pass (logarithmic); at most ${cap} of them are kept as samples`,
        scale: { type: "log", domain: [least * 0.9, most * 1.1], nice: false },
        axis: { values: [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7], format: "," },
      },
      y: {
        field: "value",
        ...logarithmicAxis(strongest.map((row) => row.max_activation), "maximum activation (logarithmic)"),
      },
      color: groupColor(config, "right"),
    },
  };
  const limited = least < cap && cap < most ? [{ fires: cap }] : [];
  const limit = {
    data: { values: limited },
    mark: { type: "rule", color: "#5f6368", strokeDash: [4, 4] },
    encoding: { x },
  };
  return {
    width: 760,
    height: 420,
    title: figureTitle(
      `${transcoder.name.title}: how strongly features fire against how often`,
      `one dot per feature; the largest of many activations is larger by chance alone` +
        (limited.length > 0 ? `; dashed: the limit of ${cap} samples` : "") +
        (silent > 0 ? `; ${counted(silent, "silent feature")} not shown` : ""),
    ),
    layer: [points, limit],
  };
}
