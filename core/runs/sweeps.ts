/**
 * Transcoders of one target that differ in their settings, whether one `mtc sweep` trained them or several runs.
 * @module
 */
import { type Growth, growth, type SeedMean, seedMean } from "../analysis/growth.ts";
import { directionsOf } from "../analysis/directions.ts";
import { foundAgain, type Stability, together } from "../analysis/stability.ts";
import { tapName } from "../model/sites.ts";
import type { TranscoderAnalysis } from "./analysed.ts";
import type { TranscoderConfig } from "./config.ts";
import { idOf, nameTranscoders, type TranscoderName } from "./ids.ts";
import { learnedWith, type RunSettings } from "./settings.ts";
import { openTranscoder } from "./transcoder.ts";

/** So many of one target are worth a report of their own. */
const LEAST_MEMBERS = 3;

/**
 * The members of a sweep that differ in nothing but their seeds; or a single one that began with finished weights, which is no seed: its
 * features are its parent's, and it has had the parent's training besides its own.
 */
export interface SweepSetting {
  /** What they are called among all settings: a name without seed, and the own one of a member that began with finished weights. */
  readonly name: TranscoderName;
  /** They, in the order of the reports. */
  readonly members: readonly TranscoderAnalysis[];
  /** Held-out FVU over the seeds. */
  readonly fvu: SeedMean;
  /** Held-out L0 likewise. */
  readonly l0: SeedMean;
  /** Which features of one seed another has; null for one seed, and as long as nobody has looked. */
  readonly stability: Stability | null;
}

/** Transcoders of one model, text and target, or of the same several targets. */
export interface Sweep {
  /** They, in the order of the reports. */
  readonly members: readonly TranscoderAnalysis[];
  /** Them by their settings. */
  readonly settings: readonly SweepSetting[];
  /** Members that no other beats: none has both a lower FVU and an L0 that is no larger, or as low an FVU and a lower L0. */
  readonly front: ReadonlySet<TranscoderAnalysis>;
  /** Growth of held-out FVU with the size of the dictionary; null where that cannot be told. */
  readonly withFeatures: Growth | null;
  /** Growth of held-out FVU with k; likewise. */
  readonly withK: Growth | null;
}

/**
 * The sweeps among some transcoders.
 *
 * @param transcoders In the order of the reports.
 * @returns Those of each target that at least three predict, on the same model and text.
 */
export function sweepsOf(transcoders: readonly TranscoderAnalysis[]): Sweep[] {
  const place = ({ config: { model, data, targets } }: TranscoderAnalysis) =>
    JSON.stringify([model.name, data.name, data.fingerprint, ...targets.map(tapName)]);
  // What others were trained with is not known, so that it is no member of a sweep.
  return [...Map.groupBy(transcoders.filter(({ config }) => !config.imported), place).values()]
    .filter(({ length }) => length >= LEAST_MEMBERS).map(sweepOf);
}

/**
 * Looks for the features of each seed in those of the next, and of the last in those of the first. Three dictionaries are in memory at most.
 *
 * @param sweep The sweep.
 * @param onSetting Hears of each setting that is looked at, which takes seconds for a large dictionary.
 * @returns The sweep with the stability of every setting that has several seeds.
 * @throws {UserError} When a transcoder's weights cannot be read.
 */
export async function withStability(sweep: Sweep, onSetting: (name: TranscoderName) => void): Promise<Sweep> {
  const settings: SweepSetting[] = [];
  for (const setting of sweep.settings) {
    if (setting.members.length > 1) onSetting(setting.name);
    settings.push({ ...setting, stability: await stabilityOf(setting.members) });
  }
  return { ...sweep, settings };
}

/**
 * Looks for the features of each seed in those of the next, and of the last in those of the first.
 *
 * @param members Transcoders that differ in their seeds alone.
 * @returns How many are found; null for a single one.
 * @throws {UserError} When their weights cannot be read.
 */
