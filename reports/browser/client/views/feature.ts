/// <reference lib="dom" />
/**
 * One feature: what it fires on, reads, writes and does, and which others it stands with.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { integer } from "../../../format.ts";
import {
  type FeatureDetail,
  FEATURES_PER_PART,
  type FeatureTable,
  type MatchPart,
  type Near,
  type TokenStream,
  type TranscoderEntry,
  type TranscoderHead,
  type Valued,
} from "../../data.ts";
import { addressOf, type App, entryOf, headOf, type Page, tableOf, type View } from "../app.ts";
import { bar, featureLine, figure, groupBadge, histogram, label, meter, nameOf, share, token } from "../parts.ts";
import { besideInList } from "./explorer.ts";
import { missingList } from "./home.ts";
import { exampleList, type ExampleState, startExamples } from "./examples.ts";

/** What a feature's page is drawn from. */
interface Shown {
  readonly key: string;
  readonly entry: TranscoderEntry;
  readonly table: FeatureTable;
  readonly detail: FeatureDetail;
  readonly tokens: TokenStream | null;
  readonly matches: readonly OtherFeature[];
  readonly examples: ExampleState;
  readonly app: App;
}

/** The feature of another transcoder that one is matched with. */
interface OtherFeature {
  readonly head: TranscoderHead;
  readonly table: FeatureTable;
  readonly feature: number;
  readonly correlation: number;
}

/** `#layer17/1103`. */
export const feature: View = async ({ path: [key, given] }, app): Promise<Page> => {
  const entry = await entryOf(app, key),
    table = await tableOf(app, key),
    number = Number(given),
    { length } = table.group;
  if (!/^\d+$/.test(given) || number >= length) {
    throw new Error(`${entry.title} has no feature ${given}: they are numbered from 0 to ${length - 1}.`);
  }
  const details = await app.source.part<FeatureDetail[]>(`${key}/features/${Math.floor(number / FEATURES_PER_PART)}`);
  const detail = details.find((one) => one.feature === number) ?? null;
  const { before, after, up } = besideInList(key, number, length),
    to = (other: number | null) => () => {
      if (other !== null) app.go(addressOf([key, other]));
    };
  const keys = {
    ...{ n: to(after), ArrowRight: to(after), p: to(before), ArrowLeft: to(before), u: () => app.go(up) },
  };
  const top = () =>
    html`
      <nav class="beside" aria-label="Features next to this one">
        <a href=${up}>Up to the list</a>
        ${before === null ? nothing : html`<a rel="prev" href=${addressOf([key, before])}>← ${before}</a>`}
        ${after === null ? nothing : html`<a rel="next" href=${addressOf([key, after])}>${after} →</a>`}
      </nav>
      <h1 tabindex="-1"><small>${entry.title}</small> Feature ${number} ${groupBadge(table.group[number])}</h1>
      <p class="known">${label(table, number)}</p>
      ${app.source.isServed
        ? html`<p><a href=${
          addressOf(["text", key], { feature: String(number) })
        }>Switch it off in a text of your own</a></p>`
        : nothing}
    `;
  const page = { title: `${entry.title}, feature ${number}: ${nameOf(table, number)}`, key };
  if (detail === null) {
    return {
      ...page,
      keys,
      draw: () =>
        html`${top()}<p class="missing">This file holds no more of this feature: it was left out so that the file stays
        small. <code>mtc browse</code> with the run shows all of it.</p>${rowFigures(table, number)}`,
    };
  }
  const tokens = entry.has.tokens ? await app.source.part<TokenStream>(`${key}/tokens`) : null;
  const matches = await matchesOf(app, key, number);
  const examples = startExamples(entry, table, detail, tokens, app.source.isServed, () => app.update());
  const shown: Shown = { key, entry, table, detail, tokens, matches, examples, app };
  return {
    ...page,
    keys: { ...keys, "[": () => examples.step(-1), "]": () => examples.step(1) },
    left: examples.close,
    draw: () =>
      html`
        ${top()}
        <div class="columns">
          <div class="main">${exampleList(examples)} ${family(shown)} ${neighbours(shown)}</div>
          <div class="side">
            ${firing(shown)} ${words(shown)} ${removed(shown)} ${parts(shown)} ${effect(shown)}
            ${elsewhere(shown)} ${figures(shown)} ${missingList(entry)}
          </div>
        </div>
      `,
  };
};

