/// <reference lib="dom" />
/**
 * All runs that the server was given, with how far they are and what became of them.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { decimal, integer } from "../../../format.ts";
import type { ServedRuns, ServedTranscoder } from "../../served.ts";
import { again, get } from "../api.ts";
import { addressOf, type App, type View } from "../app.ts";
import { inText, share } from "../parts.ts";

/** How often the runs are looked at again, in milliseconds. */
const EVERY_MS = 3000;

/** What a state is called, and the class of its colour. */
const STATES: Readonly<Record<string, readonly [text: string, tone: string]>> = {
  training: ["training", "now"],
  unfinished: ["unfinished", "doubtful"],
  broken: ["broken", "bad"],
  finished: ["finished", "plain"],
  good: ["good", "good"],
  doubtful: ["usable", "doubtful"],
  bad: ["bad", "bad"],
};

/**
 * The badge of how far a transcoder is, and what became of it.
 *
 * @param transcoder The transcoder.
 * @returns A word in a colour.
 */
export function stateBadge({ state, verdict }: ServedTranscoder): TemplateResult {
  const [text, tone] = STATES[verdict?.level ?? state];
  return html`<span class="state ${tone}">${text}</span>`;
}

/**
 * The last part of a path.
 *
 * @param path A directory of the server's.
 * @returns Its name.
 */
export function nameIn(path: string): string {
  return path.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1) ?? path;
}

/**
 * What a transcoder is called among those of its run.
 *
 * @param transcoder The transcoder.
 * @returns Its title; the directory's name where config.json cannot be read.
 */
export function titleOf({ settings, path }: ServedTranscoder): string {
  return settings?.title ?? nameIn(path);
}

function links({ key, state, settings, report, verdict }: ServedTranscoder): TemplateResult {
  const isWhole = state === "finished" && verdict !== null;
  return html`
    ${isWhole ? html`<a href=${addressOf([key])}>Features</a>` : nothing}
    ${settings === null ? nothing : html`<a href=${addressOf(["live", key])}>Curves</a>`}
    ${isWhole ? html`<a href=${addressOf(["text", key])}>Text</a>` : nothing}
    ${report === null ? nothing : html`<a href=${addressOf(["reports", report.report, report.file])}>Report</a>`}
  `;
}

function row(transcoder: ServedTranscoder): TemplateResult {
  const { settings, verdict, detail } = transcoder, title = titleOf(transcoder);
  const number = (value: number | null | undefined, digits: number) =>
    typeof value === "number" ? decimal(value, digits) : "–";
  const features = settings && integer(settings.groups.reduce((sum, size) => sum + size, 0));
  return html`
    <tr>
      <th scope="row">
        <strong>${title}</strong>
        ${settings && html`<small>${settings.mapping}; ${features} features, k ${settings.k}</small>`}
      </th>
      <td>${stateBadge(transcoder)}</td>
      <td class="number" data-label="FVU">${number(verdict?.fvu, 3)}</td>
      <td class="number" data-label="linear map">${number(verdict?.linearMapFvu, 3)}</td>
      <td class="number" data-label="L0">${number(verdict?.l0, 1)}</td>
      <td class="number" data-label="dead">${verdict ? integer(verdict.deadFeatures) : "–"}</td>
      <td class="number" data-label="loss recovered">${share(verdict?.lossRecovered)}</td>
      <td class="links">${links(transcoder)}</td>
    </tr>
    <tr class="told-row">
      <td colspan="8">${verdict?.sentence ?? detail}</td>
    </tr>
  `;
}

function runCard(run: string, members: readonly ServedTranscoder[]): TemplateResult {
  const begun = members.find(({ settings }) => settings !== null)?.settings;
  const curves = members.filter(({ settings }) => settings !== null).map(({ key }) => key);
  return html`
    <section class="card run">
      <h2>${inText(nameIn(run))}</h2>
      <p class="muted"><code>${inText(run)}</code>${begun
        ? html`; ${begun.model}, begun ${begun.created.slice(0, 16).replace("T", " ")} UTC`
        : nothing}</p>
      <div class="scroll" tabindex="0" role="region" aria-label=${`Transcoders of ${inText(nameIn(run))}`}>
        <table class="runs">
          <thead><tr>
            <th scope="col">Transcoder</th><th scope="col">State</th><th scope="col" class="number">FVU</th>
            <th scope="col" class="number">Linear map</th><th scope="col" class="number">L0</th>
            <th scope="col" class="number">Dead</th><th scope="col" class="number">Loss recovered</th>
            <th scope="col">Look at</th>
          </tr></thead>
          <tbody>${members.map(row)}</tbody>
        </table>
      </div>
      ${curves.length < 2
        ? nothing
        : html`<p class="links"><a href=${addressOf(["live", curves.join(",")])}>Curves over each other</a></p>`}
    </section>
  `;
}

function reportsOf({ reports }: ServedRuns): TemplateResult | typeof nothing {
  if (reports.length === 0) return nothing;
  return html`
    <h2>Reports</h2>
    <ul class="lines">${reports.map(({ key, path, pages, problem }) =>
      html`<li>${
        pages.length === 0
          ? html`<span class="muted">${problem}</span>`
          : html`<a href=${addressOf(["reports", key])}>${inText(path)}</a>, ${pages.length} pages`
      }</li>`
    )}</ul>
  `;
}

/** `#runs`, and `#` where there is a server. */
export const runs: View = async (_, app: App) => {
  let found = await get<ServedRuns>("runs"), problem = "", stop = () => {};
  const look = async () => {
    const before = JSON.stringify([found, problem]);
    try {
      [found, problem] = [await get<ServedRuns>("runs"), ""];
    } catch (error) {
      problem = (error as Error).message;
    }
    if (JSON.stringify([found, problem]) !== before) app.update();
  };
  const families = () => [...Map.groupBy(found.transcoders, ({ run }) => run)];
  return {
    title: "Runs",
    shown: () => stop = again(EVERY_MS, look),
    left: () => stop(),
    draw: () =>
      html`
        <h1 tabindex="-1">Runs</h1>
        ${problem === "" ? nothing : html`<p class="missing" role="status">${problem}</p>`}
        ${found.problems.map((text) => html`<p class="missing">${text}</p>`)}
        ${found.transcoders.length === 0
          ? html`<p>There is no run here yet. One that <code>mtc train</code> begins shows up by itself.</p>`
          : families().map(([run, members]) => runCard(run, members))}
        ${reportsOf(found)}
      `,
  };
};
