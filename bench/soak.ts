/**
 * `mtc train` for a thousand steps of a small shape, watched from outside: how often the host waits for the GPU, and whether memory stays
 * flat.
 *
 *     deno task soak [--steps 1000] [--batch 64] [--dictionary 64]
 *
 * Every `mapAsync` and `onSubmittedWorkDone` of the process is counted, every GPU buffer from its creation to its `destroy`, and the
 * resident memory is read, at each hundredth step.
 */

import { Command } from "commander";
import { wholeNumberOption } from "../commands/options.ts";
import { Stepper } from "../core/training/step.ts";
import { main } from "../main.ts";
import { decimal, integer } from "../reports/format.ts";
import { numeric, table } from "../reports/markdown/markdown.ts";
import { describeMachine } from "./machine.ts";

/** The process at one step. */
interface Sample {
  readonly step: number;
  readonly waits: number;
  readonly resident: number;
  readonly gpuBytes: number;
  readonly buffers: number;
}

/** Counts waits and buffers from now on. */
class Watch {
  waits = 0;
  readonly #samples = new Map<number, Sample>();
  readonly #live = new Map<GPUBuffer, number>();

  /** By step; of a step that was rehearsed for the estimate, the real one, which came later. */
  get samples(): Sample[] {
    return [...this.#samples.values()].toSorted((a, b) => a.step - b.step);
  }

  /** @param every Steps between samples. */
  constructor(readonly every: number) {
    this.#countWaits();
    this.#countBuffers();
    this.#countSteps();
  }

  #countWaits(): void {
    const count = () => this.waits++;
    const { mapAsync } = GPUBuffer.prototype, { onSubmittedWorkDone } = GPUQueue.prototype;
    GPUBuffer.prototype.mapAsync = function (...args) {
      count();
      return mapAsync.apply(this, args);
    };
    GPUQueue.prototype.onSubmittedWorkDone = function () {
      count();
      return onSubmittedWorkDone.call(this);
    };
  }

  #countBuffers(): void {
    const live = this.#live, { createBuffer } = GPUDevice.prototype, { destroy } = GPUBuffer.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      live.set(buffer, descriptor.size);
      return buffer;
    };
    GPUBuffer.prototype.destroy = function () {
      live.delete(this);
      return destroy.call(this);
    };
  }

  #countSteps(): void {
    const sample = (step: number) => this.#sample(step), { record } = Stepper.prototype;
    Stepper.prototype.record = function (pass, x, y, step, slot) {
      record.call(this, pass, x, y, step, slot);
      sample(step);
    };
  }

  #sample(step: number): void {
    if (step !== 1 && step % this.every !== 0) return;
    const gpuBytes = [...this.#live.values()].reduce((sum, size) => sum + size, 0);
    const { waits } = this, buffers = this.#live.size;
    this.#samples.set(step, { step, waits, resident: Deno.memoryUsage().rss, gpuBytes, buffers });
  }
}

async function soak(options: { steps: number; batch: number; dictionary: number; json?: true }): Promise<void> {
  const { steps, batch, dictionary } = options;
  const adapter = (await navigator.gpu.requestAdapter())?.info.description ?? "no adapter";
  const watch = new Watch(100), folder = await Deno.makeTempDir({ prefix: "mtc-soak-" });
  let code: number;
  try {
    const flags = {
      layers: 2,
      k: 8,
      "aux-k": 8,
      steps,
      batch,
      dictionary,
      "checkpoint-every": steps,
      "sample-tokens": 1024,
      "evaluation-tokens": 1024,
      runs: folder,
      name: "soak",
    };
    code = await main(["train", ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)])]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  // One that was stopped by a signal has seen as much as the steps that it made.
  if (watch.samples.length > 0) {
    const machine = await describeMachine(adapter);
    console.log(
      options.json ? JSON.stringify({ machine, samples: watch.samples }, null, 2) : render(machine, watch.samples),
    );
  }
  if (code !== 0) Deno.exit(code);
}

function render(machine: string, samples: readonly Sample[]): string {
  const mebibytes = (bytes: number) => decimal(bytes / 2 ** 20, 1);
  const rows = samples.map(({ step, waits, resident, gpuBytes, buffers }, i) => [
    integer(step),
    i === 0 ? "-" : integer(waits - samples[i - 1].waits),
    mebibytes(resident),
    mebibytes(gpuBytes),
    integer(buffers),
  ]);
  const columns = ["step", "waits since the row above", "resident MiB", "GPU buffers, MiB", "buffers"].map(numeric);
  const [first, second = first] = samples, last = samples.at(-1)!;
  const waits = 100 * (last.waits - second.waits) / Math.max(1, last.step - second.step);
  const closing = [
    `${decimal(waits, 2)} waits per 100 steps from step ${second.step} on;`,
    `resident memory ${mebibytes(second.resident)} MiB at step ${second.step}, ${
      mebibytes(last.resident)
    } MiB at the end;`,
    `GPU buffers ${mebibytes(first.gpuBytes)} MiB at step 1, ${mebibytes(last.gpuBytes)} MiB at the end.`,
  ];
  return `${machine}\n\n${table(columns, rows)}\n\n${closing.join("\n")}`;
}

await new Command("soak")
  .description("Trains a thousand small steps and watches waits and memory.")
  .addOption(wholeNumberOption("--steps <n>", "steps", { value: 1000 }))
  .addOption(wholeNumberOption("--batch <tokens>", "tokens per step", { value: 64 }))
  .addOption(wholeNumberOption("--dictionary <n>", "features", { value: 64 }))
  .option("--json", "print JSON")
  .action(soak)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit(0);
