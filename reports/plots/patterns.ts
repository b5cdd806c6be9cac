/**
 * <transcoder>_patterns.png: clusters and how well they are apart, bursts, places in a context, documents, and the shape of activations.
 * @module
 */
import type { FeatureClusters } from "../../core/analysis/clusters.ts";
import type { FeaturePattern } from "../../core/analysis/feature_patterns.ts";
import { histogram, median, summarize } from "../../core/analysis/statistics.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import type { TranscoderName } from "../../core/runs/ids.ts";
import type { RecordedPatterns } from "../../core/runs/recorded.ts";
import { counted, decimal, integer, percent } from "../format.ts";
import { LEAST_FIRES, remarkableFeatures } from "../patterns_table.ts";
import {
  besideChance,
  figureTitle,
  grid,
  groupColor,
  groupName,
  heading,
  logarithmicAxis,
  outlinesPanel,
  palette,
  panelSize,
  type Spec,
  upright,
} from "./theme.ts";

/** Features or clusters that are drawn one by one at most, and bins of outlines. */
const DRAWN = 4096, BINS = 40;

/** Places in a context are drawn for so many features. */
const PLACED = 5;

const dashed = { type: "line", color: "#5f6368", strokeDash: [4, 4] };

/** What is drawn of many. */
function thinned<T>(all: readonly T[]): T[] {
  const step = Math.ceil(all.length / DRAWN);
  return all.filter((_, i) => i % step === 0);
}

/** Clusters by size and by how well they are apart. */
function clusterPanel({ clusters, silhouette, silhouette_by_chance }: FeatureClusters): Spec {
  const values = thinned(clusters).map(({ features, silhouette, correlation }) => {
    return { size: features.length, silhouette, correlation };
  });
  const y = {
    type: "quantitative",
    title: "mean silhouette of the cluster",
    scale: { zero: true, nice: 5 },
    axis: { tickCount: 5 },
  };
  return {
    title: heading(
      "Clusters of features that fire alike",
      values.length === 0
        ? "there are none"
        : `${counted(clusters.length, "cluster")}; mean silhouette ${
          decimal(silhouette, 3)
        }, dashed: with shuffled contexts ${decimal(silhouette_by_chance, 3)}`,
    ),
    layer: [
      {
        data: { values },
        mark: { type: "point", filled: true, size: 34, opacity: 0.75 },
        encoding: {
          x: {
            field: "size",
            ...logarithmicAxis([1, ...values.map(({ size }) => size)], "features of the cluster (logarithmic)"),
          },
          y: { field: "silhouette", ...y },
          color: {
            field: "correlation",
            type: "quantitative",
            title: "mean correlation",
            scale: { range: ["#cfe3f3", palette[0], "#002b45"], interpolate: "rgb" },
            legend: { orient: "top-right", gradientLength: 70, gradientThickness: 8, tickCount: 3 },
          },
        },
      },
      ...values.length === 0 ? [] : [{
        data: { values: [{ chance: silhouette_by_chance }] },
        mark: { type: "rule", color: "#5f6368", strokeDash: [4, 4] },
        encoding: { y: { field: "chance", ...y } },
      }],
    ],
  };
}

/** Burstiness as powers of two, beside that of as many tokens drawn at random. */
function burstPanel(judged: readonly FeaturePattern[]): Spec {
  const logs = (of: (one: FeaturePattern) => number) =>
    judged.map((one) => Math.log2(Math.max(2 ** -3, of(one)))).filter(Number.isFinite);
  const found = logs(({ burstiness }) => burstiness), chance = logs((one) => one.burstiness_by_chance);
  const most = [...found, ...chance].reduce((most, value) => Math.max(most, value), 1);
  const counted = (values: readonly number[]) => histogram(values, BINS, -3, Math.ceil(most));
  return outlinesPanel(
    [["found", counted(found)], ["by chance", counted(chance)]],
    heading(
      "In bursts: within 8 tokens behind a firing",
      `the typical feature fires ${
        decimal(2 ** median(found), 1)
      } times as likely there as anywhere; tokens at random ${decimal(2 ** median(chance), 1)}`,
    ),
    {
      x: "times as likely as anywhere (logarithmic; the lowest holds all below)",
      y: "share of features",
      labels: "format(pow(2, datum.value), '~g') + '×'",
    },
    besideChance,
  );
}

