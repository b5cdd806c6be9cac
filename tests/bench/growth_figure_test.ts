import assert from "node:assert/strict";
import { growthFigure } from "../../bench/growth_figure.ts";
import { renderPng } from "../../reports/plots/render.ts";

const curve = {
  title: "Training step, dictionary",
  detail: "128 tokens",
  size: "features",
  sizes: [4608, 9216, 18432],
  whole: { name: "wall clock", milliseconds: [10, 15, 30] },
  kernels: [{ name: "decode", milliseconds: [4, 0, 9] }],
  exponent: 0.79,
};

interface Layer {
  data: { values: { size: number; milliseconds: number; series: string }[] };
}

Deno.test("a panel holds the measured curves and a guide of linear cost from the first of them", async () => {
  const figure = growthFigure([curve], "a machine");
  const [panel] = figure.concat as { title: { subtitle: string }; layer: [Layer, Layer] }[];
  assert.match(panel.title.subtitle, /to the power 0\.79/);
  const [guide, measured] = panel.layer.map(({ data }) => data.values);
  assert.deepEqual(guide.map(({ milliseconds }) => milliseconds), [10, 20, 40]);
  // A kernel that a size does without has no point there: a logarithm knows no zero.
  assert.deepEqual(measured.filter(({ series }) => series === "decode").map(({ size }) => size), [4608, 18432]);
  const png = await renderPng(figure);
  assert.deepEqual([...png.subarray(1, 4)], [..."PNG"].map((letter) => letter.charCodeAt(0)));
});
