/**
 * `mtc harvest`: a model's activations as safetensors shards.
 * @module
 */

import { Command } from "commander";
import { printable, UserError } from "../core/errors.ts";
import type { Precision } from "../core/gpu/products.ts";
import { parseSites, SITES, type Tap, tapName } from "../core/model/sites.ts";
import type { DataPaths } from "../core/text/documents.ts";
import type { StreamPosition } from "../core/text/contexts.ts";
import configuration from "../deno.json" with { type: "json" };
import { bytes } from "./bytes.ts";
import {
  badLinesOption,
  directoryOption,
  jsonOption,
  layersOption,
  precisionOption,
  readingFor,
  textColumnOption,
  wholeNumberOption,
} from "./options.ts";
import { Progress } from "./progress.ts";

/** The options of the command. */
export interface HarvestOptions {
  readonly model: string;
  readonly data?: string[];
  readonly textColumn?: string;
  readonly badLines?: number;
  readonly layers: number[];
  readonly sites: string;
  readonly context: number;
  readonly contexts: number;
  readonly dataSeed?: number;
  readonly out: string;
  readonly precision: Precision;
  readonly json?: true;
}

function tapsFrom({ layers, sites }: HarvestOptions): Tap[] {
  const chosen = parseSites(sites);
  return layers.flatMap((layer) => chosen.map((site) => ({ layer, site })));
}

/**
 * Harvests.
 *
 * @param options What, and where to.
 * @param print Is told what was written.
 * @throws {UserError} When model, text, device or disk do not allow it.
 */
export async function harvest(options: HarvestOptions, print: typeof printWritten = printWritten): Promise<void> {
  const { fileError } = await import("../core/files/atomic.ts");
  const { openGpu } = await import("../core/gpu/device.ts");
  const { configOf } = await import("../core/model/config.ts");
  const { modelFingerprint } = await import("../core/model/files.ts");
  const { loadDecoder } = await import("../core/model/forward.ts");
  const { contextsPerRead, standingOf, widthsOf, writeActivations } = await import("../core/passes/harvest.ts");
  const { describeErrors } = await import("../core/passes/precision.ts");
  const { HARVEST_FORMAT } = await import("../core/runs/harvest.ts");
  const { nameOfData, pinPaths } = await import("../core/text/files.ts");
  const { openTokenSource } = await import("../core/text/source.ts");
  const { loadTokenizer } = await import("../core/text/tokenizer.ts");
  const { textLines } = await import("./train/text_lines.ts");
  const { loadVisibly, openModelVisibly } = await import("./open_model.ts");

  const { context, contexts, out, precision, dataSeed: seed = null } = options;
  const taps = tapsFrom(options);
  // Opening the model may be a download of an hour.
  await standingOf(out);
  const files = await openModelVisibly(options.model);
  try {
    using gpu = await openGpu(undefined, precision);
    const config = configOf(files), widths = widthsOf(config, taps);
    const atOnce = Math.min(contexts, contextsPerRead(gpu, config, taps, context));
    loadTokenizer(files).checkFitsModel(config.vocabSize, config.bosTokenId);
    const paths = options.data ? await pinPaths(options.data) : [], data: DataPaths = options.data ? paths : "builtin";
    const text = { tokenizer: files, data, reading: readingFor(options, data) };
    const openText = (start?: StreamPosition) => openTokenSource({ ...text, split: "train", context, seed, start });
    const first = await openText(), { summary } = first;
    await first.close();
    const description = {
      ...{ format: HARVEST_FORMAT, mtc_version: configuration.version, adapter: gpu.adapter },
      model: { name: files.name, path: files.path, fingerprint: await modelFingerprint(files) },
      data: { files: paths, ...summary },
      ...{ seed, context },
    };
    const standing = await standingOf(out, { ...description, taps, precision });
    const header = await sizeLines(options, taps, widths, standing.contexts);
    const decoder = await loadVisibly((onLoading) =>
      loadDecoder(gpu, files, { taps, context, maxTokens: atOnce * context, precision, onLoading })
    );
    const lines = textLines(nameOfData(data), summary).map((line) => printable(line));
    console.error([...header, ...lines].join("\n"));
    await Deno.mkdir(out, { recursive: true }).catch((error) => Promise.reject(fileError("create", out, error)));
    const source = await openText(standing.position), progress = new Progress("Harvesting contexts");
    try {
      const work = { total: contexts, unit: "tokens", each: context };
      const written = await writeActivations({
        ...{ gpu, decoder, source, description, standing, contexts, directory: out },
        onRounded: (errors) => console.error(describeErrors(errors)),
        onProgress: (done) => progress.advance({ ...work, done, since: done - standing.contexts }),
      });
      progress.stop();
      print(options, taps, widths, written);
    } finally {
      progress.stop();
      await source.close();
    }
  } finally {
    await files.weights.close();
  }
}

