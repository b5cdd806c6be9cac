/**
 * Features changed on held-out text.
 * @module
 */

import type { MovedToken } from "../../core/analysis/next_token.ts";
import type { HeldOutChange } from "../../reports/change_figures.ts";
import type { ChangeOptions } from "./options.ts";
import type { ChangeRequest } from "./request.ts";

/**
 * Changes features on held-out text.
 *
 * @param request Which, and how.
 * @param options What else is given on the command line.
 * @returns What that does.
 * @throws {UserError} When model or text cannot be read, are not those of the run, or the device fails.
 */
export async function changeOnHeldOut(
  { transcoder, transcoder: { config }, features, change }: ChangeRequest,
  { model, data, tokens, split, rivals, seed, top }: ChangeOptions,
): Promise<HeldOutChange> {
  const { openModelVisibly } = await import("../open_model.ts");
  const { onHeldOut } = await import("../held_out.ts");
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { measureChangeEffect } = await import("../../core/passes/change_effect.ts");
  const { modelOf } = await import("../../core/runs/finished.ts");
  const { loadTokenizer } = await import("../../core/text/tokenizer.ts");
  const files = await openModelVisibly(model ?? modelOf([transcoder]));
  try {
    using gpu = await openGpu(undefined, config.precision);
    const tokenizer = loadTokenizer(files);
    const wanted = { label: "Changing features", data, split, tokens, head: true };
    return await onHeldOut(
      gpu,
      files,
      [transcoder],
      wanted,
      async ({ transcoders: [placed], text, advance, ...given }) => {
        const { affected, per_document, next_tokens, ...effect } = await measureChangeEffect({
          ...given,
          ...{ placed, features, change, rivals, seed, top, onProgress: advance },
        });
        const named = ({ token_id, ...probabilities }: MovedToken) => {
          return { token_id, token: tokenizer.tokenText(token_id), ...probabilities };
        };
        return {
          ...{ split, seed, ...effect },
          next_tokens: {
            moved: next_tokens.moved,
            gained: next_tokens.gained.map(named),
            lost: next_tokens.lost.map(named),
          },
          per_document: per_document.map(({ document, ...figures }) => {
            return { document: text.documentName(document), ...figures };
          }),
          affected: affected.map(({ ids, next, document, position, before, after, kl, ...moved }) => {
            const token = ids[ids.length - 1];
            return {
              ...{
                document: text.documentName(document),
                position,
                token_id: token,
                token: tokenizer.tokenText(token),
              },
              ...{
                before: tokenizer.decode(ids.subarray(1, -1)),
                next_token_id: next,
                next_token: tokenizer.tokenText(next),
              },
              ...{ loss_before: before, loss_after: after, kl },
              most_probable_before: named(moved.most_probable_before),
              most_probable_after: named(moved.most_probable_after),
              movers: moved.movers.map(named),
            };
          }),
        };
      },
    );
  } finally {
    await files.weights.close();
  }
}
