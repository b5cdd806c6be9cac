/**
 * The kinds of files that hold text, on a disk or on the hub.
 * @module
 */

/** What a folder or a repository is searched for; each is the ending of a name. */
const SEARCHED: readonly TextFormat[] = ["txt", "txt.gz", "txt.zst", "jsonl", "jsonl.gz", "jsonl.zst", "parquet"];
/** What is read as well where it is named itself: folders hold much else that ends so. */
const NAMED: readonly TextFormat[] = ["json", "csv", "tsv"];

/** How a file holds its text: the ending of its name, in lower case. */
export type TextFormat =
  | ("txt" | "txt.gz" | "txt.zst" | "jsonl" | "jsonl.gz" | "jsonl.zst" | "parquet")
  | ("json" | "csv" | "tsv");

/** The endings of files that are searched for, for messages: `.txt, .txt.gz, ... or .parquet`. */
export const TEXT_ENDINGS: string = listed(SEARCHED);

/** Those of files that are read when they are named, for messages. */
export const NAMED_ENDINGS: string = listed([...SEARCHED, ...NAMED]);

/** The endings of those that are read only then. */
export const NAMED_ALONE: readonly string[] = NAMED.map((format) => `.${format}`);

function listed(formats: readonly string[]): string {
  return formats.map((format) => `.${format}`).join(", ").replace(/, (?=[^,]*$)/, " or ");
}

/**
 * Finds out how a file holds its text, when a folder is searched.
 *
 * @param path Its path or name; capitals do not matter.
 * @returns The format, undefined when its name has none of the endings.
 */
export function searchedFormatOf(path: string): TextFormat | undefined {
  return SEARCHED.find((format) => path.toLowerCase().endsWith(`.${format}`));
}

/**
 * Finds out how a file holds its text that is named itself.
 *
 * @param path Its path or name; capitals do not matter.
 * @returns The format, undefined when its name has none of the endings.
 */
export function textFormatOf(path: string): TextFormat | undefined {
  return searchedFormatOf(path) ?? NAMED.find((format) => path.toLowerCase().endsWith(`.${format}`));
}

/**
 * Tells whether a file is compressed as a whole or in its pages.
 *
 * @param format How it holds its text.
 */
export function isCompressed(format: TextFormat): boolean {
  return /\.(gz|zst)$/.test(format) || format === "parquet";
}

/**
 * Tells whether a file is one text, and not a record for each of many.
 *
 * @param format How it holds its text.
 */
export function isOneText(format: TextFormat): boolean {
  return format === "txt" || format.startsWith("txt.");
}
