/**
 * What loss recovered costs: each way to change the model beside a whole forward pass with its loss, over the same held-out tokens.
 *
 *     deno run -A bench/loss.ts runs/demo [--tokens 4096] [--repeats 3]
 *
 * The forward pass is recorded, read and taken in as loss recovered is; in turns, medians. What the means of the targets and the model as
 * it is take is shared among the ways. On a CPU adapter the processor's time is told as well, which others on the machine leave as it is.
 */

import { cpuUsage } from "node:process";

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
import { countedRows, type TokenBatch } from "../core/text/contexts.ts";
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

/** What a measurement took, in seconds. */
interface Taken {
  readonly wall: number;
  /** Of all cores. */
  readonly processor: number;
}

async function compare(run: string, { tokens, repeats }: { tokens: number; repeats: number }): Promise<void> {
  const transcoders = await openFinishedRun(run), configs = transcoders.map(({ config }) => config);
  const [config] = configs, { context, include_bos: includeBos } = config;
  const files = await openModel(modelOf(transcoders));
  using gpu = await openGpu(null, config.precision);
  const decoder = await loadRunModel(gpu, files, transcoders, lossModel(gpu, configOf(files), config, configs));
  const batches: TokenBatch[] = [];
  let left = tokens;
  // Speed does not ask which part a text is of: where the test is too short, validation helps out.
  for (const split of ["test", "validation"] as const) {
    if (left <= 0) break;
    const text = { tokenizer: files, data: dataOf(config), split, context, seed: null, tokens: left } as const;
    const source = await openTokenSource(text);
    for (let isEnd = false; !isEnd;) {
      const { batch, done } = await source.next(decoder.contextsAtOnce);
      if (batch.contexts > 0) batches.push(batch);
      left -= countedRows(batch, includeBos).length;
      isEnd = done;
    }
    await source.close();
  }
  const forward = forwardOf(decoder, (loss) => downloadF32(gpu, loss));
  const runForward = (text: readonly TokenBatch[]) =>
    overText({ gpu, decoder, source: contextsAtHand(text), contexts: Infinity, includeBos }, [forward]);
  let forwards = 0;
  const runLoss = (text: readonly TokenBatch[]) =>
    measureLoss({
      ...{ gpu, decoder, source: contextsAtHand(text), settings: config, transcoders },
      onProgress: (done) => forwards = done,
    });
  const time = async (work: () => Promise<unknown>): Promise<Taken> => {
    const begun = performance.now(), before = cpuUsage();
    await work();
    const { user, system } = cpuUsage(before);
    return { wall: (performance.now() - begun) / 1e3, processor: (user + system) / 1e6 };
  };
  // What compiles.
  const { tokens: first } = await runForward(batches.slice(0, 1));
  await runLoss(batches.slice(0, 1));
  const ways = forwards / first - 2;
  const alone: Taken[] = [], measured: Taken[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    alone.push(await time(() => runForward(batches)));
    measured.push(await time(() => runLoss(batches)));
  }
  const line = (clock: keyof Taken) => {
    const [forward, loss] = [alone, measured].map((all) => median(all.map((taken) => taken[clock])));
    return `a forward pass with its loss ${decimal(forward, 2)} s; loss recovered ${decimal(loss, 2)} s; ` +
      `${decimal(loss / forward / ways, 3)} forward passes for each way`;
  };
  console.log(
    `${await describeMachine(gpu.adapter)}\n\n` +
      `${counted(tokens - left, "token")}, ${
        integer(ways)
      } ways to change the model, medians of ${repeats} in turns; at most 2.2 are wanted.\n` +
      `By the wall clock: ${line("wall")}.` + (gpu.isCpu ? `\nThe processor's time: ${line("processor")}.` : ""),
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
