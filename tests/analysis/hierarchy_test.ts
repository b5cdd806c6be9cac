/** Hierarchies that were planted are found, and where none was, none is. */

import assert from "node:assert/strict";
import { directionsOf } from "../../core/analysis/directions.ts";
import { densityParents, hierarchy, hierarchyVerdict, nestedHierarchy } from "../../core/analysis/hierarchy.ts";
import { gaussians } from "../random.ts";
import { bursty, chanceOf, plantedRecord, type Rule } from "./planted_record.ts";

const TOKENS = 8192, WIDTH = 64, GROUPS = [40, 80, 80];
const FEATURES = 200;

/** Every feature fires by itself, the later ones more rarely. */
const alone: Rule[] = Array.from({ length: FEATURES }, (_, i) => bursty(i, TOKENS, i < 40 ? 0.04 : 0.01));
const random = directionsOf(gaussians(FEATURES * WIDTH, 1), WIDTH);

/** Feature 40 + n fires under n % 20 for n < 60, only there; 120 + n under 40 + n for n < 30. Children write as their parents do. */
function planted() {
  const rules = alone.slice(), rows = random.rows.slice();
  const parentOf = new Map<number, number>();
  const plant = (child: number, parent: number, share: number) => {
    const within = chanceOf(7000 + child, TOKENS), of = rules[parent];
    rules[child] = (t) => within[t] < share ? of(t) : 0;
    parentOf.set(child, parent);
    for (let c = 0; c < WIDTH; c++) rows[child * WIDTH + c] = rows[parent * WIDTH + c] + 0.5 * rows[child * WIDTH + c];
  };
  for (let n = 0; n < 60; n++) plant(40 + n, n % 20, 0.4);
  for (let n = 0; n < 30; n++) plant(120 + n, 40 + n, 0.5);
  return { record: plantedRecord(GROUPS, TOKENS, rules), directions: directionsOf(rows, WIDTH), parentOf };
}

Deno.test("planted parents are found as parents, with the tree's depth, and hardly any others", () => {
  const { record, directions, parentOf } = planted();
  const { parents, nested, groups, families, tokens } = hierarchy(record, directions);
  assert.equal(tokens, TOKENS);
  assert.deepEqual(nestedHierarchy(record, directions), { nested, groups });
  // A grandchild fires under its grandparent as well; the rarer of both has the larger excess.
  for (const [child, parent] of parentOf) assert.equal(parents[child]?.parent, parent, `parent of ${child}`);
  for (const child of parentOf.keys()) {
    const { containment, lift, excess, together, parent, cosine } = parents[child]!;
    const fires = record.index.filter((i) => i === child).length, of = record.index.filter((i) => i === parent).length;
    assert.deepEqual([containment, together], [1, fires]);
    assert.ok(Math.abs(lift - TOKENS / of) < 1e-9 && Math.abs(excess - (1 - of / TOKENS)) < 1e-9);
    assert.ok(cosine > 0.6, `cosine ${cosine}`);
  }
  assert.equal(nested.judged, 160);
  // 70 were not planted; one in a hundred would be found by chance.
  assert.ok(nested.kept - parentOf.size <= 4, `${nested.kept - parentOf.size} were never planted`);
  assert.ok(nested.mean_cosine > 0.8 && Math.abs(nested.mean_cosine_by_chance) < 0.1);
  assert.equal(nested.median_containment, 1);
  assert.ok(Math.abs(groups[2].mean_depth - 2 * 30 / 80) < 0.05 && Math.abs(groups[1].orphans - 0.25) < 0.04);
  assert.deepEqual(groups.map(({ fvu }) => fvu), [1 / 2, 1 / 3, 1 / 4].map((fvu) => expect(fvu)));
  assert.ok(Math.abs(groups[1].fvu_gained - 1 / 6) < 1e-6 && Math.abs(groups[0].fvu_gained - 1 / 2) < 1e-6);
  // Three children that each fire on 40 % of the parent's firings leave 0.6 ** 3 of them.
  const three = families.filter(({ parent }) => parent < 20);
  assert.equal(three.length, 20);
  for (const { covered, covered_by_chance, is_split } of three) {
    assert.ok(Math.abs(covered - (1 - 0.6 ** 3)) < 0.1 && covered_by_chance < 0.2 && is_split);
  }
});

/** What float32 makes of a mean of equal numbers. */
const expect = (fvu: number) => Math.fround(fvu);

Deno.test("independent features have no hierarchy beyond one child in a hundred, though they fire in bursts", () => {
  const { nested, by_density, families } = hierarchy(plantedRecord(GROUPS, TOKENS, alone), random);
  assert.equal(nested.judged, 160);
  assert.ok(nested.share <= 0.03, `${nested.share} of the children have a parent`);
  assert.ok(by_density.share <= 0.03, `${by_density.share} by density`);
  assert.deepEqual(families, []);
  const verdict = hierarchyVerdict({ nested, by_density }, by_density);
  const answers = { beyond_chance: "no", beyond_density: "no", beyond_flat: "no" };
  const siblings = { siblings_beyond_chance: null, siblings_beyond_density: null, siblings_beyond_flat: null };
  assert.deepEqual(verdict, { ...answers, ...siblings });
});

