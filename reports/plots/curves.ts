/**
 * <transcoder>_training_curves.png: small multiples against the training step.
 * @module
 */
import { reconstructionLoss } from "../../core/analysis/convergence.ts";
import type { TrainedAnalysis } from "../../core/runs/analysed.ts";
import { prefixEnds } from "../../core/transcoder/shape.ts";
import { decimal, integer, setting, significant } from "../format.ts";
import { thresholds } from "../thresholds.ts";
import { figureTitle, grid, heading, logarithmicAxis, palette, type Spec, upright } from "./theme.ts";

interface Point {
  step: number;
  value: number;
  series: string;
}

interface Panel {
  title: Spec;
  y: string;
  points: Point[];
  /** Colour of each series, in the order of the legend; a single series has no legend. */
  colors: Record<string, string>;
  format?: string;
  logarithmic?: boolean;
  /** The axis reaches at least this far. */
  atLeast?: number;
  /** The axis ends here; what lies above is cut off. */
  cut?: number;
  /** A level to reach, dashed. */
  goal?: number;
}

const size = { width: 330, height: 190 };

/** Where an axis from 0 ends: above all values and `atLeast`, or at `cut` when values there are a passing start. */
function linearAxis(points: Point[], { y, format, atLeast = 0, cut = Infinity }: Panel): Spec {
  const most = points.reduce((largest, { value }) => Math.max(largest, value), atLeast);
  const half = points.reduce((last, { step }) => Math.max(last, step), 0) / 2;
  const later = Math.max(0, ...points.filter(({ step }) => step > half).map(({ value }) => value));
  const axis = upright(y, { format });
  return { ...axis, scale: { ...axis.scale as Spec, domainMin: 0, domainMax: most > cut && later < cut ? cut : most } };
}

function curvePanel(panel: Panel, steps: readonly [first: number, last: number]): Spec {
  const { title, y, points, colors, logarithmic, goal } = panel;
  const names = Object.keys(colors);
  const finite = points.filter(({ value }) => Number.isFinite(value) && (!logarithmic || value > 0));
  const x = { field: "step", type: "quantitative" };
  const lines = {
    data: { values: finite },
    mark: { type: "line", clip: true, strokeWidth: 1.4, strokeJoin: "round" },
    encoding: {
      x: {
        ...x,
        title: "step",
        scale: { domain: steps, nice: false },
        axis: { grid: false, tickCount: 4, format: ",d" },
      },
      y: {
        field: "value",
        ...(logarithmic ? logarithmicAxis(finite.map(({ value }) => value), y) : linearAxis(finite, panel)),
      },
      color: {
        field: "series",
        type: "nominal",
        title: null,
        scale: { domain: names, range: Object.values(colors) },
        legend: names.length > 1
          ? {
            orient: "top-right",
            offset: 2,
            symbolType: "stroke",
            symbolStrokeWidth: 2,
          }
          : null,
      },
    },
  };
  const goalLine = {
    data: { values: [{ value: goal }] },
    mark: { type: "rule", strokeDash: [4, 4], color: "#5f6368" },
    encoding: { y: { field: "value", type: "quantitative" } },
  };
  return { ...size, title, layer: goal === undefined ? [lines] : [lines, goalLine] };
}

/** What the curves are drawn of; without an evaluation the training has not ended. */
export type CurvesInput =
  & Pick<TrainedAnalysis, "config" | "course" | "metrics" | "name">
  & Partial<Pick<TrainedAnalysis, "evaluation">>;

/** Six panels: loss, FVU per prefix, L0, dead features, learning rate, speed. */
export function curvesFigure(transcoder: CurvesInput): Spec {
  const { config, metrics, course, evaluation } = transcoder;
  const series = (name: string, value: (row: (typeof metrics)[number], index: number) => number): Point[] =>
    metrics.map((row, i) => ({ step: row.step, value: value(row, i), series: name }));
  const prefixes = prefixEnds(config.groups).map((prefix) => `first ${integer(prefix)}`);
  const broken = course.firstNonFiniteStep, deadOfAll = `${integer(course.deadAtEnd)} of ${integer(config.features)}`;
  const heldOut = (value: number | undefined, places: number) =>
    value === undefined ? "of training batches" : `held-out at the end ${decimal(value, places)}`;
  const panels: Panel[] = [
    {
      title: heading(
        "Loss",
        broken === null
          ? `${significant(course.firstLoss, 3)} to ${significant(course.finalLoss, 3)} (running median); logarithmic`
          : `not a number from step ${integer(broken)} on; logarithmic`,
      ),
      y: "loss",
      points: [
        ...series("each logged step", reconstructionLoss),
        ...series("running median", (_, i) => course.smoothedLoss[i]),
      ],
      colors: { "each logged step": "#b8c4d0", "running median": palette[0] },
      logarithmic: true,
    },
    {
      title: heading(
        "FVU of each prefix",
        `${heldOut(evaluation?.fvu, 3)}; dashed: the goal ${thresholds.fvu}`,
      ),
      y: "FVU",
      points: prefixes.flatMap((name, p) => series(name, (row) => row.fvu_per_prefix[p])),
      colors: Object.fromEntries(prefixes.map((name, p) => [name, palette[p % palette.length]])),
      goal: thresholds.fvu,
      atLeast: thresholds.fvu,
      cut: 1,
    },
    {
      title: heading("L0", `${heldOut(evaluation?.l0, 1)}; dashed: k = ${config.k}`),
      y: "active features per token",
      points: series("L0", (row) => row.l0),
      colors: { L0: palette[2] },
      goal: config.k,
      // So that what is as asked does not lie on the panel's edge.
      atLeast: 1.1 * config.k,
    },
    {
      title: heading(
        "Dead features",
        evaluation ? `at the end ${deadOfAll}` : `${deadOfAll} at step ${integer(course.lastStep)}`,
      ),
      y: "features",
      points: series("dead", (row) => row.dead_features),
      colors: { dead: palette[3] },
      atLeast: 10,
      format: ",d",
    },
    {
      title: heading(
        "Learning rate",
        `largest logged ${setting(course.peakLearningRate.value)} at step ${integer(course.peakLearningRate.step)}`,
      ),
      y: "learning rate",
      points: series("rate", (row) => row.learning_rate),
      colors: { rate: palette[4] },
      format: "~g",
    },
    {
      title: heading("Speed", `median ${integer(course.tokensPerSecond)} tokens per second`),
      y: "tokens per second",
      points: series("speed", (row) => row.tokens_per_s),
      colors: { speed: palette[5] },
      format: ",d",
    },
  ];
  // A run that goes on with another begins where that one ended.
  const first = config.parent?.goes_on ? config.parent.steps : 0;
  return grid(
    panels.map((panel) => curvePanel(panel, [first, Math.max(config.steps, course.lastStep)])),
    3,
    figureTitle(
      `${transcoder.name.title}: training ${evaluation ? "curves" : "so far"}`,
      `${integer(course.lastStep)} of ${integer(config.steps)} steps of ${integer(config.batch_tokens)} tokens`,
    ),
    "independent",
  );
}
