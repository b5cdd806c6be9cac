/**
 * The few Markdown constructs that the reports use.
 * @module
 */
import { oneLine } from "../tokens.ts";

/** A column: its heading, and whether its cells are numbers, which stand at the right. */
export type Column = string | { heading: string; align: "right" };

/** A table; the cells are Markdown already. Columns are padded so that the source reads as well as the page. */
export function table(columns: Column[], rows: string[][]): string {
  const headings = columns.map((column) => typeof column === "string" ? column : column.heading);
  const right = columns.map((column) => typeof column !== "string");
  const widths = headings.map((heading, i) => Math.max(3, ...[heading, ...rows.map((row) => row[i])].map(length)));
  const line = (cells: string[]) => `| ${cells.map((cell, i) => pad(cell, widths[i], right[i])).join(" | ")} |`;
  const rule = `|${widths.map((width, i) => "-".repeat(width + 1) + (right[i] ? ":" : "-")).join("|")}|`;
  return [line(headings), rule, ...rows.map(line)].join("\n");
}

/** A column of numbers. */
export function numeric(heading: string): Column {
  return { heading, align: "right" };
}

function length(text: string): number {
  return [...text].length;
}

function pad(text: string, width: number, right: boolean): string {
  const space = " ".repeat(width - length(text));
  return right ? space + text : text + space;
}

/** Bullets, one per line. */
export function bullets(items: string[]): string {
  return items.map((item) => `- ${item}`).join("\n");
}

/** Numbered paragraphs. */
export function numbered(items: string[]): string {
  return items.map((item, i) => `${i + 1}. ${item}`).join("\n");
}

/** Characters that begin something in Markdown or HTML, or end a table's cell. */
const MARKS = /[\\`*[\]<~#$|]|&(?=#?\w+;)|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu;

/** Text from outside (a model's name, a path) as plain words, in a table or out of it. */
export function plain(text: string): string {
  return oneLine(text).replace(MARKS, "\\$&");
}

/** Text from outside (a path, a tap) as code, in a table or out of it. */
export function code(text: string): string {
  const line = oneLine(text);
  if (!/[|`]/.test(line)) return `\`${line}\``;
  return `<code>${line.replace(/[^\p{L}\p{N} ]/gu, (character) => `&#${character.codePointAt(0)};`)}</code>`;
}

/** A whole document from its parts, one empty line between them; parts that are empty are left out. */
export function document(parts: (string | false)[]): string {
  return parts.filter((part) => part).join("\n\n") + "\n";
}
