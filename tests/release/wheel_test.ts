/** The wheel and the ZIP archive, read by Python; what an executable asks of a system, read from executables that are here. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { glibcFloor, macosFloor } from "../../scripts/release/binary.ts";
import { VERSION } from "../../scripts/release/targets.ts";
import { makeWheel } from "../../scripts/release/wheel.ts";

const isLinux = Deno.build.os === "linux";
/** Small, of this system, and it does something. */
const PROGRAM = await Deno.realPath("/bin/echo").catch(() => "");

async function python(...args: string[]): Promise<string | null> {
  const { success, stdout, stderr } = await new Deno.Command("python3", { args }).output().catch(() => ({
    success: false,
    stdout: new Uint8Array(),
    stderr: new TextEncoder().encode("not found"),
  }));
  if (!success) console.error(new TextDecoder().decode(stderr));
  return success ? new TextDecoder().decode(stdout) : null;
}

const hasPython = await python("-c", "import venv, ensurepip") !== null;
if (!hasPython) console.error("wheels are passed over: Python with venv is not installed");

/** Mach-O of one load command, LC_BUILD_VERSION for macOS. */
function machO(version: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(32 + 24));
  view.setUint32(0, 0xfeedfacf, true);
  view.setUint32(16, 1, true);
  view.setUint32(32, 0x32, true);
  view.setUint32(36, 24, true);
  view.setUint32(40, 1, true);
  view.setUint32(44, version, true);
  return new Uint8Array(view.buffer);
}

Deno.test("the oldest system that an executable runs on is read from it", { ignore: !isLinux }, async () => {
  // What ./run says of the Deno that npm supplies; another Deno may ask for less.
  const [major, minor] = glibcFloor(await Deno.readFile(Deno.execPath()));
  assert.equal(major, 2);
  assert.ok(minor >= 17 && minor <= 27, String(minor));
  assert.deepEqual(macosFloor(machO(11 << 16 | 3 << 8)), [11, 3]);
  assert.throws(() => glibcFloor(machO(0)), /it is no 64-bit little-endian ELF file/);
  assert.throws(() => macosFloor(new Uint8Array(64)), /it is no 64-bit Mach-O file/);
});

Deno.test(
  "a wheel installs its executable into an environment of its own",
  { ignore: !isLinux || !hasPython },
  async () => {
    const executable = await Deno.readFile(PROGRAM);
    const target = `${Deno.build.arch}-unknown-linux-gnu` as const;
    const { name, bytes } = makeWheel(target, executable, { readme: "# mtc\n", license: "MIT\n" });
    const [major, minor] = glibcFloor(executable);
    assert.equal(name, `mtc-${VERSION}-py3-none-manylinux_${major}_${minor}_${Deno.build.arch}.whl`);
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeFile(join(folder, name), bytes);
      assert.notEqual(await python("-m", "venv", join(folder, "venv")), null);
      const pip = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"];
      const { success, stderr } = await new Deno.Command(join(folder, "venv", "bin", "python"), {
        args: [...pip, join(folder, name)],
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      assert.deepEqual(await Deno.readFile(join(folder, "venv", "bin", "mtc")), executable);
      const said = await new Deno.Command(join(folder, "venv", "bin", "mtc"), { args: ["it runs"] }).output();
      assert.equal(new TextDecoder().decode(said.stdout), "it runs\n");
      const check = `import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip())`;
      assert.equal(await python("-c", check, join(folder, name)), "");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