/** Where in a context those fire that are bound to a place most. */
function placePanel(patterns: readonly FeaturePattern[], name: (feature: number) => string): Spec {
  const bound = remarkableFeatures(patterns, PLACED).filter(({ what }) => what.startsWith("at a position"));
  const judged = patterns.filter(({ fires }) => fires >= LEAST_FIRES);
  const chance = judged.reduce((most, one) => Math.max(most, one.position_bits_by_chance), 0);
  const beyond = judged.filter(({ position_bits }) => position_bits > chance).length;
  const label = ({ pattern: { feature } }: typeof bound[number]) => `${feature}: ${name(feature)}`;
  const values = bound.flatMap((one) =>
    one.pattern.position_profile.map((times, part) => ({ series: label(one), part: part + 1, times }))
  );
  const parts = judged.length === 0 ? [] : judged[0].position_profile.map((_, part) => {
    const { p05, p95 } = summarize(judged.map(({ position_profile }) => position_profile[part]));
    return { part: part + 1, p05, p95 };
  });
  return {
    title: heading(
      "Bound to a place in the context",
      `${integer(beyond)} of ${counted(judged.length, "feature")} more than any would be by chance${
        beyond > PLACED ? `; the first ${PLACED}` : ""
      }; grey: the middle 90 % of all`,
    ),
    layer: [
      {
        data: { values: parts },
        mark: { type: "area", color: "#9aa0a6", opacity: 0.3 },
        encoding: {
          x: { field: "part", type: "quantitative" },
          y: { field: "p05", type: "quantitative" },
          y2: { field: "p95" },
        },
      },
      {
        data: { values },
        mark: { type: "line", strokeWidth: 1.8, point: { size: 28 } },
        encoding: {
          x: {
            field: "part",
            type: "quantitative",
            title: "eighth of the context",
            scale: { domain: [0.7, 8.3], nice: false },
            axis: { grid: false, values: [1, 2, 3, 4, 5, 6, 7, 8], format: "d" },
          },
          y: { field: "times", ...upright("times as likely as anywhere") },
          color: {
            field: "series",
            type: "nominal",
            title: null,
            sort: null,
            scale: { range: palette.slice(0, PLACED) },
            legend: { orient: "top-right", direction: "vertical", symbolType: "stroke", offset: 4 },
          },
        },
      },
      {
        data: { values: [{ part: 0.7, times: 1 }, { part: 8.3, times: 1 }] },
        mark: dashed,
        encoding: {
          x: { field: "part", type: "quantitative" },
          y: { field: "times", type: "quantitative" },
        },
      },
    ],
  };
}

/** How uneven features are over documents, beside the same firings in contexts of other documents. */
function documentPanel(judged: readonly FeaturePattern[], config: TranscoderConfig, groupOf: readonly number[]): Spec {
  const values = thinned(judged).map(({ feature, document_gini: own, document_gini_by_chance: chance }) => {
    return { own, chance, group: groupName(groupOf[feature]) };
  });
  const above = judged.filter((one) => one.document_gini > one.document_gini_by_chance).length;
  const axis = (field: string, title: string) => {
    return { field, type: "quantitative", title, scale: { domain: [0, 1], nice: false }, axis: { tickCount: 5 } };
  };
  const x = axis("chance", "Gini with contexts shuffled among documents"), y = axis("own", "Gini over documents");
  return {
    title: heading(
      "In few documents, beside chance",
      `${percent(above / judged.length)} of ${
        counted(judged.length, "feature")
      } lie above the line, half would by chance`,
    ),
    layer: [
      { data: { values: [{ own: 0, chance: 0 }, { own: 1, chance: 1 }] }, mark: dashed, encoding: { x, y } },
      {
        data: { values },
        mark: { type: "point", filled: true, size: 14, opacity: 0.55 },
        encoding: { x, y, color: groupColor(config, "top-left") },
      },
    ],
  };
}

/** The shape of activations where features fire, by group. */
function shapePanel(judged: readonly FeaturePattern[], config: TranscoderConfig, groupOf: readonly number[]): Spec {
  const finite = judged.filter(({ skewness }) => Number.isFinite(skewness));
  const names = config.groups.map((_, group) => groupName(group)), low = -2, high = 8;
  const panel = outlinesPanel(
    names.map((name, group) => [
      name,
      histogram(
        finite.filter(({ feature }) => groupOf[feature] === group)
          .map(({ skewness }) => Math.max(low, Math.min(high, skewness))),
        BINS,
        low,
        high,
      ),
    ]),
    heading(
      "The shape of activations where features fire",
      `median skewness ${
        decimal(median(finite.map(({ skewness }) => skewness)), 2)
      }; 0 where symmetric, 2 where exponential`,
    ),
    { x: "skewness (the outermost bins hold all beyond)", y: "share of the group" },
    {
      scale: { domain: names, range: palette.slice(0, names.length) },
      legend: { orient: "top-right", direction: "vertical", symbolType: "square", offset: 4 },
    },
  );
  return panel;
}

/** How sharply NPMI stands out: pairs that fire together, by the strongest edge of each feature. */
function companyPanel({ edges, threshold, features }: RecordedPatterns["graph"]): Spec {
  const strongest = new Map<number, number>();
  for (const { a, b, npmi } of edges) {
    for (const one of [a, b]) strongest.set(one, Math.max(strongest.get(one) ?? -1, npmi));
  }
  return outlinesPanel(
    [["found", histogram([...strongest.values()], BINS, 0, 1)]],
    heading(
      "In company: the strongest edge of each feature",
      `${percent(strongest.size / Math.max(1, features))} of ${counted(features, "feature")} have an edge: NPMI above ${
        decimal(threshold, 3)
      }, which 1 % reach by chance`,
    ),
    { x: "NPMI of firing with another feature", y: "share of features" },
    { ...besideChance, legend: null },
  );
}

/** Six panels. */
export function patternsFigure(
  { title }: TranscoderName,
  config: TranscoderConfig,
  { patterns, clusters, graph }: RecordedPatterns,
  name: (feature: number) => string,
): Spec {
  const judged = patterns.filter(({ fires }) => fires >= LEAST_FIRES);
  const groupOf = config.groups.flatMap((size, group) => new Array<number>(size).fill(group));
  return grid(
    [
      clusterPanel(clusters),
      companyPanel(graph),
      burstPanel(judged),
      placePanel(patterns, name),
      documentPanel(judged, config, groupOf),
      shapePanel(judged, config, groupOf),
    ].map((panel) => ({ ...panel, ...panelSize })),
    2,
    figureTitle(
      `${title}: how features fire, and in what company`,
      `${counted(judged.length, "feature")} of ${integer(config.features)} that fire on ${LEAST_FIRES} tokens or more`,
    ),
    "independent",
  );
}
