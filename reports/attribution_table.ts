/**
 * What is said of what features are made of.
 * @module
 */
import {
  type Attribution,
  type Component,
  COMPONENT_KINDS,
  type ComponentKind,
  type FeatureAttribution,
  type FeatureTokens,
  type ToldToken,
} from "../core/analysis/attribution.ts";
import type { StoredAttribution } from "../core/runs/attribution.ts";
import { bracketed } from "./evaluation_table.ts";
import { counted, decimal, integer, list, percent, significant } from "./format.ts";
import { intervalBasis } from "./held_out.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** What the kinds of components are called. */
export const KIND_NAMES: Readonly<Record<ComponentKind, string>> = {
  embedding: "embedding",
  earlier_attention: "earlier attention",
  earlier_mlps: "earlier MLPs",
  own_attention: "attention of this layer",
  own_mlp: "MLP of this layer",
};

/** A feature whose share of one kind is larger than this is said to be of that kind. */
const MAIN = 0.5;

/** The features, by falling sum of their activations. */
export function byMass<F extends FeatureAttribution>(features: readonly F[]): F[] {
  const mass = ({ fires, activation }: F) => fires * activation;
  return features.toSorted((a, b) => mass(b) - mass(a) || a.feature - b.feature);
}

/** How much of each kind, in the order of the model. */
export function kindsOf({ kinds }: Pick<Attribution, "kinds">): ComponentKind[] {
  return COMPONENT_KINDS.filter((kind) => kinds.some((one) => one.kind === kind));
}

/** What was measured, and of what all firings together are made, in two sentences. */
export function attributionSentence(attribution: StoredAttribution): string {
  const { source, is_norm_fixed, tokens, contexts, documents, firings, features, kinds, largest_error } = attribution;
  const shares = kinds.map(({ kind, share, ci95 }) =>
    `${bracketed(share, ci95, (value) => percent(value, 0))} from ${KIND_NAMES[kind]}`
  );
  return `${counted(tokens, "held-out token")} in ${counted(contexts, "context")} of ${
    counted(documents, "document")
  }: ` +
    `${counted(features.length, "feature")} fire ${
      counted(firings, "time", "times")
    }. Each pre-activation at ${source} splits ` +
    `into what the embedding, each attention and each MLP have added, which sum to it within ${
      significant(largest_error, 1)
    } of their sizes${
      is_norm_fixed ? "; the norm of each token is held fixed" : ""
    }. What lifts features above their ` +
    `typical pre-activation comes to ${list(shares)}; ${intervalBasis(attribution)}.`;
}

/** How many features have most of what lifts them from one kind. */
export function mainSentence(attribution: Attribution): string {
  const { features } = attribution;
  const of = (kind: ComponentKind) => features.filter(({ shares }) => shares[kind] > MAIN).length;
  const kinds = kindsOf(attribution).map((kind) => ({ kind, count: of(kind) }));
  const none = features.filter(({ shares }) => COMPONENT_KINDS.every((kind) => !(shares[kind] > MAIN))).length;
  const told = kinds.map(({ kind, count }) => `${integer(count)} from ${KIND_NAMES[kind]}`);
  return `More than half of what lifts a feature comes from one of these for ${integer(features.length - none)} of ${
    integer(features.length)
  }: ${list(told)}.`;
}

/** The share of each component in all firings. */
export function componentTable({ components }: Attribution): string {
  const share = (value: number) => percent(value, 1);
  return table(
    ["Component", numeric("Share of what lifts features")],
    components.map(({ name, share: value, ci95 }) => [name, bracketed(value, ci95, share)]),
  );
}

/**
 * The features that fire most strongly. Of the tokens that they read and raise, those are told that lie beyond chance.
 *
 * @param token What a feature fires on.
 * @param written How a token is written.
 * @param most How many.
 */
export function attributionTable(
  attribution: StoredAttribution,
  token: (feature: number) => string,
  written: (token: string) => string,
  most: number,
): string {
  const kinds = kindsOf(attribution);
  const first = (tokens: readonly ToldToken[], chance: number) =>
    tokens.filter(({ value }) => value > chance).slice(0, 3).map((one) => written(one.token)).join(" ") || "–";
  return table(
    [
      ...["Feature", "Group"].map(numeric),
      "Fires on",
      ...["Fires", "Activation", ...kinds.map((kind) => KIND_NAMES[kind])].map(numeric),
      "Reads",
      "Raises",
      numeric("Cosine"),
    ],
    byMass(attribution.features).slice(0, most).map(({ feature, group, fires, activation, shares, cosine, tokens }) => [
      ...[feature, group].map(String),
      token(feature),
      percent(fires / attribution.tokens, 2),
      significant(activation, 3),
      ...kinds.map((kind) => percent(shares[kind], 0)),
      tokens ? first(tokens.reads, tokens.chance) : "",
      tokens?.writes ? first(tokens.writes.raised, tokens.writes.chance) : "",
      cosine === null ? "–" : decimal(cosine, 2),
    ]),
  );
}

