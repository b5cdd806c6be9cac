/**
 * What the browser shows, as plain values: the parts that the page asks for one by one, from within an exported file or from the server.
 *
 * | part | holds |
 * |---|---|
 * | `index` | {@link BrowserIndex}: the transcoders that there are |
 * | `KEY/about` | {@link TranscoderAbout}: what else is known of one |
 * | `KEY/table` | {@link FeatureTable}: a column per figure, for search, order and filters |
 * | `KEY/examples` | {@link Lists}: where each feature's examples stand, which a search for text looks in; only where there is a record |
 * | `KEY/tokens` | {@link TokenStream}: the reading set; likewise |
 * | `KEY/features/N` | {@link FeatureDetail}s of the features from N * {@link FEATURES_PER_PART} on |
 * | `KEY/map` | {@link MapPart}: the features in two dimensions |
 * | `match/KEY/KEY` | {@link MatchPart}: two transcoders matched |
 *
 * KEY is a transcoder's name as of core/runs/ids.ts, for example `layer17`. Those of {@link isPacked} are bytes as of packed.ts, where NaN is
 * what is not known; the others are JSON, which has no NaN: there it is null.
 * @module
 */

/** Features whose details are one part: a click reads one of these. */
export const FEATURES_PER_PART = 64;

/**
 * Whether a part is packed, and not JSON.
 *
 * @param name The part's name.
 * @returns Whether it is bytes as of packed.ts.
 */
export function isPacked(name: string): boolean {
  return /\/(table|examples|tokens|map)$/.test(name);
}

/** What stands for a transcoder's directory in commands, as parts are kept while directories are moved and named in other ways. */
export const HERE = "{directory}";

/** A number that may not be known. */
export type Figure = number | null;

/** Two words and what they say: a row of provenance, or a term with its definition. */
export type Told = readonly [term: string, text: string];

/** What there is to be looked at. */
export interface BrowserIndex {
  /** The version of mtc that made this. */
  readonly version: string;
  /** Whether a server is behind the page, so that there is more than the explorer. */
  readonly served: boolean;
  /** The transcoders, in the order of the reports. */
  readonly transcoders: readonly TranscoderHead[];
  /** The keys of pairs that are matched. */
  readonly pairs: readonly (readonly [a: string, b: string])[];
  /** What was passed over and what was left out, a sentence each. */
  readonly notes: readonly string[];
}

/** One transcoder, as far as its settings and its evaluation tell. */
export interface TranscoderHead {
  /** What its parts and addresses begin with. */
  readonly key: string;
  /** Its name in a heading, */
  readonly title: string;
  /** and inside of a sentence. */
  readonly phrase: string;
  /** Path of its directory, as commands take it. */
  readonly directory: string;
  /** The language model's name. */
  readonly model: string;
  /** What it predicts from what. */
  readonly mapping: string;
  /** Features per Matryoshka group. */
  readonly groups: readonly number[];
  /** Features kept per token in training. */
  readonly k: number;
  /** Held-out figures of each prefix; empty where they were not measured. */
  readonly prefixes: readonly PrefixEntry[];
}

/** What else is known of a transcoder, once all that its run holds was read. */
export interface TranscoderAbout {
  /** Where its numbers come from: which run, which text, which tokens, what was left out. */
  readonly provenance: readonly Told[];
  /** What every figure is. */
  readonly definitions: readonly Told[];
  /** What could be said and is not, with the command that makes it; {@link HERE} stands for the directory. */
  readonly missing: readonly { readonly what: string; readonly command: string }[];
  /** The parts that there are besides table and features. */
  readonly has: { readonly tokens: boolean; readonly map: boolean; readonly tree: boolean };
  /** What the source is the sum of, in the order of a feature's parts; empty where that was not measured. */
  readonly components: readonly string[];
  /** What chance gives, to be held against a feature's figures. */
  readonly chance: { readonly coherence: Figure; readonly cosine: Figure };
  /** The features whose details are there; all where it is null. */
  readonly detailed: readonly number[] | null;
}

