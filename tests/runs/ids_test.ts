/** Names of transcoders: each is told from the others of its set by what differs, and by nothing else. */

import assert from "node:assert/strict";
import type { Tap } from "../../core/model/sites.ts";
import {
  compareIds,
  describeId,
  idOf,
  nameTranscoders,
  predictedLayers,
  type TranscoderId,
} from "../../core/runs/ids.ts";

const tap = (layer: number, site: Tap["site"]): Tap => ({ layer, site });

function id(layer: number, changes: Partial<TranscoderId> = {}): TranscoderId {
  const plain = { model: "gemma-2-2b", groups: [1152, 2304, 1152], k: 48, learning_rate: 3e-3, seed: 0, data_seed: 0 };
  return { ...plain, source: tap(layer, "resid_mid"), targets: [tap(layer, "mlp_out")], ...changes };
}

const files = (...ids: TranscoderId[]) => nameTranscoders(ids).map(({ file }) => file);
const titles = (...ids: TranscoderId[]) => nameTranscoders(ids).map(({ title }) => title);

Deno.test("a transcoder alone in its layer is named by the layer, whatever it reads, has or keeps", () => {
  const odd = id(12, { source: tap(8, "attn_out"), groups: [7], k: 1, seed: 3, model: "other" });
  assert.deepEqual(files(id(17), odd), ["layer17", "layer12"]);
  assert.deepEqual(nameTranscoders([id(17)]), [{ file: "layer17", title: "Layer 17", phrase: "layer 17" }]);
});

Deno.test("those of one layer get what differs among them", () => {
  assert.deepEqual(files(id(17), id(17, { groups: [18432] })), ["layer17-f4608", "layer17-f18432"]);
  assert.deepEqual(files(id(17, { k: 32 }), id(17, { k: 96 })), ["layer17-k32", "layer17-k96"]);
  assert.deepEqual(files(id(17), id(17, { seed: 1 })), ["layer17-seed0", "layer17-seed1"]);
  assert.deepEqual(
    files(id(17), id(17, { groups: [18432], k: 96 }), id(17, { k: 96 }), id(8, { seed: 7 })),
    ["layer17-f4608-k48", "layer17-f18432-k96", "layer17-f4608-k96", "layer8"],
  );
  assert.deepEqual(
    files(id(17), id(17, { groups: [4608] }), id(17, { groups: [9216] })),
    ["layer17-f4608-g1152+2304+1152", "layer17-f4608-g4608", "layer17-f9216"],
  );
  assert.deepEqual(files(id(17), id(17, { learning_rate: 1e-7 })), ["layer17-lr0.003", "layer17-lr1e-7"]);
  const seeds = [id(17), id(17, { seed: 1, data_seed: 1 }), id(17, { seed: 1 })];
  assert.deepEqual(files(...seeds), ["layer17-seed0", "layer17-seed1-data1", "layer17-seed1-data0"]);
  assert.deepEqual(files(...seeds.slice(1)), ["layer17-data1", "layer17-data0"]);
  assert.deepEqual(files(...seeds.slice(0, 2)), ["layer17-seed0", "layer17-seed1"], "that of the text follows");
  assert.deepEqual(files(id(2), id(2, { model: "my model/2" })), ["layer2-of-gemma-2-2b", "layer2-of-my_20model_2f2"]);
});

Deno.test("mappings are told apart by the layer read, or else by their sites", () => {
  assert.deepEqual(files(id(12), id(12, { source: tap(8, "resid_mid") })), ["layer12", "layer8-to-layer12"]);
  assert.deepEqual(
    files(id(3), id(3, { source: tap(1, "attn_out") }), id(3, { source: tap(1, "attn_out"), seed: 1 })),
    [
      "layer3.resid_mid-to-layer3.mlp_out-seed0",
      "layer1.attn_out-to-layer3.mlp_out-seed0",
      "layer1.attn_out-to-layer3.mlp_out-seed1",
    ],
  );
  const several = { source: tap(8, "resid_mid"), targets: [tap(9, "mlp_out"), tap(10, "mlp_out")] } as const;
  assert.deepEqual(files(id(8, several), id(9), id(10)), ["layer9+layer10", "layer9", "layer10"]);
  assert.deepEqual(
    files(id(8, several), id(7, { ...several, source: tap(7, "resid_mid") })),
    ["layer8-to-layer9+layer10", "layer7-to-layer9+layer10"],
  );
});

Deno.test("layers of several targets are named once; targets that differ within them are told apart by all sites", () => {
  const to = (...targets: ReturnType<typeof tap>[]) => id(0, { source: tap(1, "resid_mid"), targets });
  const three = to(tap(1, "mlp_out"), tap(2, "mlp_out"), tap(4, "mlp_out"));
  assert.deepEqual(nameTranscoders([to(tap(3, "attn_out"), tap(3, "mlp_out")), three]), [
    { file: "layer3", title: "Layer 3", phrase: "layer 3" },
    { file: "layer1+layer2+layer4", title: "Layers 1, 2 and 4", phrase: "layers 1, 2 and 4" },
  ]);
  assert.equal(predictedLayers(three), "layers 1, 2 and 4");
  // The same layers and the same sites, in another layer each.
  const apart = [
    to(tap(3, "mlp_out"), tap(3, "resid_post"), tap(4, "mlp_out")),
    to(tap(3, "mlp_out"), tap(4, "resid_post"), tap(4, "mlp_out")),
  ];
  assert.deepEqual(files(...apart), [
    "layer1.resid_mid-to-layer3.mlp_out+layer3.resid_post+layer4.mlp_out",
    "layer1.resid_mid-to-layer3.mlp_out+layer4.resid_post+layer4.mlp_out",
  ]);
  assert.equal(new Set(titles(...apart)).size, 2);
});

