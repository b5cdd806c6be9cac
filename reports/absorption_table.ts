/**
 * What is said of first-letter absorption.
 * @module
 */

import { LEAST_F1, type MeanAbsorption, type MeasuredLetter } from "../core/analysis/absorption.ts";
import type { StoredAbsorption } from "../core/runs/absorption.ts";
import { counted, decimal, integer, percent } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** With fewer judged words the F1 of a letter's probe hangs on single ones. */
const FEW_WORDS = 10;

/** Absorbed words of a letter that a reader is shown. */
export const SHOWN = 3;

/** What was read, and of how many letters anything can be said. `source` is where the transcoder reads. */
export function absorptionSentence(absorption: StoredAbsorption, source: string): string {
  const { train_words, test_words, vocabulary_words, examples, known_letters, letters } = absorption;
  const few = letters.filter(({ test_words }) => test_words < FEW_WORDS).length;
  return `${integer(train_words + test_words)} of the vocabulary's ${counted(vocabulary_words, "word")}, ${
    examples === 0 ? "without examples in front" : `each behind ${counted(examples, "example")}`
  }: ${integer(train_words)} fitted probes, ${integer(test_words)} judged. Probes on ` +
    `${source} know ${integer(known_letters)} of 26 letters${
      few > 0
        ? `; ${integer(few)} ${
          few === 1 ? "has" : "have"
        } fewer than ${FEW_WORDS} judged words, too few for an F1 to say much`
        : ""
    }.`;
}

/** What the dictionary makes of the letters; that nothing can be said where too few are known. */
export function meanSentence(
  { mean, known_letters, train_words, test_words, vocabulary_words }: StoredAbsorption,
): string {
  if (mean === null) {
    const drawn = train_words + test_words, most = integer(vocabulary_words);
    return known_letters < 20
      ? `Nothing can be said of absorption: fewer than 20 letters have a probe with an F1 above 0.6. ${
        drawn < vocabulary_words
          ? `More words may teach the probes more (--words, up to ${most}); a small model may not hold the letters at all.`
          : "All words were read: the model does not hold the letters at this place."
      }`
      : "Nothing can be said of absorption: no feature speaks for any letter.";
  }
  const chance = mean.by_chance, split = decimal(mean.mean_num_split_features, 1);
  return `Absorbed in full: ${
    percent(mean.mean_full_absorption_score)
  } of the words whose letter is known (by chance ` +
    `${percent(chance.mean_full_absorption_score)}); absorption fraction ${
      decimal(mean.mean_absorption_fraction_score, 3)
    } ` +
    `(by chance ${
      decimal(chance.mean_absorption_fraction_score, 3)
    }); a letter is split among ${split} features, which ` +
    `tell it with an F1 of ${decimal(mean.mean_split_f1, 2)}. Means over the letters that are known.${
      mean.mean_split_f1 < LEAST_F1
        ? ` Probes must tell a letter with ${LEAST_F1}: features that tell it less have little that others could take from them, so that low absorption is no merit here.`
        : ""
    }`;
}

/**
 * Each letter, and what stands in for its features at the words that are absorbed; the probes alone where nothing can be said of these. `words` is how
 * many of them are shown, and `written` how each is.
 */
export function absorptionTable(
  { letters, mean }: StoredAbsorption,
  words: number,
  written: (word: string) => string,
): string {
  const columns = ["Letter", ...["Words", "Probe F1"].map(numeric)];
  const probes = letters.map(({ first_letter, test_words, probe_f1 }) => {
    return [first_letter, integer(test_words), decimal(probe_f1, 2)];
  });
  if (mean === null) return table(columns, probes);
  const rows = letters.map(({ measured }, n) => {
    return [...probes[n], ...measured === null ? Array(8).fill("–") : letterCells(measured, words, written)];
  });
  return table(
    [
      ...columns,
      "Split among",
      ...["F1", "Known words", "Absorbed", "by chance", "Fraction", "by chance"].map(numeric),
      "Absorbed words, and by what",
    ],
    [...rows, ["mean", "", "", ...meanCells(mean)]],
  );
}

function letterCells(measured: MeasuredLetter, words: number, written: (word: string) => string): string[] {
  const { split_features, split_f1, num_probe_true_positives, full_absorption_rate, by_chance, absorbed } = measured;
  const more = absorbed.length > words ? [`${integer(absorbed.length - words)} more`] : [];
  return [
    split_features.join(" "),
    decimal(split_f1, 2),
    integer(num_probe_true_positives),
    percent(full_absorption_rate),
    percent(by_chance.full_absorption_rate),
    decimal(measured.mean_absorption_fraction, 3),
    decimal(by_chance.mean_absorption_fraction, 3),
    [...absorbed.slice(0, words).map(({ word, feature }) => `${written(word)} ${feature}`), ...more].join(", "),
  ];
}

function meanCells(mean: MeanAbsorption): string[] {
  const { by_chance } = mean;
  return [
    decimal(mean.mean_num_split_features, 1),
    decimal(mean.mean_split_f1, 2),
    "",
    percent(mean.mean_full_absorption_score),
    percent(by_chance.mean_full_absorption_score),
    decimal(mean.mean_absorption_fraction_score, 3),
    decimal(by_chance.mean_absorption_fraction_score, 3),
    "",
  ];
}

/** What each figure of some transcoders is; of the probes alone where nothing can be said of the others. */
export function absorptionNotes(all: readonly StoredAbsorption[]): string[] {
  const [{ definitions }] = all, isSaid = all.some(({ mean }) => mean !== null);
  const told = Object.entries(definitions).filter(([name]) => isSaid || ["words", "probe_f1"].includes(name));
  return told.map(([name, sentence]) => `${name}: ${sentence}`);
}
