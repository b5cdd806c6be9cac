/**
 * What `mtc ablate` and `mtc steer` print for a reader.
 * @module
 */
import type { Interval } from "../core/analysis/bootstrap.ts";
import type { EffectFigures } from "../core/analysis/change_effect.ts";
import type {
  AffectedFigures,
  ChangedRun,
  ChangedTokenFigures,
  Continuation,
  Continuations,
  DescribedChange,
  HeldOutChange,
  MovedDistribution,
  SetFigures,
  TextChange,
} from "./change_figures.ts";
import { bracketed, withInterval } from "./evaluation_table.ts";
import { capital, counted, decimal, integer, list, percent, significant } from "./format.ts";
import { intervalBasis } from "./held_out.ts";
import { numeric, table } from "./markdown/markdown.ts";
import { contextLines, visibleToken } from "./tokens.ts";

/** Features that are told of one by one, if there are no more. */
const MOST_KNOWN = 5;

/** What was changed: a sentence, and a line on each of a few features. */
function heading({ run, name, source, target, change, known }: ChangedRun): string {
  const few = known.length > MOST_KNOWN ? [] : known;
  const lines = few.map(({ feature, density, mean_activation, max_activation, top_token }) =>
    `  #${feature}  ` +
    (top_token === null
      ? "never fired in the run's final pass"
      : `strongest on ${visibleToken(top_token)}, fires on ${percent(density, 2)} of tokens, mean ${
        significant(mean_activation, 3)
      }, largest ${significant(max_activation, 3)}`)
  );
  const what =
    `${name} (${source} -> ${target}), ${change.what} ${
      changeText(change)
    }; the rest of the target, the transcoder's ` +
    "error included, stays.";
  return [run, "", what, ...lines].join("\n");
}

/** What becomes of the activations: `off`, `set to 8 at every counted token`. */
function changeText({ kind, factor, value, where }: DescribedChange): string {
  const place = where === "firing" ? "where the feature fires" : "at every counted token";
  switch (kind) {
    case "scale":
      return factor === 0 ? "off" : `times ${factor}`;
    case "set":
      return `set to ${value} ${place}`;
    case "add":
      return `${value! < 0 ? "minus" : "plus"} ${Math.abs(value!)} ${place}`;
  }
}

/** Under a heading: a row per token, the next tokens that moved the most, and how the text goes on. */
export function changedTextReport(run: ChangedRun, { text, generation }: TextChange): string {
  const { predictions, loss_before, loss_after, kl, tokens, moved } = text;
  const isOne = run.change.features.length === 1;
  const rows = tokens.map(({ position, token, counted, features, ...figures }) => [
    String(position),
    visibleToken(token),
    ...counted ? activations(features, isOne) : isOne ? ["-", "-"] : ["-"],
    counted && figures.target_change > 0 ? percent(figures.target_change) : "-",
    figures.loss_before === null ? "" : decimal(figures.loss_before, 3),
    figures.loss_after === null ? "" : decimal(figures.loss_after, 3),
    divergence(figures.kl),
    figures.kl_share === 0 ? "" : percent(figures.kl_share),
  ]);
  const columns = [
    numeric("position"),
    "token",
    ...isOne ? [numeric("f"), numeric("f'")] : [numeric("features changed")],
    numeric("target moved by"),
    numeric("loss before"),
    numeric("after"),
    numeric("KL"),
    numeric("of all KL"),
  ];
  const mean = loss_before === null || loss_after === null
    ? ""
    : `Mean loss of ${counted(predictions, "prediction")} of the token that follows: ${
      decimal(loss_before, 3)
    } before, ${decimal(loss_after, 3)} after; `;
  const label = (position: number) => `${position} ${visibleToken(tokens[position].token)}`;
  return [
    heading(run),
    table(columns, rows),
    capital(`${mean}mean KL ${divergence(kl)}; all in nats.`),
    movedSection(moved.map((at) => ({ ...at, label: label(at.position), kl: tokens[at.position].kl }))),
    ...generation ? [continuations(generation)] : [],
  ].join("\n\n");
}

function activations(features: ChangedTokenFigures["features"], isOne: boolean): string[] {
  if (!isOne) return [integer(features.length)];
  const [only] = features;
  return only ? [significant(only.before, 3), significant(only.after, 3)] : ["", ""];
}

/** For each place the next tokens whose probability moved the most. */
function movedSection(places: readonly (MovedDistribution & { label: string; kl: number })[]): string {
  const rows = places.flatMap(({ label, kl, movers, next_token_id, most_probable_before: top }) => {
    if (movers.length === 0) return [[label, "0", "nothing moved", "", "", ""]];
    return movers.map(({ token_id, token, before, after }, i) => {
      const remarks = [
        ...token_id === next_token_id ? ["follows"] : [],
        ...token_id === top.token_id ? ["most probable before"] : [],
      ];
      return [
        i === 0 ? label : "",
        i === 0 ? divergence(kl) : "",
        visibleToken(token) + (remarks.length > 0 ? ` (${remarks.join(", ")})` : ""),
        percent(before),
        percent(after),
        signedPoints(after - before),
      ];
    });
  });
  const columns = ["behind", numeric("KL"), "next token", numeric("before"), numeric("after"), numeric("change")];
  return `Where the next token changes the most:\n\n${table(columns, rows)}`;
}

/** What the head's f32 arithmetic may make of a KL that is 0, of either sign. */
const KL_ROUNDING = 1e-6;

