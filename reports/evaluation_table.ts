/**
 * What `mtc evaluate` prints for a reader.
 * @module
 */
import type { Interval } from "../core/analysis/bootstrap.ts";
import type { Evaluation } from "../core/analysis/evaluation.ts";
import type { LossEvaluation, PredictionFigures, SplicedFigures } from "../core/analysis/loss.ts";
import { counted, decimal, integer, percent, thresholdText } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

function withInterval(value: number, [low, high]: Interval, digits: number): string {
  return `${decimal(value, digits)} [${decimal(low, digits)}, ${decimal(high, digits)}]`;
}

/**
 * A row per figure and a column per evaluated transcoder, under a line on what was evaluated. All saw the same tokens; where their
 * dictionaries are grouped in different ways, a cell is empty for a prefix that one does not have.
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
  const ends = transcoders.flatMap(({ evaluation }) => evaluation.fvu_per_prefix.map(({ prefix }) => prefix));
  const prefixes = [...new Set(ends)].sort((a, b) => a - b).map((end) =>
    row(`FVU of prefix ${integer(end)}`, ({ fvu_per_prefix }) => {
      const found = fvu_per_prefix.find(({ prefix }) => prefix === end);
      return found ? withInterval(found.fvu, found.ci95, 4) : "";
    })
  );
  return [
    `${counted(first.tokens, "held-out token")} in ${counted(first.contexts, "context")}, ` +
    `BOS ${bosCounts ? "included" : "excluded"}; intervals cover 95 % (bootstrap over contexts).`,
    "",
    table(["", ...transcoders.map(({ name }) => numeric(name))], [
      row("FVU", ({ fvu, fvu_ci95 }) => withInterval(fvu, fvu_ci95, 4)),
      ...prefixes,
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
  ].join("\n");
}

/** The predictions of the model as it is, ablated, and with each prefix in place: a row for each. */
export function lossTable(
  clean: LossEvaluation["clean"],
  { zero, mean, per_prefix }: {
    zero: PredictionFigures;
    mean: PredictionFigures;
    per_prefix: readonly SplicedFigures[];
  },
  named: readonly string[],
): string {
  const columns = [
    "Cross-entropy",
    "KL from the model",
    "Same top token",
    "Recovered, of zeros",
    "Recovered, of means",
  ];
  const share = (value: number, [low, high]: Interval) => `${percent(value)} [${percent(low)}, ${percent(high)}]`;
  const figures = ({ ce, ce_ci95, kl, kl_ci95, top1, top1_ci95 }: PredictionFigures) => [
    withInterval(ce, ce_ci95, 3),
    withInterval(kl, kl_ci95, 3),
    share(top1, top1_ci95),
  ];
  return table(["In place", ...columns.map(numeric)], [
    ["the model's own", withInterval(clean.ce, clean.ce_ci95, 3), "", "", "", ""],
    ["zeros", ...figures(zero), "", ""],
    ["means", ...figures(mean), "", ""],
    ...per_prefix.map((spliced, p) => [
      named[p],
      ...figures(spliced),
      share(spliced.recovered_zero, spliced.recovered_zero_ci95),
      share(spliced.recovered_mean, spliced.recovered_mean_ci95),
    ]),
  ]);
}

/** What stands in the place of the targets, for the rows of {@link lossTable}. */
export function prefixNames(per_prefix: readonly ({ prefix: number } | { prefixes: readonly number[] })[]): string[] {
  return per_prefix.map((spliced) => {
    const sizes = "prefix" in spliced ? [spliced.prefix] : [...new Set(spliced.prefixes)];
    return `${sizes.map(integer).join(" + ")} features${"prefix" in spliced ? "" : sizes.length === 1 ? " each" : ""}`;
  });
}

/** What was measured of the predictions, in a sentence. */
export function lossSentence({ tokens, contexts, documents, resampled }: LossEvaluation): string {
  const where = `${counted(contexts, "context")} of ${counted(documents, "document")}`;
  return `${
    counted(tokens, "held-out prediction")
  } in ${where}; losses and KL in nats, and what stands in place does so at every ` +
    `counted token; intervals cover 95 % (bootstrap over ${resampled}).`;
}

/** The predictions with several transcoders of a run in place, where that was measured. */
export function replacementTable({ clean, replacement_model }: LossEvaluation): string {
  if (replacement_model === undefined) return "";
  return lossTable(clean, replacement_model, prefixNames(replacement_model.per_prefix));
}

/** A table per transcoder, and one for those that were in place at once, under a sentence on what was measured. */
export function lossTables(transcoders: readonly { name: string; loss: LossEvaluation }[]): string {
  const sections = transcoders.map(({ name, loss }) =>
    `${name}:\n\n${lossTable(loss.clean, loss, prefixNames(loss.per_prefix))}`
  );
  const together = transcoders.flatMap(({ loss }) => {
    const members = loss.replacement_model?.transcoders;
    return members ? [`${members.join(" and ")} at once:\n\n${replacementTable(loss)}`] : [];
  });
  return [lossSentence(transcoders[0].loss), ...sections, ...new Set(together)].join("\n\n");
}
