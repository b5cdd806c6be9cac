import assert from "node:assert/strict";
import { UsageError } from "../../core/errors.ts";
import type { Recipe } from "../../core/runs/settings.ts";
import { checkRecipe, learningRate } from "../../core/training/recipe.ts";
import { featureCount, prefixEnds } from "../../core/transcoder/shape.ts";

const RECIPE: Recipe = {
  groups: [1152, 2304, 1152],
  k: 48,
  steps: 1000,
  batch_tokens: 1024,
  learning_rate: 3e-4,
  encoder_bias_rate: 1,
  whole_weight: 1,
  revival_rate: 0,
  warmup_steps: 100,
  final_lr_fraction: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  aux_weight: 1 / 32,
  aux_k: 256,
  dead_after_tokens: 1e6,
  threshold_rate: 0.01,
  seed: 42,
};

const rates = (recipe: Recipe) => Array.from({ length: recipe.steps }, (_, n) => learningRate(recipe, n + 1));

/** Equal but for the last digits of a float64. */
function assertNear(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) <= 1e-12 * Math.abs(expected), `${actual} instead of ${expected}`);
}

Deno.test("prefixes end where the groups' running sum is", () => {
  assert.deepEqual(prefixEnds([1152, 2304, 1152]), [1152, 3456, 4608]);
  assert.deepEqual(prefixEnds([1]), [1]);
  assert.deepEqual(prefixEnds([1, 1, 1]), [1, 2, 3]);
  assert.equal(featureCount([1152, 2304, 1152]), 4608);
});

Deno.test("the learning rate rises linearly from lr / warmup, peaks at the end of the warm-up and ends at 1 %", () => {
  const all = rates(RECIPE);
  assertNear(all[0], 3e-4 / 100);
  assertNear(all[49], 3e-4 / 2);
  assertNear(all[99], 3e-4);
  assert.equal(Math.max(...all), all[99]);
  // Half-way down the cosine: the mean of the peak and the end.
  assertNear(all[549], 3e-4 * (1 + 0.01) / 2);
  assertNear(all[999], 3e-4 * 0.01);
});

Deno.test("a run that goes on has the rates of a new one, behind its parent's steps; one from weights alone counts from 1", () => {
  const parent = { name: "first/layer2", fingerprint: "", steps: 700 }, fresh = { ...RECIPE, steps: 300 };
  const further = { ...RECIPE, parent: { ...parent, goes_on: true as const } };
  assert.deepEqual(Array.from({ length: 300 }, (_, n) => learningRate(further, 701 + n)), rates(fresh));
  assert.deepEqual(rates({ ...RECIPE, parent } as Recipe), rates(RECIPE));
});

Deno.test("the learning rate is never 0, rises during the warm-up and falls after it", () => {
  for (const [steps, warmup_steps] of [[1000, 100], [1, 0], [1, 1], [2, 1], [10, 10], [10, 9], [7, 0]]) {
    const all = rates({ ...RECIPE, steps, warmup_steps });
    assert.ok(all.every((rate) => rate > 0 && rate <= RECIPE.learning_rate), `${steps}, ${warmup_steps}: ${all}`);
    for (let n = 1; n < steps; n++) {
      assert.equal(all[n] > all[n - 1], n < warmup_steps, `step ${n + 1} of ${steps}, warm-up ${warmup_steps}`);
    }
    const last = warmup_steps === steps ? RECIPE.learning_rate : RECIPE.learning_rate * RECIPE.final_lr_fraction;
    assertNear(all[steps - 1], last);
  }
});

Deno.test("a recipe that can be trained is accepted, at its edges too", () => {
  checkRecipe(RECIPE);
  checkRecipe({ ...RECIPE, groups: [1], k: 1, steps: 1, warmup_steps: 1, batch_tokens: 1, aux_weight: 0, aux_k: 1 });
  checkRecipe({ ...RECIPE, k: 4608, warmup_steps: 0, final_lr_fraction: 1, dead_after_tokens: 1, seed: 0 });
});

const REFUSED: [keyof Recipe, unknown, RegExp][] = [
  ["groups", [], /groups = : it must be 1 to 8 positive whole numbers/],
  ["groups", [4, 0], /groups = 4,0: /],
  ["groups", [1, 1, 1, 1, 1, 1, 1, 1, 1], /it must be 1 to 8 positive/],
  ["groups", [4, -1], /groups/],
  ["groups", [4.5], /groups/],
  ["groups", [NaN], /groups/],
  ["k", 0, /k = 0: it must be a whole number from 1 to the dictionary's 4608 features/],
  ["k", 4609, /k = 4609: /],
  ["k", 1.5, /k = 1.5: /],
  ["k", NaN, /k = NaN: /],
  ["steps", 0, /steps = 0: it must be a positive whole number/],
  ["steps", 1.5, /steps/],
  ["batch_tokens", 0, /batch_tokens = 0: it must be a positive whole number/],
  ["learning_rate", 0, /learning_rate = 0: it must be a positive number/],
  ["learning_rate", -1, /learning_rate/],
  ["learning_rate", Infinity, /learning_rate/],
  ["learning_rate", NaN, /learning_rate/],
  ["learning_rate", 1e39, /1e\+39: it must be a positive number that float32 can hold, from 1.2e-38 to 3.4e\+38/],
  ["learning_rate", 1e-39, /1e-39: it must be a positive number that float32 can hold/],
  ["encoder_bias_rate", 0, /encoder_bias_rate = 0: it must be a positive number/],
  ["encoder_bias_rate", Infinity, /encoder_bias_rate/],
  ["revival_rate", -1, /revival_rate = -1: it must be 0 or a positive number/],
  ["revival_rate", Infinity, /revival_rate/],
  ["whole_weight", 0, /whole_weight = 0: it must be a positive number/],
  ["whole_weight", Infinity, /whole_weight/],
  ["warmup_steps", 1001, /warmup_steps = 1001: it must be a whole number from 0 to the run's 1000 steps/],
  ["warmup_steps", -1, /warmup_steps/],
  ["warmup_steps", 0.5, /warmup_steps/],
  ["final_lr_fraction", -0.1, /final_lr_fraction = -0.1: it must be from 0 to 1/],
  ["final_lr_fraction", 1.1, /final_lr_fraction/],
  ["final_lr_fraction", NaN, /final_lr_fraction/],
  ["beta1", 1, /beta1 = 1: it must be 0 or more and below 1/],
  ["beta2", -0.1, /beta2/],
  ["beta2", NaN, /beta2/],
  ["beta2", 0.99999999, /it must be below 1 as a float32, at most 0.99999994/],
  ["epsilon", 0, /epsilon = 0: it must be a positive number/],
  ["threshold_rate", 1.1, /threshold_rate = 1.1: it must be from 0 to 1/],
  ["aux_weight", -1, /aux_weight = -1: it must be 0 or a positive number/],
  ["aux_weight", Infinity, /aux_weight/],
  ["aux_weight", 1e308, /it must be 0 or a positive number that float32 can hold/],
  ["aux_k", 0, /aux_k = 0: it must be a positive whole number/],
  ["dead_after_tokens", 0, /dead_after_tokens = 0: it must be a positive whole number/],
  ["seed", -1, /seed = -1: it must be a whole number, 0 or more/],
  ["seed", 2 ** 53, /seed/],
];

for (const [setting, value, message] of REFUSED) {
  Deno.test(`a recipe with ${setting} = ${JSON.stringify(value)} (${value}) is refused`, () => {
    assert.throws(() => checkRecipe({ ...RECIPE, [setting]: value }), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /^Cannot train with /);
      assert.match(error.message, message);
      return true;
    });
  });
}
