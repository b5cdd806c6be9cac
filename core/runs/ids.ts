/**
 * What a transcoder is called: its identity, and from it the name of its directory and of its reports.
 * @module
 */

import { createHash } from "node:crypto";
import { SITES, type Tap, tapName } from "../model/sites.ts";
import { featureCount } from "../transcoder/shape.ts";

/** What a transcoder predicts from what. */
export interface Mapping {
  /** Where activations are read. */
  readonly source: Tap;
  /** Where those to be predicted are, at least one, in the order in which the model computes them. */
  readonly targets: readonly Tap[];
}

/** What tells a transcoder from every other one; two trainings of the same identity are two tries at the same thing. */
export interface TranscoderId extends Mapping {
  /** The language model's name. */
  readonly model: string;
  /** The dictionary: features per Matryoshka group. */
  readonly groups: readonly number[];
  /** Features kept per token, on average. */
  readonly k: number;
  /** Peak learning rate. */
  readonly learning_rate: number;
  /** Seed of the first weights. */
  readonly seed: number;
  /** Seed of the order of the text. */
  readonly data_seed: number;
  /** Whether it has a skip connection; not if left out. */
  readonly skip?: boolean;
  /** What it was imported from, if it was; rates and seeds say nothing then. */
  readonly imported?: {
    /** The tool whose file it was. */
    readonly tool: string;
    /** SHA-256 of that file. */
    readonly fingerprint: string;
  };
}

/** The three forms of a transcoder's name. */
export interface TranscoderName {
  /** In files and directories: `layer17`, `layer17-seed1`. */
  readonly file: string;
  /** In headings and at the beginning of a sentence: `Layer 17`, `Layer 17 (seed 1)`. */
  readonly title: string;
  /** Inside of a sentence: `layer 17 (seed 1)`. */
  readonly phrase: string;
}

/**
 * The identity of a transcoder by its settings.
 *
 * @param config Its config.json, or what is to become one.
 * @returns Its identity.
 */
export function idOf(
  { model, source, targets, groups, k, learning_rate, seed, data_seed, skip, imported }: Omit<TranscoderId, "model"> & {
    readonly model: { readonly name: string };
  },
): TranscoderId {
  const own = { groups, k, learning_rate, seed, data_seed, ...skip && { skip } };
  const from = imported && { tool: imported.tool, fingerprint: imported.fingerprint };
  return { model: model.name, source, targets, ...own, ...from && { imported: from } };
}

/**
 * Names transcoders so that each is told from the others of one run, or of one report.
 *
 * A name begins with the layer that is predicted, and one that nobody shares is only that: `layer17`, whatever the transcoder reads,
 * has or keeps. Those that predict the same layer get what differs among them, and nothing else, in this order:
 *
 * | what differs | in the name |
 * |---|---|
 * | the layer read | `layer8-to-layer12`; one that reads the layer that it predicts stays `layer12` |
 * | a site, read or predicted | `layer1.attn_out-to-layer3.mlp_out`, in place of the row above |
 * | size of the dictionary | `-f18432` |
 * | groups of one size | `-g1152+2304+1152` |
 * | k | `-k96` |
 * | a skip connection | `-skip` for those that have one |
 * | where it was trained | `-gemma-scope` for those that were imported; rates and seeds are told of the others |
 * | learning rate | `-lr0.003` |
 * | seed | `-seed1` |
 * | data seed of one seed | `-data0` |
 * | model | `-of-gemma-2-2b` |
 *
 * The layers of several targets are joined by a plus, each once: `layer9+layer10`. A name that is too long for a file is cut off, and ends in eight digits of
 * a hash of the identity; so do names that a file system may take for the same, as models called `Gemma` and `gemma` have.
 *
 * @param ids The identities. Equal ones get equal names.
 * @returns The names, in their order.
 */
export function nameTranscoders(ids: readonly TranscoderId[]): TranscoderName[] {
  const names = ids.map((id) => nameAmong(id, ids.filter((other) => layersOf(other) === layersOf(id))));
  const identities = ids.map(describeId), folded = names.map(({ file }) => file.toLowerCase());
  return names.map((name, i) => {
    const isShared = folded.some((file, j) => file === folded[i] && identities[j] !== identities[i]);
    if (!isShared && name.file.length <= LONGEST) return name;
    const digits = createHash("sha256").update(identities[i]).digest("hex").slice(0, 8);
    const file = `${name.file.slice(0, LONGEST - digits.length - 1)}-${digits}`;
    if (!isShared) return { ...name, file };
    const told = (text: string) => text.replace(/\)$/, `, ${digits})`);
    return { file, title: told(name.title), phrase: told(name.phrase) };
  });
}

/** Bytes: two such names, what a comparison adds to them and what a temporary name adds to that stay below the usual 255. */
const LONGEST = 90;

