import { createTensor, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { matmul, paddedColumns } from "../../wgsl/shared/matmul.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
import { assertClose, gamma } from "../compare.ts";
import { gaussians } from "../random.ts";

/** Product, bias and ReLU in float64, with the sum of magnitudes that bounds the rounding error. */
function oracle(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  rows: number,
  depth: number,
  columns: number,
  relu: boolean,
) {
  const y = new Float64Array(rows * columns), magnitude = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let sum = bias[c], size = Math.abs(bias[c]);
      for (let k = 0; k < depth; k++) {
        sum += x[r * depth + k] * weight[c * depth + k];
        size += Math.abs(x[r * depth + k] * weight[c * depth + k]);
      }
      y[r * columns + c] = relu ? Math.max(sum, 0) : sum;
      magnitude[r * columns + c] = size;
    }
  }
  return { y, magnitude };
}

const gpu = await openGpu();
for (
  const [rows, depth, columns] of [[1, 1, 1], [1, 64, 67], [13, 17, 15], [15, 128, 64], [16, 67, 16], [17, 13, 130], [
    67,
    16,
    63,
  ], [33, 1, 65]]
) {
  for (const relu of [false, true]) {
    Deno.test(`matmul and transpose: ${rows} x ${depth} -> ${columns}${relu ? ", ReLU" : ""}`, async () => {
      const x = gaussians(rows * depth, 1), weight = gaussians(columns * depth, 2), bias = gaussians(columns, 3);
      const padded = paddedColumns(columns);
      const transposed = createTensor(gpu, "W^T", [depth, padded]), y = createTensor(gpu, "y", [rows, columns]);
      const pass = new Pass(gpu);
      pass.run(transpose, { x: tensorFrom(gpu, "W", [columns, depth], weight), y: transposed }, {
        rows: columns,
        columns: depth,
        padded_rows: padded,
      });
      pass.run(
        matmul,
        {
          x: tensorFrom(gpu, "x", [rows, depth], x),
          weight: transposed,
          bias: tensorFrom(gpu, "bias", [columns], bias),
          y,
        },
        { rows, columns, depth },
        { RELU: relu ? 1 : 0 },
      );
      pass.submit();
      const expected = oracle(x, weight, bias, rows, depth, columns, relu);
      assertClose(
        "y",
        await downloadF32(gpu, y),
        expected.y,
        expected.magnitude.map((size) => gamma(depth + 1) * size),
      );
    });
  }
}
