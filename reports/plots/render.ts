/**
 * Draws a Vega-Lite figure as PNG, without a browser: Vega makes SVG, resvg rasterises it with an embedded font.
 * The same figure gives the same bytes on every machine.
 * @module
 */
import { initWasm, Resvg } from "@resvg/resvg-wasm";
import resvgWasm from "@resvg/resvg-wasm/index_bg.wasm" with { type: "bytes" };
import boldFont from "dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf" with { type: "bytes" };
import regularFont from "dejavu-fonts-ttf/ttf/DejaVuSans.ttf" with { type: "bytes" };
import * as vega from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { type Spec, theme } from "./theme.ts";

/** Pixels per unit of the figure. */
const zoom = 2;

let wasmReady: Promise<void> | undefined;

/** The hook that Vega offers for measuring text; its type declarations leave it out. */
const { textMetrics } = vega as unknown as {
  textMetrics: { width(item: { fontSize?: number; fontWeight?: string | number }, text: unknown): number };
};

/** Without a canvas Vega takes 0.8 em per character, which tears panels apart; DejaVu Sans needs 0.6 on average. */
textMetrics.width = ({ fontSize = 11, fontWeight }, text) =>
  String(text).length * fontSize * (fontWeight === "bold" ? 0.68 : 0.6);

/** Draws a figure: a Vega-Lite specification without `config`, which the theme provides. Returns the bytes of a PNG file. */
export async function renderPng(figure: Spec): Promise<Uint8Array> {
  wasmReady ??= initWasm(resvgWasm);
  await wasmReady;
  const { spec } = compile({ ...figure, config: theme } as TopLevelSpec);
  const view = new vega.View(vega.parse(spec), { renderer: "none" });
  const svg = await view.toSVG();
  view.finalize();
  const image = new Resvg(svg, {
    fitTo: { mode: "zoom", value: zoom },
    font: { fontBuffers: [regularFont, boldFont], defaultFontFamily: theme.font, sansSerifFamily: theme.font },
  });
  const rendered = image.render();
  const png = rendered.asPng();
  rendered.free();
  image.free();
  return png;
}
