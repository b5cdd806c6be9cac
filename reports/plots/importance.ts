/**
 * <transcoder>_importance.png: what the reconstruction loses without a feature against what the predictions lose, and how far rankings agree.
 * @module
 */
import { FEATURE_SETS, type Measure, MEASURES } from "../../core/analysis/importance.ts";
import { median } from "../../core/analysis/statistics.ts";
import type { TranscoderName } from "../../core/runs/ids.ts";
import type { StoredImportance } from "../../core/runs/importance.ts";
import { counted, integer } from "../format.ts";
import { MEASURE_NAMES, SET_NAMES, type SwitchedOff, switchedOff } from "../importance_table.ts";
import { figureTitle, grid, heading, palette, panelSize, type Spec } from "./theme.ts";

/** Thousandths of a nat. */
const MILLI = 1000;

const color = {
  field: "set",
  type: "nominal",
  title: null,
  scale: { domain: FEATURE_SETS.map((set) => SET_NAMES[set]), range: [palette[0], palette[1]] },
  legend: { orient: "top", direction: "horizontal", symbolOpacity: 1 },
};

/** A feature of both sets is drawn as one of the top. */
const setOf = ({ effect: { sets } }: SwitchedOff) => SET_NAMES[sets[0]];

/** An axis that goes through 0, for values of both signs: linear up to their median size, logarithmic beyond. */
export function signedAxis(values: readonly number[], title: string): Spec {
  const finite = values.filter(Number.isFinite), sizes = finite.map(Math.abs).filter((size) => size > 0);
  const constant = median(sizes) || 1, least = Math.min(0, ...finite), most = Math.max(0, ...finite);
  const steps = Array.from({ length: 60 }, (_, i) => Number(`${[1, 2, 5][i % 3]}e${Math.floor(i / 3) - 12}`));
  // Where the median is near the largest, all is linear, and a fifth of that is far enough from 0.
  const first = Math.min(constant, Math.max(most, -least) / 5);
  const ticks = [0, ...steps.filter((step) => step >= first)].flatMap((step) => [step, -step]);
  return {
    type: "quantitative",
    title,
    scale: { type: "symlog", constant, nice: false, domain: [least, most], padding: 6 },
    // An axis would round its own format to the distance of its ticks, which have none in common: 1e+1 for 10.
    axis: { labelExpr: "format(datum.value, '~g')", values: ticks.filter((tick) => tick >= least && tick <= most) },
  };
}

function effectPanel(features: readonly SwitchedOff[], measure: "ce_rise" | "kl", title: Spec, axis: string): Spec {
  const values = features.map((one) => ({
    set: setOf(one),
    x: one.fvu_rise,
    y: MILLI * one.effect[measure],
    low: MILLI * one.effect[`${measure}_ci95`][0],
    high: MILLI * one.effect[`${measure}_ci95`][1],
  }));
  const x = {
    field: "x",
    ...signedAxis(values.map(({ x }) => x), "rise of the FVU without the feature (logarithmic beyond the median)"),
  };
  const y = { field: "y", ...signedAxis(values.flatMap(({ y, low, high }) => [y, low, high]), axis) };
  return {
    ...panelSize,
    title,
    data: { values },
    layer: [
      {
        mark: { type: "rule", opacity: 0.25 },
        encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color },
      },
      { mark: { type: "point", filled: true, size: 22, opacity: 0.8 }, encoding: { x, y, color } },
    ],
  };
}

function agreementPanel({ agreement }: StoredImportance): Spec {
  const values = agreement.flatMap(({ set, pairs }) =>
    pairs.map(({ a, b, spearman, ci95: [low, high] }) => ({
      ...{ set: SET_NAMES[set], pair: pairName(a, b), spearman, low, high },
    }))
  );
  const hasIntervals = values.some(({ low }) => Number.isFinite(low));
  const order = agreement[0].pairs.map(({ a, b }) => pairName(a, b));
  const y = { field: "pair", type: "nominal", sort: order, title: null };
  const offset = { field: "set", type: "nominal", sort: color.scale.domain };
  const x = { type: "quantitative", scale: { domain: [-1, 1] }, title: "Spearman's correlation of the ranks" };
  const chance = Math.max(...agreement.map(({ chance }) => chance));
  return {
    ...panelSize,
    title: heading(
      "How far the rankings agree",
      `${hasIntervals ? "lines are 95 % intervals; " : ""}grey is what unrelated ranks stay within`,
    ),
    layer: [
      {
        data: { values: [{ low: -chance, high: chance }] },
        mark: { type: "rect", color: "#e3e5e8" },
        encoding: { x: { field: "low", ...x }, x2: { field: "high" } },
      },
      {
        data: { values },
        mark: { type: "rule" },
        encoding: { x: { field: "low", ...x }, x2: { field: "high" }, y, yOffset: offset, color },
      },
      {
        data: { values },
        mark: { type: "point", filled: true, size: 36, opacity: 1 },
        encoding: { x: { field: "spearman", ...x }, y, yOffset: offset, color },
      },
    ],
  };
}

function reliabilityPanel({ agreement }: StoredImportance): Spec {
  const values = agreement.flatMap(({ set, reliability }) =>
    MEASURES.map((measure) => ({
      set: SET_NAMES[set],
      measure: MEASURE_NAMES[measure],
      reliability: reliability[measure],
    }))
  );
  const names = MEASURES.map((measure) => MEASURE_NAMES[measure]);
  return {
    ...panelSize,
    title: heading(
      "How far each ranking can be relied on",
      "1: another text of these documents would rank alike; 0: it would not",
    ),
    data: { values },
    mark: { type: "bar", clip: true },
    encoding: {
      y: { field: "measure", type: "nominal", sort: names, title: null },
      yOffset: { field: "set", type: "nominal", sort: color.scale.domain },
      x: { field: "reliability", type: "quantitative", scale: { domain: [0, 1] }, title: "reliability of the ranks" },
      color,
    },
  };
}

function pairName(a: Measure, b: Measure): string {
  return `${MEASURE_NAMES[a]}, ${MEASURE_NAMES[b]}`;
}

/** Few contexts have no intervals. */
function intervalsText(off: readonly SwitchedOff[]): string {
  return off.some(({ effect: { ce_rise_ci95: [low] } }) => Number.isFinite(low)) ? "; lines are 95 % intervals" : "";
}

/** Four panels: effect on the loss and on the predictions against the reconstruction, agreement and reliability of the rankings. */
export function importanceFigure(name: TranscoderName, importance: StoredImportance): Spec {
  const off = switchedOff(importance);
  return grid(
    [
      effectPanel(
        off,
        "ce_rise",
        heading("Reconstruction and loss", `one dot per feature${intervalsText(off)}`),
        "rise of the loss, 10⁻³ nats",
      ),
      effectPanel(
        off,
        "kl",
        heading("Reconstruction and predictions", "how much predictions change, for better or worse"),
        "KL, 10⁻³ nats",
      ),
      agreementPanel(importance),
      reliabilityPanel(importance),
    ],
    2,
    figureTitle(
      `${name.title}: what is lost without a feature`,
      `${integer(off.length)} features switched off one at a time, ${
        counted(importance.predictions, "held-out prediction")
      }`,
    ),
    "shared",
  );
}
