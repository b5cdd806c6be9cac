/// <reference lib="dom" />
/**
 * The reports of `mtc report` as pages.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import type { PageElement, PageNode } from "../../report_page.ts";
import type { ServedPage, ServedReports, ServedRuns } from "../../served.ts";
import { addressOfApi, get } from "../api.ts";
import { addressOf, type View } from "../app.ts";

type Shown = TemplateResult | string;

/** How each element is drawn, by its name; what stands here is all that a page can be made of. */
const ELEMENTS: Readonly<
  Record<PageElement["tag"], (inner: readonly Shown[], element: PageElement, table: number) => TemplateResult>
> = {
  p: (inner) => html`<p>${inner}</p>`,
  h1: (inner, { id }) => html`<h1 tabindex="-1" data-heading=${id}>${inner}</h1>`,
  h2: (inner, { id }) => html`<h2 tabindex="-1" data-heading=${id}>${inner}</h2>`,
  h3: (inner, { id }) => html`<h3 tabindex="-1" data-heading=${id}>${inner}</h3>`,
  h4: (inner, { id }) => html`<h4 tabindex="-1" data-heading=${id}>${inner}</h4>`,
  h5: (inner, { id }) => html`<h5 tabindex="-1" data-heading=${id}>${inner}</h5>`,
  h6: (inner, { id }) => html`<h6 tabindex="-1" data-heading=${id}>${inner}</h6>`,
  ul: (inner) => html`<ul>${inner}</ul>`,
  ol: (inner, { start = 1 }) => html`<ol start=${start}>${inner}</ol>`,
  li: (inner) => html`<li>${inner}</li>`,
  table: (inner, _, number) =>
    html`
      <div class="scroll" tabindex="0" role="region" aria-label=${`Table ${number}`}>
        <table>${inner}</table>
      </div>
    `,
  thead: (inner) => html`<thead>${inner}</thead>`,
  tbody: (inner) => html`<tbody>${inner}</tbody>`,
  tr: (inner) => html`<tr>${inner}</tr>`,
  th: (inner, { isNumber }) => html`<th scope="col" class=${isNumber ? "number" : ""}>${inner}</th>`,
  td: (inner, { isNumber }) => html`<td class=${isNumber ? "number" : ""}>${inner}</td>`,
  pre: (inner) => html`<pre class="scroll" tabindex="0">${inner}</pre>`,
  code: (inner) => html`<code>${inner}</code>`,
  strong: (inner) => html`<strong>${inner}</strong>`,
  em: (inner) => html`<em>${inner}</em>`,
  del: (inner) => html`<del>${inner}</del>`,
  blockquote: (inner) => html`<blockquote>${inner}</blockquote>`,
  br: () => html`<br>`,
  hr: () => html`<hr>`,
  a: (inner) => html`<em>${inner}</em>`,
  img: (_, { alt }) => html`<em>${alt}</em>`,
};

/** Where nodes are drawn: links and pictures are of one directory of reports, and tables are numbered as they come. */
interface Drawing {
  readonly report: string;
  tables: number;
}

function drawn(nodes: readonly PageNode[], drawing: Drawing): Shown[] {
  const { report } = drawing;
  return nodes.map((node) => {
    if (typeof node === "string") return node;
    const number = node.tag === "table" ? ++drawing.tables : 0, inner = drawn(node.children, drawing);
    if (node.tag === "a" && node.to) return link(inner, node.to, report);
    if (node.tag === "img" && node.image !== undefined) {
      const address = addressOfApi("picture", { report, file: node.image });
      return html`<a class="picture" href=${address}><img src=${address} alt=${node.alt ?? ""} loading="lazy"></a>`;
    }
    return ELEMENTS[node.tag]?.(inner, node, number) ?? html`${inner}`;
  });
}

function link(inner: readonly Shown[], { kind, name }: NonNullable<PageElement["to"]>, report: string): TemplateResult {
  switch (kind) {
    case "page":
      return html`<a href=${addressOf(["reports", report, name])}>${inner}</a>`;
    case "image":
      return html`<a href=${addressOfApi("picture", { report, file: name })}>${inner}</a>`;
    case "web":
      return html`<a href=${name} rel="noopener noreferrer" target="_blank">${inner}</a>`;
    case "heading":
      return html`<a href="#" @click=${(event: Event) => {
        event.preventDefault();
        const heading = document.querySelector<HTMLElement>(`[data-heading="${CSS.escape(name)}"]`);
        heading?.scrollIntoView();
        heading?.focus({ preventScroll: true });
      }}>${inner}</a>`;
  }
}

function pageList({ key, path, pages, problem }: ServedReports): TemplateResult {
  return html`
    <section class="card">
      <h2>${path}</h2>
      ${pages.length === 0
        ? html`<p class="muted">${problem}</p>`
        : html`<ul class="lines">${
          pages.map(({ file, title }) =>
            html`<li><a href=${addressOf(["reports", key, file])}>${title}</a> <small>${file}</small></li>`
          )
        }</ul>`}
    </section>
  `;
}

/** `#reports`, `#reports/1-analysis_results`, `#reports/1-analysis_results/index.md`. */
export const reports: View = async ({ path: [, key, file] }) => {
  if (key !== undefined && file !== undefined) {
    const page = await get<ServedPage>("page", { report: key, file });
    return {
      title: page.title,
      draw: () =>
        html`
          <nav class="beside" aria-label="Reports"><a href=${addressOf([
            "reports",
            key,
          ])}>All pages</a>${file === "index.md"
            ? nothing
            : html`<a href=${addressOf(["reports", key, "index.md"])}>Index</a>`}</nav>
          <article class="report">${drawn(page.nodes, { report: key, tables: 0 })}</article>
        `,
    };
  }
  const found = (await get<ServedRuns>("runs")).reports.filter((one) => key === undefined || one.key === key);
  return {
    title: "Reports",
    draw: () =>
      html`
        <h1 tabindex="-1">Reports</h1>
        ${found.length === 0
          ? html`<p>There are no reports here.</p>`
          : html`<div class="cards">${found.map(pageList)}</div>`}
      `,
  };
};
