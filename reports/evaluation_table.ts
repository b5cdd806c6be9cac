/**
 * What `mtc evaluate` prints for a reader.
 * @module
 */
import type { Interval } from "../core/analysis/bootstrap.ts";
import type { Evaluation } from "../core/analysis/evaluation.ts";
import { capital, decimal, integer, percent, thresholdText } from "./format.ts";
import { intervalBasis, leftOut, textRead } from "./held_out.ts";
import { numeric, plain, table } from "./markdown/markdown.ts";
import { caveats, reconstructionTable, targetTable } from "./reconstructions.ts";
import { varianceShares } from "./target_variance.ts";

/** `0.1720 [0.1644, 0.1803]`, or the value alone when an end is not a number. */
export function withInterval(value: number, ends: Interval, digits: number): string {
  return bracketed(value, ends, (number) => decimal(number, digits));
}

/** The same with numbers written in another way. */
export function bracketed(value: number, [low, high]: Interval, written: (value: number) => string): string {
  return Number.isFinite(low + high) ? `${written(value)} [${written(low)}, ${written(high)}]` : written(value);
}

/** A transcoder that was evaluated. */
export interface EvaluatedName {
  /** What it is called among those evaluated with it. */
  readonly name: string;
  /** Its figures. */
  readonly evaluation: Evaluation;
  /** What its config.json says of the sizes and the targets. */
  readonly config: { readonly d_in: number; readonly targets: readonly { readonly site: string }[] };
}

/**
 * Under a line on what was evaluated, for each transcoder a table of its prefixes beside the mean and the linear map, and one of its targets
 * where there are several, then a table of the other figures, a row per figure and a column per transcoder, and the FVU of each document where they are few. All saw the same tokens.
 */
export function evaluationTable(transcoders: readonly EvaluatedName[], bosCounts: boolean): string {
  const [{ evaluation: first }] = transcoders;
  const row = (name: string, cell: (evaluation: Evaluation) => string) => [
    name,
    ...transcoders.map(({ evaluation }) => cell(evaluation)),
  ];
  const quantiles = ({ p05, p25, p50, p75, p95 }: Evaluation["l0_quantiles"]) =>
    [p05, p25, p50, p75, p95].map((quantile) => decimal(quantile, 0)).join(", ");
  const spread = ({ documents, fvu_over_documents: found }: Evaluation) =>
    found && documents !== 1
      ? [found.min.fvu, found.median, found.max.fvu].map((fvu) => decimal(fvu, 4)).join(", ")
      : undefined;
  /** A row that is left out where no transcoder has the figure, as without a linear map. */
  const optional = (name: string, cell: (evaluation: Evaluation) => string | undefined) =>
    transcoders.some(({ evaluation }) => cell(evaluation) !== undefined)
      ? [row(name, (evaluation) => cell(evaluation) ?? "–")]
      : [];
  const measured = (value: number | undefined, ends: Interval | undefined) =>
    value === undefined || ends === undefined ? undefined : withInterval(value, ends, 4);
  return [
    `${textRead(first)}, ${leftOut(first, bosCounts)}; ${intervalBasis(first)}.`,
    ...transcoders.flatMap(({ name, evaluation, config }) => [
      ...["", capital(name), "", reconstructionTable(evaluation)],
      ...evaluation.fvu_per_target ? ["", targetTable(evaluation)] : [],
      ...caveats(evaluation, config).flatMap((sentence) => ["", sentence.replaceAll(/\*\*|`/g, "")]),
    ]),
    "",
    table(["", ...transcoders.map(({ name }) => numeric(name))], [
      row("FVU", ({ fvu, fvu_ci95 }) => withInterval(fvu, fvu_ci95, 4)),
      ...optional(
        "FVU at unit variance",
        ({ fvu_unit_variance: fvu, fvu_unit_variance_ci95: ends }) => measured(fvu, ends),
      ),
      ...optional("Cosine", ({ cosine, cosine_ci95 }) => measured(cosine, cosine_ci95)),
      ...optional("FVU of documents: least, median, largest", spread),
      row("Explained variance (dictionary_learning)", ({ explained_variance }) => decimal(explained_variance, 4)),
      row("FVU, variance of all elements", ({ fvu_all_elements }) => decimal(fvu_all_elements, 4)),
      row(
        "Target variance in 1 / 5 / 20 dimensions",
        ({ target_variance }) => target_variance ? varianceShares(target_variance) : "–",
      ),
      row("L0", ({ l0, l0_ci95 }) => withInterval(l0, l0_ci95, 2)),
      row("L0 at 5, 25, 50, 75, 95 % of tokens", ({ l0_quantiles }) => quantiles(l0_quantiles)),
      row("k in training", ({ k }) => integer(k)),
      row("Threshold", (evaluation) => thresholdText(evaluation)),
      row(
        "Dead features",
        ({ dead_features, dead_fraction }) => `${integer(dead_features)} (${percent(dead_fraction)})`,
      ),
    ]),
    ...documentTable(transcoders),
  ].join("\n");
}

function documentTable(transcoders: readonly { name: string; evaluation: Evaluation }[]): string[] {
  const documents = transcoders[0].evaluation.fvu_per_document ?? [];
  if (documents.length < 2) return [];
  const rows = documents.map(({ document, tokens }, d) => [
    plain(document),
    integer(tokens),
    ...transcoders.map(({ evaluation }) => decimal(evaluation.fvu_per_document?.[d].fvu ?? NaN, 4)),
  ]);
  const columns = ["FVU of the document", numeric("Tokens"), ...transcoders.map(({ name }) => numeric(name))];
  return ["", table(columns, rows)];
}
