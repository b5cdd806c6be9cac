/**
 * Reads the files of one run into typed values; whatever is missing, cut off or inconsistent becomes one clear sentence.
 * @module
 */
import { join } from "node:path";
import { UserError } from "../errors.ts";
import {
  checkConfig,
  type Checked,
  checkEvaluation,
  checkFeatureSamples,
  type Evaluation,
  type FeatureRow,
  type FeatureSamples,
  type MetricsRow,
  type RunConfig,
} from "./schema.ts";
import { parseFeatures, parseMetrics } from "./tables.ts";

/** The files of a finished run, but for the weights ({@link readTensors}) and the samples ({@link readSamples}). */
export interface RunFiles {
  /** Path of the layer's directory. */
  path: string;
  /** config.json. */
  config: RunConfig;
  /** metrics.csv. */
  metrics: MetricsRow[];
  /** evaluation.json. */
  evaluation: Evaluation;
  /** features.csv. */
  features: FeatureRow[];
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UserError(`Cannot read ${path}: the file must exist, it does not; train the run again`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new UserError(`Cannot read ${path}: the file must be readable, access is denied; change its permissions`);
    }
    throw error;
  }
}

function parseJson<T>(check: (value: unknown) => Checked<T>, text: string, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UserError(
      `Cannot read ${where}: it must be complete JSON, it ends or breaks after "${
        text.slice(-30).replace(/\s+/g, " ").trim()
      }"; ` + "the file is cut off or damaged, train the run again",
    );
  }
  const { output, problem } = check(value);
  if (problem === undefined) return output;
  const requirement = problem.message.replace(/^Invalid \w+: /, "").replace(/ but received .*$/, "").replace(/^E/, "e");
  const found = JSON.stringify(problem.found ?? null).slice(0, 60);
  throw new UserError(
    `Cannot read ${where}: ${problem.at}: ${requirement}, it is ${found}; correct it or train the run again`,
  );
}

/**
 * Reads and checks the config.json of a run's layer directory.
 * @throws {UserError} when it is missing, is not JSON, or a setting is absent or out of range.
 */
export async function readConfig(path: string): Promise<RunConfig> {
  const file = join(path, "config.json");
  return parseJson(checkConfig, await readText(file), file);
}

/**
 * Reads config.json, metrics.csv, evaluation.json and features.csv of a finished run.
 * @param path the layer's directory, for example `runs/demo/layer17`
 * @throws {UserError} when a file is missing, cut off, or does not fit the others.
 */
export async function readRun(path: string): Promise<RunFiles> {
  const config = await readConfig(path);
  const file = (name: string) => join(path, name);
  const evaluation = parseJson(checkEvaluation, await readText(file("evaluation.json")), file("evaluation.json"));
  return {
    path,
    config,
    metrics: parseMetrics(await readText(file("metrics.csv")), file("metrics.csv"), config),
    evaluation,
    features: parseFeatures(await readText(file("features.csv")), file("features.csv"), config),
  };
}

async function* readLines(path: string): AsyncGenerator<string> {
  using file = await Deno.open(path);
  let rest = "";
  for await (const chunk of file.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/**
 * Streams samples.jsonl feature by feature; the whole file is never in memory.
 * @param path the layer's directory
 * @throws {UserError} when a line is cut off or not the next feature, or when lines are missing.
 */
export async function* readSamples(
  path: string,
  config: Pick<RunConfig, "features">,
): AsyncGenerator<FeatureSamples> {
  const file = join(path, "samples.jsonl");
  let next = 0;
  for await (const line of readLines(file)) {
    const samples = parseJson(checkFeatureSamples, line, `${file}, line ${next + 1}`);
    if (samples.feature !== next) {
      throw new UserError(
        `Cannot read ${file}: line ${
          next + 1
        } must be feature ${next}, it is feature ${samples.feature}; train the run again`,
      );
    }
    yield samples;
    next++;
  }
  if (next === config.features) return;
  throw new UserError(
    `Cannot read ${file}: it must hold one line for each of the ${config.features} features of config.json, ` +
      `it holds ${next}; train the run again`,
  );
}
