/** First-letter absorption in planted dictionaries: found where it is, and only there. */

import assert from "node:assert/strict";
import { absorptionAt, measureAbsorption } from "../../core/analysis/absorption.ts";
import { f1Of, LetterProbes, type ProbedWords } from "../../core/analysis/letter_probes.ts";
import { assertClose } from "../compare.ts";
import { gaussians, uniform } from "../random.ts";

const ALPHABET = Array.from("abcdefghijklmnopqrstuvwxyz"), WIDTH = 64, EACH = 40;
/** One feature per letter, then those that are planted beside them, then some that fire anywhere. */
const PLANTED = 26, ANYWHERE = 30, FEATURES = 60;

/** How features stand at the n-th word of a letter; those of the letter itself unless a test plants others. */
type Firing = (letter: string, n: number, projection: number) => Map<number, number>;

const ownLetter: Firing = (letter, _, projection) => new Map([[ALPHABET.indexOf(letter), projection]]);

/** Unit rows: a letter's features point where its words do; `planted` gives the others between 26 and 30 such a direction. */
function directions(planted: readonly [letter: string, cosine: number][]): Float32Array {
  const random = gaussians(FEATURES * WIDTH, 8), rows = new Float32Array(FEATURES * WIDTH);
  for (let feature = 0; feature < FEATURES; feature++) {
    const [letter, cosine] = feature < PLANTED ? [ALPHABET[feature], 1] : planted[feature - PLANTED] ?? ["a", 0];
    const rest = random.slice(feature * WIDTH, (feature + 1) * WIDTH).map((x, c) => c < 26 ? 0 : x);
    const length = Math.hypot(...rest), along = ALPHABET.indexOf(letter);
    for (let c = 0; c < WIDTH; c++) rows[feature * WIDTH + c] = Math.sqrt(1 - cosine ** 2) * rest[c] / length;
    rows[feature * WIDTH + along] += cosine;
  }
  return rows;
}

/** Words whose letter is a direction of its own among noise, and what fires at each. */
function planted(firing: Firing, alphabet = ALPHABET, unit = 1): ProbedWords {
  const words = Array.from({ length: alphabet.length * EACH }, (_, i) => i);
  const letters = words.map((i) => alphabet[i % alphabet.length]), next = uniform(4);
  const noise = gaussians(words.length * WIDTH, 6), source = new Float32Array(words.length * WIDTH);
  const rows = words.map((i) => {
    const n = Math.floor(i / alphabet.length), projection = 3 + 2 * next(), along = ALPHABET.indexOf(letters[i]);
    for (let c = 0; c < WIDTH; c++) source[i * WIDTH + c] = unit * (0.5 * noise[i * WIDTH + c] + 20);
    source[i * WIDTH + along] += unit * projection;
    const fired = firing(letters[i], n, unit * projection);
    for (let feature = ANYWHERE; feature < FEATURES; feature++) if (next() < 0.1) fired.set(feature, unit * next());
    return [...fired].sort(([a], [b]) => a - b);
  });
  return {
    texts: words.map((i) => `${letters[i]}${Math.floor(i / alphabet.length)}`),
    letters,
    train: Math.floor(0.8 * words.length),
    source,
    width: WIDTH,
    features: {
      rowStart: Uint32Array.from([0, ...rows], (_, i) => rows.slice(0, i).reduce((sum, row) => sum + row.length, 0)),
      index: Uint32Array.from(rows.flat(), ([feature]) => feature),
      value: Float32Array.from(rows.flat(), ([, value]) => value),
    },
    featureCount: FEATURES,
  };
}

const letterOf = (found: ReturnType<typeof measureAbsorption>, letter: string) =>
  found.letters[ALPHABET.indexOf(letter)].measured!;

/** Words 32 to 39 of each letter judge. Two of c fire features of their own instead of the letter's. */
const absorbedC: Firing = (letter, n, projection) =>
  letter === "c" && (n === 32 || n === 36)
    ? new Map([[n === 32 ? PLANTED : PLANTED + 1, projection / 0.6]])
    : ownLetter(letter, n, projection);
const encoderC = directions([["c", 0.6], ["c", 0.6]]), foundC = measureAbsorption(planted(absorbedC), encoderC);

