/**
 * Kills `mtc train` and `mtc report` with SIGKILL, again and again, and looks at what is left: every checkpoint that has its name must be whole, and in the
 * end every file must have the bytes of a run that was left alone.
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { nameInTheEnd } from "../../core/files/temporary.ts";
import { CHECKPOINT_FILES } from "../../core/training/checkpoint.ts";
import { type RandomGenerator, randomGenerator } from "../../core/random.ts";
import { finishedContent, MAIN, names } from "../cli/small_train.ts";

/** Two layers, four buffers, eight checkpoints: a second or two of work behind the start. */
const SETTINGS: readonly string[] = [
  ...["--layers", "2,4", "--steps", "24", "--batch", "256", "--groups", "16,32,16", "--k", "8", "--buffer", "1024"],
  ...["--passes", "2", "--checkpoint-every", "3", "--sample-every", "3", "--samples", "10", "--log-every", "1"],
  ...["--sample-tokens", "2048", "--evaluation-tokens", "1024", "--loss-tokens", "512"],
];
const LAYERS = ["layer2", "layer4"];

/** The moments at which training is killed. */
export const MOMENTS = [
  "at a random time",
  "while it writes a checkpoint",
  "between the layers' checkpoints",
  "behind the last step",
  "while it writes the finished files",
] as const;

/** One of {@link MOMENTS}, or that of a report. */
export type Moment = typeof MOMENTS[number] | "while it writes reports";

/** What came of the kills at a moment. */
export interface Tally {
  /** Processes that were killed before they had ended. */
  kills: number;
  /** Runs or reports that were compared at their end. */
  ends: number;
  /** Those of them that had the same bytes, and nothing beside them. */
  same: number;
}

/** The program in a process of its own. */
function start(...args: string[]): Deno.ChildProcess {
  const options = { stdin: "null", stdout: "null", stderr: "null" } as const;
  return new Deno.Command(Deno.execPath(), { args: ["run", "--no-check", "-A", MAIN, ...args], ...options }).spawn();
}

/** Kills a process as soon as a condition holds; false when it had ended by itself before. */
async function killWhen(child: Deno.ChildProcess, condition: () => boolean): Promise<boolean> {
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  while (!hasEnded && !condition()) await new Promise((resolve) => setTimeout(resolve, 1));
  const isKilled = !hasEnded;
  if (isKilled) child.kill("SIGKILL");
  const { code } = await child.status;
  assert.ok(isKilled || code === 0, `a process that nobody killed ended with ${code}`);
  return isKilled;
}

async function toItsEnd(child: Deno.ChildProcess): Promise<void> {
  assert.equal((await child.status).code, 0);
}

/** Kills in a directory of its own, against one run that was left alone and its report. */
export class Kills {
  readonly #root: string;
  readonly #random: RandomGenerator;
  #whole: readonly Record<string, string>[] = [];
  #seconds = 0;
  #runs = 0;

  /**
   * @param root An empty directory.
   * @param seed Of the random times.
   */
  constructor(root: string, seed: number) {
    this.#root = root;
    this.#random = randomGenerator(seed);
  }

