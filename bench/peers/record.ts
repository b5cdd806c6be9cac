/**
 * Activations of the embedded model as files that PyTorch reads too: what `mtc train` draws with a seed, in its order, and the held-out
 * text in its two parts.
 *
 *     deno run -A bench/peers/record.ts DIRECTORY [SEED ...]        (0 1 2 if none is named)
 *
 * train.SEED.safetensors has F32 L.resid_mid and L.mlp_out [rows, width] for the layers L = 2 and 4, BOS rows included, and U32 order [drawn],
 * the rows that step after step takes, from the first. validation.safetensors and test.safetensors have the same taps, BOS left out: held-out
 * documents 20, 60, 100 .. are for everything that is chosen by looking, 0, 40, 80 .. for what is published.
 * @module
 */

import { join } from "node:path";
import { EMBEDDED, excludedTokens } from "../../commands/train/settings.ts";
import { type TensorToWrite, writeSafetensors } from "../../core/files/safetensors.ts";
import { downloadAll, type Gpu, openGpu } from "../../core/gpu/device.ts";
import { front } from "../../core/gpu/tensor.ts";
import { contextsPerForward } from "../../core/model/capacity.ts";
import { configOf } from "../../core/model/config.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { type Decoder, loadDecoder } from "../../core/model/forward.ts";
import { type Tap, tapIndex } from "../../core/model/sites.ts";
import { type Analysis, overText, type Piece } from "../../core/passes/over_text.ts";
import { countedRows } from "../../core/text/contexts.ts";
import { openTokenSource, type TokenSource } from "../../core/text/source.ts";
import { HELD_OUT_SPLITS, type Split } from "../../core/text/split.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { bufferLayout, drawOrder } from "../../core/training/buffer.ts";
import { preferVulkan } from "../../main.ts";

/** The layers that the demo trains. */
export const LAYERS = [2, 4];
/** The seeds that figures are means of. */
export const SEEDS = [0, 1, 2];

const TAPS: readonly Tap[] = LAYERS.flatMap((layer) => [{ layer, site: "resid_mid" }, { layer, site: "mlp_out" }]);
const { context } = EMBEDDED;

/**
 * Writes train.SEED.safetensors for each seed, validation.safetensors and test.safetensors.
 *
 * @param gpu The device.
 * @param directory Where to.
 * @param seeds The seeds of weights, text and order.
 */
export async function record(gpu: Gpu, directory: string, seeds: readonly number[]): Promise<void> {
  const model = await openModel(BUILTIN);
  const maxTokens = contextsPerForward(gpu, configOf(model), context) * context;
  const decoder = await loadDecoder(gpu, model, { taps: TAPS, maxTokens, context });
  const excluded = excludedTokens(undefined, loadTokenizer(model), EMBEDDED.include_bos);
  const open = (split: Split, seed: number | null) =>
    openTokenSource({ tokenizer: model, data: "builtin", split, context, seed, tokens: Infinity });
  for (const seed of seeds) {
    const layout = bufferLayout(EMBEDDED);
    const { taps, drawable } = await harvest(gpu, decoder, await open("train", seed), layout.contexts, excluded, true);
    const order = drawOrder(drawable, layout.steps * layout.batchTokens, seed, 0);
    const drawn = { name: "order", dtype: "U32", shape: [order.length], data: order } as const;
    await writeSafetensors(join(directory, `train.${seed}.safetensors`), [...taps, drawn]);
  }
  for (const part of HELD_OUT_SPLITS) {
    const { taps } = await harvest(gpu, decoder, await open(part, null), Infinity, excluded, false);
    await writeSafetensors(join(directory, `${part}.safetensors`), taps);
  }
}

/**
 * Activations of contexts, tap by tap.
 *
 * @param gpu The device.
 * @param decoder The model.
 * @param source The contexts; it is closed.
 * @param contexts The most of them.
 * @param excluded Ids of tokens that do not count.
 * @param keepsAll Whether rows that do not count are kept too, as in the buffer of a training.
 * @returns F32 [rows, width] per tap, and the numbers of the rows that count.
 */
async function harvest(
  gpu: Gpu,
  decoder: Decoder,
  source: TokenSource,
  contexts: number,
  excluded: readonly number[],
  keepsAll: boolean,
): Promise<{ taps: TensorToWrite[]; drawable: Uint32Array }> {
  const parts: Float32Array[][] = TAPS.map(() => []), drawable: number[] = [];
  let kept = 0;
  const keeper: Analysis<ArrayBuffer[]> = {
    taps: TAPS,
    tokensAtOnce: Infinity,
    record() {},
    read: ({ activations, batch }: Piece) =>
      downloadAll(
        gpu,
        TAPS.map((tap) => front(activations[tapIndex(decoder.taps, tap)].tensor, batch.contexts * context)),
      ),
    take({ batch }, bytes) {
      const all = batch.contexts * context, counted = Array.from(countedRows(batch, false, excluded));
      const rows = keepsAll ? Array.from({ length: all }, (_, row) => row) : counted;
      drawable.push(...counted.map((row) => kept + row));
      kept += rows.length;
      bytes.forEach((each, t) => {
        const activations = new Float32Array(each);
        parts[t].push(gathered(activations, rows, activations.length / all));
      });
    },
  };
  try {
    await overText({ gpu, decoder, source, contexts, includeBos: true }, [keeper]);
  } finally {
    await source.close();
  }
  const taps = TAPS.map(({ layer, site }, t) => {
    const data = concatenated(parts[t]);
    return { name: `${layer}.${site}`, dtype: "F32", shape: [kept, data.length / kept], data } as const;
  });
  return { taps, drawable: Uint32Array.from(drawable) };
}

function concatenated(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function gathered(from: Float32Array, rows: readonly number[], width: number): Float32Array<ArrayBuffer> {
  const taken = new Float32Array(rows.length * width);
  rows.forEach((row, r) => taken.set(from.subarray(row * width, (row + 1) * width), r * width));
  return taken;
}

if (import.meta.main) {
  preferVulkan();
  const [directory, ...seeds] = Deno.args;
  await Deno.mkdir(directory, { recursive: true });
  using gpu = await openGpu(null);
  await record(gpu, directory, seeds.length > 0 ? seeds.map(Number) : SEEDS);
}