/** All that is known of a transcoder as a whole. */
export type TranscoderEntry = TranscoderHead & TranscoderAbout;

/** One prefix on held-out text. */
export interface PrefixEntry {
  /** Its end: features below it take part. */
  readonly end: number;
  /** Fraction of variance unexplained. */
  readonly fvu: Figure;
  /** Active features per token. */
  readonly l0: Figure;
  /** Share of the loss recovered, against zeros. */
  readonly recovered: Figure;
}

/** [features] one figure of every feature; NaN where it is not known. */
export type Column = Float32Array;

/** [features] another thing's index for every feature; -1 for none. */
export type Indices = Int32Array;

/** Lists of different lengths, one behind the other. */
export interface Lists {
  /** [lists + 1] where each begins, and the end. */
  readonly start: Uint32Array;
  /** What is in them. */
  readonly item: Uint32Array;
}

/** All features, a column per figure. Features are in the order of the dictionary. */
export interface FeatureTable {
  /** [features] Matryoshka group. */
  readonly group: Uint16Array;
  /** Texts of tokens, which `known` and `tokens` name by number. */
  readonly texts: readonly string[];
  /** The tokens that each feature is known by, and the share of its firings that each has, in percent. */
  readonly known: Lists & { readonly share: Uint8Array };
  /** The tokens that each fires on most. */
  readonly tokens: Lists;
  /** Share of tokens that it fires on. */
  readonly density: Column;
  /** Its largest activation. */
  readonly strength: Column;
  /** Entropy in bits of the tokens that it fires on. */
  readonly entropy: Column;
  /** By how much FVU rises without it. */
  readonly fvu_rise: Column;
  /** By how much the model's mean loss rises without it, in nats. */
  readonly ce_rise: Column;
  /** Semantic coherence. */
  readonly coherence: Column;
  /** Its cluster: an index of {@link FeatureTable.clusters}. */
  readonly cluster: Indices;
  /** Clusters of features that fire together: the tokens that each is known by, and its features. */
  readonly clusters: readonly { readonly tokens: readonly string[]; readonly features: number }[];
  /** What there is of a tree; null where features are in one group, or there is no record. */
  readonly tree: {
    /** Features of later groups that fire often enough, */
    readonly judged: number;
    /** and those of them with a parent beyond chance. */
    readonly kept: number;
    /** The share of them once features are grouped by how often they fire. */
    readonly by_density: Figure;
    /** Parents that their children cover. */
    readonly splits: number;
  } | null;
  /** The feature of an earlier group that it fires under. */
  readonly parent: Indices;
  /** How much likelier that fires where it does. */
  readonly lift: Column;
}

/** The reading set, token by token. */
export interface TokenStream {
  /** Texts of tokens. */
  readonly texts: readonly string[];
  /** [tokens] indices of `texts`. */
  readonly id: Uint32Array;
  /** The first token of each context. */
  readonly contexts: Uint32Array;
  /** Runs of tokens that follow each other in one document. */
  readonly runs: {
    /** [runs] the first token, */
    readonly token: Uint32Array;
    /** its document, an index of `documents`, */
    readonly document: Uint32Array;
    /** and its offset there. */
    readonly position: Uint32Array;
  };
  /** Names of the documents, and the part of the text that each belongs to. */
  readonly documents: readonly (readonly [name: string, split: string])[];
  /** [prefixes][tokens] what each prefix leaves unexplained of the target at a token: |y_p - y|^2 over |y - mean|^2, in percent. */
  readonly unexplained: readonly Uint16Array[];
}

/** A firing among the tokens around it. */
export interface Example {
  /** The token, an index of the reading set. */
  readonly at: number;
  /** The offsets from it, within its context, at which the feature fires: 0 among them. */
  readonly offsets: readonly number[];
  /** Its activations there. */
  readonly values: readonly number[];
  /** Share of the feature's firings that are weaker; absent of the strongest ones. */
  readonly quantile?: number;
}

