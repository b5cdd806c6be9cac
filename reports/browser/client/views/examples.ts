/// <reference lib="dom" />
/**
 * Examples of a feature: tokens tinted by its activation, and what a prefix of the dictionary leaves unexplained of each.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { integer, percent } from "../../../format.ts";
import type { Example, FeatureDetail, FeatureTable, SampledExample, TokenStream, TranscoderEntry } from "../../data.ts";
import { figure, inText } from "../parts.ts";
import { placeOf, windowOf } from "../places.ts";
import { type Effects, effectsForm, startEffects } from "./effects.ts";

/** Steps of the tint. */
const TINTS = 9;

/** The examples of a page, and what is being looked at. */
export interface ExampleState {
  readonly entry: TranscoderEntry;
  readonly table: FeatureTable;
  readonly detail: FeatureDetail;
  readonly tokens: TokenStream | null;
  /** Ends of the prefixes. */
  readonly ends: readonly number[];
  /** Only the first so many features are there. */
  first: number;
  /** What the model loses, once that was measured; null without a server. */
  readonly effects: Effects | null;
  /** Leaves only the first so many. */
  readonly leave: (first: number) => void;
  /** Goes to the next end of a prefix, up or down. */
  readonly step: (by: 1 | -1) => void;
  /** Shows what is known of a token, next to it. */
  readonly tell: (event: Event) => void;
  /** Hides it. */
  readonly hide: () => void;
  /** Reads on along an example by keys. */
  readonly walk: (event: KeyboardEvent) => void;
  /** Takes what was shown away. */
  readonly close: () => void;
}

/** What a reader chose stays chosen from one feature to the next, by transcoder. */
const chosen = new Map<string, number>();

/** Which token of the reading set an element shows, and the feature's activation there. */
const shownAt = new WeakMap<Element, { readonly token: number; readonly value: number }>();

/**
 * Begins the examples of a page.
 *
 * @param entry The transcoder.
 * @param table All features.
 * @param detail The feature.
 * @param tokens The reading set, if there is one.
 * @param isServed Whether there is a server, which may have the model.
 * @param update Draws the page anew.
 * @returns The state.
 */
