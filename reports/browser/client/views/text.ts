/// <reference lib="dom" />
/**
 * A text of the reader's own: its features token by token, and what changing some does to what the model predicts. It takes the model, which
 * the server loads when it is first asked.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import type { MovedDistribution } from "../../../change_figures.ts";
import type { EncodedToken } from "../../../encoding_table.ts";
import { decimal, percent, significant } from "../../../format.ts";
import { visibleToken } from "../../../tokens.ts";
import type { TranscoderHead } from "../../data.ts";
import type { ChangedAnswer, ChangeRequest, EncodedText } from "../../served.ts";
import { compute, type Standing } from "../api.ts";
import { standingText } from "../waiting.ts";
import { addressOf, type App, headOf, type Page, type View } from "../app.ts";
import { inText, meter, token } from "../parts.ts";

/** The longest text that the server takes, in characters, and steps of a token's tint. */
const LONGEST = 20_000, TINTS = 9;
/** Of a token's features, those that are listed. */
const LISTED = 12;

/** What may become of features. */
const KINDS = { off: "switched off", scale: "multiplied by", set: "set to", add: "raised by" } as const;

/** What a reader has typed and chosen. It outlives the page, so that one can go to a feature and back. */
interface Desk {
  text: string;
  encoded: EncodedText | null;
  /** The token whose features are listed, */
  at: number | null;
  /** the feature that tints the text, */
  feature: number | null;
  /** and what is changed. */
  which: string;
  by: "features" | "group" | "prefix";
  kind: "off" | ChangeRequest["change"]["kind"];
  value: string;
  generate: string;
  changed: ChangedAnswer | null;
  /** What became of the features there. */
  how: string;
  /** The token whose next one is told of. */
  place: number | null;
  problem: string;
  standing: Standing | null;
  ending: AbortController | null;
}

const desks = new Map<string, Desk>();

function deskOf(key: string): Desk {
  const known = desks.get(key);
  if (known) return known;
  const desk: Desk = {
    ...{
      text: "",
      encoded: null,
      at: null,
      feature: null,
      which: "",
      by: "features",
      kind: "off",
      value: "2",
      generate: "16",
    },
    ...{ changed: null, how: "", place: null, problem: "", standing: null, ending: null },
  };
  desks.set(key, desk);
  return desk;
}

/** `#text/layer17`, `#text/layer17?feature=1103`. */
export const text: View = ({ path: [, given], query }, app): Promise<Page> => {
  const key = given ?? app.index.transcoders[0]?.key ?? "", entry = headOf(app, key), desk = deskOf(key);
  const wanted = query.get("feature");
  if (wanted !== null && /^\d+$/.test(wanted)) {
    Object.assign(desk, { feature: Number(wanted), by: "features", which: wanted });
  }
  return Promise.resolve({
    ...{ title: `${entry.title}, a text`, key },
    left: () => desk.ending?.abort(),
    draw: () =>
      html`
        <h1 tabindex="-1"><small>${entry.title}</small> A text of your own</h1>
        ${typed(desk, entry, app)}
        ${standingOf(desk)}
        ${desk.encoded === null ? nothing : encodedText(desk, entry, app)}
        ${desk.encoded === null ? nothing : changeForm(desk, entry, app)}
        ${desk.changed === null ? nothing : changedText(desk, desk.changed, entry, app)}
      `,
  });
};

/** Has something computed, one thing at a time; the outcome is taken in, or the problem shown. */
async function work<T>(desk: Desk, app: App, path: string, wanted: object, take: (answer: T) => void): Promise<void> {
  desk.ending?.abort();
  const ending = desk.ending = new AbortController();
  desk.problem = "";
  desk.standing = { kind: "working", label: "Asking", done: 0, total: 0 };
  app.update();
  try {
    take(
      await compute<T>(path, wanted, (line) => {
        desk.standing = line;
        app.update();
      }, ending.signal),
    );
  } catch (error) {
    if (!ending.signal.aborted) desk.problem = (error as Error).message;
  }
  if (desk.ending !== ending) return;
  desk.ending = desk.standing = null;
  app.update();
}

