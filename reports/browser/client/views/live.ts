/// <reference lib="dom" />
/**
 * How training goes: curves of one run or of several over each other, drawn further as rows are logged.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { decimal, duration, integer, significant } from "../../../format.ts";
import type { ServedMetrics, ServedRuns, ServedTranscoder } from "../../served.ts";
import { again, get } from "../api.ts";
import { addressOf, type App, type Page, type Place, type View } from "../app.ts";
import { type Chart, type Curve, openChart } from "../chart.ts";
import { COLOURS, meter } from "../parts.ts";
import { nameIn, stateBadge, titleOf } from "./runs.ts";

/** How often rows are asked for while a run trains, and while it does not; and how often it is looked for other runs. In milliseconds. */
const TRAINING_MS = 1000, RESTING_MS = 5000, RUNS_MS = 5000;
/** Points of a curve beyond which it is asked for anew, thinned. */
const MOST_POINTS = 10_000;

/** What a chart shows. */
interface ChartKind {
  readonly id: string;
  readonly title: string;
  /** Its columns in metrics.csv, the one drawn whole last. */
  readonly columns: (all: readonly string[]) => readonly string[];
  readonly canBeLogarithmic: boolean;
  readonly written: (value: number) => string;
}

const alone = (name: string) => (all: readonly string[]) => all.filter((one) => one === name);

const CHARTS: readonly ChartKind[] = [
  {
    ...{ id: "loss", title: "Loss", columns: alone("loss"), canBeLogarithmic: true },
    written: (value) => significant(value, 4),
  },
  {
    ...{ id: "fvu", title: "FVU of each prefix, on the training batch", canBeLogarithmic: true },
    columns: (all) => all.filter((name) => name.startsWith("fvu_prefix_")),
    written: (value) => decimal(value, 4),
  },
  {
    ...{ id: "l0", title: "L0: active features per token", columns: alone("l0"), canBeLogarithmic: false },
    written: (value) => decimal(value, 1),
  },
  {
    ...{ id: "dead", title: "Dead features", columns: alone("dead_features"), canBeLogarithmic: false },
    written: integer,
  },
  {
    ...{ id: "rate", title: "Learning rate", columns: alone("learning_rate"), canBeLogarithmic: false },
    written: (value) => significant(value, 3),
  },
  {
    ...{
      id: "speed",
      title: "Speed: training tokens per second",
      columns: alone("tokens_per_s"),
      canBeLogarithmic: false,
    },
    written: integer,
  },
];

/** What is known of a transcoder's curves. */
interface Logged {
  metrics: ServedMetrics | null;
  problem: string;
  /** When it was asked for last, of `performance.now()`. */
  asked: number;
}

type Range = readonly [from: number, to: number] | null;

/** Dashes of a prefix, of so many: the whole dictionary has none. */
function dashOf(at: number, of: number): readonly number[] {
  const behind = of - 1 - at;
  return behind === 0 ? [] : behind === 1 ? [7, 3] : [2, 2 + behind];
}

/** A curve's name where it is one of a transcoder's several. */
function prefixName(column: string): string {
  return `first ${integer(Number(column.replace("fvu_prefix_", "")))}`;
}

/** Rows that were logged behind those known. */
function joined(known: ServedMetrics | null, more: ServedMetrics): ServedMetrics {
  if (known === null || known.generation !== more.generation) return more;
  const columns = Object.fromEntries(
    Object.entries(known.columns).map(([name, values]) => [name, values.concat(more.columns[name] ?? [])]),
  );
  return { ...more, columns, isThinned: known.isThinned || more.isThinned };
}

/** What a transcoder is called beside others, of other runs perhaps. */
function titleAmong(one: ServedTranscoder, members: readonly ServedTranscoder[]): string {
  const isAlone = members.every(({ run }) => run === one.run);
  return isAlone ? titleOf(one) : `${titleOf(one)}, ${nameIn(one.run)}`;
}

/** The last value of a column that is one. */
function lastOf(metrics: ServedMetrics | null, column: string): number | null {
  return metrics?.columns[column]?.findLast((value) => value !== null) ?? null;
}

/** The value of a column at the last step up to one. */
function valueAt({ columns }: ServedMetrics, column: string, step: number): number | null {
  const at = columns.step.findLastIndex((one) => one !== null && one <= step);
  return at < 0 ? null : columns[column]?.[at] ?? null;
}

/** Which transcoders are shown where the address names none: those that train, else those of the run begun last. */
function chosenByThemselves(all: readonly ServedTranscoder[]): string[] {
  const shown = all.filter(({ settings }) => settings !== null),
    training = shown.filter(({ state }) => state === "training");
  if (training.length > 0) return training.slice(0, COLOURS).map(({ key }) => key);
  const newest = shown.toSorted((a, b) => b.settings!.created.localeCompare(a.settings!.created))[0];
  return shown.filter(({ run }) => run === newest?.run).slice(0, COLOURS).map(({ key }) => key);
}