export async function stabilityOf(
  members: readonly Pick<TranscoderAnalysis, "path" | "config">[],
): Promise<Stability | null> {
  if (members.length < 2) return null;
  // A diverged transcoder has nothing to be found.
  const decoder = async ({ path, config }: (typeof members)[number]) =>
    directionsOf(await (await openTranscoder(path, config, true)).read("decoder"), config.d_out);
  const pairs: Stability[] = [];
  const first = await decoder(members[0]);
  let one = first;
  for (let i = 0; i < members.length; i++) {
    const next = i + 1 < members.length ? await decoder(members[i + 1]) : first;
    pairs.push(foundAgain(one, next, members[i].config.groups, i));
    one = next;
  }
  return together(pairs);
}

function sweepOf(members: readonly TranscoderAnalysis[]): Sweep {
  return {
    members,
    settings: settingsOf(members),
    front: new Set(members.filter((one) => !members.some((other) => beats(other, one)))),
    withFeatures: growthWith(members, "features"),
    withK: growthWith(members, "k"),
  };
}

function beats({ evaluation: a }: TranscoderAnalysis, { evaluation: b }: TranscoderAnalysis): boolean {
  return a.fvu <= b.fvu && a.l0 <= b.l0 && (a.fvu < b.fvu || a.l0 < b.l0);
}

function settingsOf(members: readonly TranscoderAnalysis[]): SweepSetting[] {
  const names = nameTranscoders(members.map(({ config }) => ({ ...idOf(config), seed: 0, data_seed: 0 })));
  const named = members.map((member, i) => {
    if (member.config.parent) return { member, name: member.name, setting: member };
    return { member, name: names[i], setting: JSON.stringify([names[i].file, learnedWith(member.config)]) };
  });
  const families = [...Map.groupBy(named, ({ setting }) => setting).values()];
  return families.map((ofSetting) => {
    const alike = ofSetting.map(({ member }) => member), [{ name, member: { config } }] = ofSetting;
    const namesakes = families.filter(([other]) => other.name.file === name.file).map(([{ member }]) => member.config);
    return {
      ...{ name: config.parent ? name : told(name, config, namesakes), members: alike },
      fvu: seedMean(alike.map(({ evaluation }) => evaluation.fvu)),
      l0: seedMean(alike.map(({ evaluation }) => evaluation.l0)),
      stability: null,
    };
  });
}

/** A name with the settings that tell it from its namesakes: `layer 2 (k 16, steps 480)`. */
function told(name: TranscoderName, config: TranscoderConfig, namesakes: readonly TranscoderConfig[]): TranscoderName {
  const differing = Object.entries(learnedWith(config)).filter(([key, value]) =>
    namesakes.some((other) => JSON.stringify(other[key as keyof RunSettings]) !== JSON.stringify(value))
  );
  if (differing.length === 0) return name;
  const written = (value: unknown) =>
    typeof value === "number" && Number.isInteger(value) ? value.toLocaleString("en-US") : JSON.stringify(value);
  const remarks = differing.map(([key, value]) => `${key.replaceAll("_", " ")} ${written(value)}`).join(", ");
  const remarked = (text: string) => text.endsWith(")") ? `${text.slice(0, -1)}, ${remarks})` : `${text} (${remarks})`;
  return { ...name, title: remarked(name.title), phrase: remarked(name.phrase) };
}

/**
 * Dictionaries of as many groups count as the same but for their size. Those that began with the same finished weights are of one seed,
 * whatever the order of their text.
 */
function growthWith(members: readonly TranscoderAnalysis[], setting: "features" | "k"): Growth | null {
  return growth(members.map(({ config, evaluation }) => {
    const { features, k, source, groups, learning_rate, skip, seed, data_seed, parent } = config;
    const { steps, batch_tokens, context, passes } = config;
    const other = setting === "features" ? k : features;
    return {
      ...{ x: config[setting], y: evaluation.fvu, seed: parent?.fingerprint ?? `${seed} ${data_seed}` },
      others: JSON.stringify([
        ...[tapName(source), groups.length, learning_rate, skip, other],
        ...[steps, batch_tokens, context, passes],
      ]),
    };
  }));
}
