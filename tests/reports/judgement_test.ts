import assert from "node:assert/strict";
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { caveats } from "../../reports/reconstructions.ts";
import { analysisReport } from "../../reports/markdown/analysis_report.ts";
import { trainingSummary } from "../../reports/markdown/training_summary.ts";
import { successChecks, verdict } from "../../reports/checks.ts";
import { type Insight, insights } from "../../reports/markdown/insights.ts";
import { recommendations } from "../../reports/markdown/recommendations.ts";
import { syntheticAnalysis, type SyntheticRun } from "./synthetic_run.ts";

const small = { groups: [32, 64, 32], dIn: 16, dOut: 16 };

async function analysis(changes: Partial<SyntheticRun> = {}): Promise<TranscoderAnalysis> {
  return await syntheticAnalysis({ ...small, ...changes });
}

const failed = (layer: TranscoderAnalysis) => successChecks(layer).filter(({ passed }) => !passed).map(({ id }) => id);
const told = (found: (string | Insight)[], pattern: RegExp) => {
  const texts = found.map((each) => typeof each === "string" ? each : each.text);
  assert.ok(texts.some((text) => pattern.test(text)), `no ${pattern} in:\n${texts.join("\n")}`);
};

Deno.test("a good run meets every metric and is called good with its numbers", async () => {
  const layer = await analysis();
  assert.deepEqual(failed(layer), []);
  const { level, sentence } = verdict(layer);
  assert.equal(level, "good");
  assert.deepEqual(successChecks(layer).map(({ id }) => id), ["fvu", "l0", "dead", "converged"]);
  assert.match(sentence, /Good run.*All 4.*FVU 0\.180.*L0 46\.3.*no dead features/);
  told(insights(layer), /Reconstruction: within the goal/);
  told(insights(layer), /all 128 features fire/);
  told(insights(layer), /Training: levelled off/);
  told(recommendations(layer), /Start reading here.*[Ff]eatures? \d+/);
});

