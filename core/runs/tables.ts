/**
 * The two tables of a run, metrics.csv and features.csv, read into typed rows.
 * @module
 */
import { csvParseRows } from "d3-dsv";
import { UserError } from "../errors.ts";
import { FEATURE_COLUMNS } from "./feature_table.ts";
import type { FeatureRow, MetricsRow, RunConfig } from "./schema.ts";

/** Reads one cell of the current row by column name. */
interface Cells {
  /** The cell's text. */
  text(column: string): string;
  /** The cell as a number; `NaN` may stand in any cell. */
  number(column: string): number;
  /** Likewise, and an empty cell is NaN. */
  optional(column: string): number;
}

function parseTable<Row>(text: string, path: string, columns: readonly string[], read: (cells: Cells) => Row): Row[] {
  const [header = [], ...body] = csvParseRows(text) as string[][];
  const missing = columns.filter((column) => !header.includes(column));
  if (missing.length > 0) {
    throw new UserError(
      `Cannot read ${path}: its first line must name the column ${missing[0]}, it reads "${
        header.join(",").slice(0, 100)
      }"; ` +
        "train the run again",
    );
  }
  const indexOf = new Map(header.map((name, index) => [name, index]));
  return body.map((cells, index) => {
    const line = index + 2;
    if (cells.length !== header.length) {
      throw new UserError(
        `Cannot read ${path}: row ${line} must hold ${header.length} values, it holds ${cells.length}; ` +
          "the file is cut off or damaged, train the run again",
      );
    }
    const textOf = (column: string) => cells[indexOf.get(column)!];
    const numberOf = (column: string) => {
      const cell = textOf(column).trim();
      const value = cell === "" ? NaN : Number(cell);
      if (cell !== "NaN" && Number.isNaN(value)) {
        throw new UserError(
          `Cannot read ${path}: ${column} in row ${line} must be a number, it is "${cell}"; train the run again`,
        );
      }
      return value;
    };
    return read({
      text: textOf,
      number: numberOf,
      optional: (column) => textOf(column).trim() === "" ? NaN : numberOf(column),
    });
  });
}

/**
 * Parses metrics.csv, one row per logged step.
 * @throws {UserError} when a column is missing, a row is cut off, or a cell is not a number.
 */
export function parseMetrics(text: string, path: string, config: Pick<RunConfig, "groups">): MetricsRow[] {
  let end = 0;
  const prefixColumns = config.groups.map((group) => `fvu_prefix_${end += group}`);
  const columns = ["step", "tokens", "loss", "aux_loss", ...prefixColumns, "l0", "dead_features", "learning_rate"];
  const rows = parseTable(text, path, [...columns, "threshold", "elapsed_s", "tokens_per_s"], (cells) => ({
    step: cells.number("step"),
    tokens: cells.number("tokens"),
    loss: cells.number("loss"),
    aux_loss: cells.optional("aux_loss"),
    fvu_per_prefix: prefixColumns.map(cells.number),
    l0: cells.number("l0"),
    dead_features: cells.number("dead_features"),
    learning_rate: cells.number("learning_rate"),
    threshold: cells.optional("threshold"),
    elapsed_s: cells.optional("elapsed_s"),
    tokens_per_s: cells.optional("tokens_per_s"),
  }));
  if (rows.length > 0) return rows;
  throw new UserError(`Cannot read ${path}: it must hold at least one logged step, it holds none; train the run again`);
}

/** Undoes the JSON-style escapes (`\n`, `\t`, `\\`, `\u0007`) of a token in features.csv; text that is no valid escape stays as it is. */
function unescapeToken(text: string): string {
  if (!text.includes("\\")) return text;
  try {
    return JSON.parse(`"${text.replace(/(?<!\\)((?:\\\\)*)"/g, '$1\\"')}"`) as string;
  } catch {
    return text;
  }
}

/**
 * Parses features.csv, one row per feature in ascending order.
 * @throws {UserError} when a column is missing, a row is cut off, a cell is not a number, or the rows are not the features of the run.
 */
export function parseFeatures(
  text: string,
  path: string,
  config: Pick<RunConfig, "features" | "groups">,
): FeatureRow[] {
  const rows = parseTable(text, path, FEATURE_COLUMNS, (cells) => ({
    feature: cells.number("feature"),
    group: cells.number("group"),
    fires: cells.number("fires"),
    density: cells.number("density"),
    mean_activation: cells.optional("mean_activation"),
    max_activation: cells.optional("max_activation"),
    sample_count: cells.number("sample_count"),
    encoder_norm: cells.number("encoder_norm"),
    decoder_norm: cells.number("decoder_norm"),
    encoder_bias: cells.number("encoder_bias"),
    encoder_decoder_cosine: cells.optional("encoder_decoder_cosine"),
    top_token_id: cells.optional("top_token_id"),
    top_token: unescapeToken(cells.text("top_token")),
    top_token_share: cells.optional("top_token_share"),
    token_entropy_bits: cells.optional("token_entropy_bits"),
    dead: cells.number("dead") === 1,
  }));
  if (rows.length !== config.features) {
    throw new UserError(
      `Cannot read ${path}: it must hold one row for each of the ${config.features} features of config.json, ` +
        `it holds ${rows.length}; train the run again`,
    );
  }
  const ends = config.groups.map((_, group) => config.groups.slice(0, group + 1).reduce((sum, size) => sum + size, 0));
  rows.forEach((row, index) => {
    const group = ends.findIndex((end) => index < end);
    if (row.feature === index && row.group === group) return;
    throw new UserError(
      `Cannot read ${path}: row ${index + 2} must be feature ${index} of group ${group}, ` +
        `it is feature ${row.feature} of group ${row.group}; train the run again`,
    );
  });
  return rows;
}
