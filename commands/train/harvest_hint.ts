/**
 * How the activations of a run could be harvested once, for several runs to be trained on: the command, and what it takes of the disk.
 * @module
 */

import { configOf } from "../../core/model/config.ts";
import { SITES } from "../../core/model/sites.ts";
import { contextsPerShard, widthsOf } from "../../core/passes/harvest.ts";
import { tapsOf } from "../../core/runs/ids.ts";
import { harvestBytes } from "../../core/runs/shards.ts";
import { bufferLayout, contextsDrawn } from "../../core/training/buffer.ts";
import { PLAIN_READING, type TextReading } from "../../core/text/reading.ts";
import { BAD_LINES } from "../options.ts";
import type { TrainRequest } from "./request.ts";

/** A harvest from which a run could be trained. */
export interface HarvestHint {
  /** What to type: the command and its options. */
  readonly command: readonly string[];
  /** The contexts that the run draws from. */
  readonly contexts: number;
  /** Bytes of its shards. */
  readonly bytes: number;
}

/**
 * Finds the harvest that a run could be trained from.
 *
 * @param request The run.
 * @returns The harvest; null for a run that has one, or was begun without.
 */
export function harvestHint(request: TrainRequest): HarvestHint | null {
  const { settings, transcoders, model, data, reading = PLAIN_READING, activations, resumed } = request;
  if (activations || resumed) return null;
  const { context, steps, data_seed, precision } = settings, contexts = contextsDrawn(bufferLayout(settings), steps);
  const harvested = tapsOf(transcoders), sites = SITES.filter((site) => harvested.some((tap) => tap.site === site));
  const layers = [...new Set(harvested.map(({ layer }) => layer))].sort((a, b) => a - b);
  const widths = widthsOf(configOf(model), layers.flatMap((layer) => sites.map((site) => ({ layer, site }))));
  const command = [
    "mtc harvest",
    ...model.path === null ? [] : [`--model ${quoted(model.path)}`],
    ...data === "builtin" ? [] : [`--data ${data.map(quoted).join(" ")}`, ...readingOptions(reading)],
    ...[`--layers ${layers.join()}`, `--sites ${sites.join()}`, `--context ${context}`, `--contexts ${contexts}`],
    ...[`--data-seed ${data_seed}`, ...precision === "f32" ? [] : [`--precision ${precision}`], "--out activations"],
  ];
  const size = harvestBytes(contexts, context, widths, contextsPerShard(context, widths));
  return { command, contexts, bytes: size };
}

/** What has a text read as it is read here. */
function readingOptions({ column, badLines }: TextReading): string[] {
  return [
    ...column === PLAIN_READING.column ? [] : [`--text-column ${quoted(column)}`],
    ...badLines === BAD_LINES ? [] : [`--bad-lines ${badLines}`],
  ];
}

/**
 * Writes a command for a narrow terminal, so that it can be copied as a whole.
 *
 * @param command The command and its options.
 * @param columns The most columns of a line, unless an option alone is longer.
 * @returns Its lines; all but the last end in a backslash.
 */
export function commandLines(command: readonly string[], columns: number): string[] {
  const lines = [command[0]], room = columns - " \\".length;
  for (const option of command.slice(1)) {
    const line = `${lines.at(-1)} ${option}`;
    if (line.length <= room) lines[lines.length - 1] = line;
    else lines.push(`  ${option}`);
  }
  return lines.map((line, i) => i < lines.length - 1 ? `${line} \\` : line);
}

function quoted(path: string): string {
  return /^[\w./:@+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