/** What a harvest takes of the disk, in lines; one that has no room there is refused before it has taken hours. */
async function sizeLines(
  { context, contexts, out }: HarvestOptions,
  taps: readonly Tap[],
  widths: readonly number[],
  done: number,
): Promise<string[]> {
  const { freeDisk } = await import("../core/estimate/resources.ts");
  const { contextsPerShard } = await import("../core/passes/harvest.ts");
  const { harvestBytes } = await import("../core/runs/shards.ts");
  const size = (count: number) => harvestBytes(count, context, widths, contextsPerShard(context, widths));
  const need = size(Math.max(0, contexts - done)), free = await freeDisk(out);
  const there = done > 0 ? ` (${Math.min(done, contexts)} contexts are there already)` : "";
  if (need <= free) {
    return [
      `Harvesting ${contexts} contexts of ${context} tokens at ${taps.map(tapName).join(", ")}${there}`,
      `  disk    ${bytes(need)} of ${bytes(free)} free`,
    ];
  }
  throw new UserError({
    action: `harvest into ${out}`,
    requirement: `it needs ${bytes(need)} of disk`,
    found: `${bytes(free)} are free`,
    remedy: "ask for fewer --contexts, --layers or --sites, or choose another --out",
  });
}

function printWritten(
  { context, contexts, out, json }: HarvestOptions,
  taps: readonly Tap[],
  widths: readonly number[],
  files: readonly string[],
): void {
  const names = taps.map(tapName);
  if (json) {
    const [width, ...others] = new Set(widths);
    const shape = others.length > 0
      ? { widths: Object.fromEntries(names.map((tap, i) => [tap, widths[i]])) }
      : { width };
    return console.log(JSON.stringify({ files, contexts, context, ...shape, tensors: ["tokens", ...names] }, null, 2));
  }
  if (files.length === 0) return console.log(`${out} holds all of these contexts already`);
  const shards = files.length === 1 ? files[0] : `${files.length} shards in ${out}`;
  console.log(`Wrote ${contexts} contexts of ${context} tokens at ${names.join(", ")} to ${shards}`);
}

/**
 * The command `mtc harvest`.
 *
 * @returns The command, ready to be added to the program.
 */
export function harvestCommand(): Command {
  return new Command("harvest")
    .description(
      "Writes activations of chosen layers and sites to safetensors shards. What was interrupted goes on, and what is to have more " +
        "contexts gets them, when the same command is run again; with --data-seed `mtc train --activations` reads them.",
    )
    .option(
      "-m, --model <model>",
      "a Hugging Face directory of Gemma-2 or Gemma-3, hf:OWNER/NAME[@REVISION], or the embedded model",
      "builtin",
    )
    .option(
      "-d, --data <paths...>",
      "text as for mtc train (default: the embedded text); its training documents are used",
    )
    .addOption(textColumnOption())
    .addOption(badLinesOption())
    .addOption(layersOption("layers, counted from 0, for example 0,1").makeOptionMandatory())
    .option("-s, --sites <list>", SITES.join(", "), "resid_mid,mlp_out")
    .addOption(
      wholeNumberOption("-c, --context <tokens>", "tokens per context, BOS included", { least: 2, value: 64 }),
    )
    .addOption(
      wholeNumberOption("-n, --contexts <count>", "contexts to write; the text starts over when it ends", {
        value: 256,
      }),
    )
    .addOption(
      wholeNumberOption("--data-seed <n>", "the order of mtc train with this seed (default: the documents' own)", {
        least: 0,
      }),
    )
    .addOption(
      directoryOption("-o, --out <dir>", "a new or empty directory, or one in which the same harvest is to go on")
        .makeOptionMandatory(),
    )
    .addOption(precisionOption())
    .addOption(jsonOption("a summary as JSON"))
    .addHelpText(
      "after",
      "\nExample:\n  mtc harvest --layers 2,4 --sites resid_mid,mlp_out --contexts 1301 --data-seed 0 --out activations\n" +
        "  mtc train --activations activations",
    )
    .action((options: HarvestOptions) => harvest(options));
}
