/** Batch top-k against sorting: the same entries exactly, bit for bit, as rows and as columns. */

import assert from "node:assert/strict";
import { createTensor, downloadAll, type Gpu, openGpu, tensorFrom, upload } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { createColumns, type FeatureColumns, Selector } from "../../core/transcoder/selection.ts";
import { columnsOf, entriesOf, keepLargest, rowsOf } from "../oracle/top_k.ts";
import { gaussians, uniform } from "../random.ts";

const cpu = await openGpu();
/** The two sets of constants a Selector chooses from, whatever the adapter is. */
const SHAPES: Record<string, Gpu> = { "CPU shape": { ...cpu, isCpu: true }, "GPU shape": { ...cpu, isCpu: false } };

/** One selection: activations [features][tokens] flat, as the encoder's product leaves them. */
interface Case {
  what: string;
  activations: Float32Array<ArrayBuffer>;
  wanted: number;
  inactive?: number[];
  minInactive?: number;
}

const relu = (data: Float32Array<ArrayBuffer>) => data.map((value) => Math.max(value, 0));
const bits = (data: Float32Array) => Array.from(new Uint32Array(data.buffer, data.byteOffset, data.length));

/** Columns are shared: before the entries under test stand those of another selection. */
const OTHERS = 5;
const PLACE = { selection: 1, base: OTHERS };

const BEHIND = 1100;
const BEYOND = Array<number>(BEHIND).fill(2 ** 31);

/** Runs cases one after another through one Selector, so that each meets what the one before it left behind. */
async function check(gpu: Gpu, tokens: number, features: number, cases: Case[]): Promise<void> {
  const capacity = Math.max(...cases.map(({ wanted }) => Math.min(wanted, tokens * features)));
  const selector = new Selector(gpu, "test", tokens, features, capacity);
  const columns = createColumns(gpu, features, [OTHERS, capacity]);
  const zero = Array<number>(features).fill(0), n = tokens * features;
  for (const { what, activations, wanted, inactive = zero, minInactive = 0 } of cases) {
    // Behind the batch lie large numbers of features that take part: nothing of them may be seen.
    const tensor = tensorFrom(gpu, "activations", [n + BEHIND], Float32Array.of(...activations, ...BEYOND));
    const fired = tensorFrom(gpu, "inactive", [features + BEHIND], Uint32Array.of(...inactive, ...BEYOND));
    const participants = { inactive: fired, minInactive };
    const pass = new Pass(gpu);
    selector.recordTopK(pass, tensor, tokens, wanted, participants);
    selector.recordColumns(pass, tensor, tokens, participants, columns, PLACE);
    pass.submit();
    const keep = (byToken: number[][]) => keepLargest(byToken, wanted, inactive.map((n) => n >= minInactive));
    const { selected, kept, smallest } = await assertSelection(
      what,
      selector,
      columns,
      activations,
      tokens,
      features,
      keep,
    );
    assert.equal(selected[2], kept, `${what}: count`);
    if (kept > 0) assert.equal(selected[0], bits(Float32Array.of(smallest))[0], `${what}: threshold`);
    tensor.buffer.destroy();
    fired.buffer.destroy();
  }
}