async function matchesOf(app: App, key: string, feature: number): Promise<OtherFeature[]> {
  const found: OtherFeature[] = [];
  for (const [a, b] of app.index.pairs) {
    if (a !== key && b !== key) continue;
    const { mutual } = await app.source.part<MatchPart>(`match/${a}/${b}`), own = a === key ? 0 : 1;
    const pair = mutual.find((one) => one[own] === feature);
    if (pair === undefined) continue;
    const other = a === key ? b : a;
    found.push({
      head: headOf(app, other),
      table: await tableOf(app, other),
      ...{ feature: pair[1 - own], correlation: pair[2] },
    });
  }
  return found;
}

function section(title: string, content: unknown): TemplateResult {
  return html`<section><h2>${title}</h2>${content}</section>`;
}

function firing(
  { detail: { histogram: counts, position, tokens }, table, detail }: Shown,
): TemplateResult | typeof nothing {
  if (counts.length === 0) return nothing;
  const most = Math.max(...tokens.map(([, count]) => count));
  return section(
    "Firing",
    html`
      ${histogram(counts, {
        from: "0",
        to: figure(table.strength[detail.feature]),
        what: "Activations where it fires",
      })}
      ${tokens.length === 0 ? nothing : html`
        <table class="plain tight">
          <caption>Commonest tokens</caption>
          <tbody>${tokens.map(([text, count]) =>
            html`
              <tr>
                <th scope="row">${token(text)}</th>
                <td class="number">${integer(count)}</td>
                <td class="drawn">${meter(count, most)}</td>
              </tr>
            `
          )}</tbody>
        </table>
      `}
      ${position.length === 0 ? nothing : histogram(position.map((one) => Math.round(100 * one) / 100), {
        ...{ from: "beginning of a context", to: "end" },
        what: "How likely it fires in each eighth of a context, 1 by chance",
      })}
    `,
  );
}

function valued(title: string, values: readonly Valued[]): TemplateResult {
  const most = Math.max(...values.map(([, value]) => Math.abs(value)));
  return html`
    <table class="plain tight">
      <caption>${title}</caption>
      <tbody>${values.map(([text, value]) =>
        html`
          <tr>
            <th scope="row">${token(text)}</th>
            <td class="number">${figure(value)}</td>
            <td class="drawn">${meter(Math.abs(value), most)}</td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}

function words(
  { detail: { words }, entry: { components, directory }, table }: Shown,
): TemplateResult | typeof nothing {
  if (words === null) {
    const command = `mtc analyze attribution --run ${directory} --top ${table.group.length}`;
    return components.length === 0 ? nothing : section(
      "Reads and writes",
      html`<p class="muted">Not measured of this feature; <code>${command}</code> does it, of all.</p>`,
    );
  }
  const { reads, raised, lowered, logits, chance } = words;
  return section(
    "Reads and writes",
    html`
      <div class="pair">
            ${valued("Reads (cosine with the embedding)", reads)}
            ${raised.length === 0 ? nothing : valued("Raises the logits of", raised)}
            ${lowered.length === 0 ? nothing : valued("Lowers the logits of", lowered)}
          </div>
      ${logits === null ? nothing : histogram(logits.counts, {
        ...{ from: figure(logits.from), to: figure(logits.to) },
        what: "Logits that it moves by so much for each unit of activation",
      })}
      <p class="muted">By chance, numbers in random order: ${figure(chance.reads)} read, ${figure(
        chance.writes,
      )} raised.</p>
    `,
  );
}

function nearList({ key, table }: Shown, title: string, near: readonly Near[]): TemplateResult {
  if (near.length === 0) return html`<p class="muted">${title}: none</p>`;
  return html`
    <table class="plain tight">
      <caption>${title}</caption>
      <tbody>${near.map(([other, value]) =>
        html`
          <tr>
            <th scope="row">${featureLine(key, table, other)}</th>
            <td class="number">${figure(value, 2)}</td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}

function neighbours(shown: Shown): TemplateResult | typeof nothing {
  const { cosine, correlation, jaccard } = shown.detail.near;
  if (cosine.length + correlation.length + jaccard.length === 0) return nothing;
  return section(
    "Neighbours",
    html`<div class="lists">
      ${nearList(shown, "Write alike (cosine)", cosine)}
      ${shown.tokens === null ? nothing : nearList(shown, "Fire alike (correlation)", correlation)}
      ${shown.tokens === null ? nothing : nearList(shown, "Fire on the same tokens (Jaccard)", jaccard)}
    </div>`,
  );
}

