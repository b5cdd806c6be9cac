/**
 * How all figures look, and the parts they share: panel sizes, titles, histograms, the palette.
 * @module
 */
import type { Histogram } from "../../core/analysis/statistics.ts";

/** Okabe and Ito's palette, which readers with any colour vision can tell apart; ordered by use. */
export const palette: readonly string[] = [
  "#0072B2",
  "#E69F00",
  "#009E73",
  "#D55E00",
  "#CC79A7",
  "#56B4E9",
  "#000000",
];

const ink = "#222222", muted = "#5f6368", rule = "#e3e5e8";

/** Vega-Lite's `config` of every figure. */
export const theme = {
  font: "DejaVu Sans",
  background: "white",
  padding: 16,
  view: { stroke: null },
  title: {
    anchor: "start",
    fontSize: 13,
    fontWeight: "bold",
    color: ink,
    subtitleFontSize: 10.5,
    subtitleColor: muted,
    subtitlePadding: 4,
    offset: 10,
    frame: "group",
  },
  axis: {
    labelFontSize: 10,
    titleFontSize: 10.5,
    titleFontWeight: "normal",
    titleColor: muted,
    labelColor: ink,
    titlePadding: 8,
    gridColor: rule,
    domainColor: muted,
    tickColor: muted,
    labelPadding: 4,
    labelFlush: false,
  },
  legend: {
    labelFontSize: 10,
    // Names are told apart by their ends: 0 cuts none off.
    labelLimit: 0,
    titleFontSize: 10,
    titleFontWeight: "normal",
    titleColor: muted,
    symbolSize: 60,
  },
  range: { category: palette },
} as const;

/** A piece of a Vega-Lite specification. */
export type Spec = Record<string, unknown>;

/** Width and height of a panel's plotting area in a figure of two columns. */
export const panelSize = { width: 440, height: 250 };

/** An upright axis of numbers that begins at 0 and ends on a labelled tick, so that panels of one row are equally high. */
export function upright(title: string, axis: Spec = {}): Spec {
  return { type: "quantitative", title, scale: { zero: true, nice: 5 }, axis: { tickCount: 5, ...axis } };
}

/** An upright logarithmic axis with ticks at 1, 2 and 5 times powers of ten; it ends on the ticks around the values. */
export function logarithmicAxis(values: number[], title: string): Spec {
  const least = Math.min(...values), most = Math.max(...values);
  const ticks = Array.from({ length: 60 }, (_, i) => Number(`${[1, 2, 5][i % 3]}e${Math.floor(i / 3) - 12}`));
  const low = ticks.findLast((tick) => tick <= least) ?? ticks[0];
  const high = ticks.find((tick) => tick >= most) ?? ticks[ticks.length - 1];
  const domain = values.length > 0 && low < high ? [low, high] : [0.1, 1];
  const shown = ticks.filter((tick) => tick >= domain[0] && tick <= domain[1]);
  return {
    type: "quantitative",
    title,
    scale: { type: "log", domain, nice: false },
    axis: { values: shown, format: "~g" },
  };
}

/** A panel's title in bold with one line of detail below it, so that all titles of a figure are equally high. */
export function heading(text: string, detail: string): Spec {
  return { text, subtitle: detail };
}

/** Bars of a histogram that was counted before; the axis shows exactly the bins' range. `labels` is what Vega writes at a tick. */
export function histogramPanel(
  { edges, counts }: Histogram,
  title: Spec,
  axis: { x: string; y: string; values?: number[]; format?: string; labels?: string },
  color: string = palette[0],
): Spec {
  const low = edges[0], high = edges[edges.length - 1];
  const drawable = Number.isFinite(low) && Number.isFinite(high);
  return {
    ...panelSize,
    title,
    data: { values: drawable ? counts.map((count, i) => ({ low: edges[i], high: edges[i + 1], count })) : [] },
    mark: { type: "bar", color, binSpacing: 0.6 },
    encoding: {
      x: {
        field: "low",
        type: "quantitative",
        bin: "binned",
        title: axis.x,
        scale: { domain: drawable ? [low, high] : [0, 1], nice: false, zero: false },
        axis: {
          ...{ grid: false, tickCount: 6, format: axis.format },
          ...(axis.values && { values: axis.values }),
          ...(axis.labels && { labelExpr: axis.labels }),
        },
      },
      x2: { field: "high" },
      y: {
        field: "count",
        ...(drawable ? upright(axis.y, { format: ",d" }) : { type: "quantitative", title: axis.y, axis: null }),
      },
    },
  };
}

