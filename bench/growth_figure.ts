/**
 * growth.png: what work costs as one of its sizes grows, on logarithmic axes beside lines of linear cost.
 * @module
 */
import { decimal, integer } from "../reports/format.ts";
import { figureTitle, grid, heading, logarithmicAxis, palette, type Spec } from "../reports/plots/theme.ts";

/** The cost of one kernel, or of all, at each size. */
export interface GrowthSeries {
  /** The kernel, or what stands for all of them. */
  name: string;
  /** In the order of the sizes. */
  milliseconds: number[];
}

/** One size that grows. */
export interface GrowthCurve {
  /** What is timed, for example `Training step`. */
  title: string;
  /** What else is fixed. */
  detail: string;
  /** What grows, for the axis. */
  size: string;
  /** Ascending. */
  sizes: number[];
  /** All kernels together, by the wall clock. */
  whole: GrowthSeries;
  /** The kernels that matter, at most five. */
  kernels: GrowthSeries[];
  /** The power of the size that the whole cost follows. */
  exponent: number;
}

const size = { width: 400, height: 270 };
const LINEAR = "linear cost";

function points({ sizes }: GrowthCurve, { name, milliseconds }: GrowthSeries): Spec[] {
  return sizes.map((size, i) => ({ size, milliseconds: milliseconds[i], series: name }))
    .filter((point) => point.milliseconds > 0);
}

function growthPanel(curve: GrowthCurve): Spec {
  const { title, detail, sizes, whole, kernels, exponent } = curve, [first] = sizes;
  const guide = { name: LINEAR, milliseconds: sizes.map((size) => whole.milliseconds[0] * size / first) };
  const shown = [whole, ...kernels];
  const values = shown.flatMap((series) => points(curve, series));
  const names = [whole.name, LINEAR, ...kernels.map(({ name }) => name)];
  const colors = [palette[6], "#9aa0a6", ...palette.slice(0, 5)].slice(0, names.length);
  const encoding = {
    x: {
      field: "size",
      type: "quantitative",
      title: curve.size,
      scale: { type: "log", domain: [first, sizes[sizes.length - 1]], nice: false },
      axis: { values: sizes, format: ",d", grid: true },
    },
    y: {
      field: "milliseconds",
      ...logarithmicAxis(
        [...values.map(({ milliseconds }) => milliseconds as number), ...guide.milliseconds],
        "milliseconds",
      ),
    },
    color: {
      field: "series",
      type: "nominal",
      title: null,
      scale: { domain: names, range: colors },
      legend: { orient: "right", symbolType: "stroke", symbolStrokeWidth: 2, offset: 10, labelLimit: 240 },
    },
  };
  return {
    ...size,
    title: heading(title, `${detail}; grows as size to the power ${decimal(exponent, 2)}`),
    layer: [
      {
        data: { values: points(curve, guide) },
        mark: { type: "line", strokeDash: [5, 4], strokeWidth: 1.4 },
        encoding,
      },
      { data: { values }, mark: { type: "line", strokeWidth: 1.6, point: { size: 26, filled: true } }, encoding },
    ],
  };
}

/** A panel per curve. `machine` says where it was measured. */
export function growthFigure(curves: GrowthCurve[], machine: string): Spec {
  const sizes = curves.reduce((sum, curve) => sum + curve.sizes.length, 0);
  return grid(
    curves.map(growthPanel),
    2,
    figureTitle("What growth costs", `${integer(sizes)} sizes, each the median of runs in turns; ${machine}`),
    "independent",
  );
}
