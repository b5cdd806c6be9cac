/// <reference lib="dom" />
/**
 * What the model's predictions lose in a feature's examples, token by token: measured by the server, which has the model, when it is asked for.
 * @module
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { decimal, integer } from "../../../format.ts";
import type { FeatureDetail } from "../../data.ts";
import type { EffectsRequest, MeasuredEffects } from "../../served.ts";
import { compute, type Standing } from "../api.ts";
import { standingText } from "../waiting.ts";

/** Measurements of one page. */
export interface Effects {
  /** What was measured: without the feature, or with the first so many alone; null before the first time. */
  readonly of: "feature" | number | null;
  /** How the work stands; null where none is under way. */
  readonly standing: Standing | null;
  /** Why it could not be done; empty where it could. */
  readonly problem: string;
  /** Examples whose text in front is not known whole. */
  readonly unknown: number;
  /** How many features there are. */
  readonly all: number;
  /** Has it measured. */
  readonly measure: (of: "feature" | number) => void;
  /** Says what was measured at a token; null where nothing was. */
  readonly lineAt: (token: number) => string | null;
  /** Ends the work under way. */
  readonly end: () => void;
}

/**
 * Begins with nothing measured.
 *
 * @param transcoder The transcoder's key.
 * @param detail The feature.
 * @param all How many there are.
 * @param update Draws the page anew.
 * @returns The measurements.
 */
export function startEffects(
  transcoder: string,
  { feature, examples }: FeatureDetail,
  all: number,
  update: () => void,
): Effects {
  const losses = new Map<number, readonly [before: number, after: number]>();
  let ending: AbortController | null = null;
  const effects = {
    ...{ of: null as Effects["of"], standing: null as Standing | null, problem: "", unknown: 0, all },
    async measure(of: "feature" | number) {
      ending?.abort();
      const own = ending = new AbortController();
      Object.assign(effects, {
        of: null,
        problem: "",
        standing: { kind: "working", label: "Asking", done: 0, total: 0 },
      });
      losses.clear();
      update();
      const wanted: EffectsRequest = {
        transcoder,
        which: of === "feature" ? { features: [feature] } : { prefix: of },
        tokens: examples.map(({ at }) => at),
      };
      const onLine = (standing: Standing) => {
        effects.standing = standing;
        update();
      };
      try {
        const { windows } = await compute<MeasuredEffects>("effects", wanted, onLine, own.signal);
        for (const window of windows) {
          window?.before.forEach((before, n) => {
            const after = window.after[n];
            if (before !== null && after !== null) losses.set(window.first + n, [before, after]);
          });
        }
        Object.assign(effects, { of, unknown: windows.filter((window) => window === null).length });
      } catch (error) {
        if (own.signal.aborted) return;
        effects.problem = error instanceof Error ? error.message : String(error);
      }
      effects.standing = null;
      update();
    },
    lineAt(token: number) {
      const found = losses.get(token), { of } = effects;
      if (of === null || found === undefined) return null;
      const [before, after] = found, rise = after - before;
      return `loss of the next token: ${decimal(before, 3)}, ${
        of === "feature" ? "without this feature" : `with the first ${integer(of)} alone`
      } ${decimal(after, 3)} (${rise < 0 ? "" : "+"}${decimal(rise, 3)})`;
    },
    end: () => ending?.abort(),
  };
  return effects;
}

/** What can be measured, and how that stands. */
export function effectsForm(effects: Effects | null, first: number): TemplateResult | typeof nothing {
  if (effects === null) return nothing;
  const { of, standing, problem, unknown, all } = effects;
  return html`
    <div class="measured">
      <p>Loss of each next token:
        <button type="button" @click=${() => effects.measure("feature")}>without this feature</button>
        ${first === all
          ? nothing
          : html`<button type="button" @click=${() => effects.measure(first)}>with the first ${
            integer(first)
          } alone</button>`}
      </p>
      ${standing === null && problem === "" && of === null
        ? nothing
        : html`<p class="muted" role="status">${
          problem !== ""
            ? problem
            : standing !== null
            ? standingText(standing)
            : html`Measured ${
              of === "feature" ? "without this feature" : `with the first ${integer(of as number)} alone`
            }: point at a token.${
              unknown === 0
                ? nothing
                : ` Of ${integer(unknown)} examples the record has not all tokens that the model read in front.`
            }`
        }</p>`}
    </div>
  `;
}
