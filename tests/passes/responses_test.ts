/** How features go on: responses against float64 loops, planted links found, and nothing where there is nothing. */

import assert from "node:assert/strict";
import { type Evolution, evolutionVerdict, evolvedSide, ResponseTally } from "../../core/analysis/evolution.ts";
import { matchFeatures } from "../../core/analysis/matching.ts";
import type { CosineBlock } from "../../core/analysis/similarity.ts";
import { openGpu } from "../../core/gpu/device.ts";
import type { Site, Tap } from "../../core/model/sites.ts";
import { measureEvolution, type Reach, reachOf } from "../../core/passes/responses.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { bursty, plantedRecord, type Rule } from "../analysis/planted_record.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";

const gpu = await openGpu(), WIDTH = 64, TOKENS = 2048;
const tap = (layer: number, site: Site): Tap => ({ layer, site });
const mapping = (source: Tap, ...targets: Tap[]) => ({ source, targets, k: 4 });

const rules = (count: number, seed: number): Rule[] =>
  Array.from({ length: count }, (_, i) => bursty(seed + i, TOKENS, 0.06));

/** Two layers of these sizes on one text; of the later one's features `alike` fire where the earlier one's of the same number do. */
function layers(earlier: number[], later: number[], alike: number) {
  const count = (groups: number[]) => groups.reduce((sum, size) => sum + size, 0);
  const ofA = rules(count(earlier), 0), ofB = [...ofA.slice(0, alike), ...rules(count(later) - alike, 5000)];
  return [plantedRecord(earlier, TOKENS, ofA), plantedRecord(later, TOKENS, ofB)] as const;
}

function measure(
  [first, second]: ReturnType<typeof layers>,
  [a, b]: readonly [Transcoder, Transcoder],
  gain: Float32Array | null = null,
): Promise<Evolution> {
  return measureEvolution({
    ...{ gpu, gain, mutual: matchFeatures(first, second).mutual },
    from: { ...evolvedSide(first), decoder: a.weights.decoder, d_out: a.shape.d_out },
    to: { ...evolvedSide(second), encoder: b.weights.encoder, d_in: b.shape.d_in },
  });
}

const transcoder = (groups: number[], seed: number, d_out = WIDTH) =>
  randomTranscoder({ d_in: WIDTH, d_out, groups }, 0.1, seed);

/** The same with encoder rows that are what others' decoder rows say. */
function reading(one: Transcoder, rows: (feature: number) => ArrayLike<number>): Transcoder {
  const encoder = one.weights.encoder.slice(), features = encoder.length / WIDTH;
  for (let i = 0; i < features; i++) encoder.set(Float32Array.from(rows(i)), i * WIDTH);
  return { ...one, weights: { ...one.weights, encoder } };
}

Deno.test("features whose encoders are the decoders of earlier ones are found as their links, strongest first", async () => {
  const a = transcoder([30, 34], 1), { decoder } = a.weights, records = layers([30, 34], [80], 64);
  // Feature i of the later layer reads feature 63 - i of the earlier one; the last sixteen read at random, one of them against feature 5.
  const b = reading(transcoder([80], 2), (i) => {
    if (i < 64) return decoder.subarray((63 - i) * WIDTH, (64 - i) * WIDTH).map((x) => 0.3 * x);
    return i === 70 ? decoder.subarray(5 * WIDTH, 6 * WIDTH).map((x) => -x) : gaussians(WIDTH, 900 + i);
  });
  const found = await measure(records, [a, b]);
  assert.deepEqual([found.judged, found.readers, found.driving], [64, 80, 64]);
  assert.deepEqual(found.groups, [{ judged: 30, driving: 30 }, { judged: 34, driving: 34 }]);
  assert.ok(found.links.every(({ from, to }) => to === 63 - from), "each link is the planted one");
  assert.ok(found.links.every(({ response }, n) => n === 0 || response <= found.links[n - 1].response));
  assert.ok(found.inhibiting >= 1 && found.inhibiting < 8, `${found.inhibiting}`);
  // A direction's own share in the second moment of 64 makes 1 / sqrt(2 / 64) of what is read exactly.
  assert.ok(found.strongest.median > 5 && found.by_chance.median < 3.5 && found.chance_limit < 4.5);
  assert.equal(found.histogram.counts.reduce((x, y) => x + y), 64);
  assert.equal(found.histogram_by_chance.counts.reduce((x, y) => x + y), 1024);
  // The later feature i fires where the earlier feature i does and not where 63 - i does.
  assert.equal(found.matched_links, 0);
  assert.deepEqual(evolutionVerdict(found), { driving: "yes", matched: "no" });
});

