/// <reference lib="dom" />
/**
 * The features of a transcoder in two dimensions, coloured by group or cluster.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import type { FeatureTable, MapPart, TranscoderEntry } from "../../data.ts";
import { addressOf, entryOf, type Page, readingSetOf, tableOf, type View } from "../app.ts";
import { COLOURS, featureLine, figure, groupBadge, share, token } from "../parts.ts";
import { allOf, chosenFeatures } from "../search.ts";

/** Pixels around a point in which it is meant, and the radius of a point. */
const NEAR = 14, RADIUS = 3.2;

/** How much nearer one step goes, and the most. */
const ZOOM = 1.5, MOST_ZOOM = 60;

/** What points are coloured by. */
type Colouring = "group" | "cluster";

/** `#map/layer17`. */
export const map: View = async ({ path: [, key], query }, app): Promise<Page> => {
  const entry = await entryOf(app, key), { title, phrase, has, groups } = entry;
  if (!has.map) {
    throw new Error(
      `There is no map of ${phrase}: to compare all pairs of its features takes too long on this machine, a GPU makes it.`,
    );
  }
  const table = await tableOf(app, key), part = await app.source.part<MapPart>(`${key}/map`);
  const reading = await readingSetOf(app, entry);
  let colouring: Colouring = query.get("by") === "cluster" && table.clusters.length > 0 ? "cluster" : "group";
  let text = query.get("q") ?? "", pointed: number | null = null;
  const canvas = new MapCanvas(part, {
    colourOf: (feature) => colouring === "group" ? table.group[feature] : table.cluster[feature],
    point(feature) {
      pointed = feature;
      app.update();
    },
    open: (feature) => app.go(addressOf([key, feature])),
  });
  const again = () => {
    canvas.found = text.trim() === ""
      ? null
      : new Set(chosenFeatures(table, reading, { ...allOf(groups.length), text }));
    app.go(addressOf(["map", key], { by: colouring === "group" ? "" : colouring, q: text }), true);
    canvas.draw();
    app.update();
  };
  return {
    title: `Map of ${phrase}`,
    key,
    keys: canvas.keys,
    shown() {
      canvas.attach(document.querySelector("canvas")!);
      again();
    },
    left: () => canvas.detach(),
    draw: () =>
      html`
        <h1 tabindex="-1">Map of ${phrase}</h1>
        <p
          class="muted">What features write, as directions, seen along the two in which they differ most: ${share(
            (part.shares[0] ?? 0) + (part.shares[1] ?? 0),
          )} of their variance, where chance would give ${share(
            part.share_by_chance,
          )}. Two features are at least as far apart as they seem.</p>
        <form class="search" @submit=${(event: Event) => event.preventDefault()}>
          <label class="query"><span>Token, text or number</span><input type="search" .value=${text}
            @input=${({ target }: Event) => {
              text = (target as HTMLInputElement).value;
              again();
            }} autocomplete="off" spellcheck="false"></label>
          ${table.clusters.length === 0
            ? nothing
            : html`<fieldset><legend>Colour</legend>${
              (["group", "cluster"] as const).map((by) =>
                html`
                  <label
                    class="check"><input type="radio" name="by" value=${by} .checked=${by ===
                      colouring} @change=${() => {
                      colouring = by;
                      again();
                    }}> by ${by}</label>
                `
              )
            }</fieldset>`}
          <fieldset><legend>Zoom</legend><button type="button" aria-label="Nearer" @click=${canvas
            .keys["+"]}>+</button> <button type="button" aria-label="Farther" @click=${canvas.keys["-"]}>−</button>
            <button type="button" @click=${canvas.keys["0"]}>All</button></fieldset>
        </form>
        <canvas class="map" tabindex="0" role="img" aria-label=${`${title}: ${table.group.length} features; arrow keys go from one to the next, Enter opens it`}></canvas>
        <p class="pointed" role="status">${pointed === null
          ? canvas.found === null
            ? html`<span class="muted">Point at a feature, or use the arrow keys.</span>`
            : `${canvas.found.size} found`
          : html`${featureLine(key, table, pointed)} <span class="muted">strength ${
            figure(table.strength[pointed])
          }</span>`}</p>
        ${legend(colouring, entry, table)}
      `,
  };
};

