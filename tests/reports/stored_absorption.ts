/** What `mtc analyze absorption` might have found. */

import { ABSORPTION_DEFINITIONS, type LetterAbsorption } from "../../core/analysis/absorption.ts";
import type { StoredAbsorption } from "../../core/runs/absorption.ts";

const letter = (first_letter: string, isMeasured: boolean): LetterAbsorption => ({
  ...{ first_letter, train_words: 40, test_words: 12, probe_f1: isMeasured ? 0.8125 : 0.25 },
  measured: isMeasured
    ? {
      ...{ split_features: [7, 3], split_f1: 0.5, num_probe_true_positives: 8, num_full_absorption: 2 },
      ...{ full_absorption_rate: 0.25, mean_absorption_fraction: 0.375 },
      by_chance: { full_absorption_rate: 0.0125, mean_absorption_fraction: 0.0625 },
      absorbed: [
        { word: " tea", feature: 5, cosine: 0.5, share: 0.75 },
        { word: "Tin", feature: 9, cosine: 0.25, share: 0.5 },
      ],
    }
    : null,
});

/** Of two letters, one of which is known. */
export const storedAbsorption: StoredAbsorption = {
  ...{ steps: 10, vocabulary_words: 5000, examples: 10, seed: 0, train_words: 800, test_words: 200, known_letters: 20 },
  mean: {
    ...{ mean_absorption_fraction_score: 0.375, mean_full_absorption_score: 0.25, mean_num_split_features: 2 },
    mean_split_f1: 0.5,
    ...{ std_dev_absorption_fraction_score: NaN, std_dev_full_absorption_score: NaN, std_dev_num_split_features: NaN },
    by_chance: { mean_absorption_fraction_score: 0.0625, mean_full_absorption_score: 0.0125 },
  },
  letters: [letter("t", true), letter("x", false)],
  definitions: ABSORPTION_DEFINITIONS,
};
