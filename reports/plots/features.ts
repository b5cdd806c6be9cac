/**
 * <transcoder>_features.png: how often and how strongly features fire, what their tokens are like, and what the reconstruction loses without them.
 * @module
 */
import type { FeatureOverview, FeaturesOverview } from "../../core/analysis/feature_overview.ts";
import { median } from "../../core/analysis/statistics.ts";
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { counted, decimal, integer, percent } from "../format.ts";
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
} from "./theme.ts";

/** Features that are drawn one by one at most. */
const DRAWN = 4096;

/** Decimal powers at the ticks of a logarithmic axis whose values are logarithms. */
const POWERS = Array.from({ length: 17 }, (_, i) => i - 10);

function powersIn({ edges }: FeaturesOverview["log_density"]): number[] {
  return POWERS.filter((power) => power >= edges[0] && power <= edges[edges.length - 1]);
}

/** Token entropy against that by chance: what lies below the line is bound to fewer tokens than chance would have. */
function entropyPanel(alive: readonly FeatureOverview[], color: Spec): Spec {
  const step = Math.ceil(alive.length / DRAWN), shown = alive.filter((_, i) => i % step === 0);
  const values = shown.map(({ group, token_entropy: own, token_entropy_by_chance: chance }) => {
    return { group: groupName(group), own, chance };
  });
  const most = Math.max(1, ...values.map(({ own, chance }) => Math.max(own, chance)));
  const axis = (field: string, title: string) => {
    return { field, type: "quantitative", title, scale: { domain: [0, most], nice: false }, axis: { tickCount: 6 } };
  };
  const x = axis("chance", "bits with contexts shuffled"), y = axis("own", "bits of the tokens that it fires on");
  const below = alive.filter((one) => one.token_entropy < one.token_entropy_by_chance).length;
  const drawn = step > 1 ? `; one in ${integer(step)} is drawn` : "";
  return {
    ...panelSize,
    title: heading(
      "How mixed their tokens are, beside chance",
      `${percent(below / alive.length)} of ${
        counted(alive.length, "feature")
      } lie below the line: fewer tokens than by chance${drawn}`,
    ),
    layer: [
      {
        data: { values: [{ own: 0, chance: 0 }, { own: most, chance: most }] },
        mark: { type: "line", color: "#5f6368", strokeDash: [4, 4] },
        encoding: { x, y },
      },
      { data: { values }, mark: { type: "point", filled: true, size: 14, opacity: 0.55 }, encoding: { x, y, color } },
    ],
  };
}

/** The rise of the FVU without each feature, by rank, of those where it rises. */
function risePanel(alive: readonly FeatureOverview[], color: Spec): Spec {
  const sorted = alive.filter(({ fvu_rise }) => fvu_rise > 0).sort((a, b) => b.fvu_rise - a.fvu_rise);
  const step = Math.max(1, Math.ceil(sorted.length / DRAWN));
  const values = sorted.map(({ group, fvu_rise }, i) => ({ group: groupName(group), rank: i + 1, rise: fvu_rise }))
    .filter((_, i) => i % step === 0);
  const all = sorted.reduce((sum, { fvu_rise }) => sum + fvu_rise, 0);
  let sum = 0, half = 0;
  while (half < sorted.length && sum < all / 2) sum += sorted[half++].fvu_rise;
  return {
    ...panelSize,
    title: heading(
      "By how much FVU rises without each",
      sorted.length === 0
        ? "it rises without none"
        : `${integer(half)} features have half of the sum; FVU would not rise without ${
          integer(alive.length - sorted.length)
        }`,
    ),
    data: { values },
    mark: { type: "point", filled: true, size: 14, opacity: 0.7 },
    encoding: {
      x: { field: "rank", ...logarithmicAxis(values.map(({ rank }) => rank), "rank (logarithmic)") },
      y: { field: "rise", ...logarithmicAxis(values.map(({ rise }) => rise), "rise of the FVU (logarithmic)") },
      color,
    },
  };
}

/** Four panels: density, activations, token entropy beside chance, and the rise of FVU without each. */
export function featuresFigure({ name, config }: TranscoderAnalysis, overview: FeaturesOverview): Spec {
  const alive = overview.features.filter(({ fires }) => fires > 0),
    color = (orient: "top-left" | "top-right") => groupColor(config, orient);
  const densities = alive.map(({ density }) => density),
    activations = alive.map(({ mean_activation }) => mean_activation);
  return grid(
    [
      histogramPanel(
        overview.log_density,
        heading(
          "How often features fire",
          alive.length === 0
            ? "none does"
            : `median ${percent(median(densities), 2)} of the tokens; ${
              counted(overview.silent, "feature")
            } never fired`,
        ),
        {
          x: "share of the tokens (logarithmic)",
          y: "features",
          values: powersIn(overview.log_density),
          labels: "format(100 * pow(10, datum.value), '~g') + ' %'",
        },
      ),
      histogramPanel(
        overview.log_activation,
        heading(
          "How strongly they fire",
          alive.length === 0
            ? "none does"
            : `all activations; the typical feature's mean is ${decimal(median(activations), 2)}`,
        ),
        {
          x: "activation (logarithmic)",
          y: "activations",
          values: powersIn(overview.log_activation),
          labels: "format(pow(10, datum.value), '~g')",
        },
        palette[2],
      ),
      entropyPanel(alive, color("top-left")),
      risePanel(alive, color("top-right")),
    ],
    2,
    figureTitle(
      `${name.title}: what all features do`,
      `${integer(overview.features.length)} features on ${counted(overview.tokens, "token")} of the reading set`,
    ),
    "independent",
  );
}
