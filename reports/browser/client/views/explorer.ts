/// <reference lib="dom" />
/**
 * All features of a transcoder as a table that is searched, sorted and filtered.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { integer } from "../../../format.ts";
import type { Column, FeatureTable, TranscoderEntry } from "../../data.ts";
import { addressOf, entryOf, type Page, readingSetOf, tableOf, type View } from "../app.ts";
import { figure, groupBadge, isKnown, label, link, share } from "../parts.ts";
import { type Choice, chosenFeatures, type Order, ORDERS, type ReadingSet, textOf } from "../search.ts";

/** Rows that are shown at once. */
const ROWS = 40;

/** How an order's values are written. */
const WRITTEN: Readonly<Record<Order, (value: number) => string>> = {
  feature: integer,
  density: share,
  strength: figure,
  entropy: (value) => figure(value, 2),
  fvu_rise: share,
  ce_rise: figure,
  coherence: (value) => figure(value, 2),
};

const HEADS: Readonly<Record<Order, readonly [text: string, title: string]>> = {
  feature: ["#", "Number in the dictionary"],
  density: ["Density", "Share of the tokens that it fires on"],
  strength: ["Strength", "Its largest activation"],
  entropy: ["Entropy", "Entropy in bits of the tokens that it fires on"],
  fvu_rise: ["FVU", "By how much FVU rises without it"],
  ce_rise: ["Loss", "By how much the model's mean next-token loss rises without it, in nats"],
  coherence: ["Coherence", "How alike the model is where it fires most, beyond what the tokens explain"],
};

/** `#layer17?q=war&sort=density`. */
export const explorer: View = async ({ path: [key], query }, app): Promise<Page> => {
  const entry = await entryOf(app, key), table = await tableOf(app, key);
  const known = (Object.keys(ORDERS) as Order[]).filter((order) => ORDERS[order](table).some(isKnown));
  const first: Order = known.includes("fvu_rise") ? "fvu_rise" : "strength";
  const choice = choiceOf(query, entry, first);
  // Only a search for text looks into the reading set.
  let reading: ReadingSet | null = choice.text === "" ? null : await readingSetOf(app, entry);
  let page = 0, row = -1, shown = chosenFeatures(table, reading, choice);
  const pageAt = (number: number) => Math.max(0, Math.min(Math.ceil(shown.length / ROWS) - 1, Math.floor(number) || 0));
  page = pageAt(Number(query.get("page") ?? 1) - 1);
  const address = () => addressOf([key], { ...queryOf(choice, first), page: page > 0 ? String(page + 1) : "" });
  const again = (isNew = true) => {
    if (isNew) [page, row, shown] = [0, -1, chosenFeatures(table, reading, choice)];
    app.go(address(), true);
    sessionList(key, shown, address());
    app.update();
  };
  const sort = (order: Order) => {
    choice.descending = choice.sort === order ? !choice.descending : order !== "feature";
    choice.sort = order;
    again();
  };
  const select = (step: number) => {
    const last = Math.min(ROWS, shown.length - page * ROWS) - 1;
    row = Math.max(0, Math.min(last, row + step));
    document.querySelectorAll<HTMLElement>("table.features tbody a")[row]?.focus();
  };
  sessionList(key, shown, address());
  const filters: Filters = {
    isOpen: choice.ranges.size > 0 || choice.cluster !== null,
    toggle({ target }) {
      const { open } = target as HTMLDetailsElement;
      if (open === filters.isOpen) return;
      filters.isOpen = open;
      app.update();
    },
  };
  const step = (by: number) => {
    page = pageAt(page + by);
    row = -1;
    again(false);
  };
  // What a search looks in is fetched and joined once there is nothing else to do, so that the first one does not wait for it.
  const prepare = async () => {
    const reading = await readingSetOf(app, entry).catch(() => null); // whoever searches hears of it
    if (reading !== null) requestIdleCallback(() => textOf(reading.tokens));
  };
  return {
    title: `Features of ${entry.phrase}`,
    key,
    shown: () => void requestIdleCallback(prepare),
    keys: {
      ...{ j: () => select(1), k: () => select(-1), ArrowDown: () => select(1), ArrowUp: () => select(-1) },
      ...{ n: () => step(1), p: () => step(-1) },
    },
    draw: () =>
      html`
        <h1 tabindex="-1">Features of ${entry.phrase}</h1>
        ${searchForm(entry, table, known, choice, filters, async () => {
          if (choice.text !== "") reading ??= await readingSetOf(app, entry);
          again();
        })}
        <p class="found" role="status">${found(shown.length, table.group.length)}</p>
        <div class="scroll" tabindex="0" role="region" aria-label="Features">
          <table class="features">
            <thead>
              <tr>${known.map((order) => head(order, choice, () => sort(order)))}</tr>
            </thead>
            <tbody>${Array.from(
              shown.subarray(page * ROWS, (page + 1) * ROWS),
              (feature) => line(key, table, known, feature),
            )}</tbody>
          </table>
        </div>
        ${pager(shown.length, page, step)}
      `,
  };
};

