/**
 * What the figures of an evaluation stand on: how much text of how many documents, and how its documents differ.
 * @module
 */
import { LEAST_RESAMPLED } from "../core/analysis/bootstrap.ts";
import type { DocumentFvu, Evaluation } from "../core/analysis/evaluation.ts";
import type { TokenCounts } from "../core/analysis/token_counts.ts";
import type { RunCounts } from "../core/runs/evaluation.ts";
import { counted, decimal, integer } from "./format.ts";
import { numeric, plain, table } from "./markdown/markdown.ts";

/**
 * The text that was read: `50,810 tokens in 811 contexts of all 6 test documents`.
 *
 * @param evaluation An evaluation; one from before parts were told apart names none.
 */
export function textRead({ tokens, contexts, split, documents, split_documents }: Evaluation): string {
  const read = `${counted(tokens, "token")} in ${counted(contexts, "context")}`;
  if (split === undefined || documents === undefined) return `${read} of documents that were never trained on`;
  const noun = `${split} document`;
  if (split_documents === null || split_documents === undefined) return `${read} of ${counted(documents, noun)}`;
  if (split_documents === 1) return `${read} of the only ${noun}`;
  const all = documents === split_documents ? "all " : `${integer(documents)} of `;
  return `${read} of ${all}${counted(split_documents, noun)}`;
}

/** What did not count: `BOS excluded, 12 tokens left out for their ids, 3 tokens left out for their norms`. */
export function leftOut({ excluded_tokens = 0, outlier_tokens }: Evaluation, bosCounts: boolean): string {
  const told = (tokens: number, reason: string) =>
    `${counted(tokens, "token")} left out for ${tokens === 1 ? `its ${reason}` : `their ${reason}s`}`;
  return [
    `BOS ${bosCounts ? "included" : "excluded"}`,
    ...excluded_tokens > 0 ? [told(excluded_tokens, "id")] : [],
    ...outlier_tokens !== undefined ? [told(outlier_tokens, "norm")] : [],
  ].join(", ");
}

/**
 * What a run left out of its training text.
 *
 * @param counts Its tokens.
 * @returns `for their ids 12 of 102,450 tokens of training, 1 of 32,769 tokens of the samples' pass`; where norms matter another such
 * list behind it, `; for their norms 3 of ..`, and where files had records without text their number.
 */
export function leftOutOfRun({ training, samples, bad_records }: RunCounts): string {
  const share = (left: number, { tokens, excluded_tokens, outlier_tokens = 0 }: TokenCounts, text: string) =>
    `${integer(left)} of ${counted(tokens + excluded_tokens + outlier_tokens, "token")} of ${text}`;
  const shares = (left: (counts: TokenCounts) => number) =>
    [
      ...training ? [share(left(training), training, "training")] : [],
      share(left(samples), samples, "the samples' pass"),
    ].join(", ");
  const forIds = `for their ids ${shares(({ excluded_tokens }) => excluded_tokens)}`;
  return [
    forIds,
    ...samples.outlier_tokens === undefined
      ? []
      : [`for their norms ${shares(({ outlier_tokens = 0 }) => outlier_tokens)}`],
    ...bad_records === undefined ? [] : [leftOutRecords(bad_records)],
  ].join("; ");
}

/**
 * Says how many records of files were left out.
 *
 * @param records How many.
 * @returns `3 records that hold no text`.
 */
export function leftOutRecords(records: number): string {
  return `${counted(records, "record")} that ${records === 1 ? "holds" : "hold"} no text`;
}

/** What the intervals cover, inside of a sentence: `intervals cover 95 % (bootstrap over documents)`. */
export function intervalBasis(
  { contexts, resampled = "contexts" }: Pick<Evaluation, "contexts" | "resampled">,
): string {
  return contexts < LEAST_RESAMPLED
    ? `no intervals, since there are fewer than ${LEAST_RESAMPLED} contexts`
    : `intervals cover 95 % (bootstrap over ${resampled})`;
}

/**
 * The least, the median and the largest FVU of single documents, for a terminal.
 *
 * @param evaluation An evaluation.
 * @param digits Decimals of an FVU.
 * @returns `0.2310 (speech.txt), 0.2500, 0.3120 (letter.txt)`; empty where documents were not told apart, or there is only one.
 */
export function spreadText({ documents, fvu_over_documents: spread }: Evaluation, digits: number): string {
  if (spread === undefined || documents === 1) return "";
  const named = ({ fvu, document }: DocumentFvu) => `${decimal(fvu, digits)} (${document})`;
  return `${named(spread.min)}, ${decimal(spread.median, digits)}, ${named(spread.max)}`;
}

/**
 * The FVU of single documents: a table of all where they are listed, else the least, the median and the largest.
 *
 * @param evaluation An evaluation.
 * @returns Markdown; empty where documents were not told apart, or there is only one.
 */
export function documentFvus(evaluation: Evaluation): string {
  const { documents, fvu_over_documents: spread, fvu_per_document: all } = evaluation;
  if (spread === undefined || documents === 1) return "";
  const sentence = `FVU of single documents: median ${decimal(spread.median, 4)}, from ${decimal(spread.min.fvu, 4)} (${
    plain(spread.min.document)
  }, ${counted(spread.min.tokens, "token")}) to ${decimal(spread.max.fvu, 4)} (${plain(spread.max.document)}, ${
    counted(spread.max.tokens, "token")
  }).`;
  if (all === undefined) return sentence;
  const rows = all.map(({ document, tokens, fvu }) => [plain(document), integer(tokens), decimal(fvu, 4)]);
  return `${sentence}\n\n${table(["Document", numeric("Tokens"), numeric("FVU of the document")], rows)}`;
}
