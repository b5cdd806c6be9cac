/**
 * <transcoder>_similarity.png: the largest clusters as a matrix, all features as a map, and how near the nearest feature is, beside chance.
 * @module
 */
import type { FeatureMap } from "../../core/analysis/feature_map.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import type { TranscoderName } from "../../core/runs/ids.ts";
import type { RecordedAnalysis, RecordedFiring, TalliedCosines } from "../../core/runs/recorded.ts";
import { counted, decimal, integer, percent } from "../format.ts";
import {
  besideChance,
  figureTitle,
  grid,
  groupColor,
  groupName,
  heading,
  outlinesPanel,
  palette,
  panelSize,
  type Spec,
} from "./theme.ts";

/** Width and height of the matrix and of the map. */
const SQUARE = 440;

/** Cosines and correlations at which a cell has its full colour, and below which it has none. */
const FULL = 0.6, FAINT = 0.03;

/** Features that the map shows one by one at most. */
const DRAWN = 8192;

/** What a label needs of the matrix's height. */
const LABEL_HEIGHT = 11;

/** Characters of a cluster's label. */
const LABEL = 18;

/** Between the colours each share of red, green and blue runs straight, so that what is small is pale. */
const FADED = { interpolate: "rgb", clamp: true };

/** Names a cluster by its tokens. */
export type ClusterNames = (cluster: number) => string;

/** The largest clusters: above the diagonal what features write, below it when they fire. */
function matrixPanel({ patterns: { matrix, clusters, written } }: RecordedAnalysis, name: ClusterNames): Spec {
  const { features, clusters: members, cosine, correlation } = matrix, n = features.length;
  const cells: { x: number; x2: number; y: number; y2: number; value: number }[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (i === j) continue;
      const value = (j > i ? cosine : correlation)[i * n + j];
      if (Math.abs(value) >= FAINT) cells.push({ x: j, x2: j + 1, y: i, y2: i + 1, value: Number(value.toFixed(3)) });
    }
  }
  const bounds = [...Map.groupBy(members.keys(), (at) => members[at])].map(([cluster, places]) => {
    const first = places[0], end = places[places.length - 1] + 1, all = clusters.clusters[cluster].features.length;
    const shown = end - first < all ? ` (${integer(end - first)} of ${integer(all)})` : "";
    return { first, end, middle: (first + end) / 2, label: `${shorten(name(cluster), LABEL)}${shown}` };
  });
  const readable = bounds.filter(({ first, end }) => (end - first) * SQUARE / n >= LABEL_HEIGHT);
  const scale = { domain: [0, Math.max(1, n)], nice: false, zero: false };
  const across = (field: string, more: Spec = {}) => ({ field, type: "quantitative", scale, axis: null, ...more });
  const down = (field: string) => across(field, { scale: { ...scale, reverse: true } });
  return {
    ...{ width: SQUARE, height: SQUARE },
    title: heading(
      "The largest clusters: decoder cosine ◥, correlation of activations ◣",
      n === 0 ? "there are no clusters" : `mean cosine within all clusters ${decimal(written.within, 3)}, ` +
        `features dealt out anew ${decimal(written.by_chance, 3)}`,
    ),
    layer: [
      {
        data: { values: cells },
        mark: { type: "rect", strokeWidth: 0 },
        encoding: {
          x: across("x"),
          x2: { field: "x2" },
          y: down("y"),
          y2: { field: "y2" },
          color: {
            field: "value",
            type: "quantitative",
            title: null,
            scale: { domain: [-FULL, 0, FULL], range: [palette[3], "#ffffff", palette[0]], ...FADED },
            legend: {
              ...{ orient: "bottom", direction: "horizontal", gradientLength: 200, gradientThickness: 8 },
              ...{ values: [-FULL, -FULL / 2, 0, FULL / 2, FULL], format: "+.1f", offset: 8 },
            },
          },
        },
      },
      {
        data: { values: bounds },
        mark: { type: "rect", filled: false, stroke: "#5f6368", strokeWidth: 0.7 },
        encoding: { x: across("first"), x2: { field: "end" }, y: down("first"), y2: { field: "end" } },
      },
      {
        data: { values: [{ from: 0, to: n }] },
        mark: { type: "rule", stroke: "#c4c7cb", strokeWidth: 0.7 },
        encoding: { x: across("from"), x2: { field: "to" }, y: down("from"), y2: { field: "to" } },
      },
      {
        data: { values: readable },
        mark: { type: "text", align: "left", baseline: "middle", dx: 6, fontSize: 9.5, color: "#222222" },
        encoding: { x: { value: SQUARE }, y: down("middle"), text: { field: "label" } },
      },
    ],
  };
}