Deno.test("a skip connection tells transcoders apart, in the name of the one that has it", () => {
  const skipping = id(17, { skip: true });
  assert.deepEqual(files(id(17), skipping), ["layer17", "layer17-skip"]);
  assert.deepEqual(files(skipping), ["layer17"]);
  assert.deepEqual(titles(id(17), skipping), ["Layer 17", "Layer 17 (skip connection)"]);
  assert.match(describeId(skipping), /, k 48, skip connection, learning rate /);
  assert.ok(compareIds(id(17), skipping) < 0);
});

Deno.test("titles say the same in words", () => {
  assert.deepEqual(titles(id(17), id(17, { groups: [18432], k: 96, seed: 1 })), [
    "Layer 17 (4,608 features, k 48, seed 0)",
    "Layer 17 (18,432 features, k 96, seed 1)",
  ]);
  assert.deepEqual(titles(id(12), id(12, { source: tap(8, "resid_mid") })), ["Layer 12", "Layer 12 (from layer 8)"]);
  assert.deepEqual(titles(id(3), id(3, { source: tap(1, "attn_out") }), id(3, { source: tap(3, "mlp_in") })), [
    "Layer 3 (resid_mid to mlp_out)",
    "Layer 3 (layer1.attn_out to layer3.mlp_out)",
    "Layer 3 (mlp_in to mlp_out)",
  ]);
});

Deno.test("names are files on any file system: neither too long nor the same but for capital letters", () => {
  const groups = [1152, 2304, 1152, 2304, 4608, 1152, 2304, 1152];
  const long = [id(17, { model: "m".repeat(200) }), id(17, { groups }), id(17, { groups: groups.toReversed() })]
    .map((each) => ({ ...each, source: tap(12, "attn_heads") }));
  const names = files(...long, id(17, { k: 96, seed: 11 }));
  assert.equal(new Set(names).size, 4);
  // The longest file of a report about two, under its temporary name.
  for (const name of names) {
    assert.ok(`.${name}_vs_${name}_comparison.png.${crypto.randomUUID()}.tmp`.length <= 255, name);
  }
  assert.match(names[0], /^layer12\.attn_heads-to-layer17\.mlp_out-.*-[0-9a-f]{8}$/);
  for (const models of [["Gemma", "gemma"], ["a b", "a_20b"]]) {
    const alike = nameTranscoders([...models, "other"].map((model) => id(17, { model })));
    for (const form of ["file", "title", "phrase"] as const) {
      assert.equal(
        new Set(alike.map((name) => name[form].toLowerCase())).size,
        3,
        alike.map((name) => name[form]).join(),
      );
    }
    assert.equal(alike[2].file, "layer17-of-other");
  }
});

/** Every combination of some values of every part of an identity. */
function allIds(): TranscoderId[] {
  const sources = [1, 3].flatMap((layer) => [tap(layer, "resid_mid"), tap(layer, "attn_out")]);
  const targets = [[tap(3, "mlp_out")], [tap(3, "attn_out")], [tap(4, "mlp_out")], [
    tap(3, "mlp_out"),
    tap(4, "mlp_out"),
  ]];
  return sources.flatMap((source) =>
    targets.flatMap((targets) =>
      [[16], [8, 8], [32]].flatMap((groups) =>
        [1, 2].flatMap((k) =>
          [0, 1].flatMap((seed) =>
            [[0.1, seed], [0.2, 1]].flatMap(([learning_rate, data_seed]) =>
              ["a", "b"].map((model) => ({ model, source, targets, groups, k, learning_rate, seed, data_seed }))
            )
          )
        )
      )
    )
  );
}

Deno.test("different transcoders never share a name, a description or a place in the order; equal ones do", () => {
  const ids = allIds();
  // Any two alone too: what differs must then be in the names of both.
  for (const [i, a] of ids.entries()) {
    for (const b of ids.filter((_, j) => j > i && (j - i) % 11 === 1)) {
      const [x, y] = files(a, b);
      assert.notEqual(x.toLowerCase(), y.toLowerCase());
    }
  }
  assert.equal(new Set(files(...ids)).size, ids.length);
  assert.equal(new Set(titles(...ids)).size, ids.length);
  assert.equal(new Set(ids.map(describeId)).size, ids.length);
  const sorted = ids.toSorted(compareIds);
  for (let i = 1; i < sorted.length; i++) assert.ok(compareIds(sorted[i - 1], sorted[i]) < 0);
  assert.equal(compareIds(ids[0], { ...ids[0] }), 0);
  assert.deepEqual(files(ids[0], { ...ids[0] }), ["layer3", "layer3"]);
});

Deno.test("an identity comes from config.json", () => {
  const config = {
    model: { name: "m" },
    source: tap(1, "mlp_in"),
    targets: [tap(2, "mlp_out")],
    groups: [2, 7],
    k: 3,
    learning_rate: 0.01,
    seed: 5,
    data_seed: 5,
  };
  const said = "m layer1.mlp_in -> layer2.mlp_out, groups 2 + 7, k 3, learning rate 0.01, seed 5";
  assert.equal(describeId(idOf(config)), said);
  assert.equal(describeId(idOf({ ...config, data_seed: 0 })), `${said}, data seed 0`);
});
