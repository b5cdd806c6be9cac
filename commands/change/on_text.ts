/**
 * Features changed on a text that is given on the command line, and in how it goes on.
 * @module
 */

import type { TextChange } from "../../reports/change_figures.ts";
import { Progress } from "../progress.ts";
import type { ChangeOptions } from "./options.ts";
import { type ChangeRequest, noTokens, requireFits } from "./request.ts";

/**
 * Changes features on a text.
 *
 * @param request Which, and how.
 * @param options What else is given on the command line.
 * @param text The text.
 * @returns What that does.
 * @throws {UsageError} When the text does not fit into a context.
 * @throws {UserError} When the model cannot be read, or the device fails.
 */
export async function changeOnText(request: ChangeRequest, options: ChangeOptions, text: string): Promise<TextChange> {
  const { verb, transcoder, transcoder: { config } } = request;
  const { loadVisibly, openModelVisibly } = await import("../open_model.ts");
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { withLimitedTaps } = await import("../../core/passes/norm_limits.ts");
  const { loadRunModel, modelOf } = await import("../../core/runs/finished.ts");
  const { tapsOf } = await import("../../core/runs/ids.ts");
  const { loadTokenizer } = await import("../../core/text/tokenizer.ts");
  const { changeAtHand } = await import("./at_hand.ts");
  const { generate = 0, temperature = 0, seed, top } = options, context = options.context ?? config.context;
  const files = await openModelVisibly(options.model ?? modelOf([transcoder]));
  try {
    const tokenizer = loadTokenizer(files), ids = tokenizer.encode(text);
    if (ids.length === 0) throw noTokens(verb);
    requireFits(verb, ids.length, generate, context, context === config.context);
    using gpu = await openGpu(undefined, config.precision);
    const taps = withLimitedTaps(tapsOf([config]), config);
    const decoder = await loadVisibly((onLoading) =>
      loadRunModel(gpu, files, [transcoder], { taps, head: true, context, maxTokens: context, onLoading })
    );
    const progress = new Progress("Generating");
    try {
      const onToken = (done: number) => progress.advance({ done, total: 2 * generate, unit: "tokens" });
      return await changeAtHand({ gpu, decoder, tokenizer }, request, ids, {
        generate,
        temperature,
        seed,
        top,
        onToken,
      });
    } finally {
      progress.stop();
    }
  } finally {
    await files.weights.close();
  }
}
