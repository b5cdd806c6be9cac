/**
 * `mtc encode`: the features of a text, token by token.
 * @module
 */

import { Command } from "commander";
import type { EncodedContext } from "../core/passes/encode_text.ts";
import type { HostFeatures } from "../core/transcoder/encode.ts";
import type { FinishedTranscoder } from "../core/runs/finished.ts";
import type { Tokenizer } from "../core/text/tokenizer.ts";
import type { EncodedToken } from "../reports/encoding_table.ts";
import { jsonOption, movedModelOption, runOption, wholeNumberOption } from "./options.ts";
import { Progress } from "./progress.ts";

interface EncodeOptions {
  run: string;
  model?: string;
  text: string;
  top: number;
  json?: true;
}

/** Each feature's top token from the run's features.csv; an empty list when the run has none. */
async function readTopTokens({ directory, config }: FinishedTranscoder): Promise<(string | null)[]> {
  const { hasFeatures, readFeatures } = await import("../core/runs/features.ts");
  if (!await hasFeatures(directory)) return [];
  const rows = await readFeatures(directory, config.groups);
  return rows.map(({ top_token, top_token_id }) => Number.isNaN(top_token_id) ? null : top_token);
}

async function encodeText(transcoders: readonly FinishedTranscoder[], { model, text }: EncodeOptions) {
  const { loadVisibly, openModelVisibly } = await import("./open_model.ts");
  const { openGpu } = await import("../core/gpu/device.ts");
  const { loadRunModel, modelOf } = await import("../core/runs/finished.ts");
  const { encodeContexts, textContexts } = await import("../core/passes/encode_text.ts");
  const { loadTokenizer } = await import("../core/text/tokenizer.ts");
  const [{ config: { context, include_bos, precision } }] = transcoders;
  const files = await openModelVisibly(model ?? modelOf(transcoders));
  using gpu = await openGpu(undefined, precision);
  const taps = transcoders.map(({ config }) => config.source);
  const decoder = await loadVisibly((onLoading) =>
    loadRunModel(gpu, files, transcoders, { taps, maxTokens: context, onLoading })
  );
  const progress = new Progress("Encoding contexts");
  try {
    const tokenizer = loadTokenizer(files);
    const contexts = textContexts(tokenizer.encode(text), tokenizer.bosId, context), total = contexts.length;
    const encoded = await encodeContexts({
      gpu,
      decoder,
      transcoders,
      contexts,
      includeBos: include_bos,
      onProgress: (done) => progress.advance({ done, total }),
    });
    return { tokenizer, contexts: encoded };
  } finally {
    progress.stop();
    await files.weights.close();
  }
}

/** The strongest features of one row, ties to the lower index. */
function strongest({ rowStart, index, value }: HostFeatures, row: number, top: number, topTokens: (string | null)[]) {
  const entries = Array.from({ length: rowStart[row + 1] - rowStart[row] }, (_, n) => rowStart[row] + n);
  return entries.sort((a, b) => value[b] - value[a] || a - b).slice(0, top).map((entry) => ({
    feature: index[entry],
    value: value[entry],
    top_token: topTokens[index[entry]] ?? null,
  }));
}

function describeTokens(
  { ids, features }: EncodedContext,
  context: number,
  transcoder: number,
  skipped: number,
  describe: (features: HostFeatures, row: number) => Pick<EncodedToken, "features">,
  tokenizer: Tokenizer,
): EncodedToken[] {
  return Array.from(ids, (token_id, position) => {
    const row = position - skipped, { rowStart } = features[transcoder];
    const token = { context, position, token_id, token: tokenizer.tokenText(token_id) };
    if (row < 0) return { ...token, excluded: true, active: 0, features: [] };
    return {
      ...token,
      excluded: false,
      active: rowStart[row + 1] - rowStart[row],
      ...describe(features[transcoder], row),
    };
  });
}

async function encode(options: EncodeOptions): Promise<void> {
  const { run, top, json } = options;
  const { openFinishedRun } = await import("../core/runs/finished.ts");
  const { summarizeThresholds } = await import("../core/analysis/threshold_summary.ts");
  const transcoders = await openFinishedRun(run);
  const topTokens = await Promise.all(transcoders.map(readTopTokens));
  const { tokenizer, contexts } = await encodeText(transcoders, options);
  const [{ config }] = transcoders, skipped = config.include_bos ? 0 : 1;
  if (contexts.length > 1) {
    console.error(
      `mtc: the run's contexts hold ${config.context - 1} tokens behind BOS; the text is longer and was encoded in ` +
        `${contexts.length} contexts, none of which sees the ones before`,
    );
  }
  const encoded = transcoders.map(({ directory, config: { layer }, transcoder: { thresholds } }, i) => {
    const describe = (features: HostFeatures, row: number) => ({
      features: strongest(features, row, top, topTokens[i]),
    });
    const tokens = contexts.flatMap((context, c) => describeTokens(context, c, i, skipped, describe, tokenizer));
    return { run: directory, layer, ...summarizeThresholds(thresholds), tokens };
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
