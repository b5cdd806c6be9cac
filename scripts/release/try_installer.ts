/**
 * Installs from dist/release by this system's installer: `deno run -A scripts/release/try_installer.ts TARGET DIRECTORY`.
 *
 * A server of this machine has the archive and a checksum, first a wrong one, which must be refused with nothing changed, then none, then the right one.
 * @module
 */

import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import { archiveName, executableName, readTarget, RELEASE } from "./targets.ts";

const target = readTarget(Deno.args[0]), directory = resolve(Deno.args[1]), archive = archiveName(target);
const right = await Deno.readTextFile(join(RELEASE, `${archive}.sha256`));
let sum: string | null = null;

await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
  const name = new URL(request.url).pathname.slice(1);
  if (name === `${archive}.sha256` && sum !== null) return new Response(sum);
  if (name === archive) return new Response((await Deno.open(join(RELEASE, archive))).readable);
  return new Response("none", { status: 404 });
});

async function install(): Promise<{ code: number; said: string; left: string[] }> {
  const [command, ...args] = Deno.build.os === "windows"
    ? ["powershell", "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", "install.ps1"]
    : ["sh", "install.sh"];
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args,
    env: { MTC_INSTALL_DIR: directory, MTC_MIRROR: `http://127.0.0.1:${server.addr.port}` },
  }).output();
  const decoder = new TextDecoder(), said = decoder.decode(stdout) + decoder.decode(stderr);
  console.log(said.trimEnd());
  return { code, said, left: await Array.fromAsync(Deno.readDir(directory), ({ name }) => name) };
}

/** What is refused leaves the directory empty. */
async function refused(given: string | null, expected: RegExp): Promise<void> {
  sum = given;
  const { code, said, left } = await install();
  assert.equal(code, 1);
  assert.match(said, expected);
  assert.deepEqual(left, []);
}

await Deno.mkdir(directory, { recursive: true });
await refused(`${"0".repeat(64)}  ${archive}\n`, /its SHA-256 should be 0{64}/);
await refused(null, /Cannot download http/);
await refused("", /holds no SHA-256/);
sum = right;
const { code, left } = await install();
assert.equal(code, 0);
assert.deepEqual(left, [executableName(target)]);
