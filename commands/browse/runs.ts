/**
 * The runs that `mtc browse` was given: what there is of them at this moment.
 *
 * A transcoder is asked for by its key, which is looked up among those that were found; no path is ever made of what somebody asks for.
 * @module
 */

import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { printable, UserError } from "../../core/errors.ts";
import { CONFIG_FILE, type TranscoderConfig } from "../../core/runs/config.ts";
import { openTranscoderDirectory, transcodersBelow, whyUnfinished } from "../../core/runs/discovery.ts";
import { EVALUATION_FILE } from "../../core/runs/evaluation.ts";
import { idOf, mappingName, nameTranscoders } from "../../core/runs/ids.ts";
import { METRICS_FILE } from "../../core/runs/metrics.ts";
import { MetricsTail } from "../../core/runs/metrics_tail.ts";
import { TRANSCODER_FILE } from "../../core/runs/transcoder.ts";
import type { RunState, ServedSettings, ServedTranscoder, ServedVerdict } from "../../reports/browser/served.ts";

/** A transcoder that was found. */
export interface FoundTranscoder {
  /** What it is asked for by, as long as the server runs: `layer17`. */
  readonly key: string;
  /** Its directory. */
  readonly path: string;
  /** How far it is, */
  readonly state: RunState;
  /** and what is to be said of that. */
  readonly detail: string;
  /** Its config.json; null where it cannot be read. */
  readonly config: TranscoderConfig | null;
}

/** What a finished transcoder's success metrics say. */
export type Judge = (path: string) => Promise<ServedVerdict>;

/** Verdicts are of the files as they were. */
interface Judgement {
  readonly stamp: string;
  verdict: ServedVerdict | null;
  problem: string | null;
}

/** Files that a verdict hangs on. */
const JUDGED_FILES = [CONFIG_FILE, METRICS_FILE, EVALUATION_FILE, TRANSCODER_FILE];
/** So many curves are kept in memory: 10 MB each for 100,000 rows. */
const MOST_TAILS = 32;

/** Looks into the directories again and again, as runs begin, go on, end and are removed. */
export class BrowsedRuns {
  readonly #roots: readonly string[];
  readonly #judge: Judge;
  #found: readonly FoundTranscoder[] = [];
  #problems: readonly string[] = [];
  #looking: Promise<void> | undefined;
  /** By their resolved paths. */
  readonly #keys = new Map<string, string>();
  readonly #judgements = new Map<string, Judgement>();
  readonly #tails = new Map<string, MetricsTail>();

  /**
   * Looks at nothing yet.
   *
   * @param roots Directories of runs, of transcoders, or that hold runs.
   * @param judge Says what becomes of a finished transcoder.
   */
  constructor(roots: readonly string[], judge: Judge) {
    this.#roots = roots;
    this.#judge = judge;
  }

