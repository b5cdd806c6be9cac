/**
 * Features of a transcoder off, scaled, set or added to inside of the model, everything else of what it predicts left as it is.
 *
 * Each target keeps what the model computes and gets what the change makes of the reconstruction:
 *
 *     y' = y + sum over the changed features i of (f'_i - f_i) W_dec[i]
 *
 * So the transcoder's error, y less its reconstruction, stays as it is, and where nothing is changed the model is exactly what it is without
 * the transcoder. f_i is the activation by threshold inference, of what the pass at hand has at the source.
 * @module
 */

import { changeFeatures } from "../../wgsl/transcoder/change.ts";
import { createTensor, type Gpu, tensorFrom } from "../gpu/device.ts";
import { oneBlock, recordGather } from "../gpu/row_blocks.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Edit } from "../model/edits.ts";
import { columnsOf, type TapColumns, tapName, type Widths } from "../model/sites.ts";
import { Encoder } from "../transcoder/encode.ts";
import { featureCount } from "../transcoder/shape.ts";
import type { PlacedTranscoder } from "./features.ts";
import type { CountedTokens } from "./over_text.ts";

/** What becomes of the activation f of a feature at a counted token. */
export type ActivationChange =
  /** f' = factor f. So nothing changes where the feature does not fire; 0 switches it off. */
  | { readonly kind: "scale"; readonly factor: number }
  /** f' = value: at every counted token, or only where the feature fires. */
  | { readonly kind: "set"; readonly value: number; readonly where: Where }
  /** f' = f + value, likewise. */
  | { readonly kind: "add"; readonly value: number; readonly where: Where };

/** Which counted tokens a change takes place at. */
export type Where = "everywhere" | "firing";

/**
 * What a change makes of an activation, on the host.
 *
 * @param change The change.
 * @param f The activation at a counted token; 0 where the feature does not fire.
 * @returns f'
 */
export function changedActivation(change: ActivationChange, f: number): number {
  if (change.kind === "scale") return change.factor * f;
  if (change.where === "firing" && !(f > 0)) return f;
  return change.kind === "set" ? change.value : f + change.value;
}

/** A change on the GPU; see change_features.wgsl. */
export interface UploadedChange {
  /** f32 [features, 2]: what an activation is multiplied by and what is added to it, to give f' - f where it fires. */
  readonly change: Tensor;
  /** f32 [width] for each target: what comes to it at every counted token. */
  readonly constants: readonly Tensor[];
}

/** A target whose part of a transcoder's features is changed. */
export interface ChangedTarget extends TapColumns {
  /** f32 [features, width]: its columns of W_dec. */
  readonly decoder: Tensor;
}

/**
 * Uploads a transcoder's decoder, target by target.
 *
 * @param gpu The device.
 * @param placed The transcoder.
 * @param widths Its model, which knows how wide a tap is.
 * @returns Its targets.
 * @throws {UserError} When a tensor is larger than the adapter can bind.
 */
export function changedTargets(gpu: Gpu, { transcoder, config }: PlacedTranscoder, widths: Widths): ChangedTarget[] {
  const { shape: { groups, d_out }, weights } = transcoder, features = featureCount(groups);
  return columnsOf(widths, config.targets).map(({ tap, column, width }) => {
    const columns = cutColumns(weights.decoder, d_out, column, width);
    return { tap, column, width, decoder: tensorFrom(gpu, `W_dec to ${tapName(tap)}`, [features, width], columns) };
  });
}

/** Changes features of one transcoder while the model runs. Several changes can be at hand; each forward pass takes one. */
export class FeatureChanger {
  readonly #gpu: Gpu;
  readonly #placed: PlacedTranscoder;
  readonly #encoder: Encoder;
  readonly #targets: readonly ChangedTarget[];
  readonly #x: Tensor;

