/**
 * features.csv: one row of statistics per feature of a finished transcoder.
 * @module
 */

import { join } from "node:path";
import type { FeatureRow } from "../analysis/feature_rows.ts";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import { exists } from "../files/exists.ts";
import { featureCount, groupOf } from "../transcoder/shape.ts";
import { readText } from "./json.ts";
import { requireSum, writeSummed } from "./sums.ts";
import { type Column, headerLine, numberColumn, parseTable, rowLines } from "./table.ts";

/** The file's name. */
export const FEATURES_FILE = "features.csv";

/** Cells that have no value, such as the mean activation of a dead feature, are empty. */
function measured(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(7))) : "";
}

function id(value: number): string {
  return Number.isFinite(value) ? String(value) : "";
}

/** The columns, in the file's order. */
const COLUMNS: readonly Column<FeatureRow>[] = [
  numberColumn("feature", "count"),
  numberColumn("group", "count"),
  numberColumn("fires", "count"),
  numberColumn("density", "share", measured),
  numberColumn("mean_activation", "amount", measured, true),
  numberColumn("max_activation", "amount", measured, true),
  numberColumn("sample_count", "count"),
  numberColumn("encoder_norm", "amount", measured),
  numberColumn("decoder_norm", "amount", measured),
  numberColumn("encoder_bias", "any", measured),
  numberColumn("encoder_decoder_cosine", "any", measured, true),
  numberColumn("top_token_id", "count", id, true),
  tokenColumn("top_token"),
  numberColumn("top_token_share", "share", measured, true),
  numberColumn("token_entropy_bits", "amount", measured, true),
  {
    name: "dead",
    write: ({ dead }) => dead ? "1" : "0",
    read(cell, row) {
      row.dead = cell.trim() === "1";
      return row.dead || cell.trim() === "0";
    },
  },
  // Files of mtc 0.1.0 lack what follows.
  ...[
    numberColumn<"main_token_id", FeatureRow>("main_token_id", "count", id, true),
    tokenColumn("main_token"),
    numberColumn<"main_token_share", FeatureRow>("main_token_share", "share", measured, true),
    numberColumn<"main_token_share_most", FeatureRow>("main_token_share_most", "share", measured, true),
    numberColumn<"main_token_occurrences", FeatureRow>("main_token_occurrences", "count", id, true),
  ].map((column) => ({ ...column, since: "" })),
];

/** What a spreadsheet takes for the beginning of a formula. */
const FORMULA = /^[=+\-@]/;

/** A column of tokens as decoded, with JSON's escapes; one that would be a formula begins with `\u003d` or another of them. */
function tokenColumn(name: "top_token" | "main_token"): Column<FeatureRow> {
  return {
    name,
    write: (row) =>
      JSON.stringify(row[name]).slice(1, -1).replace(FORMULA, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`),
    read(cell, row) {
      row[name] = unescaped(cell);
      return true;
    },
  };
}

/** Undoes JSON's escapes (`\n`, `\\`, `\u0007`); text that is no valid escape stays as it is. */
function unescaped(text: string): string {
  if (!text.includes("\\")) return text;
  try {
    return JSON.parse(`"${text.replace(/(?<!\\)((?:\\\\)*)"/g, '$1\\"')}"`) as string;
  } catch {
    return text;
  }
}

/**
 * Writes the file.
 *
 * @param directory The transcoder's directory.
 * @param rows One row per feature, ascending.
 * @throws {UserError} When the disk does not take it.
 */
export function writeFeatures(directory: string, rows: readonly FeatureRow[]): Promise<void> {
  const path = join(directory, FEATURES_FILE);
  return writeSummed(path, () => writeFileAtomic(path, headerLine(COLUMNS) + rowLines(COLUMNS, rows)));
}

/**
 * Whether a transcoder has the file; one that is only evaluated or encoded with need not.
 *
 * @param directory The transcoder's directory.
 * @returns Whether it is there.
 */
export function hasFeatures(directory: string): Promise<boolean> {
  return exists(join(directory, FEATURES_FILE));
}

/**
 * Reads the file.
 *
 * @param directory The transcoder's directory.
 * @param groups Features per Matryoshka group.
 * @returns One row per feature, ascending.
 * @throws {UserError} When it is missing, a column is, a row is cut off, a cell is not a number, or the rows are not the
 * features of the transcoder.
 */
export async function readFeatures(directory: string, groups: readonly number[]): Promise<FeatureRow[]> {
  const path = join(directory, FEATURES_FILE);
  await requireSum(directory, FEATURES_FILE);
  // Every key is one of the columns, all of which are read.
  const rows = parseTable(await readText(path), path, COLUMNS, () => ({}) as FeatureRow);
  const features = featureCount(groups), remedy = "restore it or train the run again";
  if (rows.length !== features) {
    throw new UserError({
      action: `read ${path}`,
      requirement: `it must hold one row for each of the ${features} features of config.json`,
      found: `it holds ${rows.length}`,
      remedy,
    });
  }
  rows.forEach((row, index) => {
    const group = groupOf(groups, index);
    if (row.feature === index && row.group === group) return;
    throw new UserError({
      action: `read ${path}`,
      requirement: `row ${index + 2} must be feature ${index} of group ${group}`,
      found: `it is feature ${row.feature} of group ${row.group}`,
      remedy,
    });
  });
  return rows;
}
