/**
 * Every limit that turns a number into a judgement, with its reason. Reports quote these values; nothing else holds a limit.
 * @module
 */

/** The limits. Shares are between 0 and 1. */
export const thresholds = {
  /** Success: held-out FVU of the whole dictionary lies below this (the plan's goal for layer 17 of Gemma-2-2B). */
  fvu: 0.3,
  /** A dimension of the target that holds more than this share of its variance decides the FVU: a real Gemma has 10 % or 74 %. */
  decisiveDimension: 0.25,
  /**
   * A linear map that was fitted on fewer tokens than this per dimension of its source is not the best one there is: on the embedded model
   * 40 leave its FVU 7 % too high, 80 leave 2 %.
   */
  tokensPerDimension: 100,
  /** Success: held-out L0 differs from k by at most this share of k. */
  l0Tolerance: 0.2,
  /** Success: fewer features than this share are dead on held-out text. The ideal is none. */
  deadShare: 0.05,
  /** Success: twice the steps would lower FVU by less than this share of it; other seeds move it by a third of that. */
  doublingGain: 0.05,
  /** A loss that rises by more than this share over the last fifth of the training gets worse. */
  lastFifthRise: 0.05,
  /** The final loss lies no more than this share above the lowest one of the training. */
  aboveLowest: 0.1,
  /** A logged loss this many times the running median is a jump. */
  jump: 1.5,
  /** No more than this share of the logged steps are jumps. */
  jumpShare: 0.01,
  /** A group that lowers FVU by less than this adds little. */
  groupGain: 0.01,
  /** A feature is dense, hard to give one meaning, when it fires this many times as often as the average, k / features, ... */
  denseMultiple: 10,
  /** ... or on more than this share of the tokens, whichever is less. */
  denseDensity: 0.5,
  /** More dense features than this share of the dictionary deserve a warning. */
  denseShare: 0.01,
  /** A feature with fewer activations than this in the final pass is rare: its samples prove little. */
  rareFires: 10,
  /** More rare features than this share deserve a warning. */
  rareShare: 0.2,
  /** With less than this share of features at the sample cap, more text is worth reading. */
  sampleCoverage: 0.5,
  /** More features than this share found again in another seed are most of them; fewer than the other share are hardly any. */
  foundAgainMost: 0.5,
  foundAgainHardly: 0.05,
} as const;
