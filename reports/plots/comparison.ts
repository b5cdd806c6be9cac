/**
 * <transcoder>_vs_<transcoder>_comparison.png.
 * @module
 */
import type { SharedDistribution } from "../../core/analysis/comparison.ts";
import type { ComparedPair, TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { decimal, mappingText, percent, significant } from "../format.ts";
import { thresholds } from "../thresholds.ts";
import { figureTitle, grid, heading, palette, panelSize, type Spec, upright } from "./theme.ts";

function colorOf({ a, b }: ComparedPair): Spec {
  return {
    field: "transcoder",
    type: "nominal",
    title: null,
    scale: { domain: [a.name.phrase, b.name.phrase], range: [palette[0], palette[3]] },
    legend: { orient: "top", symbolType: "square", offset: 12 },
  };
}

function prefixPanel(comparison: ComparedPair): Spec {
  const values = [comparison.a, comparison.b].flatMap((transcoder) =>
    transcoder.evaluation.fvu_per_prefix
      .filter(({ fvu }) => Number.isFinite(fvu))
      .map(({ prefix, fvu, ci95: [low, high] }) => ({ transcoder: transcoder.name.phrase, prefix, fvu, low, high }))
  );
  const x = {
    field: "prefix",
    type: "quantitative",
    title: "features in the prefix",
    scale: { zero: true, nice: true },
    axis: { grid: false, tickCount: 6, format: ",d" },
  };
  const color = colorOf(comparison);
  const [a, b] = [comparison.a.evaluation.fvu, comparison.b.evaluation.fvu];
  return {
    ...panelSize,
    title: heading(
      "Held-out FVU of each Matryoshka prefix",
      `all features: ${decimal(a, 3)} and ${decimal(b, 3)}; bars: 95 % CI; dashed: goal ${thresholds.fvu}`,
    ),
    layer: [
      {
        data: { values },
        layer: [
          {
            mark: { type: "line", strokeWidth: 1.5 },
            encoding: { y: { field: "fvu", ...upright("FVU") } },
          },
          {
            mark: { type: "point", filled: true, size: 45, opacity: 1 },
            encoding: { y: { field: "fvu", type: "quantitative" } },
          },
          {
            mark: { type: "rule", strokeWidth: 2 },
            encoding: { y: { field: "low", type: "quantitative" }, y2: { field: "high" } },
          },
        ],
        encoding: { x, color },
      },
      {
        data: { values: [{ goal: thresholds.fvu }] },
        mark: { type: "rule", strokeDash: [4, 4], color: "#5f6368" },
        encoding: { y: { field: "goal", type: "quantitative" } },
      },
    ],
  };
}

/** Both histograms as outlines, as shares of each one's features, so that dictionaries of different size compare. */
function outlinePanel(
  comparison: ComparedPair,
  histograms: SharedDistribution,
  title: Spec,
  { x: xTitle, labels }: { readonly x: string; readonly labels?: string },
): Spec {
  const values = ([["a", comparison.a], ["b", comparison.b]] as const).flatMap(([key, { name: { phrase } }]) => {
    const { edges, counts } = histograms[key];
    const total = counts.reduce((sum, count) => sum + count, 0);
    return total === 0 ? [] : [
      ...counts.map((count, i) => ({ transcoder: phrase, x: edges[i], share: count / total })),
      { transcoder: phrase, x: edges[counts.length], share: counts[counts.length - 1] / total },
    ];
  });
  const { edges } = histograms.a;
  const domain = Number.isFinite(edges[0]) ? [edges[0], edges[edges.length - 1]] : [0, 1];
  return {
    ...panelSize,
    title,
    data: { values },
    mark: { type: "area", interpolate: "step-after", fillOpacity: 0.18, line: { strokeWidth: 1.6 } },
    encoding: {
      x: {
        field: "x",
        type: "quantitative",
        title: xTitle,
        scale: { domain, nice: false, zero: false },
        axis: { grid: false, tickCount: 6, ...labels === undefined ? {} : { labelExpr: labels } },
      },
      y: { field: "share", stack: null, ...upright("share of features", { format: "%" }) },
      color: colorOf(comparison),
    },
  };
}

/** Four panels: FVU per prefix, and the distributions of density, largest activation and token entropy. */
export function comparisonFigure(comparison: ComparedPair): Spec {
  const { a, b } = comparison;
  const medians = (value: (transcoder: TranscoderAnalysis) => string) => `medians ${value(a)} and ${value(b)}`;
  return grid(
    [
      prefixPanel(comparison),
      outlinePanel(
        comparison,
        comparison.logDensity,
        heading(
          "How often features fire",
          medians((transcoder) => percent(10 ** transcoder.statistics.logDensity.median, 2)) + " of the tokens",
        ),
        {
          x: "share of the tokens on which the feature fires (logarithmic)",
          labels: "format(100 * pow(10, datum.value), '.2~r') + ' %'",
        },
      ),
      outlinePanel(
        comparison,
        comparison.logMaxActivation,
        heading(
          "How strongly features fire",
          medians((transcoder) => significant(transcoder.statistics.maxActivation.median, 3)),
        ),
        { x: "maximum activation (logarithmic)", labels: "format(pow(10, datum.value), '.2~r')" },
      ),
      outlinePanel(
        comparison,
        comparison.tokenEntropy,
        heading(
          "How mixed their tokens are",
          `${
            medians((transcoder) => decimal(transcoder.statistics.tokenEntropy.median, 1))
          } bits; features with all their samples`,
        ),
        { x: "token entropy of the top samples, bits" },
      ),
    ],
    2,
    figureTitle(
      `${a.name.title} and ${b.name.phrase} side by side`,
      [...new Set([a, b].map(({ config }) => `${config.model.name}, ${mappingText(config)}`))]
        .join(
          " and ",
        ),
    ),
    "shared",
  );
}
