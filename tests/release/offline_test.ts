/** What `deno task compile` says where it cannot download. */

import assert from "node:assert/strict";
import { BASE_EXECUTABLE, failed, ITS_DENO } from "../../scripts/failed.ts";

Deno.test("M11: where the base executable cannot be had, it is said how to supply one, in words that the script reads", async () => {
  assert.equal(failed("bundle"), "compile: `deno bundle` failed; its message stands above");
  assert.match(
    failed("compile"),
    /above\. Where its base executable .* DENORT_BIN names one .* MTC_COMPILE_DENO the Deno/,
  );
  const script = await Deno.readTextFile(new URL("../../scripts/compile.ts", import.meta.url));
  assert.ok(script.includes("Deno.env.get(ITS_DENO)") && script.includes("failed(args[0])"));
  // Deno itself reads the other one.
  assert.equal(BASE_EXECUTABLE, "DENORT_BIN");
  assert.equal(ITS_DENO, "MTC_COMPILE_DENO");
});
