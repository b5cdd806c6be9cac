/**
 * How many random directions are token detectors: the null of what the reports say of a run's features.
 *
 *     deno run -A bench/random_directions.ts runs/demo/layer4
 *
 * Each feature's encoder row is replaced by a random direction of the prepared source, with a threshold of its own under which it fires as
 * often as the feature did. Both are judged by all of their activations on the text of the final pass.
 */

import { featureRows } from "../core/analysis/feature_rows.ts";
import { tokenBinding } from "../core/analysis/token_binding.ts";
import { openGpu } from "../core/gpu/device.ts";
import { openModel } from "../core/model/files.ts";
import { FeatureReader } from "../core/passes/features.ts";
import { overText } from "../core/passes/over_text.ts";
import { collectSamples } from "../core/passes/samples.ts";
import { randomGenerator } from "../core/random.ts";
import { dataOf } from "../core/runs/config.ts";
import { readFeatures } from "../core/runs/features.ts";
import { loadRunModel, modelOf, openFinishedRun } from "../core/runs/finished.ts";
import { tapsOf } from "../core/runs/ids.ts";
import { readPreparation } from "../core/runs/preparation.ts";
import { countedPerContext } from "../core/text/contexts.ts";
import { openTokenSource } from "../core/text/source.ts";
import { loadTokenizer } from "../core/text/tokenizer.ts";
import { foldPreparation, type Transcoder } from "../core/transcoder/weights.ts";
import { preferVulkan } from "../main.ts";

preferVulkan();
const [finished] = await openFinishedRun(Deno.args[0]), { directory, config, transcoder } = finished;
const trained = await readFeatures(directory, config.groups), random = randomGenerator(1);
const weights = foldPreparation({
  ...transcoder.weights,
  encoder: transcoder.weights.encoder.map(() => random.gaussian()),
  encoderBias: new Float32Array(config.features),
}, await readPreparation(directory, config));
const files = await openModel(modelOf([finished]));
using gpu = await openGpu(undefined, config.precision);
const decoder = await loadRunModel(gpu, files, [finished], { taps: tapsOf([config]) });
const perContext = countedPerContext(config.context, config.include_bos);

/** The text of the final pass, from its beginning. */
const openText = () =>
  openTokenSource({
    tokenizer: files,
    data: dataOf(config),
    split: "train",
    context: config.context,
    seed: config.seed + 1,
  });

/** Every positive activation of each feature. */
async function activationsOf(transcoder: Transcoder): Promise<number[][]> {
  const found = trained.map((): number[] => []), source = await openText();
  const most = decoder.contextsAtOnce * perContext;
  const reader = new FeatureReader(gpu, [{ transcoder, config }], most, (_, [{ index, value }]) => {
    index.forEach((feature, at) => found[feature].push(value[at]));
  });
  const contexts = Math.ceil(config.sample_tokens / perContext);
  await overText({ gpu, decoder, source, contexts, isReadOnce: true, includeBos: config.include_bos }, [reader]);
  await source.close();
  return found;
}

const all = await activationsOf({ ...transcoder, weights, thresholds: new Float32Array(config.features) });
const thresholds = Float32Array.from(all, (values, i) => values.sort((a, b) => b - a)[trained[i].fires] ?? 0);
const source = await openText();
const { tallies: [tally] } = await collectSamples({
  ...{ gpu, decoder, source, settings: config, tokens: config.sample_tokens },
  transcoders: [{ transcoder: { ...transcoder, weights, thresholds }, config }],
});
await source.close();
const directions = featureRows(config.groups, weights, tally, loadTokenizer(files).tokenText);
for (const [name, rows] of [["features", trained], ["random directions", directions]] as const) {
  const bindings = rows.map(tokenBinding),
    count = (binding: string) => bindings.filter((each) => each === binding).length;
  const l0 = rows.reduce((sum, { density }) => sum + density, 0);
  const byTop = rows.filter(({ top_token_share }) => top_token_share >= 0.5).length;
  console.log(
    `${name}: L0 ${l0.toFixed(2)}, ${count("detector")} detectors, ${count("mixed")} mixed, ${
      count("undecided")
    } undecided; ` +
      `${byTop} have one token on half of their strongest ${config.samples_per_feature}`,
  );
}
await files.weights.close();
