/**
 * What is said of the model's predictions with transcoders in place.
 * @module
 */
import type { Interval } from "../core/analysis/bootstrap.ts";
import type { LossEvaluation, PredictionFigures, SplicedFigures } from "../core/analysis/loss.ts";
import { bracketed, withInterval } from "./evaluation_table.ts";
import { counted, integer, percent } from "./format.ts";
import { intervalBasis } from "./held_out.ts";
import { code, numeric, table } from "./markdown/markdown.ts";

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
  const share = (value: number, ends: Interval) => bracketed(value, ends, percent);
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

/** The prefix of one transcoder, or those of several at once. */
export type PrefixOf = { readonly prefix: number } | { readonly prefixes: readonly number[] };

/** What stands in the place of the targets, for the rows of {@link lossTable}. */
export function prefixNames(per_prefix: readonly PrefixOf[]): string[] {
  return per_prefix.map((spliced) => {
    const sizes = "prefix" in spliced ? [spliced.prefix] : [...new Set(spliced.prefixes)];
    return `${sizes.map(integer).join(" + ")} features${"prefix" in spliced ? "" : sizes.length === 1 ? " each" : ""}`;
  });
}

/** The shares recovered of what zeros cost: `78.1 % with 128, 87.0 % with 384, 89.2 % [86.1 %, 93.4 %] with 512 features`. */
export function recoveredShares(per_prefix: readonly (SplicedFigures & PrefixOf)[]): string {
  const whole = per_prefix.length - 1, names = prefixNames(per_prefix);
  return per_prefix.map(({ recovered_zero: share, recovered_zero_ci95: ends }, p) =>
    p === whole
      ? `${bracketed(share, ends, percent)} with ${names[p]}`
      : `${percent(share)} with ${names[p].replace(/ features.*$/, "")}`
  ).join(", ");
}

/** What the column `Loss recovered` of the reconstructions is, and what others of the run in place beside it make of it. */
export function recoveredSentence(loss: LossEvaluation): string {
  const { replacement_model: team } = loss;
  const together = team
    ? ` With ${team.transcoders.map(code).join(" and ")} in place at once: ${recoveredShares(team.per_prefix)}.`
    : "";
  return `*Loss recovered* is the share of what zeros in the target's place cost the next token's loss, on ${
    lossSentence(loss)
  }${together}`;
}

/** What was measured of the predictions, in a sentence. */
export function lossSentence(loss: LossEvaluation): string {
  const where = `${counted(loss.contexts, "context")} of ${counted(loss.documents, "document")}`;
  return `${
    counted(loss.tokens, "held-out prediction")
  } in ${where}; losses and KL in nats, and what stands in place does so at every ` +
    `counted token; ${intervalBasis(loss)}.`;
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
