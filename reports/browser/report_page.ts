/**
 * A report's Markdown as a tree of the few elements that it needs, which is shown without ever being HTML: whatever else a file holds comes out
 * as the characters that it is made of.
 * @module
 */

import { marked, type Token, type Tokens } from "marked";

/** The elements of a page; their names are HTML's. */
export type PageTag =
  | "p"
  | "h1"
  | "h2"
  | "h3"
  | "h4"
  | "h5"
  | "h6"
  | "ul"
  | "ol"
  | "li"
  | "table"
  | "thead"
  | "tbody"
  | "tr"
  | "th"
  | "td"
  | "pre"
  | "code"
  | "strong"
  | "em"
  | "del"
  | "blockquote"
  | "a"
  | "img"
  | "br"
  | "hr";

/** An element of a page. */
export interface PageElement {
  /** What it is. */
  readonly tag: PageTag;
  /** What is in it. */
  readonly children: readonly PageNode[];
  /** Of a link: another page of the same directory, a picture there, a heading of this page, or an address on the web. */
  readonly to?: { readonly kind: "page" | "image" | "heading" | "web"; readonly name: string };
  /** Of a picture: its file in the same directory. */
  readonly image?: string;
  /** Of a picture: what it shows. */
  readonly alt?: string;
  /** Of a table's cell. */
  readonly isNumber?: true;
  /** Of a heading: what a link calls it. */
  readonly id?: string;
  /** Of a numbered list that does not begin with 1. */
  readonly start?: number;
}

/** A part of a page: text, or an element. */
export type PageNode = string | PageElement;

/**
 * Reads a page.
 *
 * @param markdown Its source.
 * @returns Its first heading as plain text, empty where it has none, and what it holds.
 */
export function readPage(markdown: string): { readonly title: string; readonly nodes: readonly PageNode[] } {
  const tokens = marked.lexer(markdown, { gfm: true });
  const heading = tokens.find(({ type }) => type === "heading");
  const nodes = tokens.flatMap((token) => nodesOf(token));
  return { title: heading ? textOf(nodesOf(heading)) : "", nodes };
}

/** The characters of some nodes. */
function textOf(nodes: readonly PageNode[]): string {
  return nodes.map((node) => typeof node === "string" ? node : textOf(node.children)).join("");
}

function inner(tokens: readonly Token[] | undefined): PageNode[] {
  return asCode(tokens ?? []);
}

/** Reports write code that a code span cannot carry as `<code>` with character references; no other HTML means anything. */
function asCode(tokens: readonly Token[]): PageNode[] {
  const begin = tokens.findIndex(({ raw, type }) => type === "html" && raw === "<code>");
  const end = tokens.findIndex(({ raw, type }, i) => i > begin && type === "html" && raw === "</code>");
  if (begin < 0 || end < 0) return tokens.flatMap(nodesOf);
  const children = tokens.slice(begin + 1, end).flatMap(nodesOf);
  return [...tokens.slice(0, begin).flatMap(nodesOf), { tag: "code", children }, ...asCode(tokens.slice(end + 1))];
}

function nodesOf(token: Token): PageNode[] {
  const { type, raw } = token;
  switch (type) {
    case "space":
    case "def":
      return [];
    case "heading": {
      const children = inner(token.tokens);
      return [{ tag: `h${(token as Tokens.Heading).depth}` as PageTag, id: headingId(textOf(children)), children }];
    }
    case "paragraph":
      return [{ tag: "p", children: inner(token.tokens) }];
    case "list":
      return [listOf(token as Tokens.List)];
    case "table":
      return [tableOf(token as Tokens.Table)];
    case "code":
      return [{ tag: "pre", children: [{ tag: "code", children: [(token as Tokens.Code).text] }] }];
    case "codespan":
      return [{ tag: "code", children: [(token as Tokens.Codespan).text] }];
    case "strong":
    case "em":
    case "del":
    case "blockquote":
      return [{ tag: type, children: inner(token.tokens) }];
    case "br":
    case "hr":
      return [{ tag: type, children: [] }];
    case "link":
      return [linkOf(token as Tokens.Link)];
    case "image":
      return [pictureOf(token as Tokens.Image)];
    case "text":
      return token.tokens ? inner(token.tokens) : [withReferences((token as Tokens.Text).text)];
    case "escape":
      return [(token as Tokens.Escape).text];
    default:
      return [raw];
  }
}

function listOf({ ordered, start, items }: Tokens.List): PageElement {
  const children = items.map(({ tokens, task, checked }): PageElement => ({
    tag: "li",
    children: [...task ? [checked ? "☑ " : "☐ "] : [], ...inner(tokens.filter(({ type }) => type !== "checkbox"))],
  }));
  if (!ordered) return { tag: "ul", children };
  return { tag: "ol", ...Number(start) !== 1 && { start: Number(start) }, children };
}

function tableOf({ header, rows, align }: Tokens.Table): PageElement {
  const cells = (tag: "th" | "td", row: readonly Tokens.TableCell[]): PageElement => ({
    tag: "tr",
    children: row.map(({ tokens }, i) => ({
      tag,
      ...align[i] === "right" && { isNumber: true as const },
      children: inner(tokens),
    })),
  });
  return {
    tag: "table",
    children: [
      { tag: "thead", children: [cells("th", header)] },
      { tag: "tbody", children: rows.map((row) => cells("td", row)) },
    ],
  };
}

/** A link that leads nowhere is only what it says. */
function linkOf({ href, tokens }: Tokens.Link): PageElement {
  const children = inner(tokens), name = hrefName(href);
  const kind = name.startsWith("#")
    ? "heading"
    : /^https?:\/\//.test(name)
    ? "web"
    : isFileName(name, ".md")
    ? "page"
    : isFileName(name, ".png")
    ? "image"
    : null;
  if (kind === null) return { tag: "em", children };
  return { tag: "a", to: { kind, name: kind === "heading" ? name.slice(1) : name }, children };
}

function pictureOf({ href, text }: Tokens.Image): PageNode {
  const image = hrefName(href), alt = withReferences(text);
  return isFileName(image, ".png") ? { tag: "img", image, alt, children: [] } : alt;
}

function hrefName(href: string): string {
  try {
    return decodeURIComponent(withReferences(href));
  } catch {
    return ""; // A percent sign that encodes nothing.
  }
}

/**
 * Whether a text is the name of a file of a directory itself.
 *
 * @param name The text.
 * @param ending How the name must end: `.md`.
 * @returns Whether it is; a path is not, nor is what begins with a dot.
 */
export function isFileName(name: string, ending: string): boolean {
  return name.endsWith(ending) && !/^\.|[/\\\0:]/.test(name);
}

/** What GitHub calls a heading in a link. */
function headingId(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").trim().replaceAll(" ", "-");
}

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0" };

/** Character references are the characters that they stand for. */
function withReferences(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|nbsp));/gi, (raw, decimal, hex, name) => {
    if (name !== undefined) return NAMED[name.toLowerCase()];
    const code = decimal === undefined ? parseInt(hex, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code).toWellFormed() : raw;
  });
}