function shorten(text: string, most: number): string {
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}

/** All features along the two directions in which their decoder rows differ most. */
function mapPanel({ x, y, shares, share_by_chance }: FeatureMap, config: TranscoderConfig): Spec {
  const groupOf = config.groups.flatMap((size, group) => new Array<string>(size).fill(groupName(group)));
  const step = Math.ceil(x.length / DRAWN), values: { x: number; y: number; group: string }[] = [];
  for (let i = 0; i < x.length; i += step) {
    values.push({ x: Number(x[i].toFixed(4)), y: Number(y[i].toFixed(4)), group: groupOf[i] });
  }
  const most = values.reduce((most, { x, y }) => Math.max(most, Math.abs(x), Math.abs(y)), 0.01) * 1.05;
  const axis = (field: string, share: number, which: string) => ({
    field,
    type: "quantitative",
    title: `${which} component, ${percent(share)} of the variance`,
    scale: { domain: [-most, most], nice: false },
    axis: { tickCount: 5 },
  });
  return {
    ...{ width: SQUARE, height: SQUARE },
    title: heading(
      "All features by what they write (principal components)",
      `${percent(shares[0] + shares[1])} of the variance of decoder rows; random directions ${
        percent(share_by_chance)
      }` +
        (step > 1 ? `; one in ${integer(step)} is drawn` : ""),
    ),
    data: { values },
    mark: { type: "point", filled: true, size: values.length > 1000 ? 10 : 18, opacity: 0.6 },
    encoding: {
      x: axis("x", shares[0], "first"),
      y: axis("y", shares[1], "second"),
      color: groupColor(config, "top-right"),
    },
  };
}

function nearestCosines({ cosines, by_chance }: TalliedCosines): Spec {
  return outlinesPanel(
    [["found", cosines.largest_histogram], ["by chance", by_chance.largest_histogram]],
    heading(
      "The nearest other decoder row",
      `median cosine ${decimal(cosines.largest.median, 3)}; as many random directions of the same second moment ${
        decimal(by_chance.largest.median, 3)
      }`,
    ),
    { x: "largest cosine with another feature", y: "share of features" },
    besideChance,
  );
}

function nearestFiring(
  { correlation: { largest, by_chance, largest_histogram, by_chance_histogram } }: RecordedFiring,
) {
  return outlinesPanel(
    [["found", largest_histogram], ["by chance", by_chance_histogram]],
    heading(
      "The feature that fires most alike",
      `median correlation ${decimal(largest.median, 3)}; with shuffled contexts ${decimal(by_chance.median, 3)}`,
    ),
    { x: "largest correlation with another feature", y: "share of features" },
    besideChance,
  );
}

/** Four panels: the largest clusters, the map, and the nearest feature by cosine and by correlation; two where rows were not compared. */
export function similarityFigure(
  name: TranscoderName,
  config: TranscoderConfig,
  recorded: RecordedAnalysis,
  cluster: ClusterNames,
): Spec {
  const { dictionary, firing } = recorded, matrix = matrixPanel(recorded, cluster);
  const wide = { width: SQUARE, height: panelSize.height };
  const panels = typeof dictionary === "string" ? [matrix, { ...nearestFiring(firing), ...wide }] : [
    matrix,
    mapPanel(dictionary.map, config),
    { ...nearestCosines(dictionary.decoder), ...wide },
    { ...nearestFiring(firing), ...wide },
  ];
  return grid(
    panels,
    2,
    figureTitle(
      `${name.title}: how alike its features are`,
      `${integer(config.features)} features on ${counted(firing.tokens, "token")} of the reading set`,
    ),
    "independent",
  );
}
