import assert from "node:assert/strict";
import { hookName, hookOf, placeOfName } from "../../core/model/hooks.ts";
import { SITES } from "../../core/model/sites.ts";

Deno.test("the hook of every site is found again, with its layer and which side of the gain it lies on", () => {
  for (const site of SITES) {
    const isBeforeGain = hookOf({ layer: 17, site }).norm !== null;
    assert.deepEqual(placeOfName(hookName({ layer: 17, site })), { site, isBeforeGain, layer: 17 });
    assert.deepEqual(placeOfName(hookOf({ layer: 17, site }).name), { site, isBeforeGain, layer: null });
    assert.deepEqual(placeOfName(`layer3.${site}`), { site, isBeforeGain: false, layer: 3 });
  }
});

for (
  const [name, site] of [
    ["model.layers.12.pre_feedforward_layernorm.output", "mlp_in"],
    ["model.language_model.layers.12.post_feedforward_layernorm.output", "mlp_out"],
    ["layers.12.mlp.input", "mlp_in"],
    ["model.layers.12.output", "resid_post"],
  ]
) {
  Deno.test(`${name} is ${site} of layer 12`, () => {
    assert.deepEqual(placeOfName(name), { site, isBeforeGain: false, layer: 12 });
  });
}

for (const name of ["hook_mlp_in", "blocks.3.hook_mlp_in", "layers.3.mlp.output", "model.embed_tokens.output", ""]) {
  Deno.test(`"${name}" is no site, or not the same for everybody`, () => assert.equal(placeOfName(name), null));
}