function legend(colouring: Colouring, { groups, key }: TranscoderEntry, table: FeatureTable): TemplateResult {
  const { clusters } = table;
  if (colouring === "group") {
    return html`<ul class="legend">${
      groups.map((size, group) => html`<li>${groupBadge(group)} ${size} features</li>`)
    }</ul>`;
  }
  return html`<ul class="legend">${
    clusters.slice(0, 2 * COLOURS).map(({ tokens, features }, n) =>
      html`<li><span class=${`dot c${n % COLOURS}`}></span> <a href=${
        addressOf([key], { cluster: String(n) })
      }>${features} features</a>
        ${tokens.map(token)}</li>`
    )
  }${clusters.length > 2 * COLOURS ? html`<li class="muted">and ${clusters.length - 2 * COLOURS} more</li>` : nothing}
    <li class="muted"><span class="dot"></span> ${table.cluster.filter((one) => one < 0).length} in none</li></ul>`;
}

/** What a map does with what is pointed at. */
interface MapActions {
  /** The number of a colour; -1 for none. */
  readonly colourOf: (feature: number) => number;
  readonly point: (feature: number | null) => void;
  readonly open: (feature: number) => void;
}

/** Points on a canvas that can be moved and brought nearer. */
class MapCanvas {
  /** The features that stand out; null for all. */
  found: ReadonlySet<number> | null = null;
  readonly #part: MapPart;
  readonly #actions: MapActions;
  #canvas: HTMLCanvasElement | null = null;
  readonly #resized = new ResizeObserver(() => this.draw());
  readonly #theme = matchMedia("(prefers-color-scheme: dark)");
  readonly #redraw = () => this.draw();
  /** The middle of what is seen, in the map's own units, and how near it is. */
  #x = 0;
  #y = 0;
  #zoom = 1;
  #selected: number | null = null;
  #dragged: { readonly x: number; readonly y: number; moved: boolean } | null = null;
  readonly #extent: { readonly x: number; readonly y: number; readonly half: number };

  constructor(part: MapPart, actions: MapActions) {
    this.#part = part;
    this.#actions = actions;
    const range = (values: Float32Array) => {
      let low = Infinity, high = -Infinity;
      for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
      return { middle: (low + high) / 2, half: (high - low) / 2 };
    };
    const x = range(part.x), y = range(part.y);
    this.#extent = { x: x.middle, y: y.middle, half: Math.max(x.half, y.half, Number.MIN_VALUE) };
    this.#x = x.middle;
    this.#y = y.middle;
  }

  /** What keys and buttons do. */
  readonly keys: Readonly<Record<string, (event: Event) => void>> = {
    "+": () => this.#near(ZOOM),
    "=": () => this.#near(ZOOM),
    "-": () => this.#near(1 / ZOOM),
    "−": () => this.#near(1 / ZOOM),
    "0": () => {
      [this.#x, this.#y, this.#zoom] = [this.#extent.x, this.#extent.y, 1];
      this.draw();
    },
    ArrowLeft: () => this.#step(-1, 0),
    ArrowRight: () => this.#step(1, 0),
    ArrowUp: () => this.#step(0, -1),
    ArrowDown: () => this.#step(0, 1),
    Enter: () => this.#selected !== null && this.#actions.open(this.#selected),
  };

  attach(canvas: HTMLCanvasElement): void {
    this.#canvas = canvas;
    this.#resized.observe(canvas);
    this.#theme.addEventListener("change", this.#redraw);
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    canvas.addEventListener("pointerdown", (event) => {
      this.#dragged = { x: event.offsetX, y: event.offsetY, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", (event) => {
      const isClick = this.#dragged?.moved === false, feature = this.#at(event.offsetX, event.offsetY);
      this.#dragged = null;
      if (isClick && feature !== null) this.#actions.open(feature);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#near(event.deltaY < 0 ? 1.15 : 1 / 1.15, event.offsetX, event.offsetY);
    }, { passive: false });
  }

  detach(): void {
    this.#resized.disconnect();
    this.#theme.removeEventListener("change", this.#redraw);
  }

  /** Pixels per unit of the map. */
  get #scale(): number {
    const { clientWidth, clientHeight } = this.#canvas!;
    return this.#zoom * (Math.min(clientWidth, clientHeight) / 2 - 2 * NEAR) / this.#extent.half;
  }

