/**
 * <transcoder>_weights.png: the elements of the four tensors, and by group how long features' rows are and how far they write what they read.
 * @module
 */
import type { Histogram } from "../../core/analysis/statistics.ts";
import type { TensorStatistics } from "../../core/analysis/weight_statistics.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import type { TranscoderName } from "../../core/runs/ids.ts";
import type { DictionaryAnalysis } from "../../core/runs/recorded.ts";
import { rebinned } from "../sparkline.ts";
import { decimal, integer, mappingText, percent, significant } from "../format.ts";
import {
  figureTitle,
  grid,
  groupName,
  heading,
  histogramPanel,
  outlinesPanel,
  palette,
  panelSize,
  type Spec,
} from "./theme.ts";

/** Of fewer elements a hundred bins would show the draw, not the distribution; they have so many. */
const FEW = 10_000, FEW_BINS = 25;

/** Points of a normal distribution's curve. */
const POINTS = 80;

/** The elements of a tensor, with as many of a normal distribution of the same mean and standard deviation. */
function tensorPanel(name: string, tensor: TensorStatistics, histogram: Histogram, unit: string, color: string): Spec {
  const { mean, std, shape } = tensor, all = shape.reduce((product, size) => product * size, 1);
  const counts = all < FEW ? rebinned(histogram.counts, FEW_BINS) : histogram.counts;
  const low = histogram.edges[0], high = histogram.edges[histogram.edges.length - 1];
  const edges = Array.from({ length: counts.length + 1 }, (_, i) => low + (high - low) * i / counts.length);
  const counted = counts.reduce((sum, count) => sum + count, 0), width = (high - low) / counts.length;
  const normal = Array.from({ length: POINTS + 1 }, (_, i) => {
    const x = low + (high - low) * i / POINTS;
    const density = Math.exp(-(((x - mean) / std) ** 2) / 2) / (std * Math.sqrt(2 * Math.PI));
    return { low: x, count: all * density * width };
  });
  const { encoding, mark, data, title, ...panel } = histogramPanel(
    { edges, counts },
    heading(
      name,
      `mean ${significant(mean, 2)}, std ${significant(std, 3)}; dashed: normal` +
        (counted < all ? `; ${integer(all - counted)} beyond 5 std not drawn` : ""),
    ),
    { x: "value", y: unit },
    color,
  );
  const { x, y } = encoding as { x: Spec; y: Spec };
  return {
    ...{ ...panel, title },
    layer: [
      { data, mark, encoding },
      ...std > 0
        ? [{
          data: { values: normal },
          mark: { type: "line", color: "#222222", strokeWidth: 1.2, strokeDash: [4, 3] },
          encoding: { x: { field: "low", type: "quantitative", scale: x.scale }, y: { ...y, field: "count" } },
        }]
        : [],
    ],
  };
}

function byGroup(histograms: readonly Histogram[]): [string, Histogram][] {
  return histograms.map((histogram, group) => [groupName(group), histogram]);
}

/** Six panels: the four tensors, lengths of what features read, and how far they write what they read. */
export function weightsFigure(
  name: TranscoderName,
  config: TranscoderConfig,
  { weights, groups }: DictionaryAnalysis,
): Spec {
  const [whole] = weights.groups, { alignment, alignment_by_chance, encoder_norm, decoder_norm } = whole;
  const names = config.groups.map((_, group) => groupName(group));
  const color = {
    scale: { domain: names, range: palette.slice(0, names.length) },
    legend: { orient: "top-right", direction: "vertical", symbolType: "square", offset: 4 },
  };
  const lengths = (title: string, { median, p05, p95 }: typeof encoder_norm, histograms: readonly Histogram[]) =>
    outlinesPanel(
      byGroup(histograms),
      heading(
        title,
        `median ${significant(median, 3)}, 90 % between ${significant(p05, 3)} and ${significant(p95, 3)}`,
      ),
      { x: "length", y: "share of the group" },
      color,
    );
  return grid(
    [
      tensorPanel("W_enc", weights.encoder, weights.encoderHistogram, "weights", palette[0]),
      tensorPanel("W_dec", weights.decoder, weights.decoderHistogram, "weights", palette[2]),
      tensorPanel("b_enc", weights.encoderBias, weights.encoderBiasHistogram, "features", palette[1]),
      tensorPanel("b_dec", weights.decoderBias, weights.decoderBiasHistogram, "dimensions", palette[4]),
      lengths("Lengths of what features read (W_enc)", encoder_norm, groups.encoder_norm),
      groups.alignment === null || alignment === null
        ? lengths("Lengths of what features write (W_dec)", decoder_norm, groups.decoder_norm)
        : alignmentPanel(groups.alignment, whole, alignment_by_chance!, color),
    ].map((panel) => ({ ...panel, ...panelSize })),
    2,
    figureTitle(`${name.title}: weights`, `${integer(config.features)} features, ${mappingText(config)}`),
    "independent",
  );
}

function alignmentPanel(
  histograms: readonly Histogram[],
  { alignment, along, against }: DictionaryAnalysis["weights"]["groups"][number],
  chance: number,
  color: Spec,
): Spec {
  const { encoding, mark, data, title, ...panel } = outlinesPanel(
    byGroup(histograms),
    heading(
      "Do features write what they read?",
      `median cosine ${decimal(alignment!.median, 2)}; ${percent(along!, 0)} beyond chance along, ${
        percent(against!, 0)
      } against; grey: 95 % of chance`,
    ),
    { x: "cosine of encoder and decoder", y: "share of the group" },
    color,
  );
  const { x } = encoding as { x: Spec };
  return {
    ...{ ...panel, title },
    layer: [
      {
        data: { values: [{ low: -1.96 * chance, high: 1.96 * chance }] },
        mark: { type: "rect", color: "#9aa0a6", opacity: 0.22, clip: true },
        encoding: { x: { ...x, field: "low" }, x2: { field: "high" } },
      },
      { data, mark, encoding },
    ],
  };
}
