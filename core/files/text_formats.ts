/**
 * The kinds of files that hold text, on a disk or on the hub.
 * @module
 */

/** How a file holds its text; each is the ending of its name. */
export const TEXT_FORMATS = ["txt", "jsonl", "jsonl.gz", "jsonl.zst", "parquet"] as const;
/** One of {@link TEXT_FORMATS}. */
export type TextFormat = typeof TEXT_FORMATS[number];

/** The endings of their names, for messages: `.txt, .jsonl, .jsonl.gz, .jsonl.zst or .parquet`. */
export const TEXT_ENDINGS: string = TEXT_FORMATS.map((format) => `.${format}`).join(", ").replace(
  /, (?=[^,]*$)/,
  " or ",
);

/**
 * Finds out how a file holds its text.
 *
 * @param path Its path or name.
 * @returns The format, undefined when its name has none of the endings.
 */
export function textFormatOf(path: string): TextFormat | undefined {
  return TEXT_FORMATS.find((format) => path.endsWith(`.${format}`));
}