Deno.test("absorption: a clean dictionary has none, and a letter has one feature", () => {
  const heard: number[] = [];
  const found = measureAbsorption(planted(ownLetter), directions([]), (done, all) => heard.push(done / all));
  assert.equal(found.known_letters, 26);
  assert.deepEqual([found.train_words, found.test_words], [832, 208]);
  const { by_chance, mean_split_f1, ...mean } = found.mean!;
  assert.deepEqual(mean, {
    ...{ mean_absorption_fraction_score: 0, mean_full_absorption_score: 0, mean_num_split_features: 1 },
    ...{ std_dev_absorption_fraction_score: 0, std_dev_full_absorption_score: 0, std_dev_num_split_features: 0 },
  });
  assert.ok(mean_split_f1 > 0.95);
  assert.deepEqual(by_chance, { mean_absorption_fraction_score: 0, mean_full_absorption_score: 0 });
  found.letters.forEach(({ first_letter, train_words, test_words, probe_f1, measured }, letter) => {
    assert.deepEqual([first_letter, train_words, test_words], [ALPHABET[letter], 32, 8]);
    assert.ok(probe_f1 > 0.9, `${first_letter}: ${probe_f1}`);
    assert.deepEqual(measured!.split_features, [letter]);
    assert.ok(measured!.split_f1 > 0.95);
  });
  assert.deepEqual(heard, Array.from({ length: 52 }, (_, n) => (n + 1) / 52));
});

Deno.test("absorption: a word's own feature that carries its letter is found, and the word", () => {
  const found = foundC, { absorbed, ...c } = letterOf(found, "c");
  assert.deepEqual(absorbed.map(({ word, feature }) => [word, feature]).sort(), [["c32", PLANTED], [
    "c36",
    PLANTED + 1,
  ]]);
  for (const { cosine, share } of absorbed) {
    assert.ok(Math.abs(cosine - 0.6) < 0.1, `${cosine}`);
    // The noise at a word is the probe's too, and not the feature's.
    assert.ok(Math.abs(share - 1) < 0.3, `${share}`);
  }
  assert.deepEqual(c.split_features, [2]);
  assert.deepEqual([c.num_probe_true_positives, c.num_full_absorption], [8, 2]);
  assert.deepEqual([c.full_absorption_rate, c.mean_absorption_fraction], [0.25, 0.25]);
  // Dealt out, the planted cosine seldom falls to what fires there.
  assert.ok(c.by_chance.full_absorption_rate < 0.06, `${c.by_chance.full_absorption_rate}`);
  for (const { first_letter, measured } of found.letters) {
    if (first_letter !== "c") assert.equal(measured!.num_full_absorption, 0);
  }
  assertClose("means", [found.mean!.mean_full_absorption_score], [0.25 / 26], { floor: 1e-12, relative: 0 });
  assertClose("deviation", [found.mean!.std_dev_full_absorption_score], [0.25 / Math.sqrt(26)], {
    floor: 1e-12,
    relative: 0,
  });
});

Deno.test("absorption: half of a letter carried by another feature is a fraction and not full", () => {
  const halved: Firing = (letter, n, projection) =>
    letter === "c" && n % 4 === 0
      ? new Map([[2, projection / 2], [PLANTED, projection / 2 / 0.6]])
      : ownLetter(letter, n, projection);
  const c = letterOf(measureAbsorption(planted(halved), directions([["c", 0.6]])), "c");
  assert.equal(c.full_absorption_rate, 0);
  assertClose("fraction", [c.mean_absorption_fraction], [0.25 / 2], { floor: 0.02, relative: 0 });
});

Deno.test("absorption: a letter that is split among two features has both, and neither absorbs", () => {
  const split: Firing = (letter, n, projection) =>
    letter === "t" ? new Map([[n % 2 === 0 ? 19 : PLANTED, projection]]) : ownLetter(letter, n, projection);
  const t = letterOf(measureAbsorption(planted(split), directions([["t", 1]])), "t");
  assert.deepEqual(t.split_features.toSorted((a, b) => a - b), [19, PLANTED]);
  assert.ok(t.split_f1 > 0.95);
  assert.deepEqual([t.full_absorption_rate, t.mean_absorption_fraction], [0, 0]);
});

Deno.test("absorption: neither the source's unit nor that of a feature's activations matters", () => {
  const told = ({ mean, letters }: typeof foundC) => {
    const { absorbed: _, ...c } = letters[2].measured!;
    return [
      mean!.mean_absorption_fraction_score,
      mean!.mean_full_absorption_score,
      ...[c].map(({ by_chance }) => by_chance),
    ];
  };
  assert.deepEqual(told(measureAbsorption(planted(absorbedC, ALPHABET, 1024), encoderC)), told(foundC));
  // A feature whose row is twice as long activates twice as strongly.
  const words = planted(absorbedC), { features } = words;
  const louder = { ...words, features: { ...features, value: features.value.map((value) => 2 * value) } };
  assert.deepEqual(told(measureAbsorption(louder, encoderC.map((weight) => 2 * weight))), told(foundC));
});