function typed(desk: Desk, { key }: TranscoderHead, app: App): TemplateResult {
  const submit = (event: Event) => {
    event.preventDefault();
    work<EncodedText>(desk, app, "encode", { transcoder: key, text: desk.text }, (encoded) => {
      Object.assign(desk, { encoded, at: strongestAt(encoded.tokens), changed: null, place: null });
    });
  };
  return html`<form class="typed" @submit=${submit}>
    <label><span>Text; the model reads it behind BOS</span>
      <textarea rows="3" required maxlength=${LONGEST} spellcheck="false" .value=${desk.text}
        @input=${(event: Event) => desk.text = (event.target as HTMLTextAreaElement).value}
        @keydown=${(event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      (event.target as HTMLTextAreaElement).form!.requestSubmit();
    }
  }}></textarea></label>
    <button class="main">Show its features</button> <small>Ctrl+Enter</small>
  </form>`;
}

function standingOf({ standing, problem, ending }: Desk): TemplateResult {
  return html`<div role="status" class="standing">${
    problem !== ""
      ? html`<p class="missing">${problem}</p>`
      : standing === null
      ? nothing
      : html`<p>${standingText(standing)} ${
        standing.kind === "working" && standing.total > 1 ? meter(standing.done, standing.total) : nothing
      } <button @click=${() => ending?.abort()}>Stop</button></p>`
  }</div>`;
}

/** The token with the largest activation. */
function strongestAt(tokens: readonly EncodedToken[]): number | null {
  const values = tokens.map(({ features }) => features[0]?.value ?? 0), most = Math.max(...values);
  return most > 0 ? values.indexOf(most) : null;
}

/** How strongly a token is tinted: by the feature chosen, or else by its strongest. */
function tintOf({ features }: EncodedToken, feature: number | null, most: number): string {
  const value = (feature === null ? features[0] : features.find((one) => one.feature === feature))?.value ?? 0;
  return value > 0 && most > 0 ? `a${Math.max(1, Math.ceil(TINTS * value / most))}` : "";
}

function encodedText(desk: Desk, { key }: TranscoderHead, app: App): TemplateResult {
  const { encoded, feature, at } = desk, { tokens, contexts } = encoded!;
  const valueOf = ({ features }: EncodedToken) =>
    (feature === null ? features[0] : features.find((one) => one.feature === feature))?.value ?? 0;
  const most = Math.max(...tokens.map(valueOf));
  const choose = (place: number) => {
    desk.at = place;
    app.update();
  };
  return html`
    <section class="columns">
      <div>
        <h2>Tokens</h2>
        <p class="encoded" role="group" aria-label="Tokens; choose one for its features"
          @keydown=${moveFocus}>${tokens.map((one, place) =>
            tokenButton(inText(one.token), {
              title: one.excluded
                ? "not encoded"
                : `${one.active} active${valueOf(one) > 0 ? `; ${significant(valueOf(one), 3)}` : ""}`,
              tint: tintOf(one, feature, most),
              isHere: place === at,
              isReached: place === (at ?? 0),
              isFirst: one.position === 0 && place > 0,
              choose: () => choose(place),
            })
          )}</p>
        <p class="muted">${feature === null
          ? "Tinted by the strongest feature of each token."
          : html`Tinted by feature <a href=${addressOf([key, feature])}>${feature}</a>.
        <button @click=${() => {
            desk.feature = null;
            app.update();
          }}>By the strongest</button>`} ${contexts > 1
          ? `The text is longer than a context: it was encoded in ${contexts}, none of which sees those before.`
          : ""}</p>
      </div>
      <div>${at === null ? nothing : featuresAt(desk, tokens[at], key, app)}</div>
    </section>
  `;
}

/** A token that can be chosen. */
interface TokenButton {
  readonly title: string;
  /** The class of its tint. */
  readonly tint: string;
  /** Whether it is the one chosen, */
  readonly isHere: boolean;
  /** and whether Tab leads to it. */
  readonly isReached: boolean;
  /** Whether a context begins with it, behind another. */
  readonly isFirst: boolean;
  /** Chooses it; null where it cannot be. */
  readonly choose: (() => void) | null;
}

/** A token of a text: there is no space around it that is not its own. */
function tokenButton(text: string, { title, tint, isHere, isReached, isFirst, choose }: TokenButton): TemplateResult {
  const begin = isFirst ? "⏐" : "";
  // deno-fmt-ignore: a line's end would be a space
  return html`<button class="t ${tint} ${isHere ? "at" : ""}" aria-pressed=${isHere} tabindex=${isReached ? 0 : -1} title=${title} ?disabled=${choose === null} @click=${choose}>${begin}${text}</button>`;
}

