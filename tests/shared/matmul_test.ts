import { createTensor, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { matmul, matmulBiasRelu, paddedColumns } from "../../wgsl/shared/matmul.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
import { assertClose, gamma } from "../compare.ts";
import { gaussians } from "../random.ts";

/** x [rows, depth] times the transpose of weight [columns, depth] in float64, with a bias per row and ReLU if there is one. */
function oracle(x: Float32Array, weight: Float32Array, bias: Float32Array | null, depth: number) {
  const rows = x.length / depth, columns = weight.length / depth;
  const y = new Float64Array(rows * columns), magnitude = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let sum = bias?.[r] ?? 0, size = Math.abs(sum);
      for (let k = 0; k < depth; k++) {
        sum += x[r * depth + k] * weight[c * depth + k];
        size += Math.abs(x[r * depth + k] * weight[c * depth + k]);
      }
      y[r * columns + c] = bias ? Math.max(sum, 0) : sum;
      magnitude[r * columns + c] = size;
    }
  }
  return { y, magnitude };
}

const gpu = await openGpu();
// One, a prime, and tile - 1, tile, tile + 1 for rows (16), lanes x vectors (64 columns) and vec4 (4 columns).
const SIZES = [[1, 1, 1], [1, 64, 67], [13, 17, 15], [15, 128, 64], [16, 67, 16], [17, 13, 130], [67, 16, 63], [
  33,
  1,
  65,
]];
for (const [rows, depth, columns] of SIZES) {
  for (const hasBias of [false, true]) {
    Deno.test(`${hasBias ? "matmul_bias_relu" : "matmul"} and transpose: ${rows} x ${depth} -> ${columns}`, async () => {
      const x = gaussians(rows * depth, 1), weight = gaussians(columns * depth, 2), bias = gaussians(rows, 3);
      const padded = paddedColumns(columns);
      const transposed = createTensor(gpu, "W^T", [depth, padded]), y = createTensor(gpu, "y", [rows, columns]);
      const pass = new Pass(gpu), params = { rows, columns, depth };
      const original = tensorFrom(gpu, "W", [columns, depth], weight);
      pass.run(transpose, { x: original, y: transposed }, { rows: columns, columns: depth, padded_rows: padded });
      const tensors = { x: tensorFrom(gpu, "x", [rows, depth], x), weight: transposed, y };
      if (hasBias) pass.run(matmulBiasRelu, { ...tensors, bias: tensorFrom(gpu, "bias", [rows], bias) }, params);
      else pass.run(matmul, tensors, params);
      pass.submit();
      const expected = oracle(x, weight, hasBias ? bias : null, depth);
      assertClose(
        "y",
        await downloadF32(gpu, y),
        expected.y,
        expected.magnitude.map((size) => gamma(depth + 1) * size),
      );
    });
  }
}
