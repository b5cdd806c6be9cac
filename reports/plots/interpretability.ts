/**
 * <transcoder>_interpretability.png: what tells features and what lifts them, their coherence beside chance, and how far another layer has them.
 * @module
 */
import { FEATURE_KINDS, type LayerFeature } from "../../core/analysis/layer.ts";
import { SAME_FEATURE } from "../../core/analysis/matching.ts";
import { histogram } from "../../core/analysis/statistics.ts";
import type { KnownLayer } from "../findings/finding.ts";
import { counted, decimal, integer, list } from "../format.ts";
import { FEATURE_KIND_NAMES } from "../layer_table.ts";
import { figureTitle, grid, heading, histogramPanel, palette, panelSize, type Spec, upright } from "./theme.ts";

/** Dots of a panel at most: those of the features that fire most strongly. */
const DOTS = 4000;
/** Bins of a histogram. */
const BINS = 40;

const muted = "#5f6368";

/** The kinds' colours; those that no feature is of are left out of the legend. */
function colorOf(features: readonly LayerFeature[]): Spec {
  const kinds = FEATURE_KINDS.filter((kind) => features.some((one) => one.kind === kind));
  return {
    field: "kind",
    type: "nominal",
    title: null,
    scale: {
      domain: kinds.map((kind) => FEATURE_KIND_NAMES[kind]),
      range: kinds.map((kind) => palette[FEATURE_KINDS.indexOf(kind)]),
    },
    legend: { orient: "top", direction: "horizontal", symbolOpacity: 1, symbolType: "circle" },
  };
}

/** Each group's features by kind. */
function kindPanel({ recorded: { layer: { features } } }: KnownLayer): Spec {
  const groups = [...new Set(features.map(({ group }) => group))].sort((a, b) => a - b);
  const values = groups.flatMap((group) => {
    const of = features.filter((one) => one.group === group);
    return FEATURE_KINDS.map((kind, order) => ({
      ...{ group: `group ${group}`, kind: FEATURE_KIND_NAMES[kind], order },
      share: of.filter((one) => one.kind === kind).length / of.length,
    })).filter(({ share }) => share > 0);
  });
  return {
    ...panelSize,
    title: heading("What tells features", "R2 of activation on the token, the token before or the place: half or more"),
    data: { values },
    mark: { type: "bar" },
    encoding: {
      y: { field: "group", type: "nominal", title: null, axis: { ticks: false } },
      x: {
        field: "share",
        type: "quantitative",
        title: "share of the features",
        axis: { format: "%" },
        scale: { domain: [0, 1] },
      },
      color: colorOf(features),
      order: { field: "order" },
    },
  };
}

/** How well the token tells each feature, and how much attention lifts it; null where that was not measured. */
function attentionPanel({ recorded: { layer: { features, link } } }: KnownLayer): Spec | null {
  if (link === null) return null;
  const strongest = features.toSorted((a, b) => b.mass - a.mass).slice(0, DOTS);
  const values = strongest.flatMap(({ shares, explained: { token: { r2 } }, kind }) =>
    shares === null ? [] : [{
      r2: Math.max(-0.05, r2),
      // A few shares of features that hardly rise are far from 0 to 1.
      attention: Math.max(-0.5, Math.min(1.5, shares.earlier_attention + shares.own_attention)),
      kind: FEATURE_KIND_NAMES[kind],
    }]
  );
  return {
    ...panelSize,
    title: heading(
      "Does more come from attention where tokens tell less?",
      `rank correlation ${decimal(link.attention, 2)}; unrelated ranks stay within ±${decimal(link.chance, 2)}`,
    ),
    data: { values },
    mark: { type: "point", filled: true, size: 18, opacity: 0.55 },
    encoding: {
      x: { field: "r2", type: "quantitative", title: "R2 of activation on the token" },
      y: { field: "attention", ...upright("share of attention in what lifts it", { format: "%" }) },
      color: colorOf(features),
    },
  };
}

/** Coherence beside token entropy; null where it was not measured. */
function coherencePanel({ coherence, recorded: { layer: { features } } }: KnownLayer): Spec | null {
  if (coherence === undefined || coherence.features.length === 0) return null;
  const kindOf = new Map(features.map(({ feature, kind }) => [feature, FEATURE_KIND_NAMES[kind]]));
  const values = coherence.features.toSorted((a, b) => b.fires - a.fires).slice(0, DOTS)
    .map(({ feature, token_entropy, coherence }) => ({ token_entropy, coherence, kind: kindOf.get(feature) }));
  const { random: { limit }, beyond } = coherence;
  return {
    ...panelSize,
    title: heading(
      "Do features stand for more than tokens?",
      `${integer(beyond)} above the line, below which 99 of 100 random directions stay`,
    ),
    layer: [
      {
        data: { values },
        mark: { type: "point", filled: true, size: 18, opacity: 0.55 },
        encoding: {
          x: { field: "token_entropy", type: "quantitative", title: "token entropy of its firings, bits" },
          y: { field: "coherence", ...upright("coherence beyond its tokens") },
          color: colorOf(features),
        },
      },
      {
        data: { values: [{ limit }] },
        mark: { type: "rule", strokeDash: [4, 4], color: muted },
        encoding: { y: { field: "limit", type: "quantitative" } },
      },
    ],
  };
}

/** The best match of each feature in other layers; null where there are none. */
function othersPanel({ recorded: { layer: { features, others } } }: KnownLayer): Spec | null {
  const best = features.map(({ best_elsewhere }) => best_elsewhere).filter((one) => one !== null);
  if (best.length === 0) return null;
  const same = best.filter((one) => one > SAME_FEATURE).length;
  return histogramPanel(
    histogram(best, BINS, 0, 1),
    heading(
      `Are they found in ${list(others.map(({ name }) => name))}?`,
      `${counted(same, "feature")} above ${SAME_FEATURE}, the same again`,
    ),
    { x: "largest correlation with a feature of another layer", y: "features" },
  );
}

/** Up to four panels. */
export function interpretabilityFigure(known: KnownLayer): Spec {
  const { recorded: { layer: { features, tokens } }, name } = known;
  const panels = [kindPanel(known), attentionPanel(known), coherencePanel(known), othersPanel(known)];
  return grid(
    panels.filter((panel) => panel !== null),
    2,
    figureTitle(
      `${name.title}: what it does`,
      `${counted(features.length, "feature")} on ${counted(tokens, "token")} of the reading set`,
    ),
    "shared",
  );
}
