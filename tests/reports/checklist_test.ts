/** The checklist of index.md: what each box asks, in a run where it is ticked and in one where it is not. */

import assert from "node:assert/strict";
import { comparePair, type TranscoderAnalysis } from "../../core/runs/analysed.ts";
import type { ToldComparison } from "../../reports/compared.ts";
import { checklist, itemLine } from "../../reports/markdown/checklist.ts";
import { indexPage } from "../../reports/markdown/index_page.ts";
import { type MadeUp, madeUpLayer } from "./known_layer.ts";
import { syntheticAnalysis, type SyntheticRun } from "./synthetic_run.ts";

const small: Partial<SyntheticRun> = { groups: [32, 64, 32], dIn: 16, dOut: 16, samplesPerFeature: 12 };
const steps = 600;

/** A run with all that the checklist asks for, as far as it looks. */
async function whole(changes: Partial<SyntheticRun> = {}): Promise<TranscoderAnalysis> {
  const made = await syntheticAnalysis({ ...small, ...changes });
  const there = {
    importance: {},
    attribution: {},
    coherence: {},
    recorded: madeUpLayer().recorded,
    checkpoints: [steps, steps / 2],
  };
  return { ...made, ...there, evaluation: { ...made.evaluation, loss: {} } } as unknown as TranscoderAnalysis;
}

const good = await whole(), other = await whole({ layer: 4, seed: 2 });

/** The lines of the checklist of some transcoders, all pairs of them compared. */
function linesOf(...transcoders: TranscoderAnalysis[]): string[] {
  const told = {} as ToldComparison;
  const comparisons = transcoders.slice(1).map((one) => ({ ...comparePair(transcoders[0], one), told }));
  return checklist({ transcoders, comparisons }).flatMap(({ items }) => items.map(itemLine));
}

function lineOf(task: string, ...transcoders: TranscoderAnalysis[]): string {
  const found = linesOf(...transcoders).filter((line) => line.slice(4).startsWith(task));
  assert.equal(found.length, 1, task);
  return found[0];
}

Deno.test("all that a program can tell is ticked where two good runs have everything, and nothing else is", () => {
  const lines = linesOf(good, other);
  assert.equal(lines.filter((line) => line.startsWith("[x] ")).length, 15);
  assert.deepEqual(
    lines.filter((line) => !line.startsWith("[x] ")).map((line) => /\[ \] .* \(no program can\): /.test(line)),
    [
      ...[true, true, true, true, true],
    ],
  );
  assert.deepEqual(linesOf().filter((line) => line.startsWith("[x] ")), [], "of no run nothing is ticked");
});