/** Arrow keys go from token to token. */
function moveFocus(event: KeyboardEvent): void {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], target = event.target as HTMLElement;
  if (step === undefined || !target.matches("button")) return;
  event.preventDefault();
  event.stopPropagation();
  const all = [...target.parentElement!.querySelectorAll<HTMLButtonElement>("button:enabled")];
  const other = all[all.indexOf(target as HTMLButtonElement) + step];
  other?.focus();
  other?.click();
}

function featuresAt(desk: Desk, one: EncodedToken, key: string, app: App): TemplateResult {
  const listed = one.features.slice(0, LISTED), most = listed[0]?.value ?? 0;
  const choose = (feature: number) => () => {
    Object.assign(desk, { feature, by: "features", which: String(feature) });
    app.update();
  };
  return html`<h2>${token(one.token)} <small>${
    one.excluded ? "not encoded: it was left out in training" : `${one.active} active features`
  }</small></h2>
    ${
    listed.length === 0 ? nothing : html`
      <table class="tight">
        <thead>
          <tr>
            <th scope="col">Feature</th>
            <th scope="col">Known by</th>
            <th scope="col" colspan="2">Activation</th>
            <th scope="col"><span class="unseen">Choose</span></th>
          </tr>
        </thead>
        <tbody>${listed.map(({ feature, value, top_token }) =>
          html`
            <tr>
              <th scope="row"><a href=${addressOf([key, feature])}>${feature}</a></th>
              <td>${top_token === null ? "–" : token(top_token)}</td>
              <td class="number">${significant(value, 3)}</td>
              <td class="drawn">${meter(value, most)}</td>
              <td><button aria-pressed=${desk.feature === feature} @click=${choose(feature)}
                        aria-label=${`Tint by feature ${feature}, and choose it below`}>choose</button></td>
            </tr>
          `
        )}</tbody>
      </table>
            ${one.active > listed.length
              ? html`<p class="muted">and ${one.active - listed.length} weaker ones</p>`
              : nothing}
    `
  }`;
}

/** What is to be changed, as the server is asked; a sentence where what is typed says nothing. */
function requestOf(desk: Desk, key: string): ChangeRequest | string {
  const { which, by, kind, value, generate } = desk, numbers = which.split(/[,\s]+/).filter((part) => part !== "");
  if (numbers.length === 0 || !numbers.every((part) => /^\d+$/.test(part))) {
    return by === "prefix" ? "Give the number of features that stay." : "Give numbers with commas between them.";
  }
  const amount = value.trim() === "" ? NaN : Number(value);
  if (kind !== "off" && !Number.isFinite(amount)) return "Give a number.";
  const list = numbers.map(Number);
  return {
    ...{ transcoder: key, text: desk.text, generate: Math.max(0, Math.floor(Number(generate)) || 0) },
    which: by === "features" ? { features: list } : by === "group" ? { group: list } : { prefix: list[0] },
    change: kind === "off" ? { kind: "scale", value: 0 } : { kind, value: amount },
  };
}

/** What becomes of the features, as the form says it: `set to 3`. */
function howOf({ kind, value }: Desk): string {
  return kind === "off" ? KINDS.off : `${KINDS[kind]} ${Number(value)}`;
}

function changeForm(desk: Desk, { key, groups }: TranscoderHead, app: App): TemplateResult {
  const submit = (event: Event) => {
    event.preventDefault();
    const wanted = requestOf(desk, key);
    if (typeof wanted === "string") {
      desk.problem = wanted;
      app.update();
    } else {
      const how = howOf(desk);
      work<ChangedAnswer>(desk, app, "change", wanted, (changed) => {
        Object.assign(desk, { changed, how, place: changed.text.moved[0]?.position ?? null });
      });
    }
  };
  const set = (name: "which" | "by" | "kind" | "value" | "generate") => ({ target }: Event) => {
    Object.assign(desk, { [name]: (target as HTMLInputElement).value });
    app.update();
  };
  const whichLabel = {
    features: "Their numbers",
    group: `Groups, 0 to ${groups.length - 1}`,
    prefix: "Features that stay",
  }[desk.by];
  const option = (value: string, text: string, chosen: string) =>
    html`<option value=${value} ?selected=${value === chosen}>${text}</option>`;
  return html`
    <form class="change card" @submit=${submit}>
      <h2>Change features inside of the model</h2>
      <p
        class="muted">At every token but BOS the target gets what the change makes of these features' parts; all else of it stays, the
          transcoder's error included.</p>
      <div class="fields">
          <label><span>Which</span><select @change=${set("by")}>
            ${option("features", "features", desk.by)} ${option("group", "whole groups", desk.by)}
            ${option("prefix", "all beyond a prefix", desk.by)}</select></label>
          <label><span>${whichLabel}</span><input inputmode="numeric" required .value=${desk.which} @input=${set(
            "which",
          )}></label>
          <label><span>Are</span><select @change=${set("kind")}>
            ${Object.entries(KINDS).map(([kind, text]) => option(kind, text, desk.kind))}</select></label>
          ${desk.kind === "off"
            ? nothing
            : html`<label><span>A number</span><input inputmode="decimal" required .value=${desk.value} @input=${
              set("value")
            }></label>`}
          <label><span>Tokens to go on by</span><input type="number" min="0" max="256" .value=${desk
            .generate} @input=${set("generate")}></label>
          <button class="main">Show what it does</button>
        </div>
    </form>
  `;
}

