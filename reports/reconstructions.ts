/**
 * What reconstructions make of held-out text, beside what they are held against: the mean, whose FVU is 1 by definition, and the best
 * linear map.
 * @module
 */
import type { Evaluation, ReconstructionFigures } from "../core/analysis/evaluation.ts";
import { type LossEvaluation, meanRecovered, type SplicedFigures } from "../core/analysis/loss.ts";
import { counted, decimal, integer, interval, percent } from "./format.ts";
import { code, type Column, numeric, plain, table } from "./markdown/markdown.ts";
import { decisiveDimension } from "./target_variance.ts";
import { thresholds } from "./thresholds.ts";

/** Whether it was measured: files of older versions lack what came later, and runs of theirs a linear map. */
function has(value: number | undefined): value is number {
  return value !== undefined;
}

/** What stands in a row. */
interface Row extends ReconstructionFigures {
  readonly l0?: number;
  /** The model's predictions with it in the target's place. */
  readonly spliced?: Pick<SplicedFigures, "recovered_zero"> & Partial<Pick<SplicedFigures, "recovered_zero_ci95">>;
}

/** A row for the mean, for the linear map, for a skip connection alone and for each prefix; columns that nothing was measured for are left out. */
export function reconstructionTable(
  { fvu_per_prefix: prefixes, linear_map, skip_alone, loss }: Evaluation & { readonly loss?: LossEvaluation },
): string {
  const whole = prefixes[prefixes.length - 1];
  const optional: [Column, (row: Row) => string][] = [];
  if (has(whole.fvu_unit_variance)) {
    optional.push([numeric("FVU, unit var."), ({ fvu_unit_variance: fvu }) => decimal(fvu ?? NaN, 4)]);
  }
  if (has(whole.cosine)) optional.push([numeric("Cosine"), ({ cosine }) => has(cosine) ? decimal(cosine, 3) : "–"]);
  if (has(whole.l0)) optional.push([numeric("L0"), ({ l0 }) => has(l0) ? decimal(l0, 1) : "–"]);
  if (loss) optional.push([numeric("Loss recovered"), ({ spliced }) => recovered(spliced)]);
  const cells = optional.map(([, cell]) => cell);
  const mean: Row = {
    ...{ fvu: 1, ci95: [NaN, NaN], fvu_unit_variance: 1 },
    ...loss && { spliced: { recovered_zero: meanRecovered(loss) } },
  };
  const row = (name: string, figures: Row, gain: string) => [
    name,
    decimal(figures.fvu, 4),
    interval(figures.ci95, 4),
    ...cells.map((cell) => cell(figures)),
    gain,
  ];
  return table(
    [
      "Reconstruction",
      numeric("FVU"),
      numeric("95 % CI"),
      ...optional.map(([column]) => column),
      numeric("Group's gain"),
    ],
    [
      row("mean (1.0)", mean, "–"),
      ...linear_map ? [row("best linear map", linear_map, "–")] : [],
      ...skip_alone ? [row("skip connection alone", skip_alone, decimal(1 - skip_alone.fvu, 4))] : [],
      ...prefixes.map((figures, p) => {
        const { prefix, fvu } = figures, name = p === prefixes.length - 1 ? "all" : "first";
        const before = p === 0 ? skip_alone?.fvu ?? 1 : prefixes[p - 1].fvu, spliced = loss?.per_prefix[p];
        return row(`${name} ${counted(prefix, "feature")}`, { ...figures, spliced }, decimal(before - fvu, 4));
      }),
    ],
  );
}

/** `89.2 % (86.1 % to 93.4 %)` */
function recovered(spliced: Row["spliced"]): string {
  if (spliced === undefined) return "–";
  const { recovered_zero: share, recovered_zero_ci95: [low, high] = [NaN, NaN] } = spliced;
  return Number.isFinite(low + high) ? `${percent(share)} (${percent(low)} to ${percent(high)})` : percent(share);
}

/**
 * A row for each of several targets, of its raw activations.
 *
 * @param evaluation The figures.
 * @returns The table; empty where there is one target, of which all figures are.
 */
export function targetTable({ fvu_per_target: targets }: Evaluation): string {
  if (targets === undefined) return "";
  const prefixes = targets[0].fvu_per_prefix.slice(0, -1).map(({ prefix }) => numeric(`First ${integer(prefix)}`));
  return table(
    [
      ...["Target", numeric("FVU"), numeric("95 % CI"), numeric("FVU, unit var.")],
      ...prefixes,
      numeric("Best linear map"),
    ],
    targets.map(({ target, fvu, ci95, fvu_unit_variance, fvu_per_prefix, linear_map }) => [
      ...[plain(target), decimal(fvu, 4), interval(ci95, 4), decimal(fvu_unit_variance, 4)],
      ...fvu_per_prefix.slice(0, -1).map((prefix) => decimal(prefix.fvu, 4)),
      linear_map ? decimal(linear_map.fvu, 4) : "–",
    ]),
  );
}

/**
 * What must be known to read FVU: a dimension that decides it, dimensions that do not vary, and a linear map that was fitted on little.
 *
 * @param evaluation The figures.
 * @param config What the source's width and a single target's name are.
 * @returns Sentences; none where there is nothing to beware of.
 */
export function caveats(
  { target_variance, fvu_per_target, linear_map }: Evaluation,
  { d_in, targets }: { readonly d_in: number; readonly targets: readonly { readonly site: string }[] },
): string[] {
  const sentences: string[] = [];
  const whole = target_variance ? [{ target: targets[0].site, target_variance }] : [];
  for (const { target, target_variance } of fvu_per_target ?? whole) {
    const decisive = decisiveDimension(code(target), target_variance);
    if (decisive !== "") sentences.push(`**One dimension decides:** ${decisive}.`);
  }
  if (target_variance && target_variance.constant_dimensions > 0) {
    const { constant_dimensions: constant } = target_variance;
    sentences.push(
      `${counted(constant, "dimension")} of the target ${
        constant === 1 ? "does" : "do"
      } not vary on the held-out text; ` +
        "FVU at unit variance leaves them out.",
    );
  }
  if (linear_map && linear_map.tokens < thresholds.tokensPerDimension * d_in) {
    sentences.push(
      `The linear map was fitted on ${counted(linear_map.tokens, "token")} for ${integer(d_in)} dimensions, which is ` +
        "little: one that was fitted on more would have a lower FVU.",
    );
  }
  return sentences;
}
