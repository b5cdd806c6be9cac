/**
 * The tasks of sweeps and what came of them, of however many runs: a row of figures for each transcoder, and nothing of them in memory beside
 * that. It says nothing of times, machines and order, so that the same runs give the same, however they came about.
 * @module
 */

import { join, resolve } from "node:path";
import type { Stability } from "../analysis/stability.ts";
import { type SeedMean, seedMean } from "../analysis/growth.ts";
import { UserError } from "../errors.ts";
import { tapName } from "../model/sites.ts";
import { readConfig, type TranscoderConfig } from "./config.ts";
import { readEvaluation } from "./evaluation.ts";
import { stabilityOf } from "./sweeps.ts";
import { taskListsIn } from "./task_list.ts";
import { type Standing, standingsOf } from "./task_standing.ts";

/** A task of a sweep, as a report tells it. */
export interface FleetTask {
  /** What its plan is known by, */
  readonly plan: string;
  /** and its number there. */
  readonly number: number;
  /** Its run's directory in that of the runs. */
  readonly run: string;
  /** Where it stands; `damaged` where it says that it is done and cannot be read. */
  readonly standing: Standing | "damaged";
  /** Steps done, */
  readonly step: number;
  /** of so many. */
  readonly steps: number;
  /** Why it is not done; empty where it is, or does not say. */
  readonly reason: string;
}

/** A finished transcoder of a task. */
export interface FleetMember {
  /** Its run, */
  readonly run: string;
  /** and its directory there. */
  readonly name: string;
  /** The layer that it predicts; of several targets the first one's. */
  readonly layer: number;
  /** What it predicts from what, for example `layer2.resid_mid -> layer2.mlp_out`. */
  readonly mapping: string;
  /** The language model's name. */
  readonly model: string;
  /** Features per group, */
  readonly groups: readonly number[];
  /** and in all. */
  readonly features: number;
  /** Features kept per token. */
  readonly k: number;
  /** Peak learning rate. */
  readonly learningRate: number;
  /** Whether it has a skip connection. */
  readonly skip: boolean;
  /** Seed of the first weights. */
  readonly seed: number;
  /** Held-out FVU, */
  readonly fvu: number;
  /** active features per token there, */
  readonly l0: number;
  /** and features that never fired. */
  readonly dead: number;
  /** The share of zeros' loss recovered; null where that was not measured. */
  readonly recovered: number | null;
  /** Bytes of its weights. */
  readonly bytes: number;
}

/** Transcoders that differ in nothing but their seeds. */
export interface FleetSetting {
  /** One of them; all that is no figure or seed is theirs too. */
  readonly of: FleetMember;
  /** They, by their seeds. */
  readonly members: readonly FleetMember[];
  /** Held-out FVU over the seeds, */
  readonly fvu: SeedMean;
  /** active features per token, */
  readonly l0: SeedMean;
  /** dead features on average, */
  readonly dead: number;
  /** and the share of zeros' loss recovered; null where it was not measured for all. */
  readonly recovered: number | null;
  /** Whether no other of the same mapping has both a lower FVU and no more active features. */
  readonly isOnFront: boolean;
  /** Which features of one seed another has; null for one seed, and where that was not looked for. */
  readonly stability: Stability | null;
}

/** All of them. */
export interface Fleet {
  /** The tasks by plan and number. */
  readonly tasks: readonly FleetTask[];
  /** What they trained, by layer, mapping, dictionary, k, learning rate and seed. */
  readonly settings: readonly FleetSetting[];
  /** Bytes of all weights. */
  readonly bytes: number;
}

/** Up to so many bytes of weights are read to find features in other seeds. */
const MOST_READ = 2 ** 31;

/**
 * Reads what came of all tasks whose plans are in a directory.
 *
 * @param runs The directory.
 * @param onProgress Hears how many tasks have been read, of all.
 * @returns They; null where no plan is there.
 * @throws {UserError} When a plan-*.json is damaged.
 */
