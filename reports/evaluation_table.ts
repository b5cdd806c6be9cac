/**
 * What `mtc evaluate` prints for a reader.
 * @module
 */
import type { Interval } from "../core/analysis/bootstrap.ts";
import type { Evaluation } from "../core/analysis/evaluation.ts";
import { decimal, integer, percent, thresholdText } from "./format.ts";
import { intervalBasis, leftOut, textRead } from "./held_out.ts";
import { numeric, plain, table } from "./markdown/markdown.ts";

function withInterval(value: number, [low, high]: Interval, digits: number): string {
  return `${decimal(value, digits)} [${decimal(low, digits)}, ${decimal(high, digits)}]`;
}

/**
 * A row per figure and a column per evaluated transcoder, under a line on what was evaluated, and the same for each document where they
 * are few. All saw the same tokens; where their dictionaries are grouped in different ways, a cell is empty for a prefix that one does
 * not have.
 */
export function evaluationTable(
  transcoders: readonly { name: string; evaluation: Evaluation }[],
  bosCounts: boolean,
): string {
  const [{ evaluation: first }] = transcoders;
  const row = (name: string, cell: (evaluation: Evaluation) => string) => [
    name,
    ...transcoders.map(({ evaluation }) => cell(evaluation)),
  ];
  const quantiles = ({ p05, p25, p50, p75, p95 }: Evaluation["l0_quantiles"]) =>
    [p05, p25, p50, p75, p95].map((quantile) => decimal(quantile, 0)).join(", ");
  const spread = ({ fvu_over_documents: found }: Evaluation) =>
    found === undefined ? "" : [found.min.fvu, found.median, found.max.fvu].map((fvu) => decimal(fvu, 4)).join(", ");
  const ends = transcoders.flatMap(({ evaluation }) => evaluation.fvu_per_prefix.map(({ prefix }) => prefix));
  const prefixes = [...new Set(ends)].sort((a, b) => a - b).map((end) =>
    row(`FVU of prefix ${integer(end)}`, ({ fvu_per_prefix }) => {
      const found = fvu_per_prefix.find(({ prefix }) => prefix === end);
      return found ? withInterval(found.fvu, found.ci95, 4) : "";
    })
  );
  return [
    `${textRead(first)}, ${leftOut(first, bosCounts)}; intervals cover ${intervalBasis(first)}.`,
    "",
    table(["", ...transcoders.map(({ name }) => numeric(name))], [
      row("FVU", ({ fvu, fvu_ci95 }) => withInterval(fvu, fvu_ci95, 4)),
      ...prefixes,
      row("FVU of documents: least, median, largest", spread),
      row("Explained variance (dictionary_learning)", ({ explained_variance }) => decimal(explained_variance, 4)),
      row("FVU, variance of all elements", ({ fvu_all_elements }) => decimal(fvu_all_elements, 4)),
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
