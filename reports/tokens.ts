/**
 * Tokens and contexts as a reader can read them, safe inside Markdown.
 * @module
 */
import type { FeatureRow } from "../core/analysis/feature_rows.ts";
import type { Sample } from "../core/analysis/sample_statistics.ts";

/** Names of characters that would be invisible or move the text. */
function nameOf(character: string): string {
  const code = character.codePointAt(0)!;
  const hex = code.toString(16).toUpperCase();
  return code < 0x80 ? `<0x${hex.padStart(2, "0")}>` : `<U+${hex.padStart(4, "0")}>`;
}

/** Controls, format characters (zero width, bidirectional), unusual spaces, line separators, surrogates, private use, unassigned. */
const unseen = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

function showBreaks(text: string): string {
  return text.replace(/\r/g, "␍").replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(unseen, nameOf);
}

/** Text from outside in one line with nothing invisible in it: `<0x1B>` a control byte, `<U+200B>` other. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").replace(unseen, nameOf);
}

/** A token's text with nothing invisible in it: `␣` space, `⏎` newline, `⇥` tab, `<0x07>` a control byte, `<U+200B>` other. */
export function visibleToken(token: string): string {
  return token === "" ? "(empty)" : showBreaks(token).replaceAll(" ", "␣");
}

/** The token that most of a feature's top samples are on, as it is written; null for a feature without samples. */
export function featureToken(
  { top_token, top_token_id }: Pick<FeatureRow, "top_token" | "top_token_id">,
  written: (token: string) => string,
): string | null {
  return Number.isNaN(top_token_id) ? null : written(top_token);
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/**
 * A token for Markdown, in a table or out of it: a code span, or `<code>` with character references when the token holds a
 * character that a code span or a table cell cannot carry.
 */
export function tokenCode(token: string): string {
  const text = visibleToken(token);
  if (!/[|`\\]/.test(text)) return `\`${text}\``;
  const escaped = text.replace(
    /[^\p{L}\p{N}␣⏎⇥␍]/gu,
    (character) => entities[character] ?? `&#${character.codePointAt(0)};`,
  );
  return `<code>${escaped}</code>`;
}

/** How many characters of context are shown on each side of the active token. */
const contextWidth = 44;

/** The last or first `contextWidth` characters, with an ellipsis for what is left out; code points are never cut. */
function clip(text: string, side: "before" | "after"): string {
  const characters = [...showBreaks(text)];
  if (characters.length <= contextWidth) return characters.join("");
  return side === "before"
    ? "…" + characters.slice(1 - contextWidth).join("")
    : characters.slice(0, contextWidth - 1).join("") + "…";
}

/** One line per sample with the active tokens, between ⟦ and ⟧, under each other. For a fenced block; see {@link contextBlock}. */
export function contextLines(samples: { label: string; sample: Sample }[]): string[] {
  const labelWidth = Math.max(...samples.map(({ label }) => label.length));
  const befores = samples.map(({ sample }) => clip(sample.before, "before"));
  const width = Math.max(...befores.map((before) => [...before].length));
  return samples.map(({ label, sample }, i) =>
    `${label.padStart(labelWidth)}  ${" ".repeat(width - [...befores[i]].length)}${befores[i]}` +
    `⟦${visibleToken(sample.token)}⟧${clip(sample.after, "after")}`
  );
}

/** The lines in a fenced block whose fence is longer than any run of backticks in them. */
export function contextBlock(lines: string[]): string {
  const longest = Math.max(2, ...lines.flatMap((line) => line.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${lines.join("\n")}\n${fence}`;
}
