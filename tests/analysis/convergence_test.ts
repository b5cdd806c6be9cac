import assert from "node:assert/strict";
import { uniform } from "../random.ts";
import { type MetricsRow, trainingCourse } from "../../core/analysis/convergence.ts";

const config = { steps: 1000, log_every: 10, warmup_steps: 50 };

function rows(loss: (step: number) => number, last = 1000): MetricsRow[] {
  return Array.from({ length: last / 10 }, (_, i) => {
    const step = (i + 1) * 10;
    return {
      step,
      tokens: step * 1024,
      loss: loss(step),
      aux_loss: 0,
      fvu_per_prefix: [1, loss(step)],
      l0: 48,
      dead_features: step === 300 ? 9 : 2,
      learning_rate: step <= 50 ? step / 50 : 1 - step / 1000,
      threshold: 1,
      elapsed_s: step / 5,
      tokens_per_s: 5120,
    };
  });
}

Deno.test("a level loss: no change, no noise, completed", () => {
  const course = trainingCourse(rows((step) => 0.2 + Math.exp(-step / 30)), config);
  assert.ok(course.completed && course.firstNonFiniteStep === null);
  assert.ok(Math.abs(course.lastFifthChange) < 1e-6, `changed by ${course.lastFifthChange}`);
  assert.ok(course.noise < 1e-6);
  assert.equal(course.lastStep, 1000);
  assert.equal(course.tokensPerSecond, 5120);
  assert.deepEqual(course.deadPeak, { step: 300, count: 9 });
  assert.equal(course.peakLearningRate.step, 50);
});

Deno.test("the change over the last fifth is that of a line, whatever single jumps do", () => {
  const falling = (step: number) => 1 - 0.1 * Math.max(0, step - 810) / 190;
  const course = trainingCourse(rows((step) => falling(step) * (step === 950 ? 5 : 1)), config);
  assert.ok(Math.abs(course.lastFifthChange + 0.105) < 0.01, `changed by ${course.lastFifthChange}`);
  const [jump] = course.lossRatios.toSorted((a, b) => b.ratio - a.ratio);
  assert.equal(jump.step, 950);
  assert.ok(jump.ratio > 4.9);
  assert.ok(course.noise < 0.01, `noise ${course.noise}`);
});

Deno.test("twice the steps give what every doubling gave, with an error that noise explains; the first fifth does not matter", () => {
  const gainOf = (loss: (step: number) => number, last?: number) => trainingCourse(rows(loss, last), config).outlook;
  const power = gainOf((step) => step < 200 ? 5 : 0.2 * (step / 1000) ** Math.log2(1 - 0.15));
  assert.ok(Math.abs(power.gain - 0.15) < 1e-12 && power.error < 1e-6, JSON.stringify(power));
  const errors = Array.from({ length: 200 }, (_, seed) => {
    const next = uniform(seed), noisy = gainOf((step) => 0.2 * (step / 1000) ** -0.2 * (1 + 0.05 * (next() - 0.5)));
    return (noisy.gain - (1 - 2 ** -0.2)) / noisy.error;
  });
  const spread = Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length);
  assert.ok(spread > 0.85 && spread < 1.15, `errors are ${spread} times what is said`);
  assert.deepEqual(gainOf(() => 1), { gain: 0, error: 0 });
  assert.deepEqual(gainOf(() => 1, 90), { gain: NaN, error: NaN });
  assert.ok(gainOf((step) => 1 + step / 1000).gain < 0, "a loss that rises gains nothing");
});

Deno.test("warm-up is no jump", () => {
  const course = trainingCourse(rows((step) => step < 50 ? 100 : 1), config);
  assert.ok(course.lossRatios.every(({ ratio }) => ratio === 1));
});

Deno.test("a loss that rises again: the lowest value and its step are kept", () => {
  const course = trainingCourse(rows((step) => 1 + Math.abs(step - 500) / 1000), config);
  assert.ok(Math.abs(course.lowestLossStep - 500) <= 40, `lowest at ${course.lowestLossStep}`);
  assert.ok(course.finalLoss > 1.4 * course.lowestLoss);
});

Deno.test("NaN is found, and a run that stopped is not completed", () => {
  const course = trainingCourse(rows((step) => step < 400 ? 1 : NaN, 500), config);
  assert.equal(course.firstNonFiniteStep, 400);
  assert.equal(course.completed, false);
});

Deno.test("logging from step 0 may end one interval before the last step", () => {
  assert.ok(trainingCourse(rows(() => 1, 990), config).completed);
  assert.ok(!trainingCourse(rows(() => 1, 980), config).completed);
});

Deno.test("one logged row is enough for a course", () => {
  const course = trainingCourse(rows(() => 1, 10), config);
  assert.equal(course.finalLoss, 1);
  assert.ok(Number.isNaN(course.lastFifthChange));
});

Deno.test("an auxiliary loss that comes when the first feature dies is no part of the course", () => {
  const fallen = rows((step) => 1 / step);
  const withDead = fallen.map((row) => {
    const aux_loss = row.step > 500 ? 5 : 0;
    return { ...row, loss: row.loss + aux_loss, aux_loss };
  });
  const { lossRatios, ...course } = trainingCourse(withDead, config), plain = trainingCourse(fallen, config);
  assert.equal(course.lowestLossStep, plain.lowestLossStep);
  assert.ok(Math.abs(course.finalLoss - plain.finalLoss) < 1e-12, `${course.finalLoss}`);
  assert.ok(lossRatios.every(({ ratio }) => ratio < 1.5));
});
