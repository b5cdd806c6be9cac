/**
 * A run that never happened with all that the browser shows: a record and what analyses keep, over texts that want to be more than text.
 * @module
 */

import type { FeatureRecord } from "../../../core/analysis/record.ts";
import { randomGenerator } from "../../../core/random.ts";
import { writeAttribution } from "../../../core/runs/attribution.ts";
import { writeCoherence } from "../../../core/runs/coherence.ts";
import { readConfig } from "../../../core/runs/config.ts";
import { writeImportance } from "../../../core/runs/importance.ts";
import { writeRecord } from "../../../core/runs/record.ts";
import { readTranscoder } from "../../../core/runs/transcoder.ts";
import { featureCount, groupOf } from "../../../core/transcoder/shape.ts";
import { type SyntheticRun, writeSyntheticRun } from "../synthetic_run.ts";

/** Texts of tokens, documents and labels that a page must show and never obey. */
export const HOSTILE: readonly string[] = [
  "<img src=x onerror=hacked=1>",
  "</script><script>hacked=1</script>",
  "<!--",
  "]]>",
  "&lt;b&gt;",
  '" onmouseover="hacked=1',
  "${hacked=1}",
  "javascript:hacked=1",
  "\u202egnidda\u202c",
  "\u2066isolate",
  "\u200b",
  "\u0000",
  "\u001b[2J",
  "\u2028",
  "\ud800",
  "\n\n",
  "שלום",
  "👩‍🚀",
];

const WORDS =
  " the, of, to, and, our, people, war, peace, law, year, treaty, nation, United, States, Congress, Mexico, gold, tariff, roads, rivers"
    .split(",");

/** Sizes of the record. */
export interface RecordedRun extends Partial<SyntheticRun> {
  /** Tokens of the reading set. */
  readonly tokens: number;
  /** Active features per token. */
  readonly active: number;
  /** Tokens of the vocabulary besides those that are told; none if left out. */
  readonly more?: number;
}

/**
 * Writes a run with a record, in which each feature fires on tokens of its own and at random, children where their parents do.
 *
 * @param root Where to.
 * @param name The run's name.
 * @param run Its sizes.
 * @returns The transcoder's directory.
 */
export async function writeRecordedRun(
  root: string,
  name: string,
  { tokens, active, more = 0, ...run }: RecordedRun,
): Promise<string> {
  const directory = await writeSyntheticRun(root, name, { samplesPerFeature: 3, ...run });
  const config = await readConfig(directory), transcoder = await readTranscoder(directory, config);
  const record = recordOf(config.groups, tokens, active, more);
  await writeRecord(directory, transcoder, record);
  const { steps, groups } = config, count = featureCount(groups), random = randomGenerator(7);
  const all = Array.from({ length: count }, (_, feature) => ({ feature, group: groupOf(groups, feature), fires: 30 }));
  const told = () =>
    Array.from({ length: 10 }, (_, n) => {
      const id = random.below(HOSTILE.length);
      return { id, token: HOSTILE[id], value: 1 / (n + 1) };
    });
  const histogram = { from: -0.5, to: 0.5, counts: [1, 4, 9, 5, 1] };
  const shares = { embedding: 0.2, earlier_attention: 0.1, earlier_mlps: 0.3, own_attention: 0.4, own_mlp: 0 };
  const kinds = ["embedding", "earlier_attention", "earlier_mlps", "own_attention"] as const;
  const components = kinds.map((kind) => ({
    name: `layer2.${kind}`,
    kind,
    share: 0.25,
    ci95: [0.2, 0.3] as [number, number],
  }));
  await writeAttribution(directory, {
    ...{
      steps,
      source: "layer2.resid_mid",
      is_norm_fixed: false,
      cosine_chance: 0.2,
      tokens: 2048,
      contexts: 32,
      documents: 6,
    },
    ...{ resampled: "documents", firings: 999, largest_error: 1e-7, components },
    kinds: components.map(({ kind, share, ci95 }) => ({ kind, share, ci95 })),
    features: all.map((one) => ({
      ...{
        ...one,
        activation: 2,
        bias: -0.5,
        parts: kinds.map(() => random.gaussian()),
        typical: kinds.map(() => 0),
        shares,
      },
      ...{
        cosine: 0.3,
        tokens: {
          reads: told(),
          chance: 0.4,
          writes: { raised: told(), lowered: told(), chance: 0.2, std: 0.1, histogram },
        },
      },
    })),
    definitions: { reads: "What is read: <b>text</b>." },
  });
  const effect = (feature: number) => ({
    ...{ sets: ["top" as const], ce_rise: 0.01 - feature / 1e5, ce_rise_ci95: [0.001, 0.02] as [number, number] },
    ...{ ce_rise_per_fire: 0.1, kl: 0.005, kl_ci95: [0.001, 0.01] as [number, number] },
  });
  const reliability = { mass: 1, fvu_rise: 1, ce_rise: 1, kl: 1 };
  await writeImportance(directory, {
    ...{ steps, tokens: 1024, predictions: 1000, contexts: 16, documents: 6, resampled: "documents", clean_ce: 4 },
    features: all.map((one) => ({
      ...one,
      mass: 0.1,
      fvu_rise: 1 / (one.feature + 1),
      effect: one.feature % 2 === 0 ? effect(one.feature) : null,
    })),
    agreement: [{ set: "top", features: 8, chance: 0.7, pairs: [], reliability }],
    ...{ definitions: { kl: "How much predictions change." }, silent: null },
  });
  await writeCoherence(directory, {
    ...{ steps, source: "layer2.resid_mid", tokens, rare: 1, left_out: 0, beyond: 3 },
    random: { directions: 64, median: 0.05, limit: 0.2 },
    features: all.slice(0, -1).map(({ feature }) => ({
      ...{ feature, fires: 30, documents: 5, cosine: 0.4, by_token: 0.2, coherence: 0.2 + random.float() / 10 },
      ...{ ci95: [0.1, 0.3] as [number, number], token_entropy: 2, examples: [0, 1] },
    })),
    definitions: { coherence: "cosine - by_token" },
  });
  return directory;
}