/** `#live`, `#live/layer2,layer4`. */
export const live: View = async ({ path: [, given = ""] }: Place, app: App): Promise<Page> => {
  let runs = await get<ServedRuns>("runs"), step: number | null = null, range: Range = null;
  let isLogarithmic = true, isDue = false;
  const named = given === "" ? null : given.split(",").slice(0, COLOURS), logged = new Map<string, Logged>();
  const charts = new Map<string, Chart>(), stops: (() => void)[] = [];
  const shown = () => {
    const keys = named ?? chosenByThemselves(runs.transcoders);
    return runs.transcoders.filter(({ key, settings }) => keys.includes(key) && settings !== null);
  };
  const ask = async (key: string) => {
    const known = logged.get(key) ?? { metrics: null, problem: "", asked: -Infinity }, now = performance.now();
    const isTraining = known.metrics === null || known.metrics.progress.state === "training";
    if (now - known.asked < (isTraining ? TRAINING_MS : RESTING_MS) - 50) return;
    logged.set(key, known);
    known.asked = now;
    const { metrics } = known, wanted = range;
    const hasRoom = metrics !== null && (metrics.columns.step?.length ?? 0) < MOST_POINTS;
    const query: Record<string, string | number> = wanted !== null
      ? { transcoder: key, from: Math.max(0, wanted[0]), to: Math.max(0, wanted[1]) }
      : { transcoder: key, generation: hasRoom ? metrics.generation : 0, rows: hasRoom ? metrics.rows : 0 };
    try {
      const more = await get<ServedMetrics>("metrics", query);
      if (wanted !== range) return;
      known.metrics = wanted === null && hasRoom ? joined(metrics, more) : more;
      known.problem = "";
    } catch (error) {
      known.problem = (error as Error).message;
    }
  };
  const draw = () => {
    for (const kind of CHARTS) {
      charts.get(kind.id)?.draw(curvesOf(kind, shown(), logged), kind.canBeLogarithmic && isLogarithmic);
    }
    app.update();
  };
  const look = async () => {
    await Promise.all(shown().map(({ key }) => ask(key)));
    draw();
  };
  const events = {
    onStep(at: number | null) {
      step = at;
      if (isDue) return;
      isDue = true;
      requestAnimationFrame(() => {
        isDue = false;
        app.update();
      });
    },
    onZoom(wanted: Range) {
      range = wanted;
      for (const known of logged.values()) Object.assign(known, { metrics: null, asked: -Infinity });
      look();
    },
  };
  await Promise.all(shown().map(({ key }) => ask(key)));
  return {
    title: "Curves",
    shown() {
      for (const { id } of CHARTS) charts.set(id, openChart(document.getElementById(`chart-${id}`)!, events));
      stops.push(again(TRAINING_MS, look));
      stops.push(again(RUNS_MS, async () => void (runs = await get<ServedRuns>("runs").catch(() => runs))));
    },
    left() {
      stops.forEach((stop) => stop());
      charts.forEach((chart) => chart.close());
    },
    draw: () => {
      const members = shown(), thinned = members.some(({ key }) => logged.get(key)?.metrics?.isThinned);
      return html`
        <h1 tabindex="-1">Curves</h1>
        ${chooser(runs.transcoders, members, (keys) => app.go(addressOf(["live", keys.join(",")])))}
        ${members.length === 0
          ? html`<p>No run has begun yet; one that <code>mtc train</code> begins shows up by itself.</p>`
          : standings(members, logged)}
        <p class="chart-options">
          <label><input type="checkbox" .checked=${isLogarithmic} @change=${(event: Event) => {
            isLogarithmic = (event.target as HTMLInputElement).checked;
            draw();
          }}> Loss and FVU on a logarithmic scale</label>
          ${range === null
            ? html`<span class="muted">Drag over a chart for some steps alone.</span>`
            : html`<button @click=${() => events.onZoom(null)}>All steps</button>`}
          ${thinned
            ? html`<span class="muted">Many steps: of each stretch the first, the lowest and the highest loss are drawn.</span>`
            : nothing}
        </p>
        <div class="charts">${CHARTS.map((kind) => chartFigure(kind, members, logged, step))}</div>
      `;
    },
  };
};

function curvesOf(
  { columns }: ChartKind,
  members: readonly ServedTranscoder[],
  logged: ReadonlyMap<string, Logged>,
): Curve[] {
  return members.flatMap(({ key }, member) => {
    const metrics = logged.get(key)?.metrics;
    if (!metrics?.columns.step) return [];
    const names = columns(Object.keys(metrics.columns)), x = metrics.columns.step.map((one) => one!);
    return names.map((name, at): Curve => ({
      colour: members.length > 1 ? member : at,
      dash: members.length > 1 ? dashOf(at, names.length) : [],
      ...{ x, y: metrics.columns[name] },
    }));
  });
}

