import assert from "node:assert/strict";
import { type Driver, examineMachine, explainMissing, type Machine } from "../../core/gpu/missing_driver.ts";

const INSTALL = "apt-get update && apt-get install -y mesa-vulkan-drivers libvulkan1";
const NVIDIA =
  "install libnvidia-gl of the kernel driver's version (nvidia-smi shows it), or in a container start it with " +
  "NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics";
const mesa: Driver = { manifest: "/icd.d/lvp_icd.json", library: "libvulkan_lvp.so", isThere: true };
const nvidia: Driver = { manifest: "/icd.d/nvidia_icd.json", library: "libGLX_nvidia.so.0", isThere: false };

function told(changes: Partial<Machine>): string {
  const { found, remedy } = explainMissing({
    drivers: [],
    hasLoader: true,
    hasNvidia: false,
    installation: INSTALL,
    ...changes,
  });
  return `${found}; ${remedy}`;
}

Deno.test("a machine without any Vulkan is told what to install", () => {
  assert.equal(told({ hasLoader: false }), `no Vulkan driver is installed; as root: ${INSTALL}`);
});

Deno.test("a driver that names a library that is not there is told by name", () => {
  const broken = { manifest: "/icd.d/other.json", library: "libother.so", isThere: false };
  const remedy = `reinstall the package that it came with, or remove it; for the CPU in its place, as root: ${INSTALL}`;
  assert.equal(
    told({ drivers: [broken] }),
    `the Vulkan driver /icd.d/other.json names libother.so, which is not on this machine; ${remedy}`,
  );
  assert.equal(
    told({ drivers: [mesa, { ...broken, library: null }] }),
    `the Vulkan driver /icd.d/other.json cannot be read; ${remedy}`,
  );
});

Deno.test("an NVIDIA card without its driver is told what brings it, before what is missing for the CPU", () => {
  const remedy = `${NVIDIA}; for the CPU in its place, as root: ${INSTALL}`;
  assert.equal(told({ hasNvidia: true }), `an NVIDIA card is here without its Vulkan driver; ${remedy}`);
  assert.equal(
    told({ hasNvidia: true, drivers: [{ ...mesa, isThere: false }, nvidia] }),
    `the Vulkan driver /icd.d/nvidia_icd.json names libGLX_nvidia.so.0, which is not on this machine; ${remedy}`,
  );
});

Deno.test("drivers without their loader, and drivers that give nothing, are two things", () => {
  assert.equal(
    told({ drivers: [mesa], hasLoader: false }),
    `the Vulkan loader libvulkan.so.1 is not on this machine; as root: ${INSTALL}`,
  );
  assert.equal(
    told({ drivers: [mesa] }),
    `the drivers of /icd.d/lvp_icd.json give no device; look at what vulkaninfo says of them; ` +
      `for the CPU in their place, as root: ${INSTALL}`,
  );
});

Deno.test(
  "the drivers of this machine name libraries that are there",
  { ignore: Deno.build.os !== "linux" },
  async () => {
    const { drivers, hasLoader } = await examineMachine();
    assert.ok(hasLoader);
    assert.ok(drivers.some(({ isThere }) => isThere), JSON.stringify(drivers));
  },
);
