/**
 * <transcoder>_prefixes.png: what each Matryoshka prefix reconstructs, and what the model keeps with it in place.
 * @module
 */
import type { Interval } from "../../core/analysis/bootstrap.ts";
import { type LossEvaluation, meanRecovered } from "../../core/analysis/loss.ts";
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { counted, decimal, integer, mappingText, percent } from "../format.ts";
import { figureTitle, grid, heading, palette, panelSize, type Spec, upright } from "./theme.ts";

/** A figure of a prefix, with its interval. */
interface Point {
  readonly series: string;
  readonly prefix: number;
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
}

/** A level that prefixes are held against. */
interface Level {
  readonly series: string;
  readonly value: number;
}

function point(series: string, prefix: number, value: number, [low, high]: Interval): Point[] {
  if (!Number.isFinite(value)) return [];
  const hasEnds = Number.isFinite(low + high);
  return [{ series, prefix, value, low: hasEnds ? low : null, high: hasEnds ? high : null }];
}

/** Lines through the prefixes of each series with their intervals, and dashed levels. */
function prefixPanel(title: Spec, y: Spec, points: readonly Point[], levels: readonly Level[]): Spec {
  const series = [...new Set([...points, ...levels].map(({ series }) => series))];
  const color = {
    field: "series",
    type: "nominal",
    title: null,
    scale: { domain: series, range: palette.slice(0, series.length) },
    legend: { orient: "bottom", columns: 2, offset: 12 },
  };
  const x = {
    field: "prefix",
    type: "quantitative",
    title: "features in the prefix",
    scale: { zero: true, nice: true },
    axis: { grid: false, tickCount: 6, format: ",d" },
  };
  const quantitative = (field: string) => ({ field, type: "quantitative" });
  return {
    ...panelSize,
    title,
    layer: [
      {
        data: { values: points },
        layer: [
          { mark: { type: "line", strokeWidth: 1.5 }, encoding: { y: { field: "value", ...y } } },
          { mark: { type: "point", filled: true, size: 45, opacity: 1 }, encoding: { y: quantitative("value") } },
          { mark: { type: "rule", strokeWidth: 2 }, encoding: { y: quantitative("low"), y2: { field: "high" } } },
        ],
        encoding: { x, color },
      },
      {
        data: { values: levels },
        mark: { type: "rule", strokeDash: [4, 4], strokeWidth: 1.5 },
        encoding: { y: quantitative("value"), color },
      },
    ],
  };
}

/** What the bars are, where there are any. */
function barsText(points: readonly Point[]): string {
  return points.some(({ low }) => low !== null) ? "; bars: 95 % CI" : "";
}

/** Of several targets, all of them as they weigh alike, and each by itself. */
function fvuPanel({ evaluation: { fvu, fvu_per_prefix, fvu_per_target = [], linear_map } }: TranscoderAnalysis): Spec {
  const whole = fvu_per_target.length > 0 ? "all targets" : "transcoder";
  const points = [
    ...fvu_per_prefix.flatMap(({ prefix, fvu, ci95 }) => point(whole, prefix, fvu, ci95)),
    ...fvu_per_target.flatMap(({ target, fvu_per_prefix }) =>
      fvu_per_prefix.flatMap(({ prefix, fvu }) => point(target, prefix, fvu, [NaN, NaN]))
    ),
  ];
  return prefixPanel(
    heading(
      "Held-out FVU of each Matryoshka prefix",
      `all features: ${decimal(fvu, 3)}${barsText(points)}; the mean has 1`,
    ),
    upright("FVU"),
    points,
    linear_map ? [{ series: "best linear map", value: linear_map.fvu }] : [],
  );
}

function lossPanel(loss: LossEvaluation): Spec {
  const { per_prefix, replacement_model, tokens, documents } = loss, shareOfMean = meanRecovered(loss);
  const last = per_prefix[per_prefix.length - 1], ends = per_prefix.map(({ prefix }) => prefix);
  const together = replacement_model?.per_prefix ?? [],
    at = `${replacement_model?.transcoders.length} transcoders at once`;
  const values = [
    ...per_prefix.flatMap((p) => point("this transcoder", p.prefix, p.recovered_zero, p.recovered_zero_ci95)),
    // Where dictionaries have different numbers of prefixes, only their ends go together.
    ...together.flatMap((p, i) =>
      point(at, ends[ends.length - together.length + i], p.recovered_zero, p.recovered_zero_ci95)
    ),
  ];
  return prefixPanel(
    heading(
      "Loss recovered with each prefix in place",
      `all features: ${percent(last.recovered_zero)}; zeros: 0 %; ${counted(tokens, "prediction")} of ${
        counted(documents, "document")
      }${barsText(values)}`,
    ),
    upright("share of what zeros cost", { format: "%" }),
    values,
    Number.isFinite(shareOfMean) ? [{ series: "means in place", value: shareOfMean }] : [],
  );
}

/** Two panels: FVU, and loss recovered. */
export function prefixFigure(transcoder: TranscoderAnalysis, loss: LossEvaluation): Spec {
  const { name, config } = transcoder;
  return grid(
    [fvuPanel(transcoder), lossPanel(loss)],
    2,
    figureTitle(
      `${name.title}: what each prefix is worth`,
      `${config.model.name}, ${mappingText(config)}, ${integer(config.features)} features`,
    ),
    "independent",
  );
}
