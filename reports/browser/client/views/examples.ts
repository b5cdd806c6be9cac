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
  /** The prefix that is looked at. */
  prefix: number;
  /** Moves the slider. */
  readonly step: (by: number) => void;
  /** Shows what is known of a token, next to it. */
  readonly tell: (event: Event) => void;
  /** Hides it. */
  readonly hide: () => void;
  /** Reads on along an example by keys. */
  readonly walk: (event: KeyboardEvent) => void;
  /** Takes what was shown away. */
  readonly close: () => void;
}

/** Prefixes that a reader chose stay chosen from one feature to the next, by how many prefixes there are. */
const chosen = new Map<number, number>();

/**
 * Begins the examples of a page.
 *
 * @param entry The transcoder.
 * @param table All features.
 * @param detail The feature.
 * @param tokens The reading set, if there is one.
 * @param update Draws the page anew.
 * @returns The state.
 */
export function startExamples(
  entry: TranscoderEntry,
  table: FeatureTable,
  detail: FeatureDetail,
  tokens: TokenStream | null,
  update: () => void,
): ExampleState {
  let end = 0;
  const ends = entry.groups.map((size) => end += size), last = ends.length - 1;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.id = "tip";
  tip.setAttribute("role", "status");
  const show = (element: HTMLElement) => {
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
    ...{ entry, table, detail, tokens, ends, prefix: Math.min(chosen.get(last) ?? last, last) },
    step(by) {
      state.prefix = Math.max(0, Math.min(last, state.prefix + by));
      chosen.set(last, state.prefix);
      update();
    },
    tell(event) {
      const element = (event.target as HTMLElement).closest<HTMLElement>("[data-token]");
      if (element) show(element);
    },
    hide: () => tip.remove(),
    walk(event) {
      const line = event.currentTarget as HTMLElement, by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") tip.remove();
      if (by === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      const spans = [...line.querySelectorAll<HTMLElement>("[data-token]")];
      const at = spans.findIndex((one) => one.classList.contains("at")),
        peak = spans.findIndex((one) => one.classList.contains("peak"));
      const next = spans[Math.max(0, Math.min(spans.length - 1, at < 0 ? peak : at + by))];
      spans[at]?.classList.remove("at");
      next.classList.add("at");
      show(next);
    },
    close: () => tip.remove(),
  };
  return state;
}

/** What is known of one token of an example, a line each. */
function told({ detail, tokens, ends, prefix, table }: ExampleState, element: HTMLElement): string[] {
  const at = Number(element.dataset.token), value = Number(element.dataset.value);
  const lines = [`${value > 0 ? `activation ${figure(value)}` : "does not fire"}`];
  const most = table.strength[detail.feature];
  if (value > 0 && most > 0) lines[0] += `, ${percent(value / most, 0)} of its largest`;
  if (tokens !== null) {
    const { document, position, split } = placeOf(tokens, at);
    lines.push(`${document}, token ${integer(position)} (${split})`);
    if (tokens.unexplained.length > 0) {
      const left = tokens.unexplained.map((column) => `${column[at]} %`).join(", ");
      lines.push(`unexplained by the first ${ends.map(integer).join(", ")}: ${left}`);
    }
  }
  const effect = detail.effect?.ce_rise_per_fire ?? null;
  if (value > 0 && effect !== null) lines.push(`loss without it: ${figure(effect)} nats for each firing, the mean`);
  if (detail.feature >= ends[prefix]) lines.push(`no part of the first ${integer(ends[prefix])}`);
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
    ${slider(state)}
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
  const { ends, prefix, tokens, detail: { feature } } = state;
  if (ends.length < 2 || tokens!.unexplained.length === 0) return nothing;
  const moved = ({ target }: Event) => state.step(Number((target as HTMLInputElement).value) - prefix);
  return html`
    <div class="slider">
      <label>Only the first <output>${integer(ends[prefix])}</output> features
          <input type="range" min="0" max=${ends.length - 1} step="1" .value=${String(prefix)} @input=${moved}
            aria-valuetext=${`first ${integer(ends[prefix])}`}></label>
      <p
        class="muted">The line under a token is what these leave unexplained of the target there, from <span class="u u0">none</span>
          to <span class="u u9">all</span>. ${feature >= ends[prefix]
            ? html`<strong>This feature is no part of them.</strong>`
            : nothing}</p>
    </div>
  `;
}

function exampleLine(
  state: ExampleState,
  tokens: TokenStream,
  { at, offsets, values, quantile }: Example,
): TemplateResult {
  const { detail, table, prefix, ends } = state, most = table.strength[detail.feature];
  const [first, end] = windowOf(tokens, at), isOff = detail.feature >= ends[prefix];
  const valueAt = new Map(offsets.map((offset, n) => [at + offset, values[n]]));
  const value = valueAt.get(at) ?? 0, left = tokens.unexplained[prefix], { document } = placeOf(tokens, at);
  const spans = [];
  for (let t = first; t < end; t++) {
    const here = valueAt.get(t) ?? 0, tint = here > 0 ? tintOf(here, most) : 0;
    const line = left === undefined ? "" : ` u u${Math.min(9, Math.floor(left[t] / 10))}`;
    const kind = `t a${isOff ? 0 : tint}${t === at ? " peak" : ""}${line}`, own = tokens.texts[tokens.id[t]];
    const text = inText(t === first ? own.trimStart() || own : own);
    // In one line: a space here would be one in the text.
    spans.push(html`<span class=${kind} data-token=${t} data-value=${here}>${text}</span>`);
  }
  return html`
    <li>
      <span class="value">${figure(value)}${quantile === undefined
        ? nothing
        : html`<small>${percent(quantile, 0)}</small>`}</span>
      <p class="text" tabindex="0" role="group" aria-label=${`Activation ${
        figure(value)
      } in ${document}; arrow keys read token by token`}
        @pointerover=${state.tell} @click=${state.tell} @pointerleave=${state.hide} @blur=${state.hide}
        @keydown=${state.walk}>${spans}</p>
    </li>
  `;
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
        }<small class="where">${document}, ${integer(position)}</small></p></li>`
      )}</ol>
    </section>
  `;
}
