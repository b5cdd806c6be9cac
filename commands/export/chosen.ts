/**
 * Which transcoders are exported: those of a run, of several, or of all below a directory that have the settings asked for.
 * @module
 */

import { dirname } from "node:path";
import { printable, UsageError, UserError } from "../../core/errors.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import { chooseTranscoders, findTranscoders, whyUnfinished } from "../../core/runs/discovery.ts";
import { type DescribedTranscoder, describeFinishedRun } from "../../core/runs/finished.ts";
import { describeId, idOf } from "../../core/runs/ids.ts";
import { learnedWith } from "../../core/runs/settings.ts";
import { TRANSCODER_FILE } from "../../core/runs/transcoder.ts";

/** The options that say which. */
export interface ChoosingOptions {
  /** Directories of runs or transcoders. */
  readonly run?: readonly string[];
  /** A directory of runs. */
  readonly runs?: string;
  /** The settings that transcoders must have; whatever is left out may be anything. */
  readonly source?: string;
  readonly dictionary?: number;
  readonly groups?: readonly number[];
  readonly k?: number;
  readonly learningRate?: number;
  readonly seed?: number;
}

type SettingOption = Exclude<keyof ChoosingOptions, "run" | "runs">;

/** The settings that options choose by, in the order in which they are told. */
const SETTINGS: readonly { option: SettingOption; flag: string; of: (config: TranscoderConfig) => string }[] = [
  { option: "source", flag: "source", of: ({ source }) => source.site },
  { option: "dictionary", flag: "dictionary", of: ({ features }) => String(features) },
  { option: "groups", flag: "groups", of: ({ groups }) => String(groups) },
  { option: "k", flag: "k", of: ({ k }) => String(k) },
  { option: "learningRate", flag: "learning-rate", of: ({ learning_rate }) => String(learning_rate) },
  { option: "seed", flag: "seed", of: ({ seed }) => String(seed) },
];

/**
 * Finds the transcoders that are to be exported.
 *
 * @param options Which.
 * @param say Hears of each that was passed over below a directory: a sentence.
 * @returns They, by their runs and without their weights; at least one.
 * @throws {UsageError} When neither `--run` nor `--runs` is given, or both, or none has the settings asked for.
 * @throws {UserError} When there is no finished transcoder, or its files cannot be read.
 */
export async function chooseFrom(
  options: ChoosingOptions,
  say: (note: string) => void,
): Promise<readonly (readonly DescribedTranscoder[])[]> {
  const { run, runs } = options;
  if ((run === undefined) === (runs === undefined)) {
    throw new UsageError({
      action: "export transcoders",
      requirement: "it must be said which: those of a run with --run, or of all runs in a directory with --runs",
      found: run ? "both are given" : "neither is given",
      remedy: run ? "leave one of them out" : "give one of them",
    });
  }
  if (runs !== undefined) return await below(runs, options, say);
  const described = await Promise.all(run!.map((path) => describeFinishedRun(path)));
  const wanted = withSettings(described.flat(), options, run!.join(" "));
  return described.map((ofRun) => ofRun.filter((one) => wanted.includes(one))).filter(({ length }) => length > 0);
}

/** The newest finished transcoder of each identity below a directory, by runs. */
async function below(
  runs: string,
  options: ChoosingOptions,
  say: (note: string) => void,
): Promise<readonly (readonly DescribedTranscoder[])[]> {
  const skipped = (path: string, { message }: UserError) => say(`${printable(path)} was skipped: ${message}`);
  const found = withSettings(await findTranscoders(runs, skipped), options, runs);
  // An export takes the weights alone, so that other files may be lost.
  const weighed = found.map((one) => ({ ...one, missing: one.missing.filter((file) => file === TRANSCODER_FILE) }));
  const { chosen, passedOver, unfinished } = chooseTranscoders(weighed, true);
  if (chosen.length === 0) {
    const [first] = unfinished;
    const whole = { action: `export ${first.path}`, requirement: "it must be finished" };
    throw new UserError({ ...whole, ...whyUnfinished(first) });
  }
  for (const { older, newer } of passedOver) {
    say(`${older.path} was passed over: ${newer.path} is the newest run of ${describeId(idOf(newer.config))}`);
  }
  for (const one of unfinished) {
    const { found, remedy } = whyUnfinished(one);
    say(`${printable(one.path)} was skipped: ${found}; ${remedy}`);
  }
  const described = chosen.map(({ path, name, config }) => ({ directory: path, name, config }));
  return [...Map.groupBy(described, ({ directory }) => dirname(directory)).values()];
}

/** Those that have the settings that options ask for. */
function withSettings<T extends { readonly config: TranscoderConfig }>(
  found: readonly T[],
  options: ChoosingOptions,
  from: string,
): T[] {
  const asked = SETTINGS.filter(({ option }) => options[option] !== undefined);
  const wanted = found.filter(({ config }) => asked.every(({ option, of }) => of(config) === String(options[option])));
  if (wanted.length > 0) return wanted;
  const told = (value: (setting: typeof SETTINGS[number]) => string) =>
    asked.map((setting) => `${setting.flag} ${value(setting)}`).join(", ");
  throw new UsageError({
    action: `export from ${from}`,
    requirement: `a transcoder must have ${told(({ option }) => String(options[option]))}`,
    found: `those found have ${told(({ of }) => valuesOf(found.map(({ config }) => of(config))))}`,
    remedy: "choose among these",
  });
}

/** Settings that transcoders do not share. */
export interface Differences {
  /** Which they are, and their values: `k 16 or 32, seed 0, 1 or 2`. */
  readonly told: string;
  /** What chooses among them. */
  readonly remedy: string;
}

/**
 * Looks for settings that transcoders of a set do not share.
 *
 * @param configs The config.json of each.
 * @returns Those that options choose by, or else what else they were trained with, on or from; null where they share all of it.
 */
export function differencesOf(configs: readonly TranscoderConfig[]): Differences | null {
  const valued = SETTINGS.map(({ flag, of }) => ({ flag, values: [...new Set(configs.map(of))].sort(ascending) }));
  const differing = valued.filter(({ values }) => values.length > 1);
  // Dictionaries of different sizes differ in their groups, which says nothing new.
  const chosenBy = differing.filter(({ flag }) =>
    flag !== "groups" || !differing.some(({ flag }) => flag === "dictionary")
  );
  if (chosenBy.length > 0) {
    return {
      told: chosenBy.map(({ flag, values }) => `${flag} ${either(values)}`).join(", "),
      remedy: `choose one, as with ${chosenBy.map(({ flag, values }) => `--${flag} ${values[0]}`).join(" ")}`,
    };
  }
  const others = configs.map((config): Readonly<Record<string, unknown>> => ({
    ...learnedWith(config),
    text: `${config.data.name} ${config.data.fingerprint.slice(0, 12)}`,
    "first weights": config.parent?.name ?? config.imported?.from ?? "random",
  }));
  const keys = Object.keys(others[0]).filter((key) => new Set(others.map((one) => String(one[key]))).size > 1);
  if (keys.length === 0) return null;
  return {
    told: keys.map((key) => `${key.replaceAll("_", " ")} ${valuesOf(others.map((one) => String(one[key])))}`)
      .join(", "),
    remedy: "name those that are wanted with --run, one after the other",
  };
}

function valuesOf(values: readonly string[]): string {
  return either([...new Set(values)].sort(ascending));
}

function ascending(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

function either(values: readonly string[]): string {
  return values.length < 2 ? values.join("") : `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
}