export function startExamples(
  entry: TranscoderEntry,
  table: FeatureTable,
  detail: FeatureDetail,
  tokens: TokenStream | null,
  isServed: boolean,
  update: () => void,
): ExampleState {
  let end = 0;
  const ends = entry.groups.map((size) => end += size), all = table.group.length;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.id = "tip";
  tip.setAttribute("role", "status");
  const show = (element: Element) => {
    const lines = told(state, element);
    tip.replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
    document.body.append(tip);
    const box = element.getBoundingClientRect(), wide = tip.offsetWidth, high = tip.offsetHeight;
    const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - wide - 8));
    const top = box.top > high + 16 ? box.top - high - 6 : box.bottom + 6;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${top + scrollY}px`;
  };
  const state: ExampleState = {
    ...{ entry, table, detail, tokens, ends, first: chosen.get(entry.key) ?? all },
    effects: isServed && tokens !== null && detail.examples.length > 0
      ? startEffects(entry.key, detail, all, update)
      : null,
    leave(first) {
      if (!Number.isFinite(first)) return;
      state.first = Math.max(1, Math.min(all, Math.round(first)));
      chosen.set(entry.key, state.first);
      update();
    },
    step(by) {
      const next = by > 0 ? ends.find((one) => one > state.first) : ends.findLast((one) => one < state.first);
      if (next !== undefined) state.leave(next);
    },
    tell(event) {
      const element = event.target as Element;
      if (shownAt.has(element)) show(element);
    },
    hide: () => tip.remove(),
    walk(event) {
      const line = event.currentTarget as HTMLElement, by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") tip.remove();
      if (by === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      const spans = [...line.querySelectorAll(".t")];
      const at = spans.findIndex((one) => one.classList.contains("at")),
        peak = spans.findIndex((one) => one.classList.contains("peak"));
      const next = spans[Math.max(0, Math.min(spans.length - 1, at < 0 ? peak : at + by))];
      spans[at]?.classList.remove("at");
      next.classList.add("at");
      show(next);
    },
    close() {
      tip.remove();
      state.effects?.end();
    },
  };
  return state;
}

/** The largest prefix within the first features whose error was measured: its index; -1 where there is none. */
function measuredWithin({ ends, first }: ExampleState): number {
  return ends.findLastIndex((end) => end <= first);
}

/** What is known of one token of an example, a line each. */
function told(state: ExampleState, element: Element): string[] {
  const { detail, tokens, ends, first, table, effects } = state, { token, value } = shownAt.get(element)!;
  const lines = [`${value > 0 ? `activation ${figure(value)}` : "does not fire"}`];
  const most = table.strength[detail.feature];
  if (value > 0 && most > 0) lines[0] += `, ${percent(value / most, 0)} of its largest`;
  if (tokens !== null) {
    const { document, position, split } = placeOf(tokens, token);
    lines.push(`${inText(document)}, token ${integer(position)} (${split})`);
    if (tokens.unexplained.length > 0) {
      const left = tokens.unexplained.map((column) => `${column[token]} %`).join(", ");
      lines.push(`unexplained by the first ${ends.map(integer).join(", ")}: ${left}`);
    }
  }
  const measured = effects?.lineAt(token) ?? null, effect = detail.effect?.ce_rise_per_fire ?? null;
  if (measured !== null) lines.push(measured);
  else if (value > 0 && effect !== null) {
    lines.push(`loss without it: ${figure(effect)} nats for each firing, the mean`);
  }
  if (detail.feature >= first) lines.push(`no part of the first ${integer(first)}`);
  return lines;
}

/** The examples, with the slider over them. */
export function exampleList(state: ExampleState): TemplateResult {
  const { detail: { examples, samples, feature }, tokens } = state;
  if (tokens === null) return sampledList(state, samples);
  const top = examples.filter(({ quantile }) => quantile === undefined);
  const others = examples.filter(({ quantile }) => quantile !== undefined);
  if (top.length === 0) return html`<p class="missing">Feature ${feature} fires nowhere in the reading set.</p>`;
  return html`
    ${slider(state)} ${effectsForm(state.effects, state.first)}
    <section>
      <h2>Strongest firings</h2>
      <ol class="examples">${top.map((one) => exampleLine(state, tokens, one))}</ol>
    </section>
    ${others.length === 0 ? nothing : html`
      <section>
        <h2>Firings of all strengths</h2>
        <p class="muted">At fixed quantiles of its activations: what it fires on when it fires weakly.</p>
        <ol class="examples">${others.map((one) => exampleLine(state, tokens, one))}</ol>
      </section>
    `}
  `;
}

function slider(state: ExampleState): TemplateResult | typeof nothing {
  const { first, table, tokens, detail: { feature } } = state, all = table.group.length;
  if (all < 2 || tokens!.unexplained.length === 0) return nothing;
  const moved = ({ target }: Event) => state.leave(Number((target as HTMLInputElement).value));
  return html`
    <div class="slider">
      <label>Only the first <input type="number" min="1" max=${all} step="1" .value=${String(
        first,
      )} @change=${moved}> features</label>
      <input type="range" min="1" max=${all} step="1" .value=${String(first)} @input=${moved}
        aria-label="How many features are there" aria-valuetext=${`the first ${integer(first)}`}>
      <p class="muted">${ofPrefix(state)} ${feature >= first
        ? html`<strong>This feature is no part of them.</strong>`
        : nothing}</p>
    </div>
  `;
}

/** What the line under a token is of: errors are measured of whole prefixes, between them only the model could tell. */
function ofPrefix(state: ExampleState): TemplateResult {
  const { ends, first } = state, within = measuredWithin(state);
  if (within < 0) return html`What fewer than the first ${integer(ends[0])} leave unexplained was not measured.`;
  const isWhole = ends[within] === first;
  return html`
    The line under a token is what ${isWhole
      ? "these"
      : `the first ${integer(ends[within])}`} leave unexplained of the target there, from <span
      class="u u0">none</span> to <span class="u u9">all</span>${isWhole
        ? "."
        : `: of what lies within the first ${integer(first)}, that was measured.`}
  `;
}

function exampleLine(state: ExampleState, tokens: TokenStream, example: Example): TemplateResult {
  const { at, offsets, values, quantile } = example, value = values[offsets.indexOf(0)];
  const { document } = placeOf(tokens, at);
  return html`
    <li>
      <span class="value">${figure(value)}${quantile === undefined
        ? nothing
        : html`<small>${percent(quantile, 0)}</small>`}</span>
      <p class="text" tabindex="0" role="group" aria-label=${`Activation ${figure(value)} in ${
        inText(document)
      }; arrow keys read token by token`}
        @pointerover=${state.tell} @click=${state.tell} @pointerleave=${state.hide} @blur=${state.hide}
        @keydown=${state.walk}>${textOf(state, tokens, example)}</p>
    </li>
  `;
}

/** The tokens of an example as elements that are made right here: a page has hundreds, and a template each takes several times as long. */
function textOf(state: ExampleState, tokens: TokenStream, { at, offsets, values }: Example): DocumentFragment {
  const { detail: { feature }, table, first } = state, most = table.strength[feature], isOff = feature >= first;
  const valueAt = new Map(offsets.map((offset, n) => [at + offset, values[n]]));
  const left = tokens.unexplained[measuredWithin(state)], [begin, end] = windowOf(tokens, at);
  const text = document.createDocumentFragment();
  for (let token = begin; token < end; token++) {
    const value = valueAt.get(token) ?? 0, own = tokens.texts[tokens.id[token]], span = document.createElement("span");
    span.className = `t a${value > 0 && !isOff ? tintOf(value, most) : 0}${token === at ? " peak" : ""}${
      left === undefined ? "" : ` u u${Math.min(9, Math.floor(left[token] / 10))}`
    }`;
    span.textContent = inText(token === begin ? own.trimStart() || own : own);
    shownAt.set(span, { token, value });
    text.append(span);
  }
  return text;
}

function tintOf(value: number, most: number): number {
  return Math.max(1, Math.min(TINTS, Math.round(TINTS * value / most)));
}

/** Without a record, only the text around is known. */
function sampledList({ detail: { feature }, table }: ExampleState, samples: readonly SampledExample[]): TemplateResult {
  if (samples.length === 0) return html`<p class="missing">Feature ${feature} has no samples.</p>`;
  const most = table.strength[feature];
  return html`
    <section>
      <h2>Samples of the final pass</h2>
      <ol class="examples">${samples.map((
        { text: [before, own, behind], value, place: [document, position], quantile },
      ) =>
        html`<li><span class="value">${figure(value)}${
          quantile === undefined ? nothing : html`<small>${percent(quantile, 0)}</small>`
        }</span><p class="text">${inText(before)}<span class=${`t peak a${tintOf(value, most)}`}>${inText(own)}</span>${
          inText(behind)
        }<small class="where">${inText(document)}, ${integer(position)}</small></p></li>`
      )}</ol>
    </section>
  `;
}
