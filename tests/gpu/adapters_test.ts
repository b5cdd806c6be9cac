import assert from "node:assert/strict";
import { UsageError } from "../../core/errors.ts";
import { join } from "node:path";
import { driverManifests, listAdapters, type ListedAdapter, pickAdapter } from "../../core/gpu/adapters.ts";
import { openGpu } from "../../core/gpu/device.ts";
import { withVariables } from "../hub/environment.ts";

const listed: ListedAdapter[] = [
  { name: "NVIDIA H100 80GB HBM3", driver: "/etc/vulkan/icd.d/nvidia_icd.json", preference: "high-performance" },
  { name: "AMD Radeon 780M (RADV)", driver: "/usr/share/vulkan/icd.d/radeon_icd.json", preference: "high-performance" },
  { name: "llvmpipe (LLVM 20.1.2, 256 bits)", driver: "/usr/share/vulkan/icd.d/lvp_icd.json", preference: "low-power" },
];

Deno.test("an adapter is picked by its number or a part of its name, in whatever case; others are refused with what there is", () => {
  for (const [wanted, i] of [["0", 0], ["2", 2], ["nvidia", 0], ["radeon", 1], ["LLVM", 2]] as const) {
    assert.equal(pickAdapter(listed, wanted), listed[i], wanted);
  }
  for (const wanted of ["3", "-1", "intel", "00000000000000000000009"]) {
    assert.throws(() => pickAdapter(listed, wanted), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(
        error.message,
        /: it must be the number .*, they are 0 NVIDIA H100 .*, 1 AMD .*, 2 llvmpipe .*; see/,
      );
      return true;
    });
  }
  assert.throws(() => pickAdapter([], "0"), /WebGPU finds none/);
});

Deno.test("the adapter that is opened without a choice is among those listed, and listing leaves the environment as it is", async () => {
  const before = Deno.env.get("VK_DRIVER_FILES"), names = (await listAdapters()).map(({ name }) => name);
  assert.equal(Deno.env.get("VK_DRIVER_FILES"), before);
  using gpu = await openGpu();
  assert.ok(names.includes(gpu.adapter), `${gpu.adapter} is none of ${names}`);
  assert.equal(new Set(names).size, names.length);
});

Deno.test({
  name: "equal adapters of two drivers are listed both, and told apart by their numbers alone",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const software = (await driverManifests()).find((path) => path.includes("lvp"));
    if (software === undefined) return;
    const directory = await Deno.makeTempDir(),
      manifests = ["a", "b"].map((name) => join(directory, `${name}_lvp.json`));
    try {
      for (const path of manifests) await Deno.copyFile(software, path);
      await withVariables(["VK_DRIVER_FILES"], { VK_DRIVER_FILES: manifests.join(":") }, async () => {
        const adapters = await listAdapters(), [{ name }] = adapters;
        assert.deepEqual(adapters.map(({ driver }) => driver), manifests);
        assert.equal(adapters[1].name, name);
        assert.deepEqual(["0", "1", name].map((wanted) => pickAdapter(adapters, wanted).driver), [
          ...manifests,
          manifests[0],
        ]);
      });
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
