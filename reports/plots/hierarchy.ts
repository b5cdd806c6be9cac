/**
 * <transcoder>_hierarchy.png: the largest families as trees, parents on the left, with the tokens that each feature is known by.
 * @module
 */
import type { Hierarchy } from "../../core/analysis/hierarchy.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import type { TranscoderName } from "../../core/runs/ids.ts";
import { counted, integer, percent, significant } from "../format.ts";
import { figureTitle, groupColor, groupName, type Spec } from "./theme.ts";

/** Families, children of each, and children of a child that are drawn. */
const FAMILIES = 8, CHILDREN = 5, GRANDCHILDREN = 2;

/** Height of a row, and rows between two families. */
const ROW = 19, GAP = 0.7;

/** Where the columns stand, and the width that a label behind one needs. */
const COLUMNS = [250, 410, 740], LABEL_WIDTH = 240;

/** Characters of a label at most, and the width of one. */
const LABEL = 38, LETTER = 6;

/** A feature in the tree. */
interface Node {
  readonly feature: number;
  readonly depth: number;
  /** Its row; that of a parent is the middle of its children's. */
  readonly row: number;
  readonly label: string;
}

/** An edge from a parent to a child. */
interface Branch {
  readonly from: Node;
  readonly to: Node;
  readonly lift: number;
}

function layout({ parents, families }: Hierarchy, label: (feature: number) => string, children: Children) {
  const nodes: Node[] = [], branches: Branch[] = [], notes: { x: number; row: number; text: string }[] = [];
  let next = 0;
  const grow = (feature: number, depth: number): Node => {
    const below = children(feature, depth).map((child) => grow(child, depth + 1));
    const row = below.length > 0 ? (below[0].row + below[below.length - 1].row) / 2 : next++;
    const node = { feature, depth, row, label: label(feature) };
    nodes.push(node);
    for (const to of below) branches.push({ from: node, to, lift: parents[to.feature]!.lift });
    return node;
  };
  for (const { parent, children: all } of families.slice(0, FAMILIES)) {
    const { row } = grow(parent, 0), drawn = children(parent, 0).length;
    if (all.length > drawn) {
      notes.push({
        x: COLUMNS[0],
        row: row + 0.85,
        text: `${integer(drawn)} of ${counted(all.length, "child", "children")}`,
      });
    }
    next += GAP;
  }
  return { nodes, branches, notes, rows: Math.max(1, next - GAP) };
}

/** The children of a feature that are drawn, the strongest first. */
type Children = (feature: number, depth: number) => readonly number[];

function childrenOf({ parents, families }: Hierarchy): Children {
  const drawn = new Set(families.slice(0, FAMILIES).map(({ parent }) => parent));
  const all = Map.groupBy(parents.filter((one) => one !== null), ({ parent }) => parent);
  return (feature, depth) =>
    // A family that is drawn by itself is not drawn within another too.
    depth > 0 && drawn.has(feature) ? [] : (all.get(feature) ?? [])
      .toSorted((a, b) => b.excess - a.excess || a.child - b.child)
      .slice(0, [CHILDREN, GRANDCHILDREN, 0][depth]).map(({ child }) => child);
}

function shorten(text: string): string {
  const characters = [...text];
  return characters.length <= LABEL ? text : `${characters.slice(0, LABEL - 1).join("")}…`;
}

/** The tree; `name` says what a feature fires on. */
export function hierarchyFigure(
  { title }: TranscoderName,
  config: TranscoderConfig,
  found: Hierarchy,
  name: (feature: number) => string,
): Spec {
  const groupOf = config.groups.flatMap((size, group) => new Array<number>(size).fill(group));
  const label = (feature: number) => shorten(`${feature}: ${name(feature)}`);
  const { nodes, branches, notes, rows } = layout(found, label, childrenOf(found)), { judged, share } = found.nested;
  const width = COLUMNS[nodes.reduce((most, { depth }) => Math.max(most, depth), 1)] + LABEL_WIDTH;
  const axes = {
    x: { field: "x", type: "quantitative", scale: { domain: [0, width], nice: false }, axis: null },
    y: { field: "row", type: "quantitative", scale: { domain: [-1, rows], nice: false, reverse: true }, axis: null },
  };
  const curves = branches.flatMap(({ from, to, lift }, edge) => {
    // It leaves and arrives level, behind whatever is written at its parent.
    const left = COLUMNS[from.depth] + 6 + (from.depth > 0 ? 8 + LETTER * from.label.length : 0);
    const right = COLUMNS[to.depth] - 5, middle = (left + right) / 2;
    const steps = [[left, from.row], [middle, from.row], [middle, to.row], [right, to.row]];
    return steps.map(([x, row], step) => ({ edge, step, x, row, lift }));
  });
  const lifts = branches.map(({ to, lift }) => {
    return { x: COLUMNS[to.depth] - 12, row: to.row, text: `${significant(lift, 2)}×` };
  });
  const points = nodes.map(({ feature, depth, ...node }) => {
    return { ...node, depth, x: COLUMNS[depth], group: groupName(groupOf[feature]) };
  });
  const text = (values: readonly object[], field: string, mark: Spec): Spec => ({
    data: { values },
    mark: { type: "text", baseline: "middle", fontSize: 10.5, color: "#222222", ...mark },
    encoding: { ...axes, text: { field } },
  });
  const small = { align: "right", fontSize: 8.5, color: "#5f6368" };
  return {
    ...{ width, height: (rows + 1) * ROW },
    title: figureTitle(
      `${title}: the largest families`,
      `${percent(share)} of ${
        counted(judged, "feature")
      } of later groups have a parent, 1 % by chance; edges: how many times likelier it fires where the child does`,
    ),
    layer: [
      {
        data: { values: curves },
        mark: { type: "line", interpolate: "basis", color: "#b8bcc2" },
        encoding: {
          ...axes,
          detail: { field: "edge" },
          order: { field: "step" },
          strokeWidth: {
            field: "lift",
            type: "quantitative",
            scale: { type: "log", domain: [1, 64], range: [0.6, 5], clamp: true },
            legend: null,
          },
        },
      },
      text(lifts, "text", { ...small, stroke: "white", strokeWidth: 4, strokeJoin: "round" }),
      text(lifts, "text", small),
      {
        data: { values: points },
        mark: { type: "point", filled: true, size: 55, opacity: 1 },
        encoding: { ...axes, color: { ...groupColor(config, "right"), legend: { orient: "top", offset: 4 } } },
      },
      text(notes, "text", { ...small, dx: -9 }),
      text(points.filter(({ depth }) => depth === 0), "label", { align: "right", dx: -9 }),
      text(points.filter(({ depth }) => depth > 0), "label", { align: "left", dx: 9 }),
    ],
  };
}
