/**
 * install.sh against a server of this machine that has what a release has, or something a little different. What is installed is a shell
 * script in an archive, as the executable takes minutes to make; `scripts/fresh_machine.ts` does it with the real one.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const INSTALLER = fileURLToPath(new URL("../../install.sh", import.meta.url));
const isPosix = Deno.build.os !== "windows";
const target = `${Deno.build.arch}-${Deno.build.os === "darwin" ? "apple-darwin" : "unknown-linux-gnu"}`;
const ARCHIVE = `mtc-${target}.tar.xz`;

const folder = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

async function run(command: string, args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, env, cwd: folder }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** An archive with an `mtc` in it that is this script. */
async function pack(script: string): Promise<Uint8Array<ArrayBuffer>> {
  await Deno.writeTextFile(join(folder, "mtc"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const packed = await run("tar", ["-cJf", "archive", "mtc"]);
  assert.equal(packed.code, 0, packed.stderr);
  return await Deno.readFile(join(folder, "archive"));
}

type Files = Record<string, Uint8Array<ArrayBuffer> | string | ((request: Request) => Response)>;

/** Runs the installer against a server of these files. */
async function install(files: Files, env: Record<string, string> = {}) {
  const directory = await Deno.makeTempDir({ dir: folder });
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const file = files[new URL(request.url).pathname.slice("/files/".length)];
    if (typeof file === "function") return file(request);
    return file === undefined ? new Response("none", { status: 404 }) : new Response(file);
  });
  const address = `http://127.0.0.1:${server.addr.port}/files/`;
  const outcome = await run("sh", [INSTALLER], { MTC_MIRROR: address, MTC_INSTALL_DIR: directory, ...env });
  const left = await Array.fromAsync(Deno.readDir(directory), ({ name }) => name);
  return { ...outcome, directory, left };
}

const sumOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const good = isPosix ? await pack("echo mtc 9.9.9; echo commit abc") : new Uint8Array();
const release = (bytes: Uint8Array<ArrayBuffer>, sum = sumOf(bytes)): Files => ({
  [ARCHIVE]: bytes,
  [`${ARCHIVE}.sha256`]: `${sum}  ${ARCHIVE}\n`,
});

Deno.test(
  "an archive with its checksum is installed, and nothing is left beside it",
  { ignore: !isPosix },
  async () => {
    const { code, stderr, directory, left } = await install(release(good));
    assert.equal(code, 0, stderr);
    assert.deepEqual(left, ["mtc"]);
    assert.ok(stderr.includes(`mtc 9.9.9 is installed: ${directory}/mtc\n`), stderr);
    assert.ok(stderr.includes(`${directory} is not on PATH`), stderr);
    assert.equal((await run(`${directory}/mtc`, [])).stdout, "mtc 9.9.9\ncommit abc\n");
  },
);

/** What a server may do, and the sentence that it ends with. */
const REFUSED: readonly [what: string, files: Files, sentence: RegExp][] = [
  ["another checksum", release(good, "0".repeat(64)), /its SHA-256 should be 0{64}, it is [0-9a-f]{64}; it is damaged/],
  ["a checksum of another kind", release(good, "d41d8cd98f00b204e9800998ecf8427e"), /holds no SHA-256/],
  ["an empty checksum", { ...release(good), [`${ARCHIVE}.sha256`]: "" }, /holds no SHA-256/],
  ["a page in the checksum's place", { ...release(good), [`${ARCHIVE}.sha256`]: "<html>\n" }, /holds no SHA-256/],
  ["no checksum", { [ARCHIVE]: good }, new RegExp(`Cannot download http.*${ARCHIVE}.sha256 \\(.*404.*\\); is there`)],
  ["no archive", { [`${ARCHIVE}.sha256`]: sumOf(good) }, new RegExp(`Cannot download http.*${ARCHIVE} \\(.*404`)],
  [
    "a shorter archive",
    { ...release(good), [ARCHIVE]: good.slice(0, 100) },
    /it is damaged or not the release's, try again/,
  ],
  ["an archive that is none", release(new TextEncoder().encode("no archive")), /Cannot unpack mtc-/],
];

