/**
 * What loss recovered costs: each way to change the model beside a whole forward pass with its loss, over the same held-out tokens.
 *
 *     deno run -A bench/loss.ts runs/demo [--tokens 4096] [--repeats 3]
 *
 * The forward pass is recorded, read and taken in as loss recovered is; in turns, medians. What the means of the targets and the model as
 * it is take is shared among the ways.
 */

import { Argument, Command } from "commander";
import { wholeNumberOption } from "../commands/options.ts";
import { median } from "../core/analysis/statistics.ts";
import { downloadF32, openGpu } from "../core/gpu/device.ts";
import { front, type Tensor } from "../core/gpu/tensor.ts";
import { configOf } from "../core/model/config.ts";
import { openModel } from "../core/model/files.ts";
import type { Decoder } from "../core/model/forward.ts";
import { lossModel, measureLoss } from "../core/passes/loss.ts";
import { type Analysis, contextsAtHand, overText } from "../core/passes/over_text.ts";
import { dataOf } from "../core/runs/config.ts";
import { loadRunModel, modelOf, openFinishedRun } from "../core/runs/finished.ts";
import type { TokenBatch } from "../core/text/contexts.ts";
import { openTokenSource } from "../core/text/source.ts";
import { preferVulkan } from "../main.ts";
import { counted, decimal, integer } from "../reports/format.ts";
import { describeMachine } from "./machine.ts";

/** The loss of the model as it is. */
function forwardOf(decoder: Decoder, download: (loss: Tensor) => Promise<Float32Array>): Analysis {
  let loss: Tensor;
  return {
    taps: [],
    tokensAtOnce: Infinity,
    record: (pass, { batch }) => {
      loss = front(decoder.recordLoss(pass, batch), batch.ids.length);
    },
    read: () => download(loss),
    take() {},
  };
}

async function compare(run: string, { tokens, repeats }: { tokens: number; repeats: number }): Promise<void> {
  const transcoders = await openFinishedRun(run), configs = transcoders.map(({ config }) => config);
  const [config] = configs, { context, include_bos: includeBos } = config;
  const files = await openModel(modelOf(transcoders));
  using gpu = await openGpu(null, config.precision);
  const decoder = await loadRunModel(gpu, files, transcoders, lossModel(gpu, configOf(files), config, configs));
  const text = { tokenizer: files, data: dataOf(config), split: "test", context, seed: null, tokens } as const;
  const source = await openTokenSource(text), batches: TokenBatch[] = [];
  for (let isEnd = false; !isEnd;) {
    const { batch, done } = await source.next(decoder.contextsAtOnce);
    if (batch.contexts > 0) batches.push(batch);
    isEnd = done;
  }
  source.close();
  const forward = forwardOf(decoder, (loss) => downloadF32(gpu, loss));
  const runForward = () =>
    overText({ gpu, decoder, source: contextsAtHand(batches), contexts: Infinity, includeBos }, [forward]);
  let forwards = 0;
  const runLoss = () =>
    measureLoss({
      ...{ gpu, decoder, source: contextsAtHand(batches), settings: config, transcoders },
      onProgress: (done) => forwards = done,
    });
  const time = async (work: () => Promise<unknown>) => {
    const begun = performance.now();
    await work();
    return (performance.now() - begun) / 1000;
  };
  const alone: number[] = [], measured: number[] = [];
  // The first round compiles.
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const sample = [await time(runForward), await time(runLoss)];
    if (repeat === 0) continue;
    alone.push(sample[0]);
    measured.push(sample[1]);
  }
  const taken = await runForward(), ways = forwards / taken.tokens - 2;
  const [forwardS, lossS] = [median(alone), median(measured)];
  console.log(
    `${await describeMachine(gpu.adapter)}\n\n` +
      `${counted(taken.tokens, "token")}: a forward pass with its loss ${decimal(forwardS, 2)} s; loss recovered ${
        decimal(lossS, 2)
      } s, ` +
      `${integer(ways)} ways to change the model; ${decimal(lossS / forwardS / ways, 3)} forward passes for each ` +
      `(medians of ${repeats} in turns; at most 2.2 are wanted).`,
  );
}

preferVulkan();
await new Command("loss")
  .description("What loss recovered costs beside a forward pass.")
  .addArgument(new Argument("<run>", "a finished run, or one of its transcoders"))
  .addOption(wholeNumberOption("-t, --tokens <n>", "held-out tokens", { value: 4096 }))
  .addOption(wholeNumberOption("-r, --repeats <n>", "samples of each", { value: 3 }))
  .action(compare)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit(0);
