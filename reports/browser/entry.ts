/**
 * What the browser says of a transcoder as a whole: its figures, where they come from, and what each of them is.
 * @module
 */

import { LEAST_FIRES } from "../../core/analysis/parents.ts";
import { tapName } from "../../core/model/sites.ts";
import type { ChosenTranscoder } from "../../core/runs/discovery.ts";
import type { StoredEvaluation } from "../../core/runs/evaluation.ts";
import { featureCount, prefixEnds } from "../../core/transcoder/shape.ts";
import { counted, fileSize, integer, mappingText, setting, timestamp } from "../format.ts";
import { leftOut, textRead } from "../held_out.ts";
import type { PrefixEntry, Told, TranscoderAbout, TranscoderHead } from "./data.ts";
import { figureOf, type Held } from "./explored.ts";

/**
 * Describes a transcoder by its settings and its evaluation.
 *
 * @param transcoder Its directory, its config.json and its name.
 * @param evaluation evaluation.json; null where there is none that can be read.
 * @returns Its entry in the index.
 */
export function headOf(
  { path, name: { file, title, phrase }, config }: Pick<ChosenTranscoder, "path" | "name" | "config">,
  evaluation: StoredEvaluation | null,
): TranscoderHead {
  return {
    ...{ key: file, title, phrase, directory: path, model: config.model.name, mapping: mappingText(config) },
    ...{ groups: config.groups, k: config.k, prefixes: prefixesOf(config.groups, evaluation) },
  };
}

/**
 * Describes a transcoder by all that its run holds.
 *
 * @param held That.
 * @param hasMap Whether its weights could be compared.
 * @param detailed The features whose details are there; null for all.
 * @returns What else is to be said of it.
 */
export function aboutOf(held: Held, hasMap: boolean, detailed: readonly number[] | null = null): TranscoderAbout {
  const { config, recorded, attribution, coherence } = held;
  return {
    provenance: provenanceOf(held),
    definitions: definitionsOf(held),
    missing: held.missing,
    has: { tokens: recorded !== null, map: hasMap, tree: recorded !== null && config.groups.length > 1 },
    components: attribution?.components.map(({ name }) => name) ?? [],
    chance: { coherence: figureOf(coherence?.random.limit), cosine: figureOf(attribution?.cosine_chance) },
    detailed,
  };
}

function prefixesOf(groups: readonly number[], evaluation: StoredEvaluation | null): PrefixEntry[] {
  if (evaluation === null) return [];
  const { fvu_per_prefix, loss } = evaluation;
  return prefixEnds(groups).map((end, p) => ({
    end,
    fvu: figureOf(fvu_per_prefix[p]?.fvu),
    l0: figureOf(fvu_per_prefix[p]?.l0),
    recovered: figureOf(loss?.per_prefix[p]?.recovered_zero),
  }));
}

function provenanceOf({ config, evaluation, recorded, importance, attribution, coherence }: Held): Told[] {
  const { model, data, groups, exclude_tokens, exclude_norm_above, include_bos, context, median_norms, imported } =
    config;
  const said: (Told | false)[] = [
    [
      "Run",
      `begun ${timestamp(new Date(config.created))}, mtc ${config.mtc_version} on ${config.adapter}`,
    ],
    [
      "Model",
      `${model.name}: ${counted(model.layers, "layer")}, width ${model.d_model}, ${integer(model.vocab_size)} tokens${
        model.path === null ? ", built in" : ""
      }`,
    ],
    [
      "Mapping",
      `${tapName(config.source)} to ${config.targets.map(tapName).join(" and ")}${
        config.skip ? ", with a skip connection" : ""
      }`,
    ],
    [
      "Dictionary",
      `${integer(featureCount(groups))} features${
        groups.length > 1 ? ` in nested groups of ${groups.map(integer).join(", ")}` : ""
      }; k ${config.k}${
        imported && imported.activation !== "top-k" ? ", its L0 as it was measured" : `, seed ${config.seed}`
      }`,
    ],
    imported ? ["Training", `elsewhere: imported from ${imported.tool}, ${imported.from}`] : [
      "Training",
      `${integer(config.steps)} steps of ${
        integer(config.batch_tokens)
      } tokens in contexts of ${context}, learning rate ${setting(config.learning_rate)}`,
    ],
    [
      "Text",
      `${data.name} (${fileSize(data.bytes)}${
        data.train_documents === null
          ? ""
          : `, ${counted(data.train_documents, "document")} to train on, ${
            counted(data.held_out_documents!, "document")
          } held out`
      }), SHA-256 ${data.fingerprint.slice(0, 12)}`,
    ],
    [
      "Left out",
      `${include_bos ? "nothing for being BOS" : "BOS"}${
        exclude_tokens.length === 0 ? "" : `, tokens with the ids ${exclude_tokens.join(", ")}`
      }${
        exclude_norm_above > 0 && median_norms
          ? `, tokens longer than ${setting(exclude_norm_above)} medians at a source`
          : ""
      }`,
    ],
    recorded !== null && ["Reading set", readingSet(recorded.record)],
    evaluation !== null && ["Held-out figures", `${textRead(evaluation)}; ${leftOut(evaluation, include_bos)}`],
    importance !== null &&
    [
      "Importance",
      `${counted(importance.predictions, "prediction")} in ${counted(importance.contexts, "held-out context")}`,
    ],
    attribution !== null &&
    [
      "Parts, reads and writes",
      `${counted(attribution.tokens, "held-out token")} in ${counted(attribution.contexts, "context")}`,
    ],
    coherence !== null &&
    [
      "Coherence",
      `at ${coherence.source}, ${counted(coherence.tokens, "token")} of the reading set; ${
        counted(coherence.rare, "feature")
      } too rare for it`,
    ],
  ];
  return said.filter((one) => one !== false);
}