/** Histograms with the same edges as outlines, each in shares of all that it counts, over the bins that one of them fills. */
export function outlinesPanel(
  histograms: readonly (readonly [series: string, histogram: Histogram])[],
  title: Spec,
  axis: { x: string; y: string; labels?: string },
  color: Spec,
): Spec {
  const drawn = histograms.map(([series, { edges, counts }]) => {
    return { series, edges, counts, total: counts.reduce((sum, count) => sum + count, 0) };
  }).filter(({ total }) => total > 0);
  const filled = drawn.flatMap(({ counts }) => counts.flatMap((count, i) => count > 0 ? [i] : []));
  const first = Math.min(...filled), last = Math.max(...filled);
  const values = drawn.flatMap(({ series, edges, counts, total }) => [
    ...counts.slice(first, last + 1).map((count, i) => ({ series, x: edges[first + i], share: count / total })),
    { series, x: edges[last + 1], share: counts[last] / total },
  ]);
  return {
    ...panelSize,
    title,
    data: { values },
    mark: { type: "area", interpolate: "step-after", fillOpacity: 0.18, line: { strokeWidth: 1.6 } },
    encoding: {
      x: {
        field: "x",
        type: "quantitative",
        title: axis.x,
        scale: {
          domain: drawn.length > 0 ? [drawn[0].edges[first], drawn[0].edges[last + 1]] : [0, 1],
          ...{ nice: false, zero: false },
        },
        axis: { grid: false, tickCount: 6, ...(axis.labels && { labelExpr: axis.labels }) },
      },
      y: { field: "share", stack: null, ...upright(axis.y, { format: "%" }) },
      color: { field: "series", type: "nominal", title: null, ...color },
    },
  };
}

/** Colours of what was found and of what chance gives, for {@link outlinesPanel}. */
export const besideChance: Spec = {
  scale: { domain: ["found", "by chance"], range: [palette[0], "#9aa0a6"] },
  legend: { orient: "top-right", direction: "vertical", symbolType: "square", offset: 4 },
};

/** What a Matryoshka group is called. */
export function groupName(group: number): string {
  return `group ${group}`;
}

/** Colours of the groups of a dictionary, for data whose `group` is a {@link groupName}. */
export function groupColor(
  { groups }: { readonly groups: readonly number[] },
  orient: "right" | "top-right" | "top-left",
): Spec {
  return {
    field: "group",
    type: "nominal",
    title: null,
    scale: { domain: groups.map((_, group) => groupName(group)), range: palette.slice(0, groups.length) },
    legend: { orient, direction: "vertical", symbolOpacity: 1, offset: orient === "right" ? 16 : 4 },
  };
}

/** A figure's title, larger than those of its panels. */
export function figureTitle(text: string, detail: string): Spec {
  return { text, subtitle: detail, fontSize: 16, subtitleFontSize: 11, offset: 18, anchor: "start" };
}

/** Panels in rows of `columns`, with a legend in each panel that needs one or a shared one above all. */
export function grid(panels: Spec[], columns: number, title: Spec, legends: "independent" | "shared"): Spec {
  return {
    title,
    concat: panels,
    columns,
    spacing: { row: 34, column: 34 },
    resolve: { scale: { color: legends } },
  };
}