  /**
   * Uploads the transcoder.
   *
   * @param gpu The device.
   * @param placed The transcoder. Its source must be a tap of the model, and lie below its targets.
   * @param widths That model, which knows how wide a tap is.
   * @param maxTokens The most counted tokens of a forward pass.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, placed: PlacedTranscoder, widths: Widths, maxTokens: number) {
    const { transcoder, transcoder: { shape } } = placed;
    this.#gpu = gpu;
    this.#placed = placed;
    this.#encoder = new Encoder(gpu, transcoder, maxTokens);
    this.#targets = changedTargets(gpu, placed, widths);
    this.#x = createTensor(gpu, "changed transcoder's source", [this.#encoder.batchTokens, shape.d_in]);
  }

  /**
   * Uploads a change.
   *
   * @param gpu A handle of the same device; the change lives as long as its owner.
   * @param changes What becomes of which features; all others stay as they are.
   * @returns The change, for {@link edits}.
   * @throws {RangeError} When there is no such feature.
   */
  upload(gpu: Gpu, changes: ReadonlyMap<number, ActivationChange>): UploadedChange {
    const { shape: { groups, d_out }, weights: { decoder } } = this.#placed.transcoder, features = featureCount(groups);
    const perFeature = new Float32Array(2 * features), constant = new Float64Array(d_out);
    for (const [feature, change] of changes) {
      if (!(Number.isInteger(feature) && feature >= 0 && feature < features)) {
        throw new RangeError(`Cannot change feature ${feature}: the dictionary has ${features}, counted from 0`);
      }
      if (change.kind === "scale") {
        perFeature[2 * feature] = change.factor - 1;
        continue;
      }
      const { kind, value, where } = change;
      if (kind === "set") perFeature[2 * feature] = -1;
      if (where === "firing") perFeature[2 * feature + 1] = value;
      else for (let c = 0; c < d_out; c++) constant[c] += value * decoder[feature * d_out + c];
    }
    return {
      change: tensorFrom(gpu, "change of activations", [features, 2], perFeature),
      constants: this.#targets.map(({ tap, column, width }) =>
        tensorFrom(
          gpu,
          `change of ${tapName(tap)}`,
          [width],
          Float32Array.from(constant.subarray(column, column + width)),
        )
      ),
    };
  }

  /**
   * The edits that make a change.
   *
   * @param counted The tokens where it does; all others keep what the model computes for them.
   * @param change The change.
   * @returns An edit per target, each of which encodes anew; all belong into the same forward pass.
   */
  edits({ places, rows: order }: CountedTokens, { change, constants }: UploadedChange): Edit[] {
    const { config: { source }, transcoder: { shape } } = this.#placed, encoder = this.#encoder;
    const lanes = { LANES: this.#gpu.isCpu ? 8 : 128 };
    return this.#targets.map(({ tap, width, decoder }, t) => ({
      kind: "rewrite",
      tap,
      record: (pass, y, at) => {
        for (let first = 0; first < places.length; first += encoder.batchTokens) {
          const tokens = Math.min(encoder.batchTokens, places.length - first);
          recordGather(pass, oneBlock(at(source)), order, this.#x, { rows: tokens, width: shape.d_in, first });
          encoder.recordEncode(pass, this.#x, tokens);
          const { rowStart: row_start, index, value } = encoder.kept;
          pass.run(
            changeFeatures,
            { row_start, index, value, change, decoder, constant: constants[t], order, y },
            { tokens, width, features: featureCount(shape.groups), first, y_rows: y.shape[0] },
            lanes,
          );
        }
      },
    }));
  }
}

/** Some neighbouring columns of a matrix [rows, of]. */
function cutColumns(matrix: Float32Array<ArrayBuffer>, of: number, first: number, width: number) {
  if (width === of) return matrix;
  const cut = new Float32Array(matrix.length / of * width);
  for (let row = 0; row * of < matrix.length; row++) {
    cut.set(matrix.subarray(row * of + first, row * of + first + width), row * width);
  }
  return cut;
}
