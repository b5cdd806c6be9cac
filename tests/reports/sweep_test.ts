import assert from "node:assert/strict";
import { sweepsOf, withStability } from "../../core/runs/sweeps.ts";
import { sweepReport } from "../../reports/markdown/sweep_report.ts";
import { sweepFigure } from "../../reports/plots/sweep.ts";
import { renderPng } from "../../reports/plots/render.ts";
import { idOf, nameTranscoders } from "../../core/runs/ids.ts";
import { syntheticAnalysis, writeSyntheticRun } from "./synthetic_run.ts";

const small = { groups: [32, 64, 32], dIn: 16, dOut: 16 };
const found = [
  await syntheticAnalysis({ ...small, k: 16, fvu: 0.3, l0: 16, seed: 0 }),
  await syntheticAnalysis({ ...small, k: 16, fvu: 0.32, l0: 16.5, seed: 1 }),
  await syntheticAnalysis({ ...small, k: 32, fvu: 0.2, l0: 32, seed: 0 }),
];
const names = nameTranscoders(found.map(({ config }) => idOf(config)));
const members = found.map((member, i) => ({ ...member, name: names[i] }));
const other = await syntheticAnalysis({ ...small, layer: 4 });

Deno.test("three of one target are a sweep, two are none, and those of another target are not of it", () => {
  assert.deepEqual(sweepsOf([members[0], members[1], other]), []);
  const [sweep, ...more] = sweepsOf([...members, other]);
  assert.deepEqual(more, []);
  assert.deepEqual(sweep.members, members);
});

Deno.test("those that nobody beats are on the front, and seeds are taken together", () => {
  const [{ front, settings }] = sweepsOf(members);
  assert.deepEqual(members.map((member) => front.has(member)), [true, false, true]);
  assert.deepEqual(settings.map(({ name, members }) => [name.phrase, members.length]), [
    ["layer 2 (k 16)", 2],
    ["layer 2 (k 32)", 1],
  ]);
  assert.ok(Math.abs(settings[0].fvu.mean - 0.31) < 1e-9);
});

Deno.test("runs that differ in steps or batch are settings of their own, not seeds, and named so; what is only looked at makes no difference", () => {
  const [one, two, three] = members;
  const longer = { ...two, config: { ...two.config, steps: 2 * two.config.steps } };
  const looked = { ...two, config: { ...two.config, log_every: 1, loss_tokens: 4096 } };
  const told = (all: typeof members) =>
    sweepsOf(all)[0].settings.map(({ name, members }) => [name.phrase, members.length]);
  assert.deepEqual(told([one, longer, three]), [
    ["layer 2 (k 16, steps 600)", 1],
    ["layer 2 (k 16, steps 1,200)", 1],
    ["layer 2 (k 32)", 1],
  ]);
  assert.deepEqual(told([one, looked, three]), [["layer 2 (k 16)", 2], ["layer 2 (k 32)", 1]]);
  const batches = [one, two, three].map((member, i) => ({
    ...member,
    config: { ...member.config, batch_tokens: 64 << i },
  }));
  assert.equal(sweepsOf(batches)[0].withK, null, "slopes lie along transcoders that share all other settings");
});

Deno.test("one that began with finished weights is no seed: neither its FVU nor its features count as one's", async () => {
  const parent = { name: "first/layer2", fingerprint: "f".repeat(64), steps: 600 };
  const started = { ...members[1], config: { ...members[1].config, parent } };
  const further = { ...members[2], config: { ...members[2].config, parent, data_seed: 7 } };
  const [sweep] = sweepsOf([members[0], started, further]);
  const { settings } = await withStability(sweep, () => assert.fail("there are no two seeds"));
  assert.deepEqual(settings.map(({ name, fvu }) => [name.phrase, fvu.mean]), [
    ["layer 2 (k 16)", members[0].evaluation.fvu],
    ["layer 2 (k 16, seed 1)", started.evaluation.fvu],
    ["layer 2 (k 32, seed 0)", further.evaluation.fvu],
  ]);
  assert.ok(settings.every(({ fvu: { std }, stability }) => Number.isNaN(std) && stability === null));
  // Both with one parent are of one seed, the third is of none that has two k.
  assert.equal(sweep.withK?.seeds, 1);
  const [mixed] = sweepsOf([...members, started]), report = sweepReport([mixed], new Date());
  assert.match(report, /^\| layer 2 \(k 16, seed 1\), started from first\/layer2 +\| +1 \| +0\.3200 \|/m);
  assert.match(report, /began with finished weights is no seed/);
});

Deno.test("each seed's features are looked for in the others' weights, of each setting that has several", async () => {
  const root = await Deno.makeTempDir();
  try {
    const path = (run: string, seed: number) => writeSyntheticRun(root, run, { ...small, seed });
    const paths = [await path("a", 0), await path("b", 1), await path("c", 0)];
    const heard: string[] = [];
    const shares = async (first: string, second: string) => {
      const [sweep] = sweepsOf([{ ...members[0], path: first }, { ...members[1], path: second }, members[2]]);
      const { settings } = await withStability(sweep, ({ phrase }) => heard.push(phrase));
      return settings.map(({ stability }) => stability?.groups.map(({ found, judged }) => found / judged));
    };
    // Written with the same seed, weights are the same; with another they have nothing in common.
    assert.deepEqual(await shares(paths[0], paths[2]), [[1, 1, 1], undefined]);
    const [apart] = await shares(paths[0], paths[1]);
    assert.ok(apart!.every((share) => share < 0.5), String(apart));
    assert.deepEqual(heard, ["layer 2 (k 16)", "layer 2 (k 16)"]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("the report has a row for each member and setting, loss recovered where it was measured", () => {
  const report = sweepReport(sweepsOf(members), new Date("2026-01-02T03:04:05Z"));
  assert.match(report, /^\| \[layer 2 \(k 16, seed 1\)\]\(layer2-k16-seed1_analysis_report\.md\) +\| 0\.3200 \[/m);
  assert.match(report, /^\| layer 2 \(k 16\) +\| +2 \| 0\.3100 ± 0\.0141 \|/m);
  assert.doesNotMatch(report, /Loss recovered|NaN|undefined/);
});

Deno.test("the figure has a line for each member and a point for each of its prefixes; without any it is drawn all the same", async () => {
  const prefixed = members.map((member) => ({
    ...member,
    evaluation: {
      ...member.evaluation,
      fvu_per_prefix: member.evaluation.fvu_per_prefix.map((figures, p) => ({ ...figures, l0: 5 + p })),
    },
  }));
  const { concat: [panel] } = JSON.parse(JSON.stringify(sweepFigure(sweepsOf(prefixed))));
  assert.equal(panel.data.values.length, 9);
  assert.deepEqual(
    panel.data.values.filter(({ whole }: { whole: boolean }) => whole).map(({ l0 }: { l0: number }) => l0),
    [
      16,
      16.5,
      32,
    ],
  );
  const broken = prefixed.map((member) => ({
    ...member,
    evaluation: {
      ...member.evaluation,
      fvu_per_prefix: [{ prefix: 128, fvu: NaN, ci95: [NaN, NaN] as [number, number] }],
    },
  }));
  for (const sweeps of [prefixed, broken].map(sweepsOf)) {
    assert.deepEqual([...(await renderPng(sweepFigure(sweeps))).subarray(1, 4)], [...new TextEncoder().encode("PNG")]);
  }
});