function found(count: number, all: number): string {
  return count === all ? `${integer(all)} features` : `${integer(count)} of ${integer(all)} features`;
}

function choiceOf(query: URLSearchParams, { groups }: TranscoderEntry, first: Order): Choice {
  const sort = query.get("sort") ?? first, ranges = new Map<Order, readonly [number, number]>();
  for (const order of Object.keys(ORDERS) as Order[]) {
    const given = query.get(order)?.split("~").map((end) => end === "" ? NaN : Number(end));
    if (given?.length === 2) ranges.set(order, [given[0], given[1]]);
  }
  return {
    text: query.get("q") ?? "",
    groups: new Set(
      (query.get("group") ?? groups.map((_, i) => i).join()).split(",").map(Number),
    ),
    cluster: query.has("cluster") ? Number(query.get("cluster")) : null,
    ranges,
    sort: Object.hasOwn(ORDERS, sort) ? sort as Order : first,
    descending: query.get("order") !== "up",
    count: groups.length,
  };
}

function queryOf(
  { text, groups, cluster, ranges, sort, descending, count }: Choice,
  first: Order,
): Record<string, string> {
  const end = (value: number) => Number.isNaN(value) ? "" : String(value);
  return {
    q: text,
    group: groups.size === count ? "" : [...groups].sort().join(),
    cluster: cluster === null ? "" : String(cluster),
    ...Object.fromEntries([...ranges].map(([order, [low, high]]) => [order, `${end(low)}~${end(high)}`])),
    sort: sort === first ? "" : sort,
    order: descending ? "" : "up",
  };
}

/** The list that a reader came from, so that a feature's page can go on in it. */
let list: { readonly key: string; readonly features: Uint32Array; readonly address: string } | null = null;

function sessionList(key: string, features: Uint32Array, address: string): void {
  list = { key, features, address };
}

/** The features next to one in the list that a reader came from, or in the dictionary, and the address of that list. */
export function besideInList(
  key: string,
  feature: number,
  features: number,
): { readonly before: number | null; readonly after: number | null; readonly up: string; readonly isFound: boolean } {
  const at = list?.key === key ? list.features.indexOf(feature) : -1;
  if (at >= 0) {
    const { features, address } = list!;
    return { before: features[at - 1] ?? null, after: features[at + 1] ?? null, up: address, isFound: true };
  }
  return {
    ...{ before: feature > 0 ? feature - 1 : null, after: feature + 1 < features ? feature + 1 : null },
    ...{ up: addressOf([key]), isFound: false },
  };
}

/** Whether the filters are to be seen: a large dictionary has thousands of clusters to choose from, which nobody waits for who asks for none. */
interface Filters {
  isOpen: boolean;
  readonly toggle: (event: Event) => void;
}

