/// <reference lib="dom" />
/**
 * What runs in the web browser. Bundled by scripts/bundle_client.ts into reports/browser/generated/client.js, which reports/browser/page.ts
 * puts into the page.
 *
 * Its shape, for who adds to it:
 * - An address is `#VIEW/..`: the first part names a view of {@link VIEWS}, or else a transcoder (`#layer17` its table, `#layer17/1103` a
 *   feature). A view is a function of client/views/NAME.ts, of the type View in client/app.ts: it awaits its data and returns a Page, whose
 *   `draw` makes a lit-html template of the view's own variables; `app.update()` draws again, `left` is called when another page comes.
 * - A new view is one line in {@link VIEWS} and, where it is to be found in the header, one in {@link LINKS}; those with `served` are there
 *   only when a server is behind the page (`index.served`).
 * - Data come from `app.source.part(NAME)` alone, reports/browser/data.ts lists the names. An exported file holds each as
 *   `<script type="application/gzip" data-part=NAME>`; the server answers GET /api/parts/NAME with the same bytes (commands/browse/made_parts.ts
 *   makes them, shelf.ts keeps them), or with a status and a sentence. Whatever else a served view wants it fetches from /api by itself.
 * - Views are put together from client/parts.ts. Texts of tokens go through `token` or `inText`; nothing is ever set as HTML. No style
 *   attributes: the content security policy refuses them (colours are classes, lengths are attributes of SVG, positions are set by `style.left`).
 * - client/styles/ has all styles, by what they style; theme.css both themes as custom properties. page.ts puts them behind one another.
 * @module
 */

import { html, nothing, render, type TemplateResult } from "lit-html";
import { addressOf, type App, type Page, type Place, placeOf, type View } from "./app.ts";
import type { BrowserIndex, TranscoderHead } from "../data.ts";
import { openSource } from "./source.ts";
import { about } from "./views/about.ts";
import { explorer } from "./views/explorer.ts";
import { feature } from "./views/feature.ts";
import { help, readShortcuts } from "./views/help.ts";
import { home } from "./views/home.ts";
import { map } from "./views/map.ts";
import { match } from "./views/match.ts";
import { tree } from "./views/tree.ts";
import { live } from "./views/live.ts";
import { reports } from "./views/reports.ts";
import { runs } from "./views/runs.ts";
import { text } from "./views/text.ts";
import { showWaiting } from "./waiting.ts";

/** Views by the first part of their address; every other one is a transcoder's key. */
const VIEWS: Readonly<Record<string, View>> = {
  "": home,
  about,
  help,
  map,
  match,
  tree,
};

/** Views that there are with a server alone; all but `text` do without the index, which may take a while to make. */
const SERVED: Readonly<Record<string, View>> = { "": runs, live, reports, runs, text };

/** A link of the header: to a view of a transcoder, or of all. */
interface Link {
  readonly text: string;
  /** The address; null where it has none at this moment. */
  readonly to: (index: BrowserIndex, key: string | undefined) => string | null;
  readonly served?: true;
}

const LINKS: readonly Link[] = [
  { text: "Runs", to: () => addressOf(["runs"]), served: true },
  { text: "Curves", to: () => addressOf(["live"]), served: true },
  { text: "Reports", to: () => addressOf(["reports"]), served: true },
  { text: "Features", to: (_, key) => key === undefined ? null : addressOf([key]) },
  { text: "Map", to: (_, key) => key === undefined ? null : addressOf(["map", key]) },
  { text: "Tree", to: (index, key) => (headIn(index, key)?.groups.length ?? 0) > 1 ? addressOf(["tree", key!]) : null },
  { text: "Matches", to: matchesOf },
  { text: "Text", to: (_, key) => key === undefined ? null : addressOf(["text", key]), served: true },
  { text: "About", to: (_, key) => key === undefined ? null : addressOf(["about", key]) },
];

/** A view by the first part of an address, which may be any text. */
function among(views: Readonly<Record<string, View>>, first: string): View | undefined {
  return Object.hasOwn(views, first) ? views[first] : undefined;
}

/** Whether a view can be drawn before it is known which features there are. */
function goesAhead({ path: [first] }: Place): boolean {
  return ![undefined, text].includes(among(SERVED, first));
}

/** Whether an address begins with a transcoder that is not there. */
function isStranger({ path: [first] }: Place, { transcoders }: BrowserIndex): boolean {
  return first !== "" && among(VIEWS, first) === undefined && among(SERVED, first) === undefined &&
    !transcoders.some(({ key }) => key === first);
}

/** Before a served page knows what can be explored. */
const NOTHING_YET: BrowserIndex = { version: "", served: true, transcoders: [], pairs: [], notes: [] };

function headIn({ transcoders }: BrowserIndex, key: string | undefined): TranscoderHead | undefined {
  return transcoders.find((one) => one.key === key);
}