/** A record whose features have tokens of their own; those of later groups fire where one of the first group does. */
export function recordOf(groups: readonly number[], tokens: number, active: number, more = 0): FeatureRecord {
  const random = randomGenerator(5),
    texts = [...HOSTILE, ...WORDS, ...Array.from({ length: more }, (_, n) => ` w${n.toString(36)}`)],
    count = featureCount(groups),
    context = 64;
  const documents = ["<b>address</b>.txt", "b.txt", "\u202ec.txt"].map((name, n) => ({
    name,
    split: n === 1 ? "test" : "train",
  }));
  const place = new Uint32Array(tokens),
    id = new Uint32Array(tokens),
    document = new Uint32Array(tokens),
    position = new Uint32Array(tokens);
  const rowStart = new Uint32Array(tokens + 1),
    index = new Uint32Array(tokens * active),
    value = new Float32Array(tokens * active);
  for (let t = 0, e = 0; t < tokens; t++) {
    const here = Math.floor(t / (context - 1));
    place[t] = here * context + 1 + t % (context - 1);
    id[t] = random.below(texts.length);
    document[t] = here % documents.length;
    position[t] = Math.floor(here / documents.length) * (context - 1) + t % (context - 1);
    const firing = new Set<number>(), [first] = groups;
    while (firing.size < active) {
      // Features of a token are those whose number leaves the token's rest; a child's parent is the feature of the first group with its rest.
      const isOwn = random.float() < 0.7, own = id[t] + texts.length * random.below(Math.ceil(count / texts.length));
      const feature = isOwn && own < count ? own : random.below(count);
      firing.add(feature);
      if (firing.size < active) firing.add(feature % first);
    }
    for (const feature of [...firing].sort((a, b) => a - b)) {
      index[e] = feature;
      value[e++] = 0.1 + 4 * random.float() ** 2 + (feature % texts.length === id[t] ? 4 : 0);
    }
    rowStart[t + 1] = e;
  }
  const { length: prefixes } = groups, removed = new Float32Array(count * prefixes);
  for (let i = 0; i < count; i++) {
    for (let p = groupOf(groups, i); p < prefixes; p++) removed[i * prefixes + p] = tokens * random.float() / count;
  }
  return {
    ...{
      groups,
      context,
      documents,
      place,
      id,
      tokenTexts: new Map(texts.map((text, n) => [n, text])),
      document,
      position,
    },
    ...{ rowStart, index, value, targetSquares: new Float32Array(tokens).fill(2) },
    residualSquares: Float32Array.from(
      { length: tokens * prefixes },
      (_, at) => (1.5 - at % prefixes / prefixes) * random.float(),
    ),
    ...{ targetVariation: 2 * tokens, errorRemoved: removed },
  };
}