Deno.test("absorption: where fewer than 20 letters are known, nothing is said of the dictionary", () => {
  const found = measureAbsorption(planted(absorbedC, ALPHABET.slice(0, 19)), encoderC);
  assert.equal(found.known_letters, 19);
  assert.equal(found.mean, null);
  assert.ok(found.letters.every(({ measured }) => measured === null));
  assert.deepEqual(found.letters.slice(17, 21).map(({ test_words, probe_f1 }) => [test_words, probe_f1 > 0.9]), [
    [8, true],
    [8, true],
    [0, false],
    [0, false],
  ]);
});

Deno.test("absorption: letters dealt out to words at random are not known", () => {
  const words = planted(ownLetter), next = uniform(12);
  const letters = words.letters.map(() => ALPHABET[Math.floor(26 * next())]);
  const found = measureAbsorption({ ...words, letters }, directions([]));
  assert.equal(found.known_letters, 0);
  assert.ok(found.letters.every(({ probe_f1 }) => probe_f1 < 0.3));
});

Deno.test("absorption: where every feature reads the letter, chance is as high as what is found", () => {
  const encoder = directions([]);
  for (let feature = PLANTED; feature < FEATURES; feature++) {
    for (let c = 0; c < WIDTH; c++) encoder[feature * WIDTH + c] = encoder[2 * WIDTH + c];
  }
  const { full_absorption_rate, by_chance } = letterOf(measureAbsorption(planted(absorbedC), encoder), "c");
  assert.equal(full_absorption_rate, 0.25);
  assert.ok(by_chance.full_absorption_rate > 0.1, `${by_chance.full_absorption_rate}`);
});

Deno.test("absorptionAt: SAEBench's conditions, one by one", () => {
  const cosines = [0.9, 0.5, 0.5, 0.5, 0.5, 0.05, 0.02, -0.5], isMain = (feature: number) => feature === 0;
  const at = (projection: number, ...active: [feature: number, length: number][]) =>
    absorptionAt(projection, active.map(([feature, length]) => ({ feature, length })), cosines, isMain);
  const none = { fraction: 0, absorber: null };
  assert.deepEqual(at(1), none);
  assert.deepEqual(at(1, [1, 0.8]), { fraction: 1, absorber: { feature: 1, share: 0.4 } }, "0.4 of it is enough");
  assert.deepEqual(at(1, [1, 0.79]), none);
  assert.deepEqual(at(-1, [1, 0.8]), none, "the probe says no");
  assert.deepEqual(at(1, [0, 0.1], [1, 1]), { fraction: 0.5 / 0.59, absorber: null }, "its own feature fires");
  assert.deepEqual(at(1, [0, 2], [1, 1]), none, "its own feature carries all");
  assert.deepEqual(at(1, [0, 0.9], [1, 10]).fraction, 1 - 0.81, "no more than what is left");
  assert.deepEqual(at(1, [5, 10]), { fraction: 0, absorber: { feature: 5, share: 0.5 } }, "0.025 is enough in full");
  assert.deepEqual(at(1, [6, 30]), none);
  assert.deepEqual(at(1, [7, 1]), none);
  const three = at(1, [1, 0.2], [2, 0.2], [3, 0.2], [4, 0.2]);
  assert.deepEqual(three, none, "three features of 0.1 are not 0.4");
  assert.equal(at(0.75, [1, 0.2], [2, 0.2], [3, 0.2], [4, 0.2]).fraction, 1);
  assert.deepEqual(at(1, [2, 1], [1, 1]).absorber, { feature: 1, share: 0.5 }, "the lower of two that carry the same");
});

Deno.test("f1Of: 2 TP / (2 TP + FP + FN), 0 without any", () => {
  const isPositive = (row: number) => row < 3;
  assert.equal(f1Of([true, true, false, true, false], isPositive), 4 / 6);
  assert.equal(f1Of([false, false, false, true], isPositive), 0);
  assert.equal(f1Of([false], () => false), 0);
});

Deno.test("LetterProbes: a direction in the source's own unit, and a column that never changes", () => {
  const words = planted(ownLetter), source = words.source.map((value, at) => at % WIDTH === 50 ? 7 : value);
  const probes = new LetterProbes({ ...words, source }), { direction } = probes.probe("c");
  assert.equal(direction![50], 0);
  assertClose("length", [Math.hypot(...direction!)], [1], { floor: 1e-12, relative: 0 });
  assert.ok(direction![2] > 0.8, `it points along its letter: ${direction![2]}`);
  assertClose("mean", [probes.mean[50]], [7], { floor: 1e-9, relative: 0 });
  assert.deepEqual([probes.count("c", "train"), probes.count("c", "test"), probes.count("?", "test")], [32, 8, 0]);
});
