/**
 * sweep_pareto.png: what a transcoder leaves unexplained against how many features it needs.
 * @module
 */
import { tapName } from "../../core/model/sites.ts";
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import type { Sweep } from "../../core/runs/sweeps.ts";
import { counted, integer, list, setting } from "../format.ts";
import { figureTitle, grid, heading, logarithmicAxis, palette, panelSize, type Spec, upright } from "./theme.ts";

/** What a point shows beside its place: a colour for dictionary, source and skip connection, a shape for k and learning rate. */
interface Look {
  readonly dictionary: string;
  readonly k: string;
}

/** The looks of the members of a sweep; what does not differ among them is not said. */
function looksOf({ members }: Sweep): Look[] {
  const differs = (of: (member: TranscoderAnalysis) => unknown) => new Set(members.map(of)).size > 1;
  const groups = differs(({ config }) => config.groups.length);
  const sources = differs(({ config }) => tapName(config.source));
  const skips = differs(({ config }) => config.skip);
  const rates = differs(({ config }) => config.learning_rate);
  return members.map(({ config }) => ({
    dictionary: [
      counted(config.features, "feature"),
      ...(groups ? [counted(config.groups.length, "group")] : []),
      ...(sources ? [tapName(config.source)] : []),
      ...(skips && config.skip ? ["skip"] : []),
    ].join(", "),
    k: `k ${integer(config.k)}${rates ? `, rate ${setting(config.learning_rate)}` : ""}`,
  }));
}

interface Point extends Look {
  readonly member: string;
  readonly l0: number;
  readonly value: number;
  readonly whole: boolean;
}

function panel(sweep: Sweep, title: Spec, name: string, values: readonly Point[], axis: Spec): Spec {
  const unique = (of: (look: Look) => string) => [...new Set(looksOf(sweep).map(of))];
  const dictionaries = unique(({ dictionary }) => dictionary);
  const colors = dictionaries.length > palette.length ? { scheme: "viridis" } : {
    range: palette.slice(0, dictionaries.length),
  };
  const encoding = {
    x: {
      field: "l0",
      ...logarithmicAxis(values.map(({ l0 }) => l0), "active features per token of the prefix (L0), logarithmic"),
    },
    // From zero on, the transcoders of a sweep would lie too close together.
    y: { field: "value", ...upright(name, axis), scale: { zero: false, nice: 5 } },
    color: {
      ...{ field: "dictionary", type: "nominal", title: null, sort: null, scale: { domain: dictionaries, ...colors } },
      legend: { orient: "right", symbolType: "square" },
    },
  };
  return {
    ...{ ...panelSize, width: 560, height: 320 },
    title,
    data: { values },
    layer: [
      {
        mark: { type: "line", strokeWidth: 1, opacity: 0.45 },
        encoding: { ...encoding, detail: { field: "member" } },
      },
      {
        mark: { type: "point", filled: true, opacity: 0.9 },
        encoding: {
          ...encoding,
          shape: {
            ...{ field: "k", type: "nominal", title: null, sort: null, scale: { domain: unique(({ k }) => k) } },
            legend: { orient: "right" },
          },
          size: {
            field: "whole",
            type: "ordinal",
            scale: { domain: [false, true], range: [30, 80] },
            legend: null,
          },
        },
      },
    ],
  };
}

function panelsOf(sweep: Sweep): Spec[] {
  const looks = looksOf(sweep), target = list(sweep.members[0].config.targets.map(tapName));
  const points = (valueAt: (member: TranscoderAnalysis, prefix: number) => number | undefined) =>
    sweep.members.flatMap((member, i): Point[] => {
      const { fvu_per_prefix: prefixes, l0 } = member.evaluation;
      return prefixes.map((figures, p) => ({
        ...looks[i],
        member: member.name.file,
        l0: p === prefixes.length - 1 ? l0 : figures.l0 ?? NaN,
        value: valueAt(member, p) ?? NaN,
        whole: p === prefixes.length - 1,
      })).filter((point) => point.l0 > 0 && Number.isFinite(point.value));
    });
  const detail = "a line for each transcoder through its Matryoshka prefixes; large: all features; seeds look alike";
  const recovered = points(({ evaluation }, p) => evaluation.loss?.per_prefix[p]?.recovered_zero);
  return [
    panel(
      sweep,
      heading(`Unexplained of ${target}`, detail),
      "held-out FVU",
      points(({ evaluation }, p) => evaluation.fvu_per_prefix[p].fvu),
      {},
    ),
    ...recovered.length === 0 ? [] : [
      panel(sweep, heading(`Loss recovered with ${target}`, detail), "of zero ablation", recovered, { format: "%" }),
    ],
  ];
}

/** A panel of FVU against L0 for each sweep, and one of the loss recovered where that was measured. */
export function sweepFigure(sweeps: readonly Sweep[]): Spec {
  const members = sweeps.reduce((sum, { members }) => sum + members.length, 0);
  return {
    ...grid(
      sweeps.flatMap(panelsOf),
      1,
      figureTitle("Pareto: active features against what is left", counted(members, "transcoder")),
      "independent",
    ),
    resolve: { scale: { color: "independent", shape: "independent", size: "independent" } },
  };
}