Deno.test("children of one parent fire alike: the mean over families of a correlation in a plain loop, none of it once they are dealt out anew", () => {
  const { record, directions } = planted(), found = hierarchy(record, directions), { nested, families } = found;
  const activations = Array.from({ length: FEATURES }, () => new Float64Array(TOKENS));
  for (let t = 0; t < TOKENS; t++) {
    for (let e = record.rowStart[t]; e < record.rowStart[t + 1]; e++) activations[record.index[e]][t] = record.value[e];
  }
  const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
  const centred = activations.map((values) => {
    const centre = mean(values);
    return values.map((value) => value - centre);
  });
  const dot = (i: number, j: number) => centred[i].reduce((sum, value, t) => sum + value * centred[j][t], 0);
  const looped = families.map(({ children }) =>
    mean(children.flatMap((i, n) => children.slice(n + 1).map((j) => dot(i, j) / Math.sqrt(dot(i, i) * dot(j, j)))))
  );
  assert.equal(nested.families, families.length);
  assert.ok(Math.abs(nested.sibling_correlation - mean(looped)) < 1e-9, `${nested.sibling_correlation}`);
  assert.ok(nested.sibling_correlation > 0.3 && Math.abs(nested.sibling_correlation_by_chance) < 0.05);
  assert.equal(hierarchyVerdict(found, null).siblings_beyond_chance, "yes");
  // Parents dealt out at random make families of strangers.
  const strangers = { ...nested, sibling_correlation: nested.sibling_correlation_by_chance };
  assert.equal(hierarchyVerdict({ ...found, nested: strangers }, null).siblings_beyond_chance, "no");
  assert.equal(hierarchyVerdict({ ...found, by_density: strangers }, null).siblings_beyond_density, "yes");
  assert.equal(hierarchyVerdict({ nested: strangers, by_density: nested }, null).siblings_beyond_density, "less");
  assert.equal(hierarchyVerdict({ ...found, nested: strangers }, nested).siblings_beyond_flat, "less");
  assert.equal(hierarchyVerdict(found, strangers).siblings_beyond_flat, "yes");
  assert.equal(hierarchyVerdict(found, nested).siblings_beyond_flat, "no");
  assert.equal(hierarchyVerdict(found, null).siblings_beyond_flat, null);
});

Deno.test("features that share lively contexts and nothing else are children of nobody", () => {
  const topic = chanceOf(99, TOKENS / 32);
  const rules = alone.map((_, i): Rule => {
    const each = chanceOf(5000 + i, TOKENS);
    return (t) => topic[Math.floor(t / 32)] < 0.3 && each[t] < (i < 40 ? 0.1 : 0.03) ? 1 : 0;
  });
  const { nested } = hierarchy(plantedRecord(GROUPS, TOKENS, rules), random);
  // They do fire together more often than by chance, but no one of them is what another fires under.
  assert.ok(nested.median_containment < 0.5 || nested.kept === 0, `containment ${nested.median_containment}`);
});

Deno.test("planted groups are worth more than frequency where parents are rare, and no more where they are frequent", () => {
  const { record, directions } = planted();
  const found = hierarchy(record, directions), flat = densityParents(record, directions, [4, 8, 8]);
  assert.deepEqual(flat, found.by_density, "the groups' sizes are scaled to the dictionary");
  assert.equal(hierarchyVerdict(found, null).beyond_chance, "yes");
  assert.equal(hierarchyVerdict(found, null).beyond_flat, null);
  // Children of later groups that fire as often as their parents are ordered by nothing but the groups.
  const rules = alone.slice();
  for (let n = 0; n < 40; n++) rules[40 + n] = bursty(300 + n, TOKENS, 0.01);
  for (let n = 0; n < 40; n++) {
    const within = chanceOf(8000 + n, TOKENS), child = rules[40 + n];
    // The parent fires where its child does, and on half as many other tokens; rare beside the first group's others.
    rules[n] = (t) => child(t) > 0 || within[t] < 0.005 ? 1 : 0;
  }
  for (let n = 80; n < 200; n++) rules[n] = bursty(600 + n, TOKENS, 0.05);
  const rare = hierarchy(plantedRecord(GROUPS, TOKENS, rules), random);
  assert.equal(hierarchyVerdict(rare, rare.by_density).beyond_density, "yes");
  // The forty parents are the rarest, so that none of them is in the first group by density; three quarters of the others are in another.
  assert.ok(rare.same_by_density > 0.1 && rare.same_by_density < 0.6, `${rare.same_by_density}`);
});

Deno.test("silent features, and groups without any that is judged", () => {
  const rules: Rule[] = Array.from({ length: 6 }, (_, i) => i === 1 ? (t) => t % 7 === 0 ? 1 : 0 : () => 0);
  const { nested, groups, parents, families } = hierarchy(plantedRecord([2, 4], 320, rules), {
    ...random,
    rows: random.rows.slice(0, 6 * WIDTH),
  });
  assert.deepEqual([nested.judged, nested.kept, families.length], [0, 0, 0]);
  assert.ok(Number.isNaN(nested.share) && Number.isNaN(groups[1].median_density));
  assert.deepEqual(parents, new Array(6).fill(null));
});
