/**
 * What `mtc ablate` and `mtc steer` print for a program; the tables for a reader are made of it.
 * @module
 */
import type { Interval } from "../core/analysis/bootstrap.ts";
import type { EffectFigures } from "../core/analysis/change_effect.ts";

/** What is known of a feature from the run's final pass over text. */
export interface KnownFeature {
  /** Its index. */
  feature: number;
  /** The share of tokens that it fires on. */
  density: number;
  /** Its mean activation where it fires; NaN where it never did. */
  mean_activation: number;
  /** Its largest one. */
  max_activation: number;
  /** The most frequent token among its top samples; null where it never fired. */
  top_token: string | null;
}

/** What becomes of which features. */
export interface DescribedChange {
  /** What becomes of an activation; CHANGE_DEFINITIONS has the formulas. */
  kind: "scale" | "set" | "add";
  /** Of `scale`. */
  factor?: number;
  /** Of `set` and `add`. */
  value?: number;
  /** Likewise: at every counted token, or only where the feature fires. */
  where?: "everywhere" | "firing";
  /** The features, ascending, */
  features: readonly number[];
  /** and in words: `feature 12`. */
  what: string;
}

/** A transcoder, and what was changed of it. */
export interface ChangedRun {
  /** Its directory, */
  run: string;
  /** and its title: `Layer 4`. */
  name: string;
  /** The layer predicted. */
  layer: number;
  /** Where it reads, such as `layer4.resid_mid`, */
  source: string;
  /** and what it predicts, where the change takes place. */
  target: string;
  /** The change. */
  change: DescribedChange;
  /** Those of the features of which features.csv tells; none where the run has none. */
  known: KnownFeature[];
}

/** A next token, and its probability without the change and with it. */
export interface TokenProbabilities {
  /** Its id, */
  token_id: number;
  /** and its text. */
  token: string;
  /** Its probability without the change, */
  before: number;
  /** and with it. */
  after: number;
}

/** The distribution over the next token somewhere, without the change and with it. */
export interface MovedDistribution {
  /** The token of the text that follows; null behind its end. */
  next_token_id: number | null;
  /** The most probable token without the change, */
  most_probable_before: TokenProbabilities;
  /** and with it. */
  most_probable_after: TokenProbabilities;
  /** The tokens whose probability moved the most, the farthest first. */
  movers: TokenProbabilities[];
}

/** A token of a text. */
export interface ChangedTokenFigures {
  /** Its place in the context; BOS is 0. */
  position: number;
  /** Its id, */
  token_id: number;
  /** and its text. */
  token: string;
  /** Whether the target is changed there. */
  counted: boolean;
  /** The features whose activation is another there. */
  features: { feature: number; before: number; after: number }[];
  /** How far the target is moved, relative to its length. */
  target_change: number;
  /** The loss of the token that follows without the change, null for the last one, */
  loss_before: number | null;
  /** and with it. */
  loss_after: number | null;
  /** KL(without || with). */
  kl: number;
  /** Its share of all tokens' KL. */
  kl_share: number;
  /** Whether the most probable next token stays. */
  same_top: boolean;
}

/** What a change does to a text. */
export interface ChangedTextFigures {
  /** Predictions at counted tokens that have a successor; */
  predictions: number;
  /** their mean loss without the change, null where there are none, */
  loss_before: number | null;
  /** and with it. */
  loss_after: number | null;
  /** The mean KL of all tokens. */
  kl: number;
  /** The tokens, BOS first. */
  tokens: ChangedTokenFigures[];
  /** The next token's distribution at the tokens of largest KL, and at the last. */
  moved: (MovedDistribution & { position: number })[];
}

/** How a text goes on. */
export interface Continuation {
  /** In text, */
  text: string;
  /** and in tokens, each with the probability that the model gave it. */
  tokens: { token_id: number; token: string; probability: number }[];
}

/** How it goes on without a change and with it. */
export interface Continuations {
  /** 0: the most probable token. */
  temperature: number;
  /** Of the random numbers, which are the same for both; null without. */
  seed: number | null;
  /** Tokens before the first that differs. */
  same: number;
  /** Without the change, */
  before: Continuation;
  /** and with it. */
  after: Continuation;
}

/** What is printed of a text. */
export interface TextChange {
  /** The change's effect on it. */
  text: ChangedTextFigures;
  /** How it goes on, where that was asked for. */
  generation?: Continuations;
}

/** A set of features, and what changing it does. */
export interface SetFigures extends EffectFigures {
  /** The features. */
  features: readonly number[];
  /** The sum of their activations over the counted tokens. */
  activation_mass: number;
}

/** A prediction of held-out text that is moved far. */
export interface AffectedFigures extends MovedDistribution {
  /** The document's name. */
  document: string;
  /** The offset in it of the token that the prediction is made at. */
  position: number;
  /** That token's id, */
  token_id: number;
  /** and its text. */
  token: string;
  /** The text before it in its context, */
  before: string;
  /** and the token that follows. */
  next_token: string;
  /** The loss of that without the change, */
  loss_before: number;
  /** and with it. */
  loss_after: number;
  /** KL(without || with). */
  kl: number;
}

/** What is printed of held-out text. */
export interface HeldOutChange {
  /** The part that was read. */
  split: string;
  /** What the rivals are drawn by. */
  seed: number;
  /** Contexts of the predictions, */
  contexts: number;
  /** and their documents. */
  documents: number;
  /** What the intervals resample. */
  resampled: "documents" | "contexts";
  /** The model as it is. */
  clean: { ce: number; ce_ci95: Interval };
  /** The model with the features changed, */
  changed: SetFigures;
  /** at tokens where one of them fires, null where none does, */
  firing: EffectFigures | null;
  /** and with random features changed likewise. */
  rivals: readonly SetFigures[];
  /**
   * What becomes of the next token's mean distribution over all predictions: how much probability goes from some tokens to others, which
   * gain the most, and which lose the most.
   */
  next_tokens: { moved: number; gained: TokenProbabilities[]; lost: TokenProbabilities[] };
  /** What becomes of each document, in the order of the text. */
  per_document: { document: string; predictions: number; ce_change: number; kl: number }[];
  /** The predictions of largest KL, the largest first. */
  affected: AffectedFigures[];
}