function family(shown: Shown): TemplateResult | typeof nothing {
  const { key, table, detail: { feature, parent, children } } = shown;
  if (table.tree === null) return nothing;
  const ancestors: number[] = [];
  for (let at = table.parent[feature]; at >= 0; at = table.parent[at]) ancestors.unshift(at);
  return section(
    "Family",
    html`
      ${parent === null ? html`<p class="muted">No parent beyond chance.</p>` : html`
        <ol class="ancestors">${ancestors.map((one) => html`<li>${featureLine(key, table, one)}</li>`)}
                  <li aria-current="true">${groupBadge(table.group[feature])} feature ${feature}</li></ol>
        <p>Where it fires, its parent ${parent.feature} fires ${share(parent.containment)} of the time: ${figure(
          parent.lift,
        )} times as often as anywhere. They write with a cosine of ${figure(parent.cosine, 2)}.</p>
      `}
      ${children.length === 0 ? nothing : nearList(shown, "Children (lift)", children)}
    `,
  );
}

function removed({ entry: { groups }, detail: { removed } }: Shown): TemplateResult | typeof nothing {
  if (removed.length === 0) return nothing;
  const most = Math.max(...removed.map(Math.abs));
  let end = 0;
  return section(
    "Error removed",
    html`
      <table class="plain tight">
        <caption>FVU would rise without it by</caption>
        <tbody>${groups.map((size, p) => {
          end += size;
          return html`
            <tr>
              <th scope="row">first ${integer(end)}</th>
              <td class="number">${removed[p] === 0 ? "not in it" : share(removed[p])}</td>
              <td class="drawn">${bar(removed[p], most)}</td>
            </tr>
          `;
        })}</tbody>
      </table>
    `,
  );
}

function parts({ entry: { components }, detail: { parts } }: Shown): TemplateResult | typeof nothing {
  if (parts.length === 0) return nothing;
  const most = Math.max(...parts.map(Math.abs));
  return section(
    "Where it comes from",
    html`
      <table class="plain tight">
        <caption>Pre-activation where it fires, above its typical one, by what adds to it</caption>
        <tbody>${components.map((name, k) =>
          html`
            <tr>
              <th scope="row">${name}</th>
              <td class="number">${figure(parts[k])}</td>
              <td class="drawn">${bar(parts[k], most)}</td>
            </tr>
          `
        )}</tbody>
      </table>
    `,
  );
}

function effect({ detail: { effect, feature }, entry: { directory } }: Shown): TemplateResult {
  if (effect === null) {
    const command = `mtc ablate --run ${directory} --features ${feature}`;
    return section("Without it", html`<p class="muted">Not measured; <code>${command}</code> does it.</p>`);
  }
  const { ce_rise, ce_rise_ci95: [low, high], ce_rise_per_fire, kl } = effect;
  return section(
    "Without it",
    html`
      <dl class="told">
        <div>
          <dt>Loss rises by</dt>
          <dd>${figure(ce_rise)} nats (95 %: ${figure(low)} to ${figure(high)})</dd>
        </div>
        <div>
          <dt>For each firing</dt>
          <dd>${figure(ce_rise_per_fire)} nats</dd>
        </div>
        <div>
          <dt>KL</dt>
          <dd>${figure(kl)} nats</dd>
        </div>
      </dl>
    `,
  );
}

function elsewhere({ app, key, matches }: Shown): TemplateResult | typeof nothing {
  const isMatched = app.index.pairs.some((pair) => pair.includes(key));
  if (!isMatched) return nothing;
  return section(
    "Elsewhere",
    matches.length === 0
      ? html`<p class="muted">No other transcoder has it as its best match.</p>`
      : html`<ul class="lines">${
        matches.map(({ head: { key, title }, table, feature, correlation }) =>
          html`<li>${title}: ${featureLine(key, table, feature)} <span class="muted">r ${
            figure(correlation, 2)
          }</span></li>`
        )
      }</ul>`,
  );
}

function figures({ detail: { figures } }: Shown): TemplateResult {
  return section(
    "Figures",
    html`<dl class="told">${
      figures.map(([term, text]) =>
        html`
          <div>
            <dt>${term}</dt>
            <dd>${text}</dd>
          </div>
        `
      )
    }</dl>`,
  );
}

function rowFigures(table: FeatureTable, feature: number): TemplateResult {
  return html`
    <dl class="told">
      <div>
        <dt>Density</dt>
        <dd>${share(table.density[feature])}</dd>
      </div>
      <div>
        <dt>Strength</dt>
        <dd>${figure(table.strength[feature])}</dd>
      </div>
      <div>
        <dt>Entropy</dt>
        <dd>${figure(table.entropy[feature])} bits</dd>
      </div>
      <div>
        <dt>FVU rises without it by</dt>
        <dd>${share(table.fvu_rise[feature])}</dd>
      </div>
    </dl>
  `;
}