for (const [what, files, sentence] of REFUSED) {
  Deno.test(`${what}: nothing is installed, and one sentence says why`, { ignore: !isPosix }, async () => {
    const { code, stderr, left } = await install(files);
    assert.equal(code, 1, stderr);
    assert.deepEqual(left, []);
    const [, said, ...more] = stderr.trimEnd().split("\n");
    assert.match(said, /^mtc's installer: Cannot /);
    assert.match(said, sentence);
    assert.deepEqual(more, []);
  });
}

Deno.test("a connection that is cut leaves what was installed before", { ignore: !isPosix }, async () => {
  const cut = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let served = 0;
  const answers = (async () => {
    for await (const connection of cut) {
      await connection.read(new Uint8Array(4096));
      const body = sumOf(good) + "\n";
      const isSum = served++ === 0;
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${
        isSum ? body.length : good.length
      }\r\nConnection: close\r\n\r\n`;
      const bytes = isSum ? new TextEncoder().encode(head + body) : new TextEncoder().encode(head + "half");
      await connection.write(bytes);
      connection.close();
    }
  })();
  const directory = await Deno.makeTempDir({ dir: folder });
  await Deno.writeTextFile(join(directory, "mtc"), "the older one");
  const address = `http://127.0.0.1:${(cut.addr as Deno.NetAddr).port}`;
  const { code, stderr } = await run("sh", [INSTALLER], { MTC_MIRROR: address, MTC_INSTALL_DIR: directory });
  cut.close();
  await answers.catch(() => {});
  assert.equal(code, 1);
  assert.match(stderr, /\nmtc's installer: Cannot (download http|install mtc-)[^\n]*\n$/);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(directory), ({ name }) => name), ["mtc"]);
  assert.equal(await Deno.readTextFile(join(directory, "mtc")), "the older one");
});

Deno.test("an executable that does not run here is not installed", { ignore: !isPosix }, async () => {
  const { code, stderr, left } = await install(release(await pack("echo 'wrong ELF class' >&2; exit 1")));
  assert.equal(code, 1);
  assert.match(stderr, /Cannot run mtc on this system \(wrong ELF class\); nothing was installed\.\n$/);
  assert.deepEqual(left, []);
});

Deno.test(
  "systems that mtc is not built for, and places that cannot be written to, are told",
  { ignore: !isPosix },
  async () => {
    const tools = await Deno.makeTempDir({ dir: folder });
    const pretend = async (machine: string, system: string, libc: string) => {
      const uname = `#!/bin/sh\n[ "$1" = -m ] && echo ${machine} || echo ${system}\n`;
      await Deno.writeTextFile(join(tools, "uname"), uname, { mode: 0o755 });
      await Deno.writeTextFile(join(tools, "getconf"), `#!/bin/sh\necho ${libc}\n`, { mode: 0o755 });
      return (await install(release(good), { PATH: `${tools}:${Deno.env.get("PATH")}` })).stderr;
    };
    assert.match(
      await pretend("riscv64", "Linux", "glibc 2.36"),
      /^mtc's installer: Cannot install for riscv64: .*\n$/,
    );
    assert.match(await pretend("x86_64", "FreeBSD", ""), /^mtc's installer: Cannot install for FreeBSD: .*\n$/);
    assert.match(await pretend("x86_64", "MINGW64_NT-10.0", ""), /run install\.ps1 in PowerShell\.\n$/);
    assert.match(
      await pretend("x86_64", "Linux", "glibc 2.17"),
      /needs glibc 2\.27 or newer, this system has 2\.17; .*\n$/,
    );
    assert.match(await pretend("x86_64", "Linux", ""), /musl.* has none; .*\n$/);
    const { stderr } = await install(release(good), { MTC_INSTALL_DIR: "/proc/nowhere" });
    assert.match(stderr, /^mtc's installer: Cannot write into \/proc\/nowhere .*; set MTC_INSTALL_DIR to .*\n$/);
    assert.match((await install({}, { MTC_MIRROR: "" })).stderr, /^mtc's installer: Cannot download: this copy .*\n$/);
  },
);
