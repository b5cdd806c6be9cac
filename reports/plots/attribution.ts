/**
 * <transcoder>_attribution.png: what features are made of, by component, and whether they write what they read.
 * @module
 */
import { COMPONENT_KINDS } from "../../core/analysis/attribution.ts";
import { histogram, quantile } from "../../core/analysis/statistics.ts";
import type { StoredAttribution } from "../../core/runs/attribution.ts";
import type { TranscoderName } from "../../core/runs/ids.ts";
import { byMass, KIND_NAMES, kindsOf } from "../attribution_table.ts";
import { counted, decimal, integer } from "../format.ts";
import { figureTitle, grid, heading, histogramPanel, palette, panelSize, type Spec } from "./theme.ts";

/** Features whose shares are drawn one by one. */
const DRAWN = 20;
/** Bins of the cosines. */
const BINS = 40;

const color = (attribution: StoredAttribution) => ({
  field: "kind",
  type: "nominal",
  title: null,
  scale: {
    domain: kindsOf(attribution).map((kind) => KIND_NAMES[kind]),
    range: kindsOf(attribution).map((kind) => palette[COMPONENT_KINDS.indexOf(kind)]),
  },
  legend: { orient: "top", direction: "horizontal", symbolOpacity: 1 },
});

const share = { type: "quantitative", axis: { format: "~%" } };

/** Shares of the strongest features, side by side; what works against the firing stands left of 0. */
function featurePanel(attribution: StoredAttribution, token: (feature: number) => string): Spec {
  const shown = byMass(attribution.features).slice(0, DRAWN), kinds = kindsOf(attribution);
  const name = (feature: number) => `${feature} ${token(feature)}`.trim();
  const values = shown.flatMap(({ feature, shares }) =>
    kinds.map((kind, order) => ({ feature: name(feature), kind: KIND_NAMES[kind], share: shares[kind], order }))
  );
  return {
    ...panelSize,
    title: heading(
      "What lifts single features",
      `the ${counted(shown.length, "feature")} with the largest sum of activations, and the token each fires on`,
    ),
    data: { values },
    mark: { type: "bar" },
    encoding: {
      y: {
        field: "feature",
        type: "nominal",
        sort: shown.map(({ feature }) => name(feature)),
        title: null,
        axis: { labelFontSize: 9, labelOverlap: false, ticks: false },
      },
      x: { field: "share", ...share, stack: "zero", title: "share of the rise above the typical pre-activation" },
      color: color(attribution),
      order: { field: "order" },
    },
  };
}

/** Shares of every component in all firings, in the order of the model. */
function componentPanel(attribution: StoredAttribution): Spec {
  const names = attribution.components.map(({ name }) => name.replace("layer", "").replace("_out", ""));
  const values = attribution.components.map(({ kind, share, ci95: [low, high] }, k) => ({
    ...{ component: names[k], kind: KIND_NAMES[kind], share, low, high },
  }));
  const x = { field: "component", type: "nominal", sort: names, title: "layer and what computes it in the layer" };
  const axis = { labelAngle: -60, labelOverlap: false, ...names.length > 24 ? { labelFontSize: 8 } : {} };
  return {
    ...panelSize,
    title: heading("What lifts all features together", "in the order of the model; lines are 95 % intervals"),
    data: { values },
    layer: [
      {
        mark: { type: "bar" },
        encoding: { x: { ...x, axis }, y: { field: "share", ...share, title: "share" }, color: color(attribution) },
      },
      {
        mark: { type: "rule" },
        encoding: { x: { ...x, axis }, y: { field: "low", ...share }, y2: { field: "high" } },
      },
    ],
  };
}

/** How the shares of each kind are spread over the features. */
function spreadPanel(attribution: StoredAttribution): Spec {
  const values = kindsOf(attribution).map((kind) => {
    const ascending = attribution.features.map(({ shares }) => shares[kind]).filter(Number.isFinite).sort((a, b) =>
      a - b
    );
    const at = (q: number) => quantile(ascending, q);
    return { kind: KIND_NAMES[kind], p05: at(0.05), p25: at(0.25), p50: at(0.5), p75: at(0.75), p95: at(0.95) };
  });
  const y = { field: "kind", type: "nominal", sort: values.map(({ kind }) => kind), title: null };
  const x = { ...share, title: "share of the rise above the typical pre-activation" };
  return {
    ...panelSize,
    title: heading("How features differ", "lines: 90 % of the features, boxes: half of them, white: the median"),
    data: { values },
    layer: [
      {
        mark: { type: "rule", strokeWidth: 1.5 },
        encoding: { y, x: { field: "p05", ...x }, x2: { field: "p95" }, color: color(attribution) },
      },
      {
        mark: { type: "bar", height: 18 },
        encoding: { y, x: { field: "p25", ...x }, x2: { field: "p75" }, color: color(attribution) },
      },
      { mark: { type: "tick", color: "white", thickness: 2, height: 18 }, encoding: { y, x: { field: "p50", ...x } } },
    ],
  };
}

function cosinePanel({ features, cosine_chance }: StoredAttribution): Spec | null {
  const cosines = features.map(({ cosine }) => cosine).filter((cosine) => cosine !== null);
  if (cosines.length === 0) return null;
  return histogramPanel(
    histogram(cosines, BINS, -1, 1),
    heading(
      "Do features write what they read?",
      `1: the same, -1: they take it away; unrelated directions stay within ±${decimal(cosine_chance, 2)}`,
    ),
    { x: "cosine of encoder and decoder", y: "features" },
  );
}

/** Four panels: shares of single features, of all together, how they are spread, and what features read beside what they write. */
export function attributionFigure(
  name: TranscoderName,
  attribution: StoredAttribution,
  token: (feature: number) => string,
): Spec {
  const cosines = cosinePanel(attribution);
  return grid(
    [
      featurePanel(attribution, token),
      componentPanel(attribution),
      spreadPanel(attribution),
      ...cosines ? [cosines] : [],
    ],
    2,
    figureTitle(
      `${name.title}: what features are made of`,
      `${integer(attribution.features.length)} features, ${counted(attribution.firings, "firing")} on ${
        counted(attribution.tokens, "held-out token")
      }`,
    ),
    "shared",
  );
}