Deno.test("each failure alone is named in the first sentence", async () => {
  const cases: [Partial<SyntheticRun>, string[], "bad" | "doubtful", RegExp][] = [
    [{ fvu: 0.62 }, ["fvu"], "bad", /held-out FVU is 0\.620, it must be below 0\.30/],
    [{ l0: 80 }, ["l0"], "bad", /L0 is 80\.0, it must be within 20 % of 48/],
    [{ l0: 30 }, ["l0"], "bad", /L0 is 30\.0/],
    [{ deadShare: 0.4 }, ["dead"], "bad", /39\.8 % of the features are dead/],
    [{ stoppedAt: 400 }, ["completed"], "bad", /training stopped at step 400 of 600/],
    [
      { gain: 0.15 },
      ["converged"],
      "doubtful",
      /training is unfinished, twice the steps would lower FVU by about 1[456] %/,
    ],
    [{ gain: 0.05 }, ["converged"], "doubtful", /undecided: about [456] % ± \d %/],
    [{ steps: 40, gain: 0.15 }, ["converged"], "doubtful", /undecided: too few of the steps were logged/],
    [{ lateSlope: 0.004 }, ["converged"], "doubtful", /above its lowest value/],
    [{ spikes: [300, 400, 500] }, ["stable"], "doubtful", /unstable \(3 jumps/],
  ];
  for (const [changes, ids, level, reason] of cases) {
    const layer = await analysis(changes);
    assert.deepEqual(failed(layer), ids, JSON.stringify(changes));
    assert.equal(verdict(layer).level, level, JSON.stringify(changes));
    assert.match(verdict(layer).sentence, level === "bad" ? /^\*\*Bad run/ : /^\*\*Usable, (with a|but unfin)/);
    assert.match(verdict(layer).sentence, reason);
  }
});

Deno.test("a run from finished weights is judged by its figures alone: what more steps would give, it does not show", async () => {
  const parent = { name: "first/layer2", fingerprint: "0".repeat(64), steps: 600 };
  const continued = async (changes: Partial<SyntheticRun>) => {
    const layer = await analysis(changes);
    return { ...layer, config: { ...layer.config, parent } };
  };
  for (const changes of [{}, { gain: 0.15 }, { steps: 40, gain: 0.15 }]) {
    const layer = await continued(changes);
    assert.deepEqual(successChecks(layer).map(({ id }) => id), ["fvu", "l0", "dead"]);
    assert.match(verdict(layer).sentence, /Good run.*All 3/);
    assert.ok(insights(layer).every(({ id }) => id !== "training"));
    const summary = trainingSummary(layer, new Date(0));
    assert.match(
      summary,
      /\*\*Started From:\*\* the weights of `first\/layer2` after 600 steps, SHA-256 000000000000$/m,
    );
    assert.doesNotMatch(summary, /\*\*Twice the steps/);
  }
  told(recommendations(await continued({ fvu: 0.4 })), /Try more steps first.*the run began with finished weights/);
  told(insights(await continued({ lateSlope: 0.01 })), /Training: got worse again/);
});

Deno.test("a diverged run is bad whatever else it shows, and gets one piece of advice", async () => {
  const layer = await analysis({ divergesAt: 300 });
  assert.deepEqual(failed(layer), ["finite", "stable", "fvu", "l0", "converged"]);
  assert.match(verdict(layer).sentence, /Bad run.*diverged: the loss is not a number from step 300 on.*not finite/);
  told(insights(layer), /Training: diverged/);
  told(insights(layer), /Weights: broken/);
  assert.equal(recommendations(layer).length, 1);
  told(recommendations(layer), /Throw this transcoder away.*learning rate.*0\.0003/);
});

Deno.test("a loss that ends above its first value has diverged without NaN", async () => {
  const layer = await analysis({ lateSlope: 0.01 });
  assert.equal(verdict(layer).level, "bad");
  told(insights(layer), /Training: failed/);
  told(recommendations(layer), /Lower the learning rate.*the loss ends no lower than it began/);
});

Deno.test("insights and advice follow the numbers", async () => {
  const poor = await analysis({ fvu: 0.75 });
  told(insights(poor), /Reconstruction: misses the goal/);
  told(insights(poor), /of no use alone/);
  const risen = recommendations(await analysis({ fvu: 0.4, lateSlope: 0.0015 }));
  told(risen, /Lower the learning rate.*rose again before the end/);
  assert.ok(!risen.some((text) => text.includes("a larger k")), risen.join("\n"));
  told(recommendations(poor), /Try more room.*More steps would bring little/);
  assert.ok(!recommendations(poor).some((text) => text.includes("Start reading")));

  const wasteful = await analysis({ fvu: 0.4, deadShare: 0.6 });
  told(insights(wasteful), /60\.2 % of the features do not fire/);
  told(recommendations(wasteful), /Look at the dead features first/);
  told(recommendations(wasteful), /Fight dead features.*102,400 tokens/);

  told(
    recommendations(await analysis({ fvu: 0.4, gain: 0.15 })),
    /Train longer.*1,200 steps instead of 600 should bring it to about 0\.34/,
  );
  told(recommendations(await analysis({ stoppedAt: 400 })), /Finish the training.*200 steps.*mtc train --resume/);
  told(recommendations(await analysis({ l0: 80 })), /inference threshold.*too many/);
  told(recommendations(await analysis({ spikes: [300, 400, 500] })), /jumps of the loss/);
  told(recommendations(await analysis({ deadShare: 0.02 })), /Keep an eye on the 3 dead features/);
  const overfit = await analysis();
  overfit.evaluation.training_text = { tokens: 32_768, contexts: 520, fvu: 0.1, fvu_ci95: [0.09, 0.11] };
  told(insights(overfit), /Generalization: a gap/);
  told(recommendations(overfit), /more text or fewer passes.*the run used \d+ documents/);
  const learning = await analysis({ gain: 0.15 });
  told(recommendations(learning), /More steps would still help.*to about 0\.\d+\.$/);
  learning.evaluation.training_text = overfit.evaluation.training_text;
  told(recommendations(learning), /to about 0\.\d+, unless its gap to training text grows\.$/);
  Object.assign(overfit.config.data, {
    documents: null,
    train_documents: null,
    held_out_documents: null,
    bytes: 27.5e9,
  });
  told(recommendations(overfit), /the run used a part of 27\.5 GB, each activation/);
});

Deno.test("a hierarchy that helps little, or harms, is said", async () => {
  const layer = await analysis();
  const prefixes = layer.evaluation.fvu_per_prefix;
  Object.assign(prefixes[1], { fvu: layer.evaluation.fvu + 0.004, ci95: [0.178, 0.19] });
  told(insights(layer), /lowers FVU by 0\.004, which is little/);
  told(
    recommendations(layer),
    /smaller dictionary may do.*last 32 features.*only 0\.004, with \d+ % of the activations/,
  );
  Object.assign(prefixes[1], { fvu: 0.406, ci95: [0.4, 0.412] });
  told(insights(layer), /Hierarchy: broken/);
});

Deno.test("limits are exact: FVU 0.3 and 5 % dead fail, 20 % off k passes", async () => {
  const layer = await analysis();
  layer.evaluation.fvu = 0.3;
  layer.evaluation.dead_fraction = 0.05;
  layer.evaluation.l0 = 57.6;
  assert.deepEqual(failed(layer), ["fvu", "dead"]);
  layer.evaluation.l0 = 57.7;
  layer.evaluation.fvu = 0.299;
  assert.deepEqual(failed(layer), ["l0", "dead"]);
});

Deno.test("a run that a linear map equals is no success, whatever its FVU, and says so", async () => {
  const better = await analysis({ fvu: 0.18, linearFvu: 0.184 });
  assert.deepEqual(failed(better), []);
  const equal = await analysis({ fvu: 0.184, linearFvu: 0.184 });
  assert.deepEqual(failed(equal), ["fvu"]);
  const { requirement } = successChecks(equal).find(({ id }) => id === "fvu")!;
  assert.equal(requirement, "Held-out FVU below 0.30 and below the best linear map's 0.184");
  assert.match(verdict(equal).sentence, /held-out FVU is 0\.184, but the best linear map alone has 0\.184/);
  told(insights(equal), /Reconstruction: no better than a linear map/);
  told(recommendations(equal), /Held-out FVU is 0\.184, but the best linear map alone has 0\.184\./);
  assert.ok(!recommendations(equal).some((text) => text.includes("Start reading")));
  const poor = await analysis({ fvu: 0.62 });
  assert.match(verdict(poor).sentence, /is 0\.620, it must be below 0\.30, and the best linear map alone has 0\.530/);
  const old = await analysis({ fvu: 0.62, linearFvu: NaN });
  assert.match(verdict(old).sentence, /is 0\.620, it must be below 0\.30\./);
});

Deno.test("what must be known to read FVU: a dimension that decides, dimensions without variance, a map fitted on little", async () => {
  const said = ({ evaluation, config }: TranscoderAnalysis) => caveats(evaluation, config).join("\n");
  const layer = await analysis({ topDimension: 0.25 });
  assert.equal(said(layer), "");
  layer.evaluation.target_variance!.top_1 = 0.74;
  assert.match(
    said(layer),
    /One dimension decides:\*\* dimension 3 holds 74 % of the variance of `mlp_out`, so that FVU/,
  );
  assert.match(trainingSummary(layer, new Date()), /One dimension decides/);
  assert.match(analysisReport(layer, new Date()), /One dimension decides/);
  layer.evaluation.target_variance!.constant_dimensions = 1;
  assert.match(
    said(layer),
    /^1 dimension of the target does not vary on the held-out text; FVU at unit variance leaves/m,
  );
  layer.evaluation.linear_map!.tokens = 1599;
  assert.match(said(layer), /^The linear map was fitted on 1,599 tokens for 16 dimensions, which is little/m);
});

Deno.test("an interval that contains the FVU limit is mentioned", async () => {
  const layer = await analysis({ fvu: 0.297 });
  assert.match(successChecks(layer).find(({ id }) => id === "fvu")!.found, /which contains the limit/);
});

Deno.test("a run of two logged steps is told without a line through them", async () => {
  const summary = trainingSummary(await analysis({ steps: 20 }), new Date());
  assert.match(summary, /\*\*Change over the last fifth:\*\* no line fits it\./);
  assert.match(summary, /would lower FVU by: too few of the steps were logged \(/);
  assert.doesNotMatch(summary, /NaN/);
});