  /** Directories that cannot be looked into, each with why. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /**
   * Looks what there is.
   *
   * @returns All transcoders, those of one run together.
   */
  async look(): Promise<readonly FoundTranscoder[]> {
    await (this.#looking ??= this.#look().finally(() => this.#looking = undefined));
    return this.#found;
  }

  /**
   * Finds a transcoder.
   *
   * @param key Its key.
   * @returns What there is of it now.
   * @throws {UserError} When there is none of that key.
   */
  async find(key: string): Promise<FoundTranscoder> {
    const known = this.#found.find((one) => one.key === key);
    if (known) return { ...await describe(known.path), key };
    const found = (await this.look()).find((one) => one.key === key);
    if (found) return found;
    throw new UserError({ action: `show ${key}`, found: "there is no such transcoder", remedy: "go back to the runs" });
  }

  /**
   * Follows what a transcoder has logged.
   *
   * @param transcoder The transcoder.
   * @returns Its metrics.csv; those that were asked for last stay in memory.
   */
  tail({ path }: FoundTranscoder): MetricsTail {
    const tail = this.#tails.get(path) ?? new MetricsTail(path);
    this.#tails.delete(path);
    this.#tails.set(path, tail);
    for (const oldest of [...this.#tails.keys()].slice(0, -MOST_TAILS)) this.#tails.delete(oldest);
    return tail;
  }

  /**
   * Tells of all transcoders. Verdicts that are not known yet are asked for and told the next time.
   *
   * @param reportOf Where a transcoder's report is.
   * @returns One entry each, in the order found.
   */
  async list(reportOf: (path: string) => ServedTranscoder["report"]): Promise<ServedTranscoder[]> {
    const found = await this.look(), titles = titlesOf(found);
    return await Promise.all(found.map(async (one) => {
      const judgement = one.state === "finished" ? await this.#judgementOf(one) : null;
      const problem = judgement?.problem ?? null;
      return {
        ...{ key: one.key, path: one.path, run: dirname(resolve(one.path)) },
        ...problem === null ? { state: one.state, detail: one.detail } : { state: "broken" as const, detail: problem },
        settings: one.config && settingsOf(one.config, titles.get(one)!),
        verdict: judgement?.verdict ?? null,
        report: reportOf(one.path),
      };
    }));
  }

  async #look(): Promise<void> {
    const problems: string[] = [], paths = new Map<string, string>();
    for (const root of this.#roots) {
      try {
        for (const path of await transcodersBelow(root)) paths.set(resolve(path), path);
      } catch (error) {
        problems.push(messageOf(error));
      }
    }
    const found = await Promise.all([...paths.values()].map((path) => describe(path)));
    this.#found = found.map((one, i) => ({ ...one, key: this.#keyOf(one, found, [...paths.keys()][i]) }));
    this.#problems = problems;
  }

  /** A key once given stays, so that addresses do; what comes later gets one that is free. */
  #keyOf({ path, config }: Described, all: readonly Described[], place: string): string {
    const known = this.#keys.get(place), taken = new Set(this.#keys.values());
    if (known !== undefined) return known;
    const names = nameTranscoders(all.flatMap((one) => one.config ? [idOf(one.config)] : []));
    const name = config
      ? names[all.filter((one) => one.config).findIndex((one) => one.path === path)].file
      : basename(place);
    const inRun = `${name}-${basename(dirname(place))}`;
    const free = [name, inRun].find((key) => !taken.has(key)) ?? `${inRun}-${taken.size}`;
    this.#keys.set(place, free);
    return free;
  }

  async #judgementOf({ path }: FoundTranscoder): Promise<Judgement> {
    const stamp = await stampOf(path), known = this.#judgements.get(path);
    if (known?.stamp === stamp) return known;
    const judgement: Judgement = { stamp, verdict: null, problem: null };
    this.#judgements.set(path, judgement);
    this.#judge(path).then(
      (verdict) => judgement.verdict = verdict,
      (error) => judgement.problem = messageOf(error),
    );
    return judgement;
  }
}

/** What there is in a directory, without the key that it is known by. */
type Described = Omit<FoundTranscoder, "key">;

async function describe(path: string): Promise<Described> {
  try {
    const found = await openTranscoderDirectory(path), { config, missing, training } = found;
    if (missing.length === 0) return { path, config, state: "finished", detail: "" };
    const { found: how, remedy } = whyUnfinished(found);
    return {
      path,
      config,
      state: training ? "training" : "unfinished",
      detail: printable(training ? how : `${how}; ${remedy}`),
    };
  } catch (error) {
    return { path, config: null, state: "broken", detail: messageOf(error) };
  }
}

/** What each is called among those of its run. */
function titlesOf(found: readonly FoundTranscoder[]): Map<FoundTranscoder, string> {
  const titles = new Map<FoundTranscoder, string>();
  for (const family of Map.groupBy(found, ({ path }) => dirname(resolve(path))).values()) {
    const known = family.flatMap((one) => one.config ? [{ one, id: idOf(one.config) }] : []);
    const names = nameTranscoders(known.map(({ id }) => id));
    known.forEach(({ one }, i) => titles.set(one, names[i].title));
  }
  return titles;
}

function settingsOf(config: TranscoderConfig, title: string): ServedSettings {
  const { model, created, groups, k, steps, context, seed } = config;
  return { title, mapping: mappingName(config), model: model.name, created, groups, k, steps, context, seed };
}

/** Tells whether files changed; a file that is gone is told, too. */
async function stampOf(path: string): Promise<string> {
  const infos = await Promise.all(JUDGED_FILES.map((file) => stat(join(path, file)).catch(() => null)));
  return infos.map((info) => info === null ? "-" : `${info.mtimeMs} ${info.size} ${info.ino}`).join();
}

/**
 * The sentence of a failure.
 *
 * @param error What was thrown.
 * @returns What a reader can mend, or what the system says.
 */
export function messageOf(error: unknown): string {
  return error instanceof UserError ? error.message : printable(error instanceof Error ? error.message : String(error));
}
