/// <reference lib="dom" />
/**
 * Two transcoders matched: the features of one that are found again in the other.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { integer } from "../../../format.ts";
import type { FeatureTable, MatchPart, MatchSide, TranscoderEntry } from "../../data.ts";
import { addressOf, type App, entryOf, headOf, type Page, readingSetOf, tableOf, type View } from "../app.ts";
import { featureLine, figure, groupBadge, meter, share } from "../parts.ts";
import { allOf, chosenFeatures } from "../search.ts";

/** Pairs that are shown at once. */
const ROWS = 50;

/** `#match`, and `#match/layer8/layer17`. */
export const match: View = async ({ path: [, first, second], query }, app): Promise<Page> => {
  if (second === undefined) return pairs(app, first);
  const heads = [headOf(app, first), headOf(app, second)];
  if (!app.index.pairs.some(([a, b]) => a === first && b === second)) {
    const why = first === second ? "they are the same" : "they have no record of the same tokens";
    throw new Error(`${heads[0].title} and ${heads[1].phrase} are not matched here: ${why}.`);
  }
  const entries = [await entryOf(app, first), await entryOf(app, second)] as const;
  const part = await app.source.part<MatchPart>(`match/${first}/${second}`);
  const sides = await Promise.all(entries.map(async (entry) => ({
    entry,
    table: await tableOf(app, entry.key),
    reading: await readingSetOf(app, entry),
  })));
  let text = query.get("q") ?? "", shown = ROWS, mutual = part.mutual;
  const look = () => {
    shown = ROWS;
    mutual = part.mutual;
    if (text.trim() === "") return;
    const [a, b] = sides.map(({ entry: { groups }, table, reading }) =>
      new Set(chosenFeatures(table, reading, { ...allOf(groups.length), text }))
    );
    mutual = part.mutual.filter((pair) => a.has(pair[0]) || b.has(pair[1]));
  };
  look();
  return {
    title: `${entries[0].title} and ${entries[1].phrase}`,
    key: first,
    draw: () =>
      html`
        <h1 tabindex="-1">${entries[0].title} and ${entries[1].phrase}</h1>
        <p
          class="muted">Features that are each other's best match by the correlation of their activations on the same ${integer(
            part.tokens,
          )} tokens, beyond chance.</p>
        <div class="cards">${entries.map((entry, n) => sideCard(entry, part.sides[n]))}
          <div class="card">${groupMatrix(entries, sides.map(({ table }) => table), part)}</div></div>
        <form class="search" @submit=${(event: Event) => event.preventDefault()}>
          <label class="query"><span>Token, text or number</span><input type="search" .value=${text}
            @input=${({ target }: Event) => {
              text = (target as HTMLInputElement).value;
              look();
              app.go(addressOf(["match", first, second], { q: text }), true);
              app.update();
            }} autocomplete="off" spellcheck="false"></label>
        </form>
        <p class="found" role="status">${integer(mutual.length)} of ${integer(part.mutual.length)} pairs</p>
        <div class="scroll" tabindex="0" role="region" aria-label="Matched features">
          <table class="plain matches">
            <thead>
              <tr>
                <th scope="col">${entries[0].title}</th>
                <th scope="col">${entries[1].title}</th>
                <th scope="col" class="number">Correlation</th>
                <td></td>
              </tr>
            </thead>
            <tbody>${mutual.slice(0, shown).map(([a, b, correlation]) =>
              html`
                <tr>
                  <td>${featureLine(first, sides[0].table, a)}</td>
                  <td>${featureLine(second, sides[1].table, b)}</td>
                  <td class="number">${figure(correlation, 2)}</td>
                  <td class="drawn">${meter(correlation, 1)}</td>
                </tr>
              `
            )}</tbody>
          </table>
        </div>
        ${mutual.length <= shown ? nothing : html`<p class="pager"><button type="button" @click=${() => {
          shown += ROWS;
          app.update();
        }}>More pairs</button></p>`}
      `,
  };
};

function pairs({ index }: App, key: string | undefined): Page {
  const entry = (wanted: string) => index.transcoders.find((one) => one.key === wanted)!;
  const those = index.pairs.filter((pair) => key === undefined || pair.includes(key));
  return {
    title: "Matches",
    ...key !== undefined && { key },
    draw: () =>
      html`<h1 tabindex="-1">Matches</h1>${
        those.length === 0
          ? html`<p class="missing">Nothing is matched here: that takes two transcoders with records of the same tokens.</p>`
          : html`<ul>${
            those.map(([a, b]) =>
              html`<li><a href=${addressOf(["match", a, b])}>${entry(a).title} and ${entry(b).phrase}</a></li>`
            )
          }</ul>`
      }`,
  };
}

function sideCard({ title }: TranscoderEntry, { judged, same, unique, limit }: MatchSide): TemplateResult {
  return html`
    <div class="card">
      <h2>${title}</h2>
      <dl class="told">
        <div>
          <dt>Judged</dt>
          <dd>${integer(judged)} features that fire often enough</dd>
        </div>
        <div>
          <dt>Found again</dt>
          <dd>${integer(same)} (${share(same / judged)}), with a correlation above 0.7</dd>
        </div>
        <div>
          <dt>Its own</dt>
          <dd>${integer(unique)} (${share(unique / judged)}): chance matches them as well, up to ${figure(
            limit,
            2,
          )}</dd>
        </div>
      </dl>
    </div>
  `;
}

function groupMatrix(
  [a, b]: readonly [TranscoderEntry, TranscoderEntry],
  [first, second]: readonly FeatureTable[],
  { mutual }: MatchPart,
): TemplateResult {
  const counts = a.groups.map(() => b.groups.map(() => 0));
  for (const [i, j] of mutual) counts[first.group[i]][second.group[j]]++;
  return html`
    <table class="plain tight">
      <caption>Pairs by group: ${a.title} down, ${b.title} across</caption>
      <thead>
        <tr><td></td>${b.groups.map((_, group) => html`<th scope="col" class="number">${groupBadge(group)}</th>`)}</tr>
      </thead>
      <tbody>${counts.map((row, group) =>
        html`<tr><th scope="row">${groupBadge(group)}</th>${
          row.map((count) => html`<td class="number">${integer(count)}</td>`)
        }</tr>`
      )}</tbody>
    </table>
  `;
}