Deno.test("matched features that answer are told from those that do not, with their share of the activation", async () => {
  const a = transcoder([64], 3), { decoder } = a.weights, records = layers([64], [64], 64);
  const b = reading(transcoder([64], 4), (i) => decoder.subarray(i * WIDTH, (i + 1) * WIDTH).map((x) => 0.5 * x));
  const found = await measure(records, [a, b]);
  assert.deepEqual([found.matched.pairs, found.matched_links, found.driving], [64, 64, 64]);
  assert.deepEqual(evolutionVerdict(found), { driving: "yes", matched: "yes" });
  assert.ok(found.matched.mean > 5 && Math.abs(found.matched.dealt) < 0.5);
  assert.ok(found.link_correlation > 0.999 && Math.abs(found.link_correlation_dealt) < 0.3);
  for (const { from, share, correlation } of found.links) {
    const row = decoder.subarray(from * WIDTH, (from + 1) * WIDTH);
    // Both fire alike, so the share is what one unit of the earlier feature brings.
    assertClose("share", [share, correlation], [0.5 * row.reduce((sum, x) => sum + x * x, 0), 1], {
      floor: 0,
      relative: 1e-5,
    });
  }
});

Deno.test("responses are those of float64 loops, behind a norm and of two targets", async () => {
  const groups = [40, 30], records = layers([12, 9], groups, 0);
  const a = transcoder([12, 9], 5, 2 * WIDTH),
    b = transcoder(groups, 6),
    gain = gaussians(WIDTH, 7).map((x) => 1 + x / 4);
  const found = await measure(records, [a, b], gain);
  const { judged } = evolvedSide(records[1]),
    written = (i: number) =>
      Float64Array.from({ length: WIDTH }, (_, c) => {
        return a.weights.decoder[i * 2 * WIDTH + c] + a.weights.decoder[i * 2 * WIDTH + WIDTH + c];
      });
  const dot = (x: ArrayLike<number>, j: number) => {
    let sum = 0;
    for (let c = 0; c < WIDTH; c++) sum += x[c] * gain[c] * b.weights.encoder[j * WIDTH + c];
    return sum;
  };
  const unit = (x: Float64Array) => x.map((value) => value / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0)));
  let squares = 0;
  for (let i = 0; i < 21; i++) {
    for (const j of judged) {
      const length = Math.hypot(...Array.from(gain, (g, c) => g * b.weights.encoder[j * WIDTH + c]));
      squares += WIDTH * (dot(unit(written(i)), j) / length) ** 2 / 21 / judged.length;
    }
  }
  assertClose("strength", [found.strength], [Math.sqrt(squares)], { floor: 0, relative: 1e-4 });
  assert.equal(judged.length, 70);
  for (const { from, to, response, share } of found.links) {
    // By what random directions of the same second moment get from the same encoder, which is known to a few per cent.
    let expected = 0;
    for (let i = 0; i < 21; i++) expected += dot(unit(written(i)), to) ** 2 / 21;
    const exact = dot(unit(written(from)), to) / Math.sqrt(expected);
    assert.ok(Math.abs(response / exact - 1) < 0.1, `${response}, ${exact}`);
    assert.ok(Number.isNaN(share), "a norm divides by what is not known");
  }
  assert.deepEqual(evolutionVerdict(found).driving, found.driving > 1 ? "yes" : "no");
});