function changedText(
  desk: Desk,
  { what, text, generation }: ChangedAnswer,
  { key }: TranscoderHead,
  app: App,
): TemplateResult {
  const most = Math.max(...text.tokens.map(({ kl }) => kl)), told = new Set(text.moved.map(({ position }) => position));
  const here = text.moved.find(({ position }) => position === desk.place) ?? text.moved[0];
  const loss = (value: number | null) => value === null ? "–" : decimal(value, 3);
  const choose = (place: number) => {
    desk.place = place;
    app.update();
  };
  return html`
    <section class="changed">
      <h2>With ${what} ${desk.how}</h2>
      <p>Mean loss of the next token <b>${loss(text.loss_before)}</b> before, <b>${loss(
        text.loss_after,
      )}</b> after; mean KL
          <b>${significant(text.kl, 3)}</b> nats.</p>
      <div class="columns">
        <div>
            <h3>Where predictions move</h3>
            <p class="encoded" role="group" aria-label="Tokens, tinted by KL" @keydown=${moveFocus}>${text.tokens.map((
              { token, kl, position, loss_before, loss_after, features },
            ) =>
              tokenButton(inText(token), {
                title: `KL ${significant(kl, 3)}; loss of the next token ${loss(loss_before)} → ${loss(loss_after)}${
                  features.length === 0 ? "" : `; ${features.length} changed here`
                }`,
                tint: kl > 0 && most > 0 ? `a${Math.max(1, Math.ceil(TINTS * kl / most))}` : "",
                isHere: position === here?.position,
                isReached: position === here?.position,
                isFirst: false,
                choose: told.has(position) ? () => choose(position) : null,
              })
            )}</p>
            <p class="muted">Tinted by KL, the largest ${significant(
              most,
              3,
            )} nats. Of those with the largest, and of the last one, the next token is told.</p>
            ${generation === undefined ? nothing : html`
              <h3>How it goes on</h3>
              <dl class="told">
                <div>
                  <dt>as it is</dt>
                  <dd>${generation.before.tokens.map(({ token }) => html`<span class="t">${inText(token)}</span>`)}</dd>
                </div>
                <div>
                  <dt>changed</dt>
                  <dd>${generation.after.tokens.map(({ token }, i) =>
                    html`<span class="t ${i >= generation.same ? "a2" : ""}">${inText(token)}</span>`
                  )}</dd>
                </div>
              </dl>
            `}
          </div>
        <div>${here ? nextTokens(here, text.tokens[here.position].token) : nothing}</div>
      </div>
      <p><a href=${addressOf([key])}>All features</a></p>
    </section>
  `;
}

function nextTokens(
  { movers, most_probable_before, most_probable_after }: MovedDistribution,
  behind: string,
): TemplateResult {
  const all = [most_probable_before, most_probable_after, ...movers];
  const rows = [...new Map(all.map((one) => [one.token_id, one])).values()].sort((a, b) => b.before - a.before);
  const most = Math.max(...rows.flatMap(({ before, after }) => [before, after]));
  return html`
    <h3>Behind ${token(behind)}</h3>
    <table class="tight">
      <thead>
        <tr>
          <th scope="col">Next token</th>
          <th scope="col" class="number">Before</th>
          <th scope="col" class="number">After</th>
          <th scope="col"><span class="unseen">Drawn</span></th>
        </tr>
      </thead>
      <tbody>${rows.map(({ token: next, before, after }) =>
        html`
          <tr>
            <th scope="row"><span class="token">${visibleToken(next)}</span></th>
            <td class="number">${percent(before)}</td>
            <td class="number">${percent(after)}</td>
            <td class="drawn two">${meter(before, most)}${meter(after, most)}</td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}
