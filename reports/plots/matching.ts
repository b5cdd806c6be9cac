/**
 * <transcoder>_vs_<transcoder>_matching.png: best matches of features against chance, groups, and how features go on.
 * @module
 */
import { SAME_FEATURE } from "../../core/analysis/matching.ts";
import type { Histogram } from "../../core/analysis/statistics.ts";
import type { ToldComparison } from "../compared.ts";
import { earlierFirst } from "../comparison_findings.ts";
import type { BothNames } from "../comparison_tables.ts";
import { capital, decimal, integer, percent } from "../format.ts";
import { figureTitle, grid, heading, palette, panelSize, type Spec, upright } from "./theme.ts";

const FOUND = "features", CHANCE = "by chance";

const color = {
  field: "of",
  type: "nominal",
  title: null,
  scale: { domain: [FOUND, CHANCE], range: [palette[0], "#9aa0a6"] },
  legend: { orient: "top", symbolType: "square", offset: 12 },
};

/** The bins up to the last one that holds anything of either. */
function filledBins(histograms: readonly Histogram[]): number {
  return Math.max(1, ...histograms.map(({ counts }) => counts.findLastIndex((count) => count > 0) + 1));
}

/** Two histograms of the same bins as outlines, as shares of each, and lines at limits. */
function againstChance(
  found: Histogram,
  chance: Histogram,
  title: Spec,
  xTitle: string,
  limits: readonly number[],
): Spec {
  const bins = filledBins([found, chance]);
  const values = ([[FOUND, found], [CHANCE, chance]] as const).flatMap(([of, { edges, counts }]) => {
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (total === 0) return [];
    const steps = counts.slice(0, bins).map((count, i) => ({ of, x: edges[i], share: count / total }));
    return [...steps, { of, x: edges[bins], share: steps[bins - 1].share }];
  });
  const domain = Number.isFinite(found.edges[bins]) ? [found.edges[0], found.edges[bins]] : [0, 1];
  const x = {
    type: "quantitative",
    title: xTitle,
    scale: { domain, nice: false, zero: false },
    axis: { grid: false, tickCount: 6 },
  };
  return {
    ...panelSize,
    title,
    layer: [
      {
        data: { values },
        mark: { type: "area", interpolate: "step-after", fillOpacity: 0.18, line: { strokeWidth: 1.6 } },
        encoding: {
          x: { field: "x", ...x },
          y: { field: "share", stack: null, ...upright("share of each", { format: "%" }) },
          color,
        },
      },
      {
        data: { values: limits.filter((limit) => limit <= domain[1]).map((limit) => ({ limit })) },
        mark: { type: "rule", strokeDash: [4, 4], color: "#5f6368" },
        encoding: { x: { field: "limit", ...x } },
      },
    ],
  };
}

function groupPanel({ matching: { a, b } }: ToldComparison, names: BothNames): Spec {
  const kinds = [`above ${SAME_FEATURE}`, "beyond chance", "no match"];
  const values = [a, b].flatMap(({ groups }, side) =>
    groups.filter(({ judged }) => judged > 0).flatMap(({ judged, same, unique }, group) => {
      const shares = [same, judged - same - unique, unique].map((count) => Math.max(0, count) / judged);
      return shares.map((share, n) => ({ group: `${names[side]}, ${group}`, kind: kinds[n], share, order: n }));
    })
  );
  return {
    ...panelSize,
    title: heading("Groups", "what becomes of the features of each group in the other transcoder"),
    data: { values },
    mark: { type: "bar" },
    encoding: {
      y: { field: "group", type: "nominal", title: null, sort: [...new Set(values.map(({ group }) => group))] },
      x: {
        field: "share",
        type: "quantitative",
        title: "share of the judged features",
        axis: { format: "%", tickCount: 5 },
        scale: { domain: [0, 1] },
      },
      order: { field: "order" },
      color: {
        field: "kind",
        type: "nominal",
        title: null,
        scale: { domain: kinds, range: [palette[0], palette[5], "#d5d8dc"] },
        legend: { orient: "top", symbolType: "square", offset: 12 },
      },
    },
  };
}

function responsePanel({ evolution }: ToldComparison, names: BothNames): Spec[] {
  if (typeof evolution === "string") return [];
  const { figures } = evolution, [from, to] = earlierFirst(evolution, names);
  return [againstChance(
    figures.histogram,
    figures.histogram_by_chance,
    heading(
      `What features of ${from} drive in ${to}`,
      `${percent(figures.driving / figures.judged)} beyond the dashed line, which 1 % of random directions pass`,
    ),
    `strongest response of a feature of ${to}`,
    [figures.chance_limit],
  )];
}

/** Best matches of either, groups, and, where features go on, responses; each against chance. */
export function matchingFigure(told: ToldComparison, names: BothNames): Spec {
  const { matching: { a, b, tokens } } = told;
  const matches = (side: typeof a, own: string, other: string) =>
    againstChance(
      side.histogram,
      side.histogram_by_chance,
      heading(
        `Features of ${own} in ${other}`,
        `median ${decimal(side.best.median, 2)}; dashed: ${
          decimal(side.chance_limit, 2)
        }, above which chance gets 1 %, and ${SAME_FEATURE}`,
      ),
      `largest correlation with a feature of ${other}`,
      [side.chance_limit, SAME_FEATURE],
    );
  return grid(
    [
      matches(a, names[0], names[1]),
      matches(b, names[1], names[0]),
      groupPanel(told, names),
      ...responsePanel(told, names),
    ],
    2,
    figureTitle(
      `${capital(names[0])} and ${names[1]}: features found again`,
      `activations on ${integer(tokens)} tokens; chance: shuffled contexts, and random directions for responses`,
    ),
    "independent",
  );
}