/** The matches of a transcoder; where there is one alone, that. */
function matchesOf({ pairs }: BrowserIndex, key: string | undefined): string | null {
  const those = pairs.filter((pair) => key === undefined || pair.includes(key));
  if (those.length === 0) return null;
  return addressOf(["match", ...those.length === 1 ? those[0] : key === undefined ? [] : [key]]);
}

function viewOf({ path: [first, second] }: Place, isServed: boolean): View {
  return (isServed ? among(SERVED, first) : undefined) ?? among(VIEWS, first) ??
    (second === undefined ? explorer : feature);
}

/** Whether keys are letters for something else at this moment. */
function isTyping({ target }: Event): boolean {
  return target instanceof HTMLElement && target.matches("input:not([type=range], [type=checkbox]), select, textarea");
}

/** Keys that hold everywhere; a page's own come first. */
const KEYS: Readonly<Record<string, () => void>> = {
  "/": () => document.querySelector<HTMLElement>("input[type=search]")?.focus(),
  "?": () => location.hash = "#help",
};

function header(app: App, page: Page | null): TemplateResult {
  const { index } = app, key = page?.key ?? (index.transcoders.length === 1 ? index.transcoders[0].key : undefined);
  const choose = ({ target }: Event) => app.go(encodeURIComponent((target as HTMLSelectElement).value));
  const links = LINKS.filter(({ served }) => !served || index.served).flatMap(({ text, to }) => {
    const address = to(index, key);
    return address === null ? [] : [{ text, address }];
  });
  const here = addressOf(placeOf(location.hash).path);
  return html`
    <a class="skip" href="#content" @click=${(event: Event) => {
      event.preventDefault();
      document.querySelector<HTMLElement>("main")!.focus();
    }}>To the content</a>
    <a class="home" href="#">mtc <span>browse</span></a>
    ${index.transcoders.length < 2 ? nothing : html`<label class="choice"><span>Transcoder</span>
      <select @change=${choose}>
        ${key === undefined ? html`<option selected>choose …</option>` : nothing}
        ${
      index.transcoders.map((one) => html`<option value=${one.key} .selected=${one.key === key}>${one.title}</option>`)
    }
      </select></label>`}
    <nav aria-label="Views">${links.map(({ text, address }) =>
      html`<a href=${address} aria-current=${address === here ? "page" : nothing}>${text}</a>`
    )}<a href="#help" aria-label="Keys and help">?</a></nav>
  `;
}

function failure(error: unknown): Page {
  const message = error instanceof Error ? error.message : String(error);
  return {
    title: "Not here",
    draw: () =>
      html`
        <h1 tabindex="-1">Not here</h1>
        <p>${message}</p>
        <p><a href="#">What there is</a></p>
      `,
  };
}

/** A page with its data; that it is waited for is shown where it is to be. */
async function loaded(place: Place, app: App, where: Element): Promise<Page> {
  const { source } = app, arrived = showWaiting(where, source.isServed);
  try {
    if (!goesAhead(place)) app.index = await source.part<BrowserIndex>("index");
    if (source.isServed && isStranger(place, app.index)) {
      source.forget("index"); // it may have come to its end since
      app.index = await source.part<BrowserIndex>("index");
    }
    return await viewOf(place, source.isServed)(place, app);
  } catch (error) {
    return failure(error);
  } finally {
    arrived();
  }
}

async function start(): Promise<void> {
  const top = document.querySelector("header")!, main = document.querySelector("main")!;
  const source = openSource();
  // Each page is drawn into an element of its own, so that nothing of the last one is taken over.
  let page: Page | null = null, asked = 0, box = document.createElement("div");
  const draw = () => page && render(page.draw(), box);
  const app: App = {
    source,
    index: source.isServed ? NOTHING_YET : await source.part<BrowserIndex>("index"),
    shortcuts: readShortcuts(),
    update: draw,
    go(address, replace = false) {
      const hash = address.startsWith("#") ? address : `#${address}`;
      if (replace) history.replaceState(null, "", hash);
      else location.hash = hash;
    },
  };
  const show = async () => {
    const place = placeOf(location.hash), number = ++asked;
    const next = await loaded(place, app, main);
    if (number !== asked) return; // another page was asked for in the meantime
    page?.left?.();
    const isFirst = page === null;
    page = next;
    document.title = `${page.title} · mtc browse`;
    render(header(app, page), top);
    main.dataset.address = location.hash.slice(1);
    box = document.createElement("div");
    main.replaceChildren(box);
    draw();
    page.shown?.();
    if (!isFirst) {
      scrollTo(0, 0);
      main.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
    }
  };
  addEventListener("hashchange", show);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isTyping(event)) (event.target as HTMLElement).blur();
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!app.shortcuts && event.key.length === 1) return; // keys with names disturb no speech input
    const own = page?.keys?.[event.key], common = KEYS[event.key];
    if (!own && !common) return;
    event.preventDefault();
    if (own) own(event);
    else common();
  });
  await show();
}

start().catch((error) => {
  document.querySelector("main")!.textContent = `This page cannot be shown: ${error.message ?? error}`;
});
