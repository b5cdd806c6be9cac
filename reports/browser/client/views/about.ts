/// <reference lib="dom" />
/**
 * Where a transcoder's numbers come from, and what each of them is.
 * @module
 */

import { html, nothing } from "lit-html";
import type { Told } from "../../data.ts";
import { entryOf, type View } from "../app.ts";
import { missingList, prefixTable } from "./home.ts";

function definitionList(rows: readonly Told[]) {
  return html`<dl class="told">${
    rows.map(([term, text]) =>
      html`
        <div>
          <dt>${term}</dt>
          <dd>${text}</dd>
        </div>
      `
    )
  }</dl>`;
}

/** `#about/layer17`. */
export const about: View = async ({ path: [, key] }, app) => {
  const entry = await entryOf(app, key), { title, phrase, directory, prefixes, provenance, definitions } = entry;
  return {
    title: `About ${title}`,
    key,
    draw: () =>
      html`
        <h1 tabindex="-1">About ${phrase}</h1>
        ${missingList(entry)}
        <h2>Provenance</h2>${definitionList([["Directory", directory], ...provenance])}
        ${prefixes.length === 0 ? nothing : html`
          <h2>Prefixes</h2>
          <div class="about">${prefixTable(entry)}</div>
        `}
        <h2>Definitions</h2>${definitionList(definitions)}
        <p class="muted">Written by mtc ${app.index.version}.</p>
      `,
  };
};