function searchForm(
  entry: TranscoderEntry,
  { clusters }: FeatureTable,
  bounded: readonly Order[],
  choice: Choice,
  filters: Filters,
  again: () => void,
): TemplateResult {
  const typed = ({ target }: Event) => {
    choice.text = (target as HTMLInputElement).value;
    again();
  };
  const group = (number: number) => ({ target }: Event) => {
    if ((target as HTMLInputElement).checked) choice.groups.add(number);
    else choice.groups.delete(number);
    again();
  };
  const end = (order: Order, side: 0 | 1) => ({ target }: Event) => {
    const { value } = target as HTMLInputElement, range = [...choice.ranges.get(order) ?? [NaN, NaN]];
    range[side] = value === "" ? NaN : Number(value);
    if (range.every(Number.isNaN)) choice.ranges.delete(order);
    else choice.ranges.set(order, [range[0], range[1]]);
    again();
  };
  const chosenCluster = ({ target }: Event) => {
    const { value } = target as HTMLSelectElement;
    choice.cluster = value === "" ? null : Number(value);
    again();
  };
  const field = (order: Order, side: 0 | 1) => {
    const value = choice.ranges.get(order)?.[side] ?? NaN, [text] = HEADS[order];
    return html`
      <input type="number" step="any" aria-label=${`${text}, ${side === 0 ? "least" : "most"}`}
        placeholder=${side === 0 ? "least" : "most"} .value=${Number.isNaN(value) ? "" : String(value)}
        @change=${end(order, side)}>
    `;
  };
  return html`
    <form class="search" role="search" @submit=${(event: Event) => event.preventDefault()}>
      <label class="query"><span>Token, text or number</span>
          <input type="search" .value=${choice.text} @input=${typed} autocomplete="off" spellcheck="false"></label>
      <fieldset><legend>Group</legend>${entry.groups.map((size, number) =>
        html`<label class="check"><input type="checkbox" .checked=${choice.groups.has(number)} @change=${group(number)}>
        ${groupBadge(number)}<small>${integer(size)}</small></label>`
      )}</fieldset>
      <details ?open=${filters.isOpen} @toggle=${filters.toggle}>
        <summary>Filters</summary>
        ${!filters.isOpen
          ? nothing
          : html`<div class="ranges">${
            bounded.map((order) =>
              html`<fieldset><legend>${HEADS[order][0]}</legend>${field(order, 0)}${field(order, 1)}</fieldset>`
            )
          }${
            clusters.length === 0 ? nothing : html`<label><span>Cluster</span><select @change=${chosenCluster}>
      <option value="" .selected=${choice.cluster === null}>all</option>
      ${
              clusters.map(({ tokens, features }, n) =>
                html`<option value=${n} .selected=${choice.cluster === n}>${tokens.join(" ")} (${features})</option>`
              )
            }</select></label>`
          }</div>`}
      </details>
    </form>
  `;
}

function head(order: Order, { sort, descending }: Choice, click: () => void): TemplateResult {
  const [text, title] = HEADS[order], isSorted = sort === order;
  const cell = html`
    <th scope="col" class=${order === "feature" ? "" : "number"}
      aria-sort=${isSorted ? descending ? "descending" : "ascending" : nothing}>
        <button type="button" title=${title} @click=${click}>${text}<span aria-hidden="true">${isSorted
          ? descending ? " ↓" : " ↑"
          : ""}</span></button></th>
  `;
  return order === "feature" ? html`${cell}<th scope="col">Known by</th>` : cell;
}

function line(key: string, table: FeatureTable, columns: readonly Order[], feature: number): TemplateResult {
  const [first, ...others] = columns;
  return html`<tr>
    ${
    first === "feature" ? html`<th scope="row">${link(key, feature)} ${groupBadge(table.group[feature])}</th>` : nothing
  }
    <td>${label(table, feature)}</td>
    ${
    others.map((order) => {
      const column = ORDERS[order](table), value = column[feature];
      return html`<td class=${`number m${lengthOf(value, column)}`}>${WRITTEN[order](value)}</td>`;
    })
  }</tr>`;
}

/** The bar under a cell, in twentieths of it: a class, since a table has too many cells for a drawing in each. */
function lengthOf(value: number, column: Column): number {
  return !(value > 0) ? 0 : Math.max(1, Math.round(20 * value / mostOf(column)));
}

const largest = new WeakMap<Column, number>();

function mostOf(column: Column): number {
  let most = largest.get(column);
  if (most === undefined) {
    most = column.reduce((most, value) => value > most ? value : most, 0);
    largest.set(column, most);
  }
  return most;
}

function pager(count: number, page: number, step: (by: number) => void): TemplateResult | typeof nothing {
  const pages = Math.ceil(count / ROWS);
  if (pages < 2) return nothing;
  return html`
    <nav class="pager" aria-label="Pages of the list">
      <button type="button" ?disabled=${page === 0} @click=${() => step(-1)}>Before</button>
      <span>${integer(page * ROWS + 1)} to ${integer(Math.min(count, (page + 1) * ROWS))}</span>
      <button type="button" ?disabled=${page === pages - 1} @click=${() => step(1)}>Next</button>
    </nav>
  `;
}