/** A firing of which only the text around it is known. */
export interface SampledExample {
  /** The text before, the token, and the text behind it. */
  readonly text: readonly [before: string, token: string, after: string];
  /** Its activation. */
  readonly value: number;
  /** Its document, and its offset there. */
  readonly place: readonly [document: string, position: number];
  /** Share of the feature's firings that are weaker; absent of the strongest ones. */
  readonly quantile?: number;
}

/** Another feature, with how near it is. */
export type Near = readonly [feature: number, value: number];

/** A token with a value: its cosine, or what comes to its logit. */
export type Valued = readonly [token: string, value: number];

/** One feature. */
export interface FeatureDetail {
  /** Its index. */
  readonly feature: number;
  /** Figures with their names, a row each. */
  readonly figures: readonly Told[];
  /** Its activations where it fires, in equal bins from 0 to the largest; empty where it never does. */
  readonly histogram: readonly number[];
  /** How likely it fires in each eighth of a context, as a multiple of how likely it fires anywhere. */
  readonly position: readonly number[];
  /** The tokens that it fires on most: text, and how often. */
  readonly tokens: readonly Valued[];
  /** Its strongest firings, one from each context, the strongest first, and some at fixed quantiles. */
  readonly examples: readonly Example[];
  /** The same of the final pass; only there without a record. */
  readonly samples: readonly SampledExample[];
  /** What it reads and writes in tokens; null where that was not measured. */
  readonly words: {
    readonly reads: readonly Valued[];
    readonly raised: readonly Valued[];
    readonly lowered: readonly Valued[];
    /** How many logits it moves by how much, in equal bins; null where that was not measured. */
    readonly logits: { readonly from: number; readonly to: number; readonly counts: readonly number[] } | null;
    /** What chance gives for each. */
    readonly chance: { readonly reads: Figure; readonly writes: Figure };
  } | null;
  /** Neighbours: by cosine of what they write, by correlation of their activations, by Jaccard index of their firing. */
  readonly near: {
    readonly cosine: readonly Near[];
    readonly correlation: readonly Near[];
    readonly jaccard: readonly Near[];
  };
  /** The feature that it fires under; null where there is none beyond chance. */
  readonly parent: {
    readonly feature: number;
    readonly lift: number;
    readonly containment: number;
    readonly cosine: number;
  } | null;
  /** The features that fire under it, with the lift. */
  readonly children: readonly Near[];
  /** [prefixes] by how much the FVU of each rises without it; 0 where it is no part of the prefix. Empty without a record. */
  readonly removed: readonly number[];
  /** What each component gives to its pre-activation where it fires, less what it gives anywhere; empty where that was not measured. */
  readonly parts: readonly number[];
  /** What the model's predictions lose without it; null where that was not measured. */
  readonly effect: {
    readonly ce_rise: Figure;
    readonly ce_rise_ci95: readonly [Figure, Figure];
    readonly ce_rise_per_fire: Figure;
    readonly kl: Figure;
  } | null;
}

/** The features of a transcoder in two dimensions. */
export interface MapPart {
  /** [features] along the first component, */
  readonly x: Float32Array;
  /** and along the second. */
  readonly y: Float32Array;
  /** The shares of variance that both have. */
  readonly shares: readonly [Figure, Figure];
  /** What both together would have by chance. */
  readonly share_by_chance: Figure;
}

/** Features of two transcoders that are each other's best match. */
export interface MatchPart {
  /** Pairs: a feature of the first, one of the second, and the correlation of their activations; the best first. */
  readonly mutual: readonly (readonly [a: number, b: number, correlation: number])[];
  /** Features that are judged, found again above 0.7, and each one's own. */
  readonly sides: readonly [MatchSide, MatchSide];
  /** Tokens that both were recorded on. */
  readonly tokens: number;
}

/** One side of a {@link MatchPart}. */
export interface MatchSide {
  /** Features that fire often enough. */
  readonly judged: number;
  /** Those with a match above 0.7. */
  readonly same: number;
  /** Those that chance matches as well. */
  readonly unique: number;
  /** The correlation that a match must beat. */
  readonly limit: Figure;
}
