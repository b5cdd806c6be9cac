/**
 * The page itself: one HTML document with the client in it, and in an exported file the data too.
 * @module
 */

import plotStyles from "uplot/dist/uPlot.min.css" with { type: "text" };
import theme from "./client/styles/theme.css" with { type: "text" };
import page from "./client/styles/page.css" with { type: "text" };
import parts from "./client/styles/parts.css" with { type: "text" };
import tables from "./client/styles/tables.css" with { type: "text" };
import explorer from "./client/styles/explorer.css" with { type: "text" };
import runs from "./client/styles/runs.css" with { type: "text" };
import text from "./client/styles/text.css" with { type: "text" };

/** In this order: a later rule counts for more than one of the same weight before it. */
const styles = [plotStyles, theme, page, parts, tables, explorer, runs, text].join("");

/** What a page is made of. */
export interface PageContent {
  /** The title, before the client sets another one. */
  readonly title: string;
  /** The client, as scripts/bundle_client.ts bundles it. */
  readonly script: string;
  /** SHA-256 of a text, in base64: what the content security policy names scripts and styles by. */
  readonly digest: (text: string) => string;
  /** What the page may ask for: nothing, or what the server behind it has. */
  readonly connect: "'none'" | "'self'";
}

/** Ends a document; what stands in front of it may be parts, {@link partElement}. */
export const PAGE_END = "</body>\n</html>\n";

/**
 * The policy of a page: its own script and styles, no request to anywhere but to whom `connect` names.
 *
 * @param content What the page is made of.
 * @returns The value of a Content-Security-Policy header, or of the meta element that stands for it.
 */
export function securityPolicy(
  { script, digest, connect }: Pick<PageContent, "script" | "digest" | "connect">,
): string {
  return [
    "default-src 'none'",
    `script-src 'sha256-${digest(inlined(script))}'`,
    `style-src 'sha256-${digest(styles)}'`,
    `connect-src ${connect}`,
    `img-src data: ${connect === "'self'" ? connect : ""}`.trim(),
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/**
 * Writes the beginning of a page, up to where parts may follow.
 *
 * @param content What it is made of.
 * @param index The part `index`, as {@link partElement} writes it; empty where a server has it.
 * @returns HTML; {@link PAGE_END} ends it.
 */
export function pageStart(content: PageContent, index = ""): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escaped(securityPolicy(content))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escaped(content.title)}</title>
<style>${styles}</style>
</head>
<body>
<header></header>
<main id="content" tabindex="-1"><p role="status">Loading …</p></main>
<noscript><p>This page needs JavaScript: it is all in this file, and nothing is loaded from elsewhere.</p></noscript>
${index}<script>${inlined(content.script)}</script>
`;
}

/**
 * Writes a part as an element that the client reads.
 *
 * @param name The part's name.
 * @param base64 Its JSON, gzipped, in base64.
 * @returns HTML.
 */
export function partElement(name: string, base64: string): string {
  return `<script type="application/gzip" data-part="${escaped(name)}">${base64}</script>\n`;
}

/** A script as it can stand in HTML: nothing in it ends its element, or begins a comment. */
function inlined(script: string): string {
  return script.replace(/<(?=\/script|script|!--)/gi, "\\x3c");
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
