/** The reading set of tests/golden/layer.json, and what NumPy makes of it. */

import type { FeatureRecord } from "../../core/analysis/record.ts";
import type { Predictor } from "../../core/analysis/explained.ts";
import { plantedRecord } from "./planted_record.ts";

interface Golden {
  context: number;
  document: number[];
  id: number[];
  source: number[][];
  centre: number[];
  scale: number[];
  products: number[][];
  rows: [number, number][][];
  examples: number[][];
  cosine: number[];
  by_token: number[];
  random: number[];
  explained: Record<Predictor, number[]>;
  errors: Record<Predictor, number[]>;
}

export const golden: Golden = JSON.parse(await Deno.readTextFile(new URL("../golden/layer.json", import.meta.url)));

const { context, id, document, rows } = golden, perContext = context - 1;

export const goldenRecord: FeatureRecord = {
  ...plantedRecord([golden.cosine.length], id.length, []),
  context,
  place: Uint32Array.from(id, (_, t) => Math.floor(t / perContext) * context + 1 + t % perContext),
  id: Uint32Array.from(id),
  document: Uint32Array.from(document),
  rowStart: Uint32Array.from([0, ...rows], (_, t) => rows.slice(0, t).reduce((sum, row) => sum + row.length, 0)),
  index: Uint32Array.from(rows.flat(), ([feature]) => feature),
  value: Float32Array.from(rows.flat(), ([, value]) => value),
};
