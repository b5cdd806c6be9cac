/**
 * What the features of a layer are made of: told by tokens or made from context, and what in the model lifts them.
 * @module
 */

import type { Interval } from "../../core/analysis/bootstrap.ts";
import { medianDifference } from "../../core/analysis/comparison.ts";
import { EXPLAINED, type LayerAnalysis } from "../../core/analysis/layer.ts";
import { median } from "../../core/analysis/statistics.ts";
import { KIND_NAMES } from "../attribution_table.ts";
import { bracketed } from "../evaluation_table.ts";
import { counted, decimal, integer, list, percent } from "../format.ts";
import type { Finding, KnownLayer } from "./finding.ts";

/** Whether features are told by their tokens or made from context. */
export function kindFinding({ recorded: { layer } }: KnownLayer): Finding | null {
  const { features, kinds, close } = layer, all = features.length;
  if (all === 0) return null;
  const of = (kind: string) => kinds.find((one) => one.kind === kind)!, context = of("context"), token = of("token");
  // Those that may be of the other kind do not count for either.
  const most = (count: number) => (count - close) / all > 0.5;
  const lead = most(context.features)
    ? "**Kind: mostly made from context.**"
    : most(token.features)
    ? "**Kind: mostly told by their token.**"
    : Math.max(context.features, token.features) / all > 0.5
    ? "**Kind: too many lie near the limit to tell.**"
    : "**Kind: neither tokens nor context make most.**";
  return {
    question: "kind",
    said:
      `${lead} Of ${counted(all, "feature")} ${
        integer(token.features)
      } are told by the token that they fire on, which predicts half of their ` +
      `activation or more (${percent(token.mass, 0)} of all activation), and ${
        integer(context.features)
      } by neither that, nor the token before, nor the ` +
      `place (${percent(context.mass, 0)}); ${
        integer(close)
      } of all lie too near to the limit to be sure. The median R2 of the token is ${
        decimal(median(features.map(({ explained }) => explained.token.r2)), 2)
      }.`,
    chance:
      "documents that the predictions have not seen: what has nothing to do with the token comes to an R2 of 0, rare tokens included.",
    doubt:
      `the limit of ${EXPLAINED} is a convention; near is within two standard errors of it, and such features count for neither when more than half is called most. A feature of rare tokens has few to be predicted from, so that more text would tell more features by theirs.`,
    wrong:
      "a word, or a run of three tokens, that predicts what the single token does not: then context means spelling. That was not tried.",
  };
}

/** Which component of the residual stream lifts the features. */
export function sourcesFinding({ attribution }: KnownLayer): Finding | null {
  if (attribution === undefined) return null;
  const { kinds, tokens, documents, resampled, is_norm_fixed } = attribution;
  const [first, second] = kinds.toSorted((a, b) => b.share - a.share);
  if (second === undefined || !Number.isFinite(first.ci95[0] + second.ci95[1])) return null;
  const name = KIND_NAMES[first.kind],
    lead = first.ci95[0] > 0.5
      ? `**Sources: mostly ${name}.**`
      : first.ci95[0] > second.ci95[1]
      ? `**Sources: more from ${name} than from any other.**`
      : "**Sources: none leads for certain.**";
  return {
    question: "sources",
    said: `${lead} What lifts its features above their typical pre-activation comes to ${
      list(kinds.map(({ kind, share, ci95 }) =>
        `${
          bracketed(share, ci95, (value) => percent(value, 0))
        } from ${KIND_NAMES[kind]}`
      ))
    }; the parts sum to each activation exactly.`,
    chance:
      "equal parts. Random directions were not split, so that this says what lifts these features, not that it lifts them more than others.",
    doubt: `95 % intervals resample ${resampled}, ${counted(tokens, "held-out token")} of ${
      counted(documents, "document")
    }.${is_norm_fixed ? " The norm of each token is held fixed." : ""}`,
    wrong:
      "other shares on other text, or features that do not move when the component is switched off. Only the last step is told: what earlier MLPs add may be what attention brought them.",
  };
}

/** Whether more comes from attention where the token tells less. */
export function attentionFinding({ recorded: { layer: { link } } }: KnownLayer): Finding | null {
  if (link === null || !Number.isFinite(link.attention)) return null;
  const { attention, embedding, chance, features } = link;
  const lead = attention < -chance
    ? "**Attention: more comes from it where tokens tell less.**"
    : attention > chance
    ? "**Attention: more comes from it where tokens tell more.**"
    : "**Attention: unrelated to what tokens tell.**";
  return {
    question: "attention",
    said:
      `${lead} Over ${
        counted(features, "feature")
      } the rank correlation of how well the token tells a feature with the share of attention in what lifts it ` +
      `is ${decimal(attention, 2)}, with that of the embedding ${
        decimal(embedding, 2)
      }. The two are measured on different text, one by prediction, the other by ` +
      "splitting activations.",
    chance: `unrelated ranks stay within ±${decimal(chance, 2)} in 95 of 100.`,
    doubt: "similar features count several times, so that the limit is somewhat too narrow.",
    wrong: Math.abs(attention) > chance
      ? "no such correlation within features that fire as often, or in another seed."
      : "a correlation beyond the limit within features that fire as often, or in another seed.",
  };
}

/** The R2 of the token of the features of two layers: medians, and that of the first less that of the other; null where either has no features. */
export function contextDifference(
  layer: LayerAnalysis,
  other: LayerAnalysis,
): { own: number; theirs: number; difference: number; ci95: Interval } | null {
  if (layer.features.length === 0 || other.features.length === 0) return null;
  const [own, theirs] = [layer, other].map(({ features }) =>
    features.map(({ explained }) => explained.token.r2).filter(Number.isFinite)
  );
  return { own: median(own), theirs: median(theirs), ...medianDifference(theirs, own) };
}

/** How the layer differs from the nearest other one in how much its features hang on context. */
export function depthFinding({ recorded: { layer }, others, name }: KnownLayer): Finding | null {
  const [other] = others, found = other && contextDifference(layer, other.layer);
  if (!found) return null;
  const { own, theirs, difference, ci95 } = found, [low, high] = ci95;
  const lead = high < 0
    ? `**Depth: more context than ${other.name}.**`
    : low > 0
    ? `**Depth: less context than ${other.name}.**`
    : `**Depth: as much context as ${other.name}.**`;
  const share = ({ kinds, features }: LayerAnalysis) =>
    kinds.find(({ kind }) => kind === "context")!.features / features.length;
  return {
    question: "depth",
    said: `${lead} The median R2 of the token is ${decimal(own, 2)} here and ${decimal(theirs, 2)} there (difference ${
      bracketed(difference, ci95, (value) => decimal(value, 2))
    }); ${percent(share(layer), 0)} of the features of ${name.phrase} are made from context, ${
      percent(share(other.layer), 0)
    } of those of ${other.name}.`,
    chance: "no difference: 0.",
    doubt: "the 95 % interval resamples features, as if they were independent; two trainings, one of each layer.",
    wrong: low <= 0 && high >= 0
      ? "a difference among features that fire as often, or between dictionaries of other sizes."
      : "no difference among features that fire as often, as the token tells less of rare ones, or between dictionaries of other sizes.",
  };
}