  /**
   * Trains the run that all others are held against.
   *
   * @returns Where it is.
   */
  async prepare(): Promise<string> {
    await toItsEnd(this.#train("whole"));
    this.#whole = await this.#contentOf("whole");
    // As long as a process takes from its start to its end, so that a random time lies anywhere in it.
    const started = performance.now();
    await toItsEnd(this.#train("timed"));
    this.#seconds = (performance.now() - started) / 1000;
    return join(this.#root, "whole");
  }

  /**
   * Begins a run, kills it and whatever resumes it at certain moments, and lets it end.
   *
   * @param moments One for each kill; those that come too late are passed over.
   * @param tallies Takes what came of it, by moment.
   */
  async killRun(moments: readonly typeof MOMENTS[number][], tallies: Map<Moment, Tally>): Promise<void> {
    const name = `run${this.#runs++}`, run = join(this.#root, name), killed = new Set<Moment>();
    for (const moment of moments) {
      const child = names(run).length > 0 ? start("train", "--resume", run) : this.#train(name);
      if (!await killWhen(child, this.#when(moment, run))) continue;
      tallyOf(tallies, moment).kills++;
      killed.add(moment);
      this.#requireWhole(run);
    }
    await toItsEnd(names(run).length > 0 ? start("train", "--resume", run) : this.#train(name));
    const isSame = JSON.stringify(await this.#contentOf(name)) === JSON.stringify(this.#whole) &&
      LAYERS.every((layer) => names(join(run, layer)).join() === names(join(this.#root, "whole", layer)).join());
    for (const moment of killed) {
      tallyOf(tallies, moment).ends++;
      if (isSame) tallyOf(tallies, moment).same++;
    }
    if (isSame) await Deno.remove(run, { recursive: true });
  }

  /**
   * Kills reports of one directory while they write, and lets the last one end.
   *
   * @param runs What they are about.
   * @param kills How many.
   * @param tallies Takes what came of it.
   */
  async killReports(runs: string, kills: number, tallies: Map<Moment, Tally>): Promise<void> {
    const [alone, out] = ["alone", "killed"].map((name) => join(this.#root, `${name}${this.#runs}`));
    const write = (out: string) => start("report", "--quick", "--runs", runs, "--out", out);
    this.#runs++;
    await toItsEnd(write(alone));
    const expected = await reportIn(alone), files = Object.keys(expected).length;
    const tally = tallyOf(tallies, "while it writes reports");
    for (let kill = 0; kill < kills; kill++) {
      // Now at this file, now at that one, in the first half, so that it has not ended before it is looked at again.
      const most = 1 + this.#random.below(files >> 1), before = filesOf(out);
      const wasKilled = await killWhen(
        write(out),
        () => [...filesOf(out)].filter(([name, file]) => before.get(name) !== file).length >= most,
      );
      if (wasKilled) tally.kills++;
      for (const [name, content] of Object.entries(await reportIn(out))) {
        assert.ok(content === expected[name], `${name} is whole`);
      }
    }
    await toItsEnd(write(out));
    tally.ends++;
    if (JSON.stringify(await reportIn(out)) === JSON.stringify(expected)) tally.same++;
  }

  #train(name: string): Deno.ChildProcess {
    return start("train", ...SETTINGS, "--runs", this.#root, "--name", name);
  }

  #when(moment: typeof MOMENTS[number], run: string): () => boolean {
    const checkpoints = (layer: string) => names(join(run, layer, "checkpoints"));
    const newest = (layer: string) => checkpoints(layer).filter((name) => !name.startsWith(".")).at(-1) ?? "";
    switch (moment) {
      case "at a random time": {
        const end = performance.now() + 1000 * this.#seconds * this.#random.below(1000) / 1000;
        return () => performance.now() >= end;
      }
      case "while it writes a checkpoint":
        return () => LAYERS.some((layer) => checkpoints(layer).some((name) => nameInTheEnd(name) !== null));
      case "between the layers' checkpoints":
        return () => newest(LAYERS[0]) > newest(LAYERS[1]);
      case "behind the last step":
        return () => newest(LAYERS[1]) === "step_000024";
      case "while it writes the finished files":
        return () => names(join(run, LAYERS[0])).includes("samples.jsonl");
    }
  }

  /** A checkpoint that has its name has all of its files. */
  #requireWhole(run: string): void {
    for (const layer of LAYERS) {
      for (const name of names(join(run, layer, "checkpoints")).filter((name) => !name.startsWith("."))) {
        const files = names(join(run, layer, "checkpoints", name));
        assert.deepEqual(files, [...CHECKPOINT_FILES].sort(), `${name} of ${layer} is whole`);
      }
    }
  }

  #contentOf(name: string): Promise<Record<string, string>[]> {
    return Promise.all(LAYERS.map((layer) => finishedContent(join(this.#root, name, layer))));
  }
}

/** The files in a directory, temporary ones too: of each what tells it from one that took its place. */
function filesOf(directory: string): Map<string, string> {
  return new Map(
    names(directory).map((name) => {
      const path = join(directory, name);
      try {
        const { ino, mtime } = Deno.statSync(path);
        return [name, `${ino} ${mtime?.getTime()}`];
      } catch {
        return [name, "gone"];
      }
    }),
  );
}

/** The finished files of a report, without the time of its making. */
async function reportIn(out: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for (const name of names(out).filter((name) => !name.startsWith("."))) {
    const bytes = await Deno.readFile(join(out, name));
    const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    content[name] = name.endsWith(".md") ? text.replace(/\*\*Generated on:\*\* [^\xc2\n]*/, "") : text;
  }
  return content;
}

function tallyOf(tallies: Map<Moment, Tally>, moment: Moment): Tally {
  return tallies.getOrInsertComputed(moment, () => ({ kills: 0, ends: 0, same: 0 }));
}