  #placeOf(feature: number): [x: number, y: number] {
    const { clientWidth, clientHeight } = this.#canvas!, scale = this.#scale;
    return [
      clientWidth / 2 + (this.#part.x[feature] - this.#x) * scale,
      clientHeight / 2 + (this.#part.y[feature] - this.#y) * scale,
    ];
  }

  #at(x: number, y: number): number | null {
    let best: number | null = null, least = NEAR ** 2;
    for (let i = 0; i < this.#part.x.length; i++) {
      if (this.found && !this.found.has(i)) continue;
      const [px, py] = this.#placeOf(i), distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  #moved(event: PointerEvent): void {
    const { offsetX: x, offsetY: y } = event, dragged = this.#dragged;
    if (dragged === null) {
      this.#select(this.#at(x, y));
    } else if (dragged.moved || Math.hypot(x - dragged.x, y - dragged.y) > 4) {
      this.#x -= (x - dragged.x) / this.#scale;
      this.#y -= (y - dragged.y) / this.#scale;
      this.#dragged = { x, y, moved: true };
      this.draw();
    }
  }

  #near(by: number, x = this.#canvas!.clientWidth / 2, y = this.#canvas!.clientHeight / 2): void {
    const zoom = Math.max(1, Math.min(MOST_ZOOM, this.#zoom * by)), { clientWidth, clientHeight } = this.#canvas!;
    const before = this.#scale;
    this.#zoom = zoom;
    const after = this.#scale, gained = 1 / before - 1 / after;
    this.#x += (x - clientWidth / 2) * gained;
    this.#y += (y - clientHeight / 2) * gained;
    this.draw();
  }

  /** To the nearest feature on one side: what lies off the way counts twice. */
  #step(right: number, down: number): void {
    const from = this.#selected === null
      ? [this.#canvas!.clientWidth / 2, this.#canvas!.clientHeight / 2]
      : this.#placeOf(this.#selected);
    let best: number | null = null, least = Infinity;
    for (let i = 0; i < this.#part.x.length; i++) {
      if (i === this.#selected || (this.found && !this.found.has(i))) continue;
      const [x, y] = this.#placeOf(i), dx = x - from[0], dy = y - from[1];
      const along = dx * right + dy * down, off = Math.abs(dx * down) + Math.abs(dy * right);
      if (along > 0 && along + 2 * off < least) [best, least] = [i, along + 2 * off];
    }
    if (best !== null) this.#select(best);
  }

  #select(feature: number | null): void {
    if (feature === this.#selected) return;
    this.#selected = feature;
    this.draw();
    this.#actions.point(feature);
  }

  draw(): void {
    const canvas = this.#canvas;
    if (canvas === null) return;
    const { clientWidth, clientHeight } = canvas, ratio = devicePixelRatio, context = canvas.getContext("2d")!;
    canvas.width = clientWidth * ratio;
    canvas.height = clientHeight * ratio;
    context.scale(ratio, ratio);
    const style = getComputedStyle(canvas), count = this.#part.x.length;
    const colours = Array.from({ length: COLOURS }, (_, n) => style.getPropertyValue(`--c${n}`)),
      none = style.getPropertyValue("--strong-line");
    const radius = RADIUS * Math.max(0.6, Math.min(1.6, 40 / Math.sqrt(count))) * Math.min(2, Math.sqrt(this.#zoom));
    for (let i = 0; i < count; i++) {
      const [x, y] = this.#placeOf(i),
        colour = this.#actions.colourOf(i),
        isFound = this.found === null || this.found.has(i);
      if (x < -radius || y < -radius || x > clientWidth + radius || y > clientHeight + radius) continue;
      context.globalAlpha = isFound ? colour === null ? 0.35 : 0.75 : 0.08;
      context.fillStyle = colour === null ? none : colours[colour % COLOURS];
      context.beginPath();
      context.arc(x, y, isFound && this.found ? radius * 1.6 : radius, 0, 2 * Math.PI);
      context.fill();
    }
    if (this.#selected === null) return;
    const [x, y] = this.#placeOf(this.#selected);
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.strokeStyle = style.getPropertyValue("--ink");
    context.beginPath();
    context.arc(x, y, radius + 4, 0, 2 * Math.PI);
    context.stroke();
  }
}
