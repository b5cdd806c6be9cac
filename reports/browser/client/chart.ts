/// <reference lib="dom" />
/**
 * Curves over training steps. Charts of one page share cursor and zoom.
 * @module
 */

import uPlot from "uplot";
import { integer, significant } from "../../format.ts";
import { COLOURS } from "./parts.ts";

/** One curve. */
export interface Curve {
  /** Which of the colours it has; they go round. */
  readonly colour: number;
  /** Lengths of line and gap, in pixels; a whole line where it is empty. */
  readonly dash: readonly number[];
  /** Steps, ascending. */
  readonly x: readonly number[];
  /** Values; null where there is none. */
  readonly y: readonly (number | null)[];
}

/** What a chart tells its page. */
export interface ChartEvents {
  /** The step under the cursor; null where it has left. */
  readonly onStep: (step: number | null) => void;
  /** The steps that the reader wants to see; null for all. */
  readonly onZoom: (range: readonly [from: number, to: number] | null) => void;
}

/** A chart in an element of the page. */
export interface Chart {
  /** Draws other curves; on a logarithmic scale what is not above 0 is left out. */
  draw(curves: readonly Curve[], isLogarithmic: boolean): void;
  /** Removes it. */
  close(): void;
}

/** Pixels: a chart's height, and the room for the labels of its values. */
const HEIGHT = 190, LABELS = 58;
/** Charts that follow each other's cursor. */
const TOGETHER = uPlot.sync("steps");

/**
 * Puts a chart into an element.
 *
 * @param element Empty, and as wide as the chart is to be; it is followed.
 * @param events What the page hears.
 * @returns The chart.
 */
export function openChart(element: HTMLElement, events: ChartEvents): Chart {
  let plot: uPlot | null = null, drawn: { curves: readonly Curve[]; isLogarithmic: boolean } | null = null, shape = "";
  const widthOf = () => Math.max(200, Math.floor(element.getBoundingClientRect().width));
  const begin = () => {
    plot?.destroy();
    const { curves, isLogarithmic } = drawn!;
    plot = new uPlot(optionsOf(curves, isLogarithmic, widthOf(), events), dataOf(curves, isLogarithmic), element);
  };
  const observer = new ResizeObserver(() => plot?.setSize({ width: widthOf(), height: HEIGHT }));
  const themes = matchMedia("(prefers-color-scheme: dark)"), onTheme = () => drawn && begin();
  observer.observe(element);
  themes.addEventListener("change", onTheme);
  return {
    draw(curves, isLogarithmic) {
      drawn = { curves, isLogarithmic };
      const next = JSON.stringify([isLogarithmic, curves.map(({ colour, dash }) => [colour, dash])]);
      if (plot !== null && next === shape) return plot.setData(dataOf(curves, isLogarithmic));
      shape = next;
      begin();
    },
    close() {
      observer.disconnect();
      themes.removeEventListener("change", onTheme);
      plot?.destroy();
    },
  };
}

/** All curves over the steps of any. */
function dataOf(curves: readonly Curve[], isLogarithmic: boolean): uPlot.AlignedData {
  const visible = (value: number | null) => value !== null && isLogarithmic && !(value > 0) ? null : value;
  const tables = curves.map(({ x, y }): uPlot.AlignedData => [[...x], y.map(visible)]);
  return tables.length === 0 ? [[]] : tables.length === 1 ? tables[0] : uPlot.join(tables);
}

/** A colour of the page's theme. */
function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function optionsOf(
  curves: readonly Curve[],
  isLogarithmic: boolean,
  width: number,
  { onStep, onZoom }: ChartEvents,
): uPlot.Options {
  const ink = colour("--muted"), line = colour("--line");
  const axis = {
    stroke: ink,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
    font: "12px system-ui",
  };
  return {
    ...{ width, height: HEIGHT, legend: { show: false } },
    scales: { x: { time: false }, y: isLogarithmic ? { distr: 3 } : {} },
    axes: [
      {
        ...axis,
        space: 70,
        size: 28,
        values: (_, steps) => steps.map((step) => Number.isInteger(step) ? integer(step) : ""),
      },
      {
        ...axis,
        size: LABELS,
        values: (_, values) => values.map((value) => value === null ? "" : significant(value, 3)),
        ...isLogarithmic && { filter: (plot: uPlot, values: number[]) => labelled(plot, values) },
      },
    ],
    series: [
      {},
      ...curves.map(({ colour: number, dash }) => ({
        stroke: colour(`--c${number % COLOURS}`),
        width: 1.6,
        dash: [...dash],
        spanGaps: true,
        points: { show: false },
      })),
    ],
    cursor: { sync: { key: TOGETHER.key, setSeries: false }, drag: { x: true, y: false, setScale: false } },
    hooks: {
      setCursor: [({ cursor: { idx }, data }) => onStep(typeof idx === "number" ? data[0][idx] ?? null : null)],
      setSelect: [(plot) => {
        const { left, width } = plot.select;
        if (width < 5) return;
        onZoom([Math.floor(plot.posToVal(left, "x")), Math.ceil(plot.posToVal(left + width, "x"))]);
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
      ready: [(plot) => plot.over.addEventListener("dblclick", () => onZoom(null))],
    },
  };
}

/** On a logarithmic scale, 1, 2 and 5 of each power of ten are labelled, or the powers alone where there are many. */
function labelled(plot: uPlot, values: readonly number[]): (number | null)[] {
  const { min = 0, max = 0 } = plot.scales.y, isWide = max / min > 200;
  return values.map((value) => {
    const lead = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
    return (isWide ? [1] : [1, 2, 5]).some((digit) => Math.abs(lead - digit) < 1e-6) ? value : null;
  });
}