/** Compares a selector's rows and columns with what a mask keeps. Resolves to `selection`, what is kept and the smallest of it. */
async function assertSelection(
  what: string,
  selector: Selector,
  columns: FeatureColumns,
  activations: Float32Array,
  tokens: number,
  features: number,
  keep: (byToken: number[][]) => boolean[][],
): Promise<{ selected: Uint32Array; kept: number; smallest: number }> {
  const byToken = Array.from(
    { length: tokens },
    (_, b) => Array.from({ length: features }, (_, i) => activations[i * tokens + b]),
  );
  const entries = entriesOf(byToken, keep(byToken));
  const { selection, rows } = selector;
  const tensors = [selection, rows.rowStart, rows.index, rows.value, columns.start, columns.token, columns.value];
  const [selected, rowStart, index, value, start, token, columnValue] = (await downloadAll(cpu, tensors))
    .map((buffer) => new Uint32Array(buffer));
  const byRow = rowsOf(entries, tokens), byColumn = columnsOf(entries, features), n = entries.length;
  assert.equal(rowStart[tokens], n, `${what}: entries kept`);
  assert.deepEqual(rowStart, byRow.start, `${what}: row starts`);
  assert.deepEqual(index.subarray(0, n), byRow.index, `${what}: features`);
  assert.deepEqual(Array.from(value.subarray(0, n)), bits(byRow.value), `${what}: values by token`);
  assert.deepEqual(start.subarray(features + 1), byColumn.start.map((at) => OTHERS + at), `${what}: column starts`);
  assert.deepEqual(token.subarray(OTHERS, OTHERS + n), byColumn.index, `${what}: tokens`);
  assert.deepEqual(
    Array.from(columnValue.subarray(OTHERS, OTHERS + n)),
    bits(byColumn.value),
    `${what}: values by feature`,
  );
  const before = [start.subarray(0, features + 1), token.subarray(0, OTHERS), columnValue.subarray(0, OTHERS)];
  assert.ok(
    before.every((others) => others.every((entry) => entry === 0)),
    `${what}: the other selection's part is left alone`,
  );
  return { selected, kept: n, smallest: Math.min(...entries.map((entry) => entry.value)) };
}

/** Values from a small set, so that nearly everything is a tie. */
function ties(count: number, seed: number): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  return Float32Array.from({ length: count }, () => Math.max(0, Math.floor(next() * 5) - 1) / 4);
}

function ordinaryCases(tokens: number, features: number): Case[] {
  const n = tokens * features, seed = n;
  return [
    { what: "a third kept", activations: relu(gaussians(n, seed)), wanted: Math.ceil(n / 3) },
    { what: "ties", activations: ties(n, seed + 1), wanted: Math.ceil(n / 3) },
    { what: "one kept", activations: relu(gaussians(n, seed + 2)), wanted: 1 },
    { what: "all wanted, fewer positive", activations: relu(gaussians(n, seed + 3)), wanted: n },
    {
      what: "dead features only, with ties",
      activations: ties(n, seed + 4),
      wanted: Math.ceil(n / 4),
      inactive: Array.from({ length: features }, (_, i) => (i * 7) % 5),
      minInactive: 3,
    },
  ];
}

// One, a prime, and block - 1, block, block + 1: rows of 8 invocations, token blocks of 256 and 1024, feature blocks of 64,
// 16 segments of a token's features (length 1 up to 16 features, 4 at 64, 5 at 65).
const SIZES = [1, 7, 8, 9, 31, 255, 257, 1023, 1024, 1025].map((tokens) => [tokens, 3])
  .concat([1, 15, 16, 17, 63, 64, 65, 127].map((features) => [5, features]))
  .concat([[257, 65]]);