function readingSet({ place, documents }: NonNullable<Held["recorded"]>["record"]): string {
  const heldOut = documents.filter(({ split }) => split !== "train").length;
  return `${counted(place.length, "token")} of ${counted(documents.length, "document")}, ${
    integer(heldOut)
  } of them held out, drawn evenly from the text`;
}

function definitionsOf({ evaluation, importance, attribution, coherence, recorded }: Held): Told[] {
  const named = (definitions: Readonly<Record<string, string>> | undefined, of: string): Told[] =>
    Object.entries(definitions ?? {}).map(([term, text]) => [`${term.replaceAll("_", " ")} (${of})`, text]);
  return [
    ...recorded === null ? [] : RECORD_DEFINITIONS,
    ...named(importance?.definitions, "importance"),
    ...named(attribution?.definitions, "parts"),
    ...named(coherence?.definitions, "coherence"),
    ...named(evaluation?.definitions, "held out"),
    ...named(evaluation?.loss?.definitions, "loss recovered"),
  ];
}

/** What is made of the record. */
const RECORD_DEFINITIONS: readonly Told[] = [
  [
    "Known by",
    "Up to three tokens with the largest share of a feature's firings times the logarithm of that share over the token's share of all tokens.",
  ],
  ["Density", "Share of the tokens of the reading set that a feature fires on."],
  ["Strength", "Its largest activation on the reading set."],
  ["Entropy", "Entropy in bits of the tokens in all of its firings on the reading set; 0 where it fires on one alone."],
  [
    "FVU rises by",
    "How much the FVU of a prefix rises on the reading set when the feature alone is taken out of its reconstruction; negative where it is better without.",
  ],
  [
    "Unexplained",
    "|y_p - y|^2 over |y - mean(y)|^2 at one token, y the target and y_p what the first features make of it; above 100 % where these are worse " +
    "than the mean.",
  ],
  [
    "Examples",
    "A feature's strongest firings, one from each context; then those at fixed quantiles of all of its activations.",
  ],
  [
    "Parent, lift",
    "The feature of an earlier group with the largest P(it fires | the child fires) - P(it fires), where that beats the 99th percentile of what " +
    `shuffled contexts give; children with fewer than ${LEAST_FIRES} firings are not judged. Lift: P(parent | child) over P(parent).`,
  ],
  [
    "Neighbours",
    "The ten with the largest cosine of decoder rows, correlation of activations over all tokens, and tokens on which both fire by those on which " +
    "at least one does (Jaccard).",
  ],
  [
    "Clusters",
    "Average linkage by 1 - correlation of activations, cut where the mean silhouette is largest; named by the tokens characteristic of their firings.",
  ],
  [
    "Map",
    "Decoder rows of unit length about their mean, along the two directions in which they differ most (principal components): a shadow. Two " +
    "features are at least as far apart as it shows them.",
  ],
  [
    "Match",
    `Features of two transcoders that are each other's largest correlation of activations on the same tokens, above the 99th percentile of what ` +
    `shuffled contexts give.`,
  ],
];