Deno.test("layers that share the directions of the stream and no feature do not exceed chance", async () => {
  // Few dimensions hold most of the length at both ends.
  const steep = (x: number, at: number) => x / (1 + at % WIDTH);
  const shaped = ({ weights, ...rest }: Transcoder): Transcoder => ({
    ...rest,
    weights: { ...weights, encoder: weights.encoder.map(steep), decoder: weights.decoder.map(steep) },
  });
  const found = await measure(layers([300], [320], 100), [shaped(transcoder([300], 8)), shaped(transcoder([320], 9))]);
  assert.deepEqual(evolutionVerdict(found), { driving: "no", matched: "no" });
  assert.ok(
    Math.abs(found.strongest.median - found.by_chance.median) < 0.15,
    "strongest responses are those of chance",
  );
  assert.ok(found.strength > 1.5, `${found.strength}: the directions are shared`);
  assert.ok(found.matched.pairs >= 100 && Math.abs(found.matched.spearman) < 2 * found.matched.spearman_chance);
});

Deno.test("the tally takes in blocks of any rows and columns", () => {
  const rows = 7, columns = 11, random = 5, values = gaussians((rows + random) * columns, 12);
  const wanted = [{ row: 6, column: 10 }, { row: 0, column: 3 }, { row: 6, column: 0 }];
  const taken = (high: number, wide: number) => {
    const tally = new ResponseTally(
      new Float64Array(rows).fill(1),
      new Float64Array(columns).fill(2),
      8,
      random,
      wanted,
    );
    const blocks = (first: number, count: number, high: number, take: (block: CosineBlock) => void) => {
      for (let firstColumn = 0; firstColumn < columns; firstColumn += wide) {
        for (let firstRow = 0; firstRow < count; firstRow += high) {
          const size = { rows: Math.min(high, count - firstRow), columns: Math.min(wide, columns - firstColumn) };
          take({
            ...{ firstRow, firstColumn, ...size },
            values: Float32Array.from({ length: size.rows * size.columns }, (_, at) => {
              const row = first + firstRow + Math.floor(at / size.columns);
              return values[row * columns + firstColumn + at % size.columns];
            }),
          });
        }
      }
    };
    blocks(rows, random, random, (block) => tally.takeChance(block));
    blocks(0, rows, high, (block) => tally.take(block));
    return tally;
  };
  const whole = taken(rows, columns), parts = taken(3, 4);
  for (const name of ["largest", "answering", "least", "chance", "spread", "wanted"] as const) {
    assert.deepEqual(parts[name], whole[name], name);
  }
  assert.ok(Math.abs(parts.strength - whole.strength) < 1e-12);
  const at = (row: number, column: number) => values[row * columns + column];
  const spread = (column: number) => {
    return Math.hypot(...Array.from({ length: random }, (_, r) => at(rows + r, column))) / Math.sqrt(random);
  };
  const responses = Array.from({ length: columns }, (_, c) => at(6, c) / spread(c));
  assertClose("of one row", [whole.largest[6], whole.least[6]], [Math.max(...responses), Math.min(...responses)], {
    floor: 1e-12,
    relative: 0,
  });
  assert.equal(whole.answering[6], responses.indexOf(Math.max(...responses)));
  assertClose("wanted", whole.wanted, [responses[10], at(0, 3) / spread(3), responses[0]], {
    floor: 1e-12,
    relative: 0,
  });
});

const REACH: [from: Tap[], source: Tap, reach: Reach][] = [
  [[tap(2, "mlp_out")], tap(4, "resid_mid"), "reads"],
  [[tap(2, "mlp_out")], tap(3, "resid_pre"), "reads"],
  [[tap(2, "resid_post")], tap(3, "attn_in"), "reads"],
  [[tap(2, "attn_out")], tap(2, "mlp_in"), "reads"],
  [[tap(2, "attn_out"), tap(3, "mlp_out")], tap(4, "mlp_in"), "reads"],
  [[tap(2, "mlp_out")], tap(2, "resid_mid"), "not before"],
  [[tap(2, "mlp_out"), tap(4, "mlp_out")], tap(4, "resid_mid"), "not before"],
  [[tap(2, "mlp_neurons")], tap(4, "resid_mid"), "not added"],
  [[tap(2, "mlp_out")], tap(4, "mlp_neurons"), "not read"],
  [[tap(2, "mlp_out")], tap(4, "attn_out"), "not read"],
];

Deno.test("features go on from what is added to the residual stream to what reads it behind", () => {
  for (const [targets, source, reach] of REACH) {
    const found = reachOf(mapping(tap(0, "resid_pre"), ...targets), mapping(source, tap(5, "mlp_out")));
    assert.equal(found, reach, JSON.stringify([targets, source]));
  }
});