function nameAmong(id: TranscoderId, family: readonly TranscoderId[]): TranscoderName {
  const { source, targets, groups, k, learning_rate, seed, data_seed, model, imported } = id;
  const features = featureCount(groups), trained = imported ? [] : family.filter(({ imported }) => !imported);
  const differs = (of: (id: TranscoderId) => unknown, among = family) => among.some((other) => of(other) !== of(id));
  const layers = layersIn(id);
  let file = layersOf(id);
  const remarks: string[] = [];
  if (differs(({ source, targets }) => [source.site, ...targets.map(tapName)].join())) {
    file = `${tapName(source)}-to-${targets.map(tapName).join("+")}`;
    // Where all is in the layer that the name begins with, its number is not said again.
    const written = layers.every((layer) => layer === source.layer) ? ({ site }: Tap) => site : tapName;
    remarks.push(`${written(source)} to ${targets.map(written).join(", ")}`);
  } else if (differs(({ source }) => source.layer) && layers.some((layer) => layer !== source.layer)) {
    file = `layer${source.layer}-to-${file}`;
    remarks.push(`from layer ${source.layer}`);
  }
  const further: [differs: boolean, suffix: string, remark: string][] = [
    [
      differs(({ groups }) => featureCount(groups)),
      `-f${features}`,
      `${features.toLocaleString("en-US")} features`,
    ],
    [
      family.some((other) => featureCount(other.groups) === features && other.groups.join() !== groups.join()),
      `-g${groups.join("+")}`,
      `groups ${groups.join(" + ")}`,
    ],
    [differs(({ k }) => k), `-k${k}`, `k ${k}`],
    [id.skip === true && differs(({ skip = false }) => skip), "-skip", "skip connection"],
    [imported !== undefined && differs(({ imported }) => imported?.tool), `-${imported?.tool}`, `${imported?.tool}`],
    [differs(({ learning_rate }) => learning_rate, trained), `-lr${learning_rate}`, `learning rate ${learning_rate}`],
    [differs(({ seed }) => seed, trained), `-seed${seed}`, `seed ${seed}`],
    [
      trained.some((other) => other.seed === seed && other.data_seed !== data_seed),
      `-data${data_seed}`,
      `data seed ${data_seed}`,
    ],
    [differs(({ model }) => model), `-of-${plainName(model)}`, plainName(model)],
  ];
  for (const [isTold, suffix, remark] of further) {
    if (!isTold) continue;
    file += suffix;
    remarks.push(remark);
  }
  const remark = remarks.length > 0 ? ` (${remarks.join(", ")})` : "";
  const phrase = `${predictedLayers(id)}${remark}`;
  return { file, title: phrase.replace("l", "L"), phrase };
}

function layersOf(mapping: Mapping): string {
  return layersIn(mapping).map((layer) => `layer${layer}`).join("+");
}

function layersIn({ targets }: Mapping): number[] {
  return [...new Set(targets.map(({ layer }) => layer))];
}

/**
 * One name for what is predicted from what.
 *
 * @param mapping The transcoder's.
 * @returns For example `layer2.resid_mid -> layer2.mlp_out + layer4.mlp_out`.
 */
export function mappingName({ source, targets }: Mapping): string {
  return `${tapName(source)} -> ${targets.map(tapName).join(" + ")}`;
}

/**
 * The layers that a transcoder predicts, inside of a sentence.
 *
 * @param mapping The transcoder's.
 * @returns `layer 8`, `layers 8 and 9`, `layers 8, 9 and 10`.
 */
export function predictedLayers(mapping: Mapping): string {
  const layers = layersIn(mapping), last = layers.at(-1);
  return layers.length < 2 ? `layer ${last}` : `layers ${layers.slice(0, -1).join(", ")} and ${last}`;
}

/** A model's name as a part of a file name. */
function plainName(model: string): string {
  return model.replace(/[^\w.-]/gu, (character) => `_${character.codePointAt(0)!.toString(16)}`);
}

/**
 * A text that is equal for equal identities.
 *
 * @param id The identity.
 * @returns All of it in a line, for readers too: `gemma-2-2b layer2.resid_mid -> layer2.mlp_out, groups 4 + 8 + 4, k 3, learning rate
 * 0.003, seed 0`, and the data seed where it is another.
 */
export function describeId(
  { model, source, targets, groups, k, learning_rate, seed, data_seed, skip, imported }: TranscoderId,
): string {
  const sizes = `${model} ${mappingName({ source, targets })}, groups ${groups.join(" + ")}, k ${k}${
    skip ? ", skip connection" : ""
  }`;
  if (imported) return `${sizes}, from ${imported.tool} ${imported.fingerprint.slice(0, 12)}`;
  const seeds = data_seed === seed ? `seed ${seed}` : `seed ${seed}, data seed ${data_seed}`;
  return `${sizes}, learning rate ${learning_rate}, ${seeds}`;
}

/**
 * Orders transcoders as a reader looks for them: by the layer predicted, the layer read, the sites, then by size, k, skip connection, learning
 * rate, seeds and model.
 *
 * @param a One.
 * @param b Another.
 * @returns Below 0 when a comes first; 0 for equal identities.
 */
export function compareIds(a: TranscoderId, b: TranscoderId): number {
  const key = ({ source, targets, groups, k, skip = false, learning_rate, seed, data_seed }: TranscoderId) => {
    const taps = [...targets, source];
    const places = [...taps.map(({ layer }) => layer), ...taps.map(({ site }) => SITES.indexOf(site))];
    return [...places, featureCount(groups), k, Number(skip), learning_rate, seed, data_seed, ...groups];
  };
  const first = key(a), second = key(b);
  const at = first.findIndex((value, i) => value !== second[i]);
  if (at >= 0) return first[at] - (second[at] ?? 0);
  const from = ({ imported }: TranscoderId) => imported === undefined ? "" : `${imported.tool} ${imported.fingerprint}`;
  return first.length - second.length || a.model.localeCompare(b.model, "en") || from(a).localeCompare(from(b), "en");
}

/**
 * The distinct taps of some mappings.
 *
 * @param mappings What transcoders map.
 * @returns Sources and targets, each once.
 */
export function tapsOf(mappings: readonly Mapping[]): Tap[] {
  return distinct(mappings.flatMap(({ source, targets }) => [source, ...targets]));
}

/**
 * The distinct sources of some mappings.
 *
 * @param mappings What transcoders map.
 * @returns Each once.
 */
export function sourcesOf(mappings: readonly Mapping[]): Tap[] {
  return distinct(mappings.map(({ source }) => source));
}

function distinct(taps: readonly Tap[]): Tap[] {
  return [...new Map(taps.map((tap) => [tapName(tap), tap])).values()];
}
