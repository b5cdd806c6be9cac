/**
 * `mtc encode`: the features of a text, token by token.
 * @module
 */

import { Command } from "commander";
import type { FinishedTranscoder } from "../core/runs/finished.ts";
import { jsonOption, movedModelOption, runOption, wholeNumberOption } from "./options.ts";
import { Progress } from "./progress.ts";

interface EncodeOptions {
  run: string;
  model?: string;
  text: string;
  top: number;
  json?: true;
}

async function encodeText(transcoders: readonly FinishedTranscoder[], { model, text, top }: EncodeOptions) {
  const { loadVisibly, openModelVisibly } = await import("./open_model.ts");
  const { openGpu } = await import("../core/gpu/device.ts");
  const { loadRunModel, modelOf } = await import("../core/runs/finished.ts");
  const { loadTokenizer } = await import("../core/text/tokenizer.ts");
  const { encodeAtHand } = await import("./encoded_text.ts");
  const [{ config: { context, precision } }] = transcoders;
  const files = await openModelVisibly(model ?? modelOf(transcoders));
  using gpu = await openGpu(undefined, precision);
  const taps = transcoders.map(({ config }) => config.source);
  const decoder = await loadVisibly((onLoading) =>
    loadRunModel(gpu, files, transcoders, { taps, maxTokens: context, onLoading })
  );
  const progress = new Progress("Encoding contexts");
  try {
    const onProgress = (done: number, total: number) => progress.advance({ done, total });
    return await encodeAtHand({ gpu, decoder, tokenizer: loadTokenizer(files) }, transcoders, text, {
      top,
      onProgress,
    });
  } finally {
    progress.stop();
    await files.weights.close();
  }
}

async function encode(options: EncodeOptions): Promise<void> {
  const { run, json } = options;
  const { openFinishedRun } = await import("../core/runs/finished.ts");
  const { summarizeThresholds } = await import("../core/analysis/threshold_summary.ts");
  const transcoders = await openFinishedRun(run);
  const { contexts, tokens } = await encodeText(transcoders, options), [{ config }] = transcoders;
  if (contexts > 1) {
    console.error(
      `mtc: the run's contexts hold ${config.context - 1} tokens behind BOS; the text is longer and was encoded in ` +
        `${contexts} contexts, none of which sees the ones before`,
    );
  }
  const encoded = transcoders.map(({ directory, config: { layer }, transcoder: { thresholds } }, i) => {
    return { run: directory, layer, ...summarizeThresholds(thresholds), tokens: tokens[i] };
  });
  if (json) {
    const isOne = transcoders.length === 1 && transcoders[0].directory === run;
    console.log(JSON.stringify(isOne ? encoded[0] : encoded, null, 2));
    return;
  }
  const { encodingTable } = await import("../reports/encoding_table.ts");
  for (const { run, tokens } of encoded) console.log(`${run}\n\n${encodingTable(tokens)}\n`);
}

/** The command `mtc encode`. */
export function encodeCommand(): Command {
  return new Command("encode")
    .description("Shows the features of a text, token by token: index, the token it is strongest on, activation.")
    .addOption(runOption())
    .addOption(movedModelOption())
    .requiredOption("-t, --text <text>", "the text; BOS is put in front")
    .addOption(wholeNumberOption("-n, --top <n>", "features to show per token", { value: 5 }))
    .addOption(jsonOption())
    .addHelpText("after", '\nExample:\n  mtc encode --run runs/first/layer2 --text "My fellow citizens" --top 3')
    .action(encode);
}
