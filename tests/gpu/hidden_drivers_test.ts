import assert from "node:assert/strict";
import { hiddenDrivers } from "../../core/gpu/hidden_drivers.ts";

Deno.test("a variable that hides the machine's drivers is named with its value, and none where there is none", () => {
  const told = (env: Record<string, string>, os: typeof Deno.build.os = "linux") => {
    const hidden = hiddenDrivers((name) => env[name], (path) => path.startsWith("/there"), os);
    return hidden && `${hidden.found}; ${hidden.remedy}`;
  };
  assert.equal(told({}), null);
  assert.equal(told({ DENO_WEBGPU_BACKEND: "vulkan" }), null);
  assert.equal(told({ DENO_WEBGPU_BACKEND: "metal" }, "darwin"), null);
  assert.equal(told({ DENO_WEBGPU_BACKEND: "gl,vulkan", VK_ICD_FILENAMES: "" }), null);
  assert.equal(
    told({ DENO_WEBGPU_BACKEND: "nonsense", VK_ICD_FILENAMES: "/a" }),
    'DENO_WEBGPU_BACKEND is set to "nonsense"; unset it, or set it to vulkan',
  );
  const unset = (name: string) => `unset ${name}, which may be left from another machine`;
  assert.equal(
    told({ DENO_WEBGPU_BACKEND: "vulkan", VK_ICD_FILENAMES: "/a.json:/b.json" }),
    `VK_ICD_FILENAMES names /a.json:/b.json, where there is no file; ${unset("VK_ICD_FILENAMES")}`,
  );
  assert.equal(
    told({ VK_DRIVER_FILES: "/a.json:/there.json", VK_ICD_FILENAMES: "/b.json" }),
    `VK_DRIVER_FILES lets no other drivers be used than /a.json:/there.json, which give none; ${
      unset("VK_DRIVER_FILES")
    }`,
  );
});