Deno.test("each box is open where what it asks is not there, for whom, and what would tick it", async () => {
  const without = (changes: Partial<TranscoderAnalysis>) => ({ ...other, ...changes });
  const layer = (made: MadeUp) => without({ recorded: madeUpLayer(made).recorded });
  const alone = madeUpLayer().recorded;
  const cases: [task: string, open: TranscoderAnalysis, says: RegExp][] = [
    ["Identified interesting", without({ recorded: undefined }), /layer 4: `mtc analyze features --run /],
    [
      "Identified interesting",
      layer({ silhouettes: [0.1, 0.1], groups: [0.01, 0, 0] }),
      /layer 4: neither clusters beyond chance nor parents beyond what frequency gives/,
    ],
    [
      "Found layer-specific",
      without({ recorded: { ...alone, layer: { ...alone.layer, others: [] } } }),
      /layer 4: there is no other layer to hold it against/,
    ],
    [
      "Found layer-specific",
      layer({ nearest: [100, 0] }),
      /layer 4: 0.0 % of its features have no match in the nearest other layer, whose features tokens tell as well/,
    ],
    [
      "Found layer-specific",
      without({
        recorded: {
          ...alone,
          layer: { ...alone.layer, others: [{ name: "layer 2", judged: 0, same: 0, unique: 0 }] },
        },
      }),
      /layer 4: no feature fires often enough to be judged/,
    ],
    [
      "Generated interpretable",
      layer({ r2s: [], otherR2s: [] }),
      /layer 4: no feature fires often enough to be judged/,
    ],
    ["Check training completion", await whole({ layer: 4, stoppedAt: 300 }), /layer 4: Training ran to the end .*300/],
    ["Check training completion", await whole({ layer: 4, divergesAt: 300 }), /layer 4: No NaN or infinity/],
    ["Check training completion", await whole({ layer: 4, fvu: 0.6 }), /layer 4: Held-out FVU below 0\.30/],
    [
      "Review metrics and curves",
      await whole({ layer: 4, gain: 0.2 }),
      /still improving; `mtc train --start-from .* --more-steps 600`/,
    ],
    ["Review metrics and curves", await whole({ layer: 4, lateSlope: 0.01 }), /layer 4: the loss rose/],
    ["Verify activation samples", without({ statistics: { ...other.statistics, withSamples: 1 } }), /have no sample/],
    ["Check checkpoint saving", without({ checkpoints: [] }), /no checkpoint lies in the run/],
    ["Check checkpoint saving", without({ checkpoints: [500] }), /of step 500, the last step was 600/],
    ["Run basic feature analysis", without({ recorded: undefined }), /layer 4: `mtc analyze features --run/],
    [
      "Analyze top activating features",
      without({ samples: { examples: new Map() } }),
      /none of the strongest features has a sample/,
    ],
    [
      "Analyze top activating features",
      without({ statistics: { ...other.statistics, alive: 0 } }),
      /layer 4: no feature fires/,
    ],
    ["Deep dive feature analysis", without({ importance: undefined }), /layer 4: `mtc analyze importance --run/],
    ["Deep dive feature analysis", without({ attribution: undefined }), /layer 4: `mtc analyze attribution --run/],
    ["Advanced pattern analysis", without({ recorded: undefined }), /layer 4: `mtc analyze features --run/],
    ["Generate interpretability reports", without({ coherence: undefined }), /layer 4: `mtc analyze coherence --run/],
    [
      "Generate comprehensive report",
      without({ evaluation: { ...other.evaluation, loss: undefined } }),
      /layer 4: `mtc evaluate --loss --run/,
    ],
  ];
  for (const [task, open, says] of cases) {
    assert.match(lineOf(task, good, other), /^\[x\] /, task);
    const line = lineOf(task, good, open);
    assert.match(line, /^\[ \] /, task);
    assert.match(line, says);
    assert.doesNotMatch(line, /layer 2/, "the good one is not named");
  }
  assert.match(lineOf("Compare with another layer", good), /^\[ \] .* `mtc train --layers A,B` makes them/);
  assert.match(lineOf("Compare with another layer", good, await whole({ seed: 7 })), /^\[ \] /, "two of one layer");
  assert.match(lineOf("Layer comparison analysis", good), /^\[ \] .* `mtc train --layers A,B` makes them/);
  const untold = [{ ...comparePair(good, other), why: "layer 4 has no record" }];
  const [{ ticked, found }] = checklist({ transcoders: [good, other], comparisons: untold })
    .flatMap(({ items }) => items).filter(({ task }) => task === "Layer comparison analysis");
  assert.deepEqual([ticked, found], [false, "layer 2 and layer 4: layer 4 has no record"]);
});

Deno.test("an open box names four transcoders and counts the others", async () => {
  const many = await Promise.all([1, 2, 3, 4, 5, 6].map((layer) => whole({ layer })));
  const bare = many.map((one) => ({ ...one, checkpoints: [] }));
  assert.match(lineOf("Check checkpoint saving", ...bare), /layer 1: .*layer 4: [^;]*; and 2 more$/);
});

Deno.test("the index shows the list under the plan's stretches of time", () => {
  const page = indexPage({ transcoders: [good], comparisons: [], sweeps: [], notes: [], generated: new Date(0) });
  assert.deepEqual(page.match(/^### .*/gm), [
    "### Immediate",
    "### Short-term",
    "### Medium-term",
    "### Long-term",
    "### Analysis success",
  ]);
  assert.equal(page.match(/^- \[[ x]\] /gm)!.length, 20);
});