for (const [shape, gpu] of Object.entries(SHAPES)) {
  for (const [tokens, features] of SIZES) {
    Deno.test(`batch top-k, ${shape}: ${tokens} tokens x ${features} features`, () =>
      check(gpu, tokens, features, ordinaryCases(tokens, features)));
  }

  Deno.test(`batch top-k, ${shape}: unusual values`, async () => {
    const tokens = 9, features = 17, n = tokens * features;
    const with_ = (values: number[]) => {
      const data = gaussians(n, 3), next = uniform(4);
      return data.map((value) => next() < 0.5 ? value : values[Math.floor(next() * values.length)]);
    };
    const equal = new Float32Array(n).fill(0.7), zero = new Float32Array(n);
    await check(gpu, tokens, features, [
      { what: "all equal, one kept", activations: equal, wanted: 1 },
      { what: "all zero", activations: zero, wanted: 10 },
      { what: "all equal, half kept", activations: equal, wanted: 77 },
      { what: "all equal, all kept", activations: equal, wanted: n },
      { what: "all minus zero", activations: zero.map(() => -0), wanted: n },
      { what: "NaN, -NaN and -0 are never kept", activations: with_([NaN, -NaN, -0]), wanted: 40 },
      { what: "the same, all wanted", activations: with_([NaN, -0, 0]), wanted: n },
      { what: "infinity is the largest", activations: with_([Infinity, NaN]), wanted: 30 },
      { what: "more infinities than wanted", activations: with_([Infinity]), wanted: 5 },
      { what: "negative numbers are never kept", activations: with_([-1, -Infinity]), wanted: n },
      { what: "subnormal and largest numbers", activations: with_([2 ** -149, 2 ** -126, 3e38, 1e-40]), wanted: 120 },
      {
        what: "neighbouring floats, which differ in the last digit alone",
        activations: Float32Array.from({ length: n }, (_, i) => 1 + ((i * 37) % 11) * 2 ** -23),
        wanted: 50,
      },
      { what: "no participants", activations: equal, wanted: 5, minInactive: 1 },
      {
        what: "a single participant",
        activations: equal,
        wanted: 5,
        inactive: [...Array(16).fill(4), 5],
        minInactive: 5,
      },
      { what: "wanted beyond the number of entries", activations: equal, wanted: n + 1 },
      {
        what: "inactive and minInactive near 2^32",
        activations: equal,
        wanted: 12,
        inactive: Array.from({ length: features }, (_, i) => 2 ** 32 - 1 - (i % 3)),
        minInactive: 2 ** 32 - 2,
      },
    ]);
  });

  Deno.test(`batch top-k, ${shape}: a batch smaller than the selector's most`, async () => {
    const tokens = 13, features = 19, most = 40;
    const selector = new Selector(gpu, "test", most, features, most * 2);
    const activations = ties(tokens * features, 8);
    const tensor = tensorFrom(gpu, "activations", [features, tokens], activations);
    const everyone = { inactive: createTensor(gpu, "inactive", [features], "u32"), minInactive: 0 };
    const pass = new Pass(gpu);
    selector.recordTopK(pass, tensor, tokens, tokens * 2, everyone);
    pass.submit();
    const [rowStart, index] = (await downloadAll(gpu, [selector.rows.rowStart, selector.rows.index]))
      .map((buffer) => new Uint32Array(buffer));
    const byToken = Array.from(
      { length: tokens },
      (_, b) => Array.from({ length: features }, (_, i) => activations[i * tokens + b]),
    );
    const rows = rowsOf(entriesOf(byToken, keepLargest(byToken, tokens * 2, Array(features).fill(true))), tokens);
    assert.deepEqual(rowStart.subarray(0, tokens + 1), rows.start);
    assert.deepEqual(index.subarray(0, rows.index.length), rows.index);
  });

  Deno.test(`rows and columns for a given threshold, ${shape}: everything above it and nothing equal to it`, async () => {
    const tokens = 9, features = 33;
    const activations = ties(tokens * features, 6);
    const selector = new Selector(gpu, "test", tokens, features, tokens * features);
    const tensor = tensorFrom(gpu, "activations", [features, tokens], activations);
    const everyone = { inactive: createTensor(gpu, "inactive", [features], "u32"), minInactive: 0 };
    upload(gpu, selector.selection, Uint32Array.of(bits(Float32Array.of(0.25))[0], 0, 0, 0));
    const pass = new Pass(gpu);
    selector.recordRows(pass, tensor, tokens, everyone);
    const columns = createColumns(gpu, features, [OTHERS, tokens * features]);
    selector.recordColumns(pass, tensor, tokens, everyone, columns, PLACE);
    pass.submit();
    await assertSelection(
      "threshold",
      selector,
      columns,
      activations,
      tokens,
      features,
      (byToken) => byToken.map((row) => row.map((value) => value > 0.25)),
    );
  });
}