/** What one feature is made of, component by component, as it fires. */
export function featureTable(
  { components }: Attribution,
  { parts, typical, bias, activation }: FeatureAttribution,
): string {
  const rise = parts.map((part, k) => part - typical[k]), sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  const row = (name: string, fired: number, usual: number, share: string) => [
    name,
    ...[fired, usual].map((value) => significant(value, 3)),
    share,
  ];
  return table(["Component", ...["where it fires", "over all tokens", "share of the rise"].map(numeric)], [
    ...components.map(({ name }, k) => row(name, parts[k], typical[k], percent(rise[k] / sum(rise), 1))),
    row("bias", bias, bias, ""),
    row("sum", activation, sum(typical) + bias, "100 %"),
  ]);
}

/** What one feature reads and writes, a line each. */
export function tokenLines(
  { reads, chance, writes }: FeatureTokens,
  cosine: number | null,
  written: (token: string) => string,
): string {
  const told = (tokens: readonly ToldToken[]) =>
    tokens.map(({ token, value }) => `${written(token)} ${significant(value, 2)}`).join("  ");
  return [
    `Reads (cosine with embeddings; in random order at most ${decimal(chance, 2)}): ${told(reads)}`,
    ...writes
      ? [
        `Raises the logits of (direct path; in random order by at most ${significant(writes.chance, 2)}): ${
          told(writes.raised)
        }`,
        `Lowers the logits of: ${told(writes.lowered)}`,
      ]
      : ["Its target is not added to the residual stream as it is, so it writes no logits of its own."],
    ...cosine === null ? [] : [`Cosine of what it reads with what it writes: ${decimal(cosine, 2)}`],
  ].join("\n");
}

/** A token of a text, and what a feature's pre-activation there is made of. */
export interface TextPart {
  /** Which context of the text, from 0. */
  context: number;
  /** Place in that context; BOS is 0. */
  position: number;
  /** Its id. */
  token_id: number;
  /** Its text. */
  token: string;
  /** The feature's activation; 0 where it does not fire. */
  activation: number;
  /** The sum of all parts and the bias. */
  pre_activation: number;
  /** The part of each component, in the order of the sum. */
  parts: number[];
}

/** A row per token: what the feature's pre-activation is made of, by kind. */
export function textTable(
  tokens: readonly TextPart[],
  components: readonly Pick<Component, "kind">[],
  bias: number,
): string {
  const kinds = COMPONENT_KINDS.filter((kind) => components.some((one) => one.kind === kind));
  const contexts = tokens.length > 0 ? tokens[tokens.length - 1].context + 1 : 0;
  const short = (value: number) => significant(value, 3);
  return table(
    [
      ...contexts > 1 ? [numeric("context")] : [],
      numeric("position"),
      "token",
      ...["activation", "pre-activation", ...kinds.map((kind) => KIND_NAMES[kind]), "bias"].map(numeric),
    ],
    tokens.map(({ context, position, token, activation, pre_activation, parts }) => [
      ...contexts > 1 ? [String(context)] : [],
      String(position),
      token,
      activation > 0 ? short(activation) : "-",
      short(pre_activation),
      ...kinds.map((kind) => short(parts.reduce((sum, part, k) => components[k].kind === kind ? sum + part : sum, 0))),
      short(bias),
    ]),
  );
}

/** What the columns mean, a sentence or two each. */
export function attributionNotes({ definitions, is_norm_fixed }: StoredAttribution): string[] {
  const names = { parts: "Parts", typical: "Typical", shares: "Shares", whole: "All together", kinds: "Components" };
  const others = { ...is_norm_fixed ? { norm: "Norm" } : {}, reads: "Reads", writes: "Raises", cosine: "Cosine" };
  return [
    ...Object.entries({ ...names, ...others }).map(([key, name]) => `${name}: ${definitions[key]}`),
    "A dash: no token lies beyond chance.",
  ];
}
