/// <reference lib="dom" />
/**
 * The first page: which transcoders there are, how good they are, and what is missing.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { decimal, integer } from "../../../format.ts";
import { HERE, type PrefixEntry, type TranscoderEntry, type TranscoderHead } from "../../data.ts";
import { addressOf, entryOf, type View } from "../app.ts";
import { meter, share } from "../parts.ts";

function prefixRow({ end, fvu, l0, recovered }: PrefixEntry): TemplateResult {
  return html`
    <tr>
      <th scope="row">first ${integer(end)}</th>
      <td class="number">${fvu === null ? "–" : decimal(fvu, 3)}</td>
      <td class="drawn">${fvu === null ? nothing : meter(fvu, 1)}</td>
      <td class="number">${l0 === null ? "–" : decimal(l0, 1)}</td>
      <td class="number">${share(recovered)}</td>
    </tr>
  `;
}

/** The figures of a transcoder's prefixes, in a table. */
export function prefixTable({ prefixes, phrase }: TranscoderHead): TemplateResult {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${`Prefixes of ${phrase}`}>
      <table class="plain">
        <caption>Held-out text</caption>
        <thead>
          <tr>
            <th scope="col">Features</th>
            <th scope="col" colspan="2">FVU</th>
            <th scope="col">L0</th>
            <th scope="col" class="number">Loss recovered</th>
          </tr>
        </thead>
        <tbody>${prefixes.map(prefixRow)}</tbody>
      </table>
    </div>
  `;
}

/** What of a transcoder is not there, and the commands that make it. */
export function missingList({ missing, directory }: TranscoderEntry): TemplateResult | typeof nothing {
  if (missing.length === 0) return nothing;
  return html`
    <details class="missing">
      <summary>Not there yet, and what makes it</summary>
      <ul>${missing.map(({ what, command }) =>
        html`<li>${what}: <code>${command.replaceAll(HERE, directory)}</code></li>`
      )}</ul>
    </details>
  `;
}

function card(entry: TranscoderEntry): TemplateResult {
  const { key, title, mapping, model, groups, k, prefixes } = entry;
  const features = groups.reduce((sum, size) => sum + size, 0);
  return html`<article class="card">
    <h2><a href=${addressOf([key])}>${title}</a></h2>
    <p class="muted">${model}, ${mapping}; ${integer(features)} features in groups of ${groups.map(integer).join(", ")};
      k ${k}</p>
    ${prefixes.length === 0 ? nothing : prefixTable(entry)}
    ${missingList(entry)}
    <p class="links"><a href=${addressOf([key])}>Features</a>
      <a href=${addressOf(["about", key])}>About</a></p>
  </article>`;
}

/** `#`. */
export const home: View = async (_, app) => {
  const { index: { transcoders, notes } } = app,
    entries = await Promise.all(transcoders.map(({ key }) => entryOf(app, key)));
  return {
    title: "Transcoders",
    draw: () =>
      html`
        <h1 tabindex="-1">Transcoders</h1>
        <div class="cards">${entries.map(card)}</div>
        ${notes.length === 0 ? nothing : html`
          <section>
            <h2>Notes</h2>
            <ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>
          </section>
        `}
      `,
  };
};