/** A KL, as far as it can be told from 0. */
function divergence(kl: number): string {
  return kl === 0 ? "0" : Math.abs(kl) < KL_ROUNDING ? `< ${KL_ROUNDING}` : significant(kl, 3);
}

/** A difference of probabilities in points of a hundred: `+12.3`. */
function signedPoints(difference: number): string {
  const points = decimal(100 * difference, 2);
  return difference > 0 ? `+${points}` : points;
}

function continuations({ temperature, seed, same, before, after }: Continuations): string {
  const how = temperature === 0
    ? "the most probable token"
    : `sampled at temperature ${temperature}, seed ${seed}, the same random numbers`;
  const length = Math.max(before.tokens.length, after.tokens.length);
  const isSame = same === length;
  const agreement = isSame
    ? "both the same"
    : same === 0
    ? "another from the first token on"
    : `the same for ${counted(same, "token")}`;
  const line = ({ tokens }: Continuation) => {
    const text = (part: Continuation["tokens"]) =>
      visibleToken(part.map(({ token }) => token).join("") || " ").replaceAll("␣", " ");
    return isSame || same === 0 ? text(tokens) : `${text(tokens.slice(0, same))}‖${text(tokens.slice(same))}`;
  };
  return `Continued by ${counted(length, "token")} (${how}), ${agreement}:\n\n` +
    `without  ${line(before)}\n\n` + `with     ${line(after)}`;
}

/** The next tokens that gain and lose over all predictions. */
function meanMovesSection({ moved, gained, lost }: HeldOutChange["next_tokens"]): string {
  if (moved === 0) return "";
  const share = (value: number) => `${significant(100 * value, 3)} %`;
  const rows = ([["gains", gained], ["loses", lost]] as const).flatMap(([what, tokens]) =>
    tokens.map(({ token, before, after }, i) => {
      const points = significant(100 * (after - before), 3);
      return [
        i === 0 ? what : "",
        visibleToken(token),
        share(before),
        share(after),
        after > before ? `+${points}` : points,
      ];
    })
  );
  const columns = ["", "next token", numeric("before"), numeric("after"), numeric("change")];
  return `Over all predictions, ${
    share(moved)
  } of the next token's probability moves from some tokens to others; means of those that ` +
    `gain and lose the most:\n\n${table(columns, rows)}`;
}

/** Under a heading: the figures beside those of random features, then the documents and the predictions that changed the most. */
export function changedHeldOutReport(run: ChangedRun, found: HeldOutChange, top: number): string {
  const { split, contexts, documents, clean, changed, firing, rivals, next_tokens, per_document, affected } = found;
  const small = (value: number, ends: Interval) => bracketed(value, ends, (number) => significant(number, 3));
  const figures = ({ ce, ce_ci95, ce_change, ce_change_ci95, kl, kl_ci95, top1, top1_ci95 }: EffectFigures) => [
    withInterval(ce, ce_ci95, 3),
    small(ce_change, ce_change_ci95),
    small(kl, kl_ci95),
    bracketed(top1, top1_ci95, percent),
  ];
  const rival = ({ features }: SetFigures) =>
    features.length > MOST_KNOWN
      ? `${counted(features.length, "random feature")}`
      : `random: ${list(features.map((feature) => `#${feature}`))}`;
  const columns = ["Changed", "Activation mass", "Cross-entropy", "Rise", "KL", "Same top token"];
  const rows = [
    ["nothing", "", withInterval(clean.ce, clean.ce_ci95, 3), "", "", ""],
    [run.change.what, significant(changed.activation_mass, 4), ...figures(changed)],
    ...firing
      ? [[
        `at ${counted(firing.predictions, "token")} where ${
          run.change.features.length === 1 ? "it" : "one of them"
        } fires`,
        "",
        ...figures(firing),
      ]]
      : [],
    ...rivals.map((set) => [rival(set), significant(set.activation_mass, 4), ...figures(set)]),
  ];
  const where = `${counted(contexts, "context")} of ${counted(documents, `${split} document`)}`;
  const farthest = per_document.toSorted((a, b) => b.kl - a.kl).slice(0, top);
  const sections = [
    heading(run),
    `${counted(changed.predictions, "held-out prediction")} in ${where}; losses and KL in nats; ${
      intervalBasis(found)
    }.`,
    table(columns.map((column, i) => i === 0 ? column : numeric(column)), rows),
    firing ? "" : "None of the changed features fires on this text.",
    rivals.length > 0
      ? ""
      : "No random features stand beside it: none were asked for, or there are not as many others.",
    meanMovesSection(next_tokens),
    documents > 1
      ? `Documents that change the most, by KL:\n\n${
        table(
          ["Document", numeric("Predictions"), numeric("Rise"), numeric("KL")],
          farthest.map((document) => [
            visibleToken(document.document).replaceAll("␣", " "),
            integer(document.predictions),
            significant(document.ce_change, 3),
            significant(document.kl, 3),
          ]),
        )
      }`
      : "",
    affected.length > 0 ? affectedSection(affected) : "",
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function affectedSection(affected: readonly AffectedFigures[]): string {
  const lines = contextLines(affected.map(({ document, position, token_id, token, before, next_token }, i) => ({
    label: String(i + 1),
    sample: { activation: 0, token_id, token, before, after: next_token, document, position },
  })));
  const places = affected.map(({ kl, ...moved }, i) => ({
    ...moved,
    kl,
    label: `${i + 1} ${visibleToken(moved.token)}`,
  }));
  return `${lines.join("\n")}\n\n${movedSection(places)}`;
}
