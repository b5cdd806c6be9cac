/// <reference lib="dom" />
/**
 * The hierarchy of a transcoder: features with those that fire under them.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { integer } from "../../../format.ts";
import type { FeatureTable } from "../../data.ts";
import { addressOf, entryOf, type Page, readingSetOf, tableOf, type View } from "../app.ts";
import { featureLine, figure, share } from "../parts.ts";
import { allOf, chosenFeatures } from "../search.ts";

/** Trees that are shown at once. */
const TREES = 40;

/** `#tree/layer17`. */
export const tree: View = async ({ path: [, key], query }, app): Promise<Page> => {
  const entry = await entryOf(app, key), { phrase } = entry, table = await tableOf(app, key), { tree: figures } = table;
  if (figures === null) {
    const why = entry.groups.length < 2
      ? "its features are in one group"
      : "its run has no record yet; `mtc analyze features` makes it";
    throw new Error(`There is no tree of ${phrase}: ${why}.`);
  }
  const children = childrenOf(table);
  const sizes = sizesOf(table, children), open = new Set<number>();
  let text = query.get("q") ?? "", shown = TREES, found: ReadonlySet<number> | null = null, roots: number[] = [];
  const look = async () => {
    const isAll = text.trim() === "", reading = isAll ? null : await readingSetOf(app, entry);
    found = isAll ? null : new Set(chosenFeatures(table, reading, { ...allOf(entry.groups.length), text }));
    const has = (feature: number): boolean => found!.has(feature) || (children.get(feature) ?? []).some(has);
    roots = [...children.keys()].filter((feature) => table.parent[feature] < 0 && (found === null || has(feature)))
      .sort((a, b) => sizes[b] - sizes[a] || a - b);
    open.clear();
    // What was looked for is opened, as far as its ancestors.
    for (const feature of found ?? []) {
      for (let at = table.parent[feature]; at >= 0; at = table.parent[at]) open.add(at);
    }
    shown = TREES;
  };
  await look();
  const node = (feature: number): TemplateResult => {
    const under = children.get(feature) ?? [], lift = table.lift[feature];
    return html`<li class=${found?.has(feature) ? "found" : ""}>
      ${featureLine(key, table, feature)}
      ${Number.isNaN(lift) ? nothing : html`<small>lift ${figure(lift)}</small>`}
      ${
      under.length === 0 ? nothing : html`<details ?open=${open.has(feature)} @toggle=${({ target }: Event) => {
        const isOpen = (target as HTMLDetailsElement).open;
        if (isOpen === open.has(feature)) return;
        if (isOpen) open.add(feature);
        else open.delete(feature);
        app.update();
      }}><summary>${under.length === 1 ? "1 child" : `${under.length} children`}${
        sizes[feature] > under.length ? `, ${sizes[feature]} below it in all` : ""
      }</summary>
        ${open.has(feature) ? html`<ul class="tree">${under.map(node)}</ul>` : nothing}</details>`
    }</li>`;
  };
  return {
    title: `Tree of ${phrase}`,
    key,
    draw: () =>
      html`
        <h1 tabindex="-1">Tree of ${phrase}</h1>
        <p
          class="muted">Of ${integer(figures.judged)} features of later groups that fire often enough, ${integer(
            figures.kept,
          )} (${share(
            figures.kept / figures.judged,
          )}) have a parent in an earlier group; chance would give 1 %. Where features are grouped by how
          often they fire instead, ${share(figures.by_density)} have. ${figures.splits === 0
            ? ""
            : `${integer(figures.splits)} parents are split: their children cover most of their firings.`}</p>
        <form class="search" @submit=${(event: Event) => event.preventDefault()}>
          <label class="query"><span>Token, text or number</span><input type="search" .value=${text}
            @input=${async ({ target }: Event) => {
              text = (target as HTMLInputElement).value;
              await look();
              app.go(addressOf(["tree", key], { q: text }), true);
              app.update();
            }} autocomplete="off" spellcheck="false"></label>
        </form>
        <p class="found" role="status">${roots.length === 1
          ? "1 tree"
          : `${integer(roots.length)} trees`}, those with the most features first</p>
        <ul class="tree roots">${roots.slice(0, shown).map(node)}</ul>
        ${roots.length <= shown ? nothing : html`<p class="pager"><button type="button" @click=${() => {
          shown += TREES;
          app.update();
        }}>More trees</button></p>`}
      `,
  };
};

/** The features under each that has any, the most lifted first. */
function childrenOf({ parent, lift }: FeatureTable): Map<number, number[]> {
  const children = new Map<number, number[]>();
  parent.forEach((above, feature) => {
    if (above < 0) return;
    const beside = children.get(above);
    if (beside) beside.push(feature);
    else children.set(above, [feature]);
  });
  for (const under of children.values()) under.sort((a, b) => lift[b] - lift[a] || a - b);
  return children;
}

/** [features] how many are below each. */
function sizesOf({ parent }: FeatureTable, children: ReadonlyMap<number, readonly number[]>): Uint32Array {
  const sizes = new Uint32Array(parent.length);
  const count = (feature: number): number => {
    const under = children.get(feature) ?? [];
    return sizes[feature] = under.reduce((sum, one) => sum + 1 + count(one), 0);
  };
  parent.forEach((above, feature) => above < 0 && count(feature));
  return sizes;
}
