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
import { EMBEDDED } from "../../commands/train/settings.ts";
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
  const open = (split: "train" | "held_out", seed: number | null) =>
    openTokenSource({ tokenizer: model, data: "builtin", split, context, seed });
  for (const seed of seeds) {
    const layout = bufferLayout(EMBEDDED);
    const { taps } = await harvest(gpu, decoder, await open("train", seed), layout.contexts);
    const order = drawOrder(layout, seed, 0);
    const drawn = { name: "order", dtype: "U32", shape: [order.length], data: order } as const;
    await writeSafetensors(join(directory, `train.${seed}.safetensors`), [...taps, drawn]);
  }
  const { taps, document } = await harvest(gpu, decoder, await open("held_out", null), Infinity);
  const documents = [...new Set(document)].toSorted((a, b) => a - b);
  for (const [part, name] of ["test", "validation"].entries()) {
    const rows = document.keys().toArray().filter((row) => documents.indexOf(document[row]) % 2 === part);
    await writeSafetensors(join(directory, `${name}.safetensors`), taps.map((tap) => takeRows(tap, rows)));
  }
}

/** What {@link harvest} gives: rows of activations per tap; with a source that ends, BOS left out and the document of each row told. */
interface Harvest {
  readonly taps: (TensorToWrite & { readonly data: Float32Array<ArrayBuffer> })[];
  readonly document: readonly number[];
}

async function harvest(gpu: Gpu, decoder: Decoder, source: TokenSource, contexts: number): Promise<Harvest> {
  const isAll = contexts === Infinity, parts: Float32Array[][] = TAPS.map(() => []), document: number[] = [];
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
      const rows = Array.from(countedRows(batch, !isAll));
      document.push(...rows.map((row) => batch.document[row]));
      bytes.forEach((each, t) => {
        const all = new Float32Array(each), width = all.length / (batch.contexts * context);
        parts[t].push(gathered(all, rows, width));
      });
    },
  };
  try {
    await overText({ gpu, decoder, source, contexts, includeBos: !isAll }, [keeper]);
  } finally {
    source.close();
  }
  const taps = TAPS.map(({ layer, site }, t) => {
    const data = concatenated(parts[t]);
    const shape = [document.length, data.length / document.length];
    return { name: `${layer}.${site}`, dtype: "F32", shape, data } as const;
  });
  return { taps, document };
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

function takeRows(tap: Harvest["taps"][number], rows: readonly number[]): TensorToWrite {
  const [, width] = tap.shape;
  return { ...tap, shape: [rows.length, width], data: gathered(tap.data, rows, width) };
}

if (import.meta.main) {
  preferVulkan();
  const [directory, ...seeds] = Deno.args;
  await Deno.mkdir(directory, { recursive: true });
  using gpu = await openGpu(null);
  await record(gpu, directory, seeds.length > 0 ? seeds.map(Number) : SEEDS);
}