/** A line as the curve has it. */
function swatch(colour: number, dash: readonly number[]): TemplateResult {
  return html`
    <svg class="swatch k${colour % COLOURS}" viewBox="0 0 22 8" aria-hidden="true">
      <line x1="0" x2="22" y1="4" y2="4" stroke-dasharray=${dash.length === 0 ? "none" : dash.join(" ")}></line>
    </svg>
  `;
}

function chartFigure(
  { id, title, columns, written }: ChartKind,
  members: readonly ServedTranscoder[],
  logged: ReadonlyMap<string, Logged>,
  step: number | null,
): TemplateResult {
  const entries = members.flatMap((one, member) => {
    const metrics = logged.get(one.key)?.metrics;
    const names = metrics ? columns(Object.keys(metrics.columns)) : [];
    return names.map((name, at) => {
      const value = step === null ? lastOf(metrics!, name) : valueAt(metrics!, name, step);
      const words = [members.length > 1 ? titleAmong(one, members) : "", names.length > 1 ? prefixName(name) : ""]
        .filter((word) => word !== "");
      return {
        text: words.join(", "),
        value: value === null ? "–" : written(value),
        line: swatch(members.length > 1 ? member : at, members.length > 1 ? dashOf(at, names.length) : []),
      };
    });
  });
  const label = `${title}; last values: ${entries.map(({ text, value }) => `${text} ${value}`.trim()).join(", ")}`;
  return html`
    <figure class="chart">
      <figcaption><strong>${title}</strong> ${step === null ? nothing : html`<small>step ${integer(step)}</small>`}
          <span class="legend">${entries.map(({ text, value, line }) =>
            html`<span>${line} ${text} <b>${value}</b></span>`
          )}</span>
        </figcaption>
      <div class="plot" id=${`chart-${id}`} role="img" aria-label=${label}></div>
    </figure>
  `;
}

/** How far each one is, in a line. */
function standings(members: readonly ServedTranscoder[], logged: ReadonlyMap<string, Logged>): TemplateResult {
  const row = (one: ServedTranscoder) => {
    const { metrics = null, problem = "" } = logged.get(one.key) ?? {}, progress = metrics?.progress;
    const now = progress
      ? { ...one, state: progress.state, verdict: progress.state === "finished" ? one.verdict : null }
      : one;
    const speed = lastOf(metrics, "tokens_per_s"), steps = progress?.steps ?? 0, at = progress?.step ?? 0;
    return html`
      <tr>
        <th scope="row">${titleAmong(one, members)}</th>
        <td>${stateBadge(now)}</td>
        <td class="number">${integer(at)} of ${integer(steps)}</td>
        <td class="drawn">${meter(at, steps)}</td>
        <td class="number">${speed === null ? "–" : integer(speed)}</td>
        <td class="number">${leftOf(progress)}</td>
        <td class="muted">${problem === "" ? progress?.detail ?? "" : problem}</td>
      </tr>
    `;
  };
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="How far they are">
      <table class="standings">
        <thead>
          <tr>
            <th scope="col">Transcoder</th>
            <th scope="col">State</th>
            <th scope="col" class="number">Step</th>
            <th scope="col"><span class="unseen">Share of the steps</span></th>
            <th scope="col" class="number">Tokens/s</th>
            <th scope="col" class="number">Time left</th>
            <th scope="col"><span class="unseen">Remark</span></th>
          </tr>
        </thead>
        <tbody>${members.map(row)}</tbody>
      </table>
    </div>
  `;
}

function leftOf(progress: ServedMetrics["progress"] | undefined): string {
  if (progress?.state !== "training") return "–";
  if (progress.step >= progress.steps && progress.steps > 0) return "sampling, evaluating";
  return progress.secondsLeft === null ? "–" : duration(progress.secondsLeft);
}

function chooser(
  all: readonly ServedTranscoder[],
  shown: readonly ServedTranscoder[],
  choose: (keys: readonly string[]) => void,
): TemplateResult | typeof nothing {
  const known = all.filter(({ settings }) => settings !== null);
  if (known.length < 2) return nothing;
  const keys = shown.map(({ key }) => key);
  const change = (key: string) => ({ target }: Event) =>
    choose((target as HTMLInputElement).checked ? [...keys, key] : keys.filter((one) => one !== key));
  const isFull = keys.length >= COLOURS, families = [...Map.groupBy(known, ({ run }) => run)];
  return html`<details class="chooser">
    <summary>${shown.length} of ${known.length} transcoders</summary>
    ${
    families.map(([run, members]) =>
      html`<fieldset><legend>${run}</legend>${
        members.map((one) =>
          html`<label class="check"><input type="checkbox" .checked=${keys.includes(one.key)}
        ?disabled=${isFull && !keys.includes(one.key)} @change=${change(one.key)}> ${titleOf(one)} ${
            stateBadge(one)
          }</label>`
        )
      }</fieldset>`
    )
  }
  </details>`;
}
