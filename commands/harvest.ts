/**
 * `mtc harvest`: a model's activations as safetensors shards.
 * @module
 */

import { Command } from "commander";
import type { Precision } from "../core/gpu/products.ts";
import { parseSites, SITES, type Tap, tapName, widthOf } from "../core/model/sites.ts";
import { jsonOption, layersOption, precisionOption, wholeNumberOption } from "./options.ts";
import { Progress } from "./progress.ts";

interface HarvestOptions {
  readonly model: string;
  readonly data?: string[];
  readonly layers: number[];
  readonly sites: string;
  readonly context: number;
  readonly contexts: number;
  readonly out: string;
  readonly precision: Precision;
  readonly json?: true;
}

function tapsFrom({ layers, sites }: HarvestOptions): Tap[] {
  const chosen = parseSites(sites);
  return layers.flatMap((layer) => chosen.map((site) => ({ layer, site })));
}

async function harvest(options: HarvestOptions): Promise<void> {
  const { fileError } = await import("../core/files/atomic.ts");
  const { configOf } = await import("../core/model/config.ts");
  const { loadVisibly, openModelVisibly } = await import("./open_model.ts");
  const { loadDecoder } = await import("../core/model/forward.ts");
  const { describeErrors } = await import("../core/passes/precision.ts");
  const { contextsPerRead, requireEmpty, writeActivations } = await import("../core/passes/harvest.ts");
  const { openGpu } = await import("../core/gpu/device.ts");
  const { openTokenSource } = await import("../core/text/source.ts");
  const { loadTokenizer } = await import("../core/text/tokenizer.ts");

  const { context, contexts, out } = options;
  const taps = tapsFrom(options);
  await requireEmpty(out);
  const files = await openModelVisibly(options.model);
  using gpu = await openGpu(undefined, options.precision);
  const config = configOf(files), atOnce = Math.min(contexts, contextsPerRead(gpu, config, taps, context));
  loadTokenizer(files).checkFitsModel(config.vocabSize, config.bosTokenId);
  const decoder = await loadVisibly((onLoading) =>
    loadDecoder(gpu, files, { taps, context, maxTokens: atOnce * context, precision: options.precision, onLoading })
  );
  const data = options.data ?? "builtin";
  const source = await openTokenSource({ tokenizer: files, data, split: "train", context, seed: null });
  const progress = new Progress("Harvesting contexts");
  try {
    await Deno.mkdir(out, { recursive: true }).catch((error) => Promise.reject(fileError("create", out, error)));
    // Opening the model may have taken an hour.
    await requireEmpty(out);
    const written = await writeActivations({
      gpu,
      decoder,
      source,
      context,
      contexts,
      directory: out,
      metadata: { model: files.name, data: data === "builtin" ? data : data.join(" ") },
      onRounded: (errors) => console.error(describeErrors(errors)),
      onProgress: (done) => progress.advance({ done, total: contexts, unit: "tokens", each: context }),
    });
    progress.stop();
    const names = taps.map(tapName);
    if (options.json) {
      const widths = Object.fromEntries(taps.map((tap) => [tapName(tap), widthOf(config, tap.site)]));
      const [width, ...others] = new Set(Object.values(widths)), shape = others.length > 0 ? { widths } : { width };
      console.log(
        JSON.stringify({ files: written, contexts, context, ...shape, tensors: ["tokens", ...names] }, null, 2),
      );
    } else {
      const shards = written.length === 1 ? written[0] : `${written.length} shards in ${out}`;
      console.log(`Wrote ${contexts} contexts of ${context} tokens at ${names.join(", ")} to ${shards}`);
    }
  } finally {
    progress.stop();
    source.close();
    await files.weights.close();
  }
}

/**
 * The command `mtc harvest`.
 *
 * @returns The command, ready to be added to the program.
 */
export function harvestCommand(): Command {
  return new Command("harvest")
    .description("Writes activations of chosen layers and sites to safetensors shards.")
    .option(
      "-m, --model <model>",
      "a Hugging Face directory of Gemma-2 or Gemma-3, hf:OWNER/NAME[@REVISION], or the embedded model",
      "builtin",
    )
    .option(
      "-d, --data <paths...>",
      "text as for mtc train (default: the embedded text); its training documents are used",
    )
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
    .requiredOption("-o, --out <dir>", "a new or empty directory")
    .addOption(precisionOption())
    .addOption(jsonOption("a summary as JSON"))
    .addHelpText(
      "after",
      "\nExample:\n  mtc harvest --layers 2,4 --sites resid_mid,mlp_out --contexts 500 --out activations",
    )
    .action(harvest);
}
