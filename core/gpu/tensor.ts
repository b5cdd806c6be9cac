/**
 * A tensor: a GPU buffer, what it holds, and a name to speak of it.
 * @module
 */

/** The element type of a tensor; every type is four bytes wide. */
export type ElementType = "f32" | "u32" | "i32";

/** The bytes of one element. */
export const ELEMENT_BYTES = 4;

/** A dense row-major array on the GPU. */
export interface Tensor {
  /** What the tensor is, in the field's terms; shown in errors and traces. */
  readonly label: string;
  /** Extents, outermost first. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly type: ElementType;
  /** The storage, at least `elements(shape)` elements long. */
  readonly buffer: GPUBuffer;
}

/**
 * Counts the elements of a shape.
 *
 * @param shape Extents, outermost first.
 * @returns Their product; 1 for the empty shape.
 */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/**
 * The first elements of a tensor in another shape: the same storage, nothing is copied.
 *
 * @param tensor The tensor.
 * @param shape Extents, outermost first.
 * @returns Its first `elements(shape)` elements.
 * @throws {RangeError} When the tensor holds fewer.
 */
export function viewOf(tensor: Tensor, shape: readonly number[]): Tensor {
  if (elements(shape) <= elements(tensor.shape)) return { ...tensor, shape };
  throw new RangeError(
    `Cannot view "${tensor.label}" as ${shape.join(" x ")}: it must hold that many elements, it holds ${
      tensor.shape.join(" x ")
    }`,
  );
}

/**
 * The first rows of a tensor; see {@link viewOf}.
 *
 * @param tensor The tensor, [rows, ..].
 * @param rows How many.
 * @returns A tensor of `rows` rows.
 * @throws {RangeError} When the tensor has fewer.
 */
export function front(tensor: Tensor, rows: number): Tensor {
  return viewOf(tensor, [rows, ...tensor.shape.slice(1)]);
}
