/**
 * Draws a Vega-Lite figure as PNG, without a browser: Vega makes SVG, resvg rasterises it with an embedded font.
 * The same figure gives the same bytes on every machine.
 * @module
 */
import { initWasm, Resvg } from "@resvg/resvg-wasm";
import resvgWasm from "@resvg/resvg-wasm/index_bg.wasm" with { type: "bytes" };
import boldFont from "dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf" with { type: "bytes" };
import regularFont from "dejavu-fonts-ttf/ttf/DejaVuSans.ttf" with { type: "bytes" };
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { theme } from "./theme.ts";

/** Pixels per unit of the figure. */
const zoom = 2;

let wasmReady: Promise<void> | undefined;

/** Draws a figure. `figure` is a Vega-Lite specification without `config`, which the theme provides. */
export async function renderPng(figure: Omit<TopLevelSpec, "config">): Promise<Uint8Array> {
  wasmReady ??= initWasm(resvgWasm);
  await wasmReady;
  const { spec } = compile({ ...figure, config: theme } as TopLevelSpec);
  const view = new View(parse(spec), { renderer: "none" });
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
