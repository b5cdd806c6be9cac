/**
 * The figures of sweep_tasks.md: FVU against active features, layer by layer, and all layers as a strip.
 * @module
 */
import type { Fleet, FleetSetting } from "../../core/runs/fleet.ts";
import { counted, integer } from "../format.ts";
import { figureTitle, grid, heading, logarithmicAxis, palette, type Spec, upright } from "./theme.ts";

/** The most layers that get a panel of their own; of more, as many evenly spaced ones do. */
const MOST_PANELS = 12;
/** The most settings that the strip has a row for. */
const MOST_STRIPS = 48;
/** The share of viridis, from its light end, from which on white is read more easily on it than black. */
const DARK_FROM = 0.58;

function dictionaryOf({ of: { features, groups } }: FleetSetting, hasGroups: boolean): string {
  return hasGroups
    ? `${counted(features, "feature")}, ${counted(groups.length, "group")}`
    : counted(features, "feature");
}

/**
 * FVU against active features: a panel for each mapping, a point for each setting, seeds as one with their spread.
 *
 * @param fleet What came of the tasks.
 * @returns The figure.
 */
export function tasksParetoFigure({ settings }: Fleet): Spec {
  const hasGroups = new Set(settings.map(({ of: { features, groups } }) => `${features} ${groups.length}`)).size >
    new Set(settings.map(({ of: { features } }) => features)).size;
  const dictionaries = [...new Set(settings.map((one) => dictionaryOf(one, hasGroups)))];
  const mappings = [...Map.groupBy(settings, ({ of: { mapping } }) => mapping)];
  const chosen = mappings.length <= MOST_PANELS ? mappings : Array.from(
    { length: MOST_PANELS },
    (_, i) => mappings[Math.round(i * (mappings.length - 1) / (MOST_PANELS - 1))],
  );
  const colors = dictionaries.length > palette.length
    ? { scheme: "viridis" }
    : { range: palette.slice(0, dictionaries.length) };
  const panels = chosen.map(([mapping, some]) => {
    const values = some.map((one) => {
      const { fvu: { mean, std }, l0, of: { k }, isOnFront } = one, reach = Number.isFinite(std) ? std : 0;
      return {
        ...{ dictionary: dictionaryOf(one, hasGroups), k: `k ${integer(k)}`, l0: l0.mean, fvu: mean, isOnFront },
        ...{ low: mean - reach, high: mean + reach },
      };
    });
    const encoding = {
      x: { field: "l0", ...logarithmicAxis(values.map(({ l0 }) => l0), "active features per token, logarithmic") },
      y: { field: "fvu", ...upright("held-out FVU"), scale: { zero: false, nice: 5 } },
      color: {
        ...{
          field: "dictionary",
          type: "nominal",
          title: null,
          sort: null,
          scale: { domain: dictionaries, ...colors },
        },
        legend: { orient: "right" },
      },
    };
    return {
      ...{ width: 340, height: 220 },
      title: heading(mapping, "lines: a standard deviation of seeds; black: the front"),
      data: { values },
      layer: [
        {
          ...{ transform: [{ filter: "datum.isOnFront" }], mark: { type: "line", color: "#222222", strokeWidth: 1 } },
          encoding: { x: encoding.x, y: encoding.y },
        },
        {
          mark: { type: "rule" },
          encoding: { ...encoding, y: { ...encoding.y, field: "low" }, y2: { field: "high" } },
        },
        {
          mark: { type: "point", filled: true, size: 60, opacity: 1 },
          encoding: {
            ...encoding,
            shape: { field: "k", type: "nominal", title: null, sort: null, legend: { orient: "right" } },
          },
        },
      ],
    };
  });
  const left = mappings.length - chosen.length;
  const detail = `${counted(settings.length, "setting")}${
    left > 0 ? `; ${counted(left, "mapping")} between these left out` : ""
  }`;
  return {
    ...grid(panels, 2, figureTitle("Active features against what is left", detail), "independent"),
    resolve: { scale: { color: "shared", x: "independent", y: "independent", shape: "independent" } },
  };
}

/**
 * Layers from left to right, settings from top to bottom, the colour the mean FVU.
 *
 * @param fleet What came of the tasks.
 * @returns The figure.
 */
export function tasksLayersFigure({ settings }: Fleet): Spec {
  const row = ({ of: { features, groups, k, learningRate, skip, mapping } }: FleetSetting) => {
    const sites = mapping.replaceAll(/layer\d+\./g, "");
    return JSON.stringify([features, groups.length, k, learningRate, skip, sites]);
  };
  const rows = [...Map.groupBy(settings, row).keys()];
  rows.sort((a, b) => {
    const [one, other] = [a, b].map((key) => JSON.parse(key) as [number, number, number, number]);
    return one[0] - other[0] || one[1] - other[1] || one[2] - other[2] || one[3] - other[3] || (a < b ? -1 : 1);
  });
  const kept = rows.slice(0, MOST_STRIPS),
    differs = (at: number) => new Set(rows.map((key) => JSON.parse(key)[at])).size > 1;
  const label = (key: string) => {
    const [features, groups, k, rate, skip, sites] = JSON.parse(key);
    return [
      ...[counted(features, "feature"), `k ${integer(k)}`],
      ...[differs(1) ? counted(groups, "group") : "", differs(3) ? `rate ${rate}` : "", skip ? "skip" : ""],
      differs(5) ? sites : "",
    ].filter((part) => part !== "").join(", ");
  };
  const values = settings.filter((one) => kept.includes(row(one))).map((one) => {
    const { of: { layer }, fvu: { mean } } = one;
    return { layer, setting: label(row(one)), fvu: mean, text: mean.toFixed(2) };
  });
  const layers = [...new Set(values.map(({ layer }) => layer))].sort((a, b) => a - b), names = kept.map(label);
  const shown = values.map(({ fvu }) => fvu), least = Math.min(...shown), most = Math.max(...shown);
  const dark = least + DARK_FROM * (most - least);
  const encoding = {
    x: { field: "layer", type: "ordinal", title: "layer", sort: layers, axis: { labelAngle: 0 } },
    y: { field: "setting", type: "ordinal", title: null, sort: names, axis: { labelLimit: 0 } },
  };
  const left = rows.length - kept.length;
  return {
    title: figureTitle(
      "Held-out FVU of every layer",
      `means over seeds${left > 0 ? `; ${counted(left, "more setting")} left out` : ""}`,
    ),
    data: { values },
    width: Math.max(160, 44 * layers.length),
    height: Math.max(44, 30 * kept.length),
    layer: [
      {
        mark: { type: "rect" },
        encoding: {
          ...encoding,
          color: { field: "fvu", type: "quantitative", title: "FVU", scale: { scheme: "viridis", reverse: true } },
        },
      },
      {
        mark: { type: "text", fontSize: 9.5 },
        encoding: {
          ...encoding,
          text: { field: "text" },
          color: { condition: { test: `datum.fvu > ${dark}`, value: "white" }, value: "black" },
        },
      },
    ],
  };
}
