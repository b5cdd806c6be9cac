import assert from "node:assert/strict";
import { mappingsFor } from "../../commands/train/settings.ts";
import { tapName } from "../../core/model/sites.ts";

const sources = (layers: number[], source: string) =>
  mappingsFor(layers, source, "mlp_out", 6).map(({ source, target }) => `${tapName(source)} ${target.layer}`);

Deno.test("mappings: layers ascend, each with its sources in the order given", () => {
  assert.deepEqual(sources([4, 2], "resid_mid, mlp_in"), [
    "layer2.resid_mid 2",
    "layer2.mlp_in 2",
    "layer4.resid_mid 4",
    "layer4.mlp_in 4",
  ]);
});

Deno.test("mappings: a source under two names is one transcoder, whose files no second one writes", () => {
  assert.deepEqual(sources([2, 3], "resid_mid, layer2.resid_mid"), [
    "layer2.resid_mid 2",
    "layer3.resid_mid 3",
    "layer2.resid_mid 3",
  ]);
});
