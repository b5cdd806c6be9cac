/**
 * What the features of a layer are made of: told by tokens or made from context, and what in the model lifts them.
 * @module
 */

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
      `place (${percent(context.mass, 0)}). The median R2 of the token is ${
        decimal(median(features.map(({ explained }) => explained.token.r2)), 2)
      }.`,
    chance:
      "documents that the predictions have not seen: what has nothing to do with the token comes to an R2 of 0, rare tokens included.",
    doubt: `${integer(close)} of ${
      integer(all)
    } lie within two standard errors of the limit of ${EXPLAINED}, which is a convention; they do not count for either. A feature of rare tokens has few to be predicted from, so that more text would tell more features by theirs.`,
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
      "features that do not move when the component is switched off. Only the last step is told: what earlier MLPs add may be what attention brought them.",
  };
}

/** Whether attention makes what the tokens do not tell. */
export function attentionFinding({ recorded: { layer: { link } } }: KnownLayer): Finding | null {
  if (link === null || !Number.isFinite(link.attention)) return null;
  const { attention, embedding, chance, features } = link;
  const lead = attention < -chance
    ? "**Attention: it makes what tokens do not tell.**"
    : attention > chance
    ? "**Attention: it brings what tokens tell.**"
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
    wrong: "no such correlation within features that fire as often, or in another seed.",
  };
}

/** How the layer differs from the nearest other one in how much its features hang on context. */
export function depthFinding({ recorded: { layer }, others, name }: KnownLayer): Finding | null {
  const [other] = others;
  if (other === undefined || layer.features.length === 0 || other.layer.features.length === 0) return null;
  const r2s = ({ features }: LayerAnalysis) =>
    features.map(({ explained }) => explained.token.r2).filter(Number.isFinite);
  const own = r2s(layer),
    theirs = r2s(other.layer),
    { difference, ci95 } = medianDifference(theirs, own),
    [low, high] = ci95;
  const lead = high < 0
    ? `**Depth: more context than ${other.name}.**`
    : low > 0
    ? `**Depth: less context than ${other.name}.**`
    : `**Depth: as much context as ${other.name}.**`;
  const share = ({ kinds, features }: LayerAnalysis) =>
    kinds.find(({ kind }) => kind === "context")!.features / features.length;
  return {
    question: "depth",
    said: `${lead} The median R2 of the token is ${decimal(median(own), 2)} here and ${
      decimal(median(theirs), 2)
    } there (difference ${bracketed(difference, ci95, (value) => decimal(value, 2))}); ${
      percent(share(layer), 0)
    } of the features of ${name.phrase} are made from context, ${
      percent(share(other.layer), 0)
    } of those of ${other.name}.`,
    chance: "no difference: 0.",
    doubt: "the 95 % interval resamples features, as if they were independent; two trainings, one of each layer.",
    wrong: "no difference between dictionaries of other sizes, or the opposite between other layers of the model.",
  };
}
