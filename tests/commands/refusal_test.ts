import assert from "node:assert/strict";
import { type Estimate, refusal } from "../../commands/train/estimate.ts";
import { TooLargeToBind } from "../../core/gpu/too_large.ts";

Deno.test("a tensor that cannot be bound keeps its own remedy where nothing else is known to fit", () => {
  const error = new TooLargeToBind({
    action: "run contexts of 100000 tokens",
    requirement: "a GPU binds at most 128 bytes",
    remedy: "use --context 65536 or less",
  });
  const estimate = (proposal: Estimate["proposal"]) => ({
    ...{ request: { directory: "runs/a", resumed: null }, fit: { shortage: { of: "binding", error } }, proposal },
  } as unknown as Estimate);
  assert.equal(refusal([estimate(null)])?.message, error.message);
  const proposal = { flags: ["--buffer 16", "--loss-tokens 0"] } as unknown as Estimate["proposal"];
  assert.equal(refusal([estimate(proposal)])?.parts.remedy, "use --buffer 16 --loss-tokens 0");
});
