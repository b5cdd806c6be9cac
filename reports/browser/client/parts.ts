/// <reference lib="dom" />
/**
 * What views are put together from: features, tokens, figures, bars.
 * @module
 */

import { html, svg, type SVGTemplateResult, type TemplateResult } from "lit-html";
import { integer, percent, significant } from "../../format.ts";
import { visibleToken } from "../../tokens.ts";
import type { FeatureTable, Figure } from "../data.ts";
import { addressOf } from "./app.ts";

/** Colours of groups and clusters, which go round. */
export const COLOURS = 8;

/** A token by itself: `␣the`. */
export function token(text: string): TemplateResult {
  return html`<span class="token">${visibleToken(text)}</span>`;
}

/** A token within a text, where a space is a space. */
export function inText(text: string): string {
  return text.split(" ").map((part) => part === "" ? "" : visibleToken(part)).join(" ");
}

/** The badge of a Matryoshka group. */
export function groupBadge(group: number): TemplateResult {
  return html`<span class="badge c${group % COLOURS}" title="Matryoshka group ${group}">${group}</span>`;
}

/** The name of a feature as text, for titles: the tokens that it is known by. */
export function nameOf({ known: { start, item }, texts }: FeatureTable, feature: number): string {
  const tokens = Array.from(item.subarray(start[feature], start[feature + 1]), (id) => visibleToken(texts[id]));
  return tokens.length === 0 ? "never fires" : tokens.join(" ");
}

/** The tokens that a feature is known by, each with its share of the firings. */
export function label({ known: { start, item, share }, texts }: FeatureTable, feature: number): TemplateResult {
  const first = start[feature], count = start[feature + 1] - first;
  if (count === 0) return html`<span class="muted">never fires</span>`;
  // One template a token: tables draw hundreds of them.
  const told = Array.from({ length: count }, (_, n) => ({
    text: visibleToken(texts[item[first + n]]),
    share: share[first + n] > 0 ? `${share[first + n]} %` : "",
  }));
  return html`<span class="label">${
    told.map(({ text, share }) => {
      return html`
        <span class="token">${text}</span><small>${share}</small>
      `;
    })
  }</span>`;
}

/** A feature's number, which leads to its page. */
export function link(key: string, feature: number): TemplateResult {
  return html`<a href=${addressOf([key, feature])}>${feature}</a>`;
}

/** A feature in a line: number, group, name. */
export function featureLine(key: string, table: FeatureTable, feature: number): TemplateResult {
  return html`${link(key, feature)} ${groupBadge(table.group[feature])} ${label(table, feature)}`;
}

/** Whether a figure is known; in columns, NaN is what is not. */
export function isKnown(value: Figure | undefined): value is number {
  return value !== null && value !== undefined && !Number.isNaN(value);
}

/** A figure with four digits at most, or a dash. */
export function figure(value: Figure | undefined, digits = 3): string {
  return !isKnown(value) ? "–" : value === 0 ? "0" : significant(value, digits);
}

/** A share in percent, or a dash; small ones with more digits. */
export function share(value: Figure | undefined): string {
  if (!isKnown(value)) return "–";
  const size = Math.abs(value);
  return percent(value, size >= 0.1 || size === 0 ? 1 : size >= 0.001 ? 2 : 4);
}

/** A histogram: bars from the bottom, with what it is of and the ends of its axis. */
export function histogram(
  counts: readonly number[],
  { from, to, what }: { readonly from: string; readonly to: string; readonly what: string },
): TemplateResult {
  const most = Math.max(1, ...counts), width = 100 / counts.length;
  return html`
    <figure class="histogram">
      <figcaption>${what}</figcaption>
      <svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label=${`${what}: ${counts.join(", ")}`}>
        ${counts.map((count, i) => {
          const height = count === 0 ? 0 : Math.max(0.7, 39 * count / most);
          return svg`
            <rect x=${i * width + 0.4} y=${40 - height} width=${width - 0.8} height=${height}>
              <title>${integer(count)}</title>
            </rect>
          `;
        })}
      </svg>
      <p class="ends"><span>${from}</span><span>${to}</span></p>
    </figure>
  `;
}

/** A horizontal bar for a value among others of which the largest has `most`; to the left where it is below 0. */
export function bar(value: number, most: number): TemplateResult {
  const length = most > 0 ? 50 * Math.min(1, Math.abs(value) / most) : 0;
  const rect: SVGTemplateResult = svg`
    <rect class=${value < 0 ? "negative" : ""} x=${value < 0 ? 50 - length : 50}
      y="2" width=${length} height="8" rx="1"></rect>
  `;
  return html`<svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">
    <line x1="50" x2="50" y1="0" y2="12"></line>${rect}</svg>`;
}

/** A horizontal bar that begins on the left. */
export function meter(value: number, most: number): TemplateResult {
  const length = most > 0 ? 100 * Math.max(0, Math.min(1, value / most)) : 0;
  return html`
    <svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="ground" width="100" height="8" rx="1"></rect>
      <rect width=${length} height="8" rx="1"></rect>
    </svg>
  `;
}