export async function readFleet(
  runs: string,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<Fleet | null> {
  const lists = await taskListsIn(runs), tasks: FleetTask[] = [], members = new Map<string, FleetMember>();
  if (lists.length === 0) return null;
  const total = lists.reduce((sum, list) => sum + list.tasks.length, 0);
  for (const list of lists) {
    for await (const { number, task: { run, transcoders }, standing, status } of standingsOf(runs, list)) {
      onProgress(tasks.length + 1, total);
      const row = {
        plan: list.plan,
        number,
        run,
        step: status?.step ?? 0,
        steps: list.steps,
        // Where the runs lie is nothing that their report should hang on.
        reason: status?.reason?.replaceAll(`${resolve(runs)}/`, "") ?? "",
      };
      // Two plans may have a task in common.
      const read = standing === "done" && !members.has(join(run, transcoders[0].name))
        ? await membersOf(runs, run, transcoders.map(({ name }) => name))
        : [];
      if (typeof read === "string") tasks.push({ ...row, standing: "damaged", reason: read });
      else {
        tasks.push({ ...row, standing });
        for (const member of read) members.set(join(run, member.name), member);
      }
    }
  }
  const all = [...members.values()], bytes = all.reduce((sum, member) => sum + member.bytes, 0);
  return { tasks, settings: await settingsOf(runs, all, bytes <= MOST_READ), bytes };
}

/** A task's transcoders, or why one of them cannot be read. */
async function membersOf(runs: string, run: string, names: readonly string[]): Promise<FleetMember[] | string> {
  try {
    return await Promise.all(names.map(async (name) => {
      const path = join(runs, run, name), config = await readConfig(path), evaluation = await readEvaluation(path);
      return memberOf(run, name, config, evaluation);
    }));
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

function memberOf(
  run: string,
  name: string,
  { source, targets, layer, model, groups, features, k, learning_rate, skip, seed, d_in, d_out }: TranscoderConfig,
  { fvu, l0, dead_features: dead, loss }: Awaited<ReturnType<typeof readEvaluation>>,
): FleetMember {
  return {
    ...{ run, name, layer, groups, features, k, learningRate: learning_rate, skip, seed, model: model.name },
    mapping: `${tapName(source)} -> ${targets.map(tapName).join(" + ")}`,
    ...{
      fvu,
      l0,
      dead,
      recovered: loss?.per_prefix.at(-1)?.recovered_zero ?? null,
      bytes: 4 * features * (d_in + d_out),
    },
  };
}

function compare(a: FleetMember, b: FleetMember): number {
  const text = (one: string, other: string) => one < other ? -1 : one > other ? 1 : 0;
  return a.layer - b.layer || text(a.mapping, b.mapping) || text(a.model, b.model) || a.features - b.features ||
    text(a.groups.join(), b.groups.join()) || a.k - b.k || a.learningRate - b.learningRate ||
    Number(a.skip) - Number(b.skip) || a.seed - b.seed || text(a.run, b.run);
}

async function settingsOf(runs: string, members: FleetMember[], isRead: boolean): Promise<FleetSetting[]> {
  const key = ({ mapping, model, groups, k, learningRate, skip }: FleetMember) =>
    JSON.stringify([mapping, model, groups, k, learningRate, skip]);
  const settings: Omit<FleetSetting, "isOnFront">[] = [];
  for (const alike of Map.groupBy(members.sort(compare), key).values()) {
    const mean = (of: (member: FleetMember) => number) => alike.reduce((sum, each) => sum + of(each), 0) / alike.length;
    settings.push({
      of: alike[0],
      members: alike,
      fvu: seedMean(alike.map(({ fvu }) => fvu)),
      l0: seedMean(alike.map(({ l0 }) => l0)),
      dead: mean(({ dead }) => dead),
      recovered: alike.every(({ recovered }) => recovered !== null) ? mean(({ recovered }) => recovered!) : null,
      stability: isRead ? await stableIn(runs, alike) : null,
    });
  }
  const rivals = Map.groupBy(settings, ({ of: { mapping, model } }) => `${model} ${mapping}`);
  return settings.map((one) => {
    const others = rivals.get(`${one.of.model} ${one.of.mapping}`)!;
    return { ...one, isOnFront: !others.some((other) => beats(other, one)) };
  });
}

function beats(a: Pick<FleetSetting, "fvu" | "l0">, b: Pick<FleetSetting, "fvu" | "l0">): boolean {
  const [fvu, l0] = [a.fvu.mean - b.fvu.mean, a.l0.mean - b.l0.mean];
  return fvu <= 0 && l0 <= 0 && (fvu < 0 || l0 < 0);
}

/** A transcoder whose weights are damaged has nothing to be found. */
async function stableIn(runs: string, alike: readonly FleetMember[]): Promise<Stability | null> {
  const members = await Promise.all(alike.map(async ({ run, name }) => {
    const path = join(runs, run, name);
    return { path, config: await readConfig(path) };
  }));
  return await stabilityOf(members).catch((error) => {
    if (error instanceof UserError) return null;
    throw error;
  });
}
