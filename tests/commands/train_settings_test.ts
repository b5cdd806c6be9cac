import assert from "node:assert/strict";
import { mappingsFor } from "../../commands/train/settings.ts";
import { tapName } from "../../core/model/sites.ts";

const sources = (layers: number[], source: string) =>
  mappingsFor({ layers, source, target: "mlp_out" }, 6, []).map(({ source, targets: [{ layer }] }) =>
    `${tapName(source)} ${layer}`
  );

/** Sources with their targets, of a model of 26 layers. */
const mapped = (source: string, target: string, layers?: number[]) =>
  mappingsFor({ layers, source, target }, 26, [8, 17]).map(({ source, targets }) =>
    `${tapName(source)} -> ${targets.map(tapName).join(" + ")}`
  );

Deno.test("mappings: a target of a layer of its own needs no --layers; a source without one is in that of the first target", () => {
  assert.deepEqual(mapped("layer8.resid_mid", "layer17.mlp_out"), ["layer8.resid_mid -> layer17.mlp_out"]);
  assert.deepEqual(mapped("resid_mid", "layer17.mlp_out, layer12.mlp_out"), [
    "layer12.resid_mid -> layer12.mlp_out + layer17.mlp_out",
  ]);
  assert.deepEqual(mapped("resid_mid", "mlp_out"), [
    "layer8.resid_mid -> layer8.mlp_out",
    "layer17.resid_mid -> layer17.mlp_out",
  ]);
  assert.deepEqual(
    mapped("layer25.mlp_in", "layer25.mlp_out"),
    ["layer25.mlp_in -> layer25.mlp_out"],
    "the last layer",
  );
});

Deno.test("mappings: several targets are one transcoder's, in the order of the model, each place once", () => {
  assert.deepEqual(mapped("resid_mid,mlp_in", "resid_post,mlp_out,layer20.attn_out", [4, 3]), [
    "layer3.resid_mid -> layer3.mlp_out + layer3.resid_post + layer20.attn_out",
    "layer3.mlp_in -> layer3.mlp_out + layer3.resid_post + layer20.attn_out",
    "layer4.resid_mid -> layer4.mlp_out + layer4.resid_post + layer20.attn_out",
    "layer4.mlp_in -> layer4.mlp_out + layer4.resid_post + layer20.attn_out",
  ]);
  assert.deepEqual(mapped("resid_mid", "layer3.resid_post,layer4.resid_pre,layer3.resid_post"), [
    "layer3.resid_mid -> layer3.resid_post",
  ]);
  assert.deepEqual(mapped("resid_mid,layer8.resid_mid", "layer17.mlp_out", [8, 12]), [
    "layer8.resid_mid -> layer17.mlp_out",
    "layer12.resid_mid -> layer17.mlp_out",
  ]);
});

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
