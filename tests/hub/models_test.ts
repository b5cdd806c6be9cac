/** Models of the hub: what is fetched, where it lies, and when the hub is asked. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openModel } from "../../core/model/files.ts";
import { type DownloadProgress, fetchModel } from "../../core/hub/models.ts";
import { parseConfig } from "../../core/model/config.ts";
import { KNOWN } from "./server.ts";
import { fetchInProcess, TINY_FILES, WEIGHTS, withHub } from "./with_hub.ts";

const NEEDED = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
const isCdn = /^cdn GET/;

Deno.test("a model comes with the files that are needed and no others, into Hugging Face's layout", () =>
  withHub(async ({ server, home, tiny, cached }) => {
    const shown: DownloadProgress[] = [];
    const { directory, name, pinned } = await fetchModel(
      "hf:test/tiny",
      parseConfig,
      (progress) => shown.push(progress),
    );
    const commit = server.commitOf(tiny), root = join(home, "hub", "models--test--tiny");
    assert.deepEqual([directory, name, pinned], [join(root, "snapshots", commit), "tiny", `hf:test/tiny@${commit}`]);
    for (const file of NEEDED) {
      assert.deepEqual(await Deno.readFile(join(directory, file)), TINY_FILES[file], file);
      assert.match(await Deno.readLink(join(directory, file)), /^\.\.\/\.\.\/blobs\/([0-9a-f]{40}|[0-9a-f]{64})$/);
    }
    assert.equal(await Deno.readTextFile(join(root, "refs", "main")), commit);
    const kinds = cached().map((path) => path.replace(/^(\.locks\/)?models--test--tiny\//, "$1").split("/")[0]);
    assert.deepEqual(kinds, [
      ...Array(4).fill(".locks"),
      ...Array(4).fill("blobs"),
      "refs",
      ...Array(4).fill("snapshots"),
    ]);
    const last = shown.at(-1)!;
    assert.equal(last.done, last.total);
    assert.equal(last.received, NEEDED.reduce((sum, file) => sum + TINY_FILES[file].length, 0));
    assert.ok(shown.every(({ done }, i) => i === 0 || done > shown[i - 1].done), "progress only grows");
  }));

Deno.test("what is here is not fetched again: a branch is looked up, a commit is not", () =>
  withHub(async ({ server, tiny }) => {
    const { pinned, directory } = await fetchModel("hf:test/tiny", parseConfig);
    server.take("hub"), server.take("cdn");
    assert.equal((await fetchModel("hf:test/tiny", parseConfig)).directory, directory);
    assert.deepEqual(server.take("hub"), ["GET /api/models/test/tiny/revision/main"]);
    assert.equal((await fetchModel(pinned, parseConfig)).directory, directory);
    assert.deepEqual(server.seen, []);
    tiny.version = 2;
    const newer = await fetchModel("hf:test/tiny", parseConfig);
    assert.notEqual(newer.directory, directory);
    assert.deepEqual(await Deno.readFile(join(newer.directory, "model.safetensors")), WEIGHTS);
    assert.deepEqual(server.take("cdn"), [], "both commits share the bytes");
  }));

Deno.test("without the hub, what is here serves; what is not is asked for in one sentence", () =>
  withHub(async ({ server, home }) => {
    const { directory } = await fetchModel("hf:test/tiny", parseConfig);
    for (const status of [503, 429, 401]) {
      server.faults.push({ match: /revision/, status, headers: { "retry-after": "3600" } });
      assert.equal((await fetchModel("hf:test/tiny", parseConfig)).directory, directory);
    }
    server.faults.push({ match: /revision/, status: 404, headers: { "x-error-code": "RevisionNotFound" } });
    await assert.rejects(fetchModel("hf:test/tiny", parseConfig), /none of that name \(404\)/);
    Deno.env.set("HF_ENDPOINT", "http://127.0.0.1:1234");
    const started = performance.now();
    assert.equal((await fetchModel("hf:test/tiny", parseConfig)).directory, directory);
    assert.ok(performance.now() - started < 1000, "nobody waits for a hub that is not needed");
    Deno.env.set("HF_HUB_OFFLINE", "1");
    assert.equal((await fetchModel("hf:test/tiny", parseConfig)).directory, directory);
    await Deno.remove(join(directory, "tokenizer.json"));
    const sentence = new RegExp(
      `Cannot fetch hf:test/tiny: HF_HUB_OFFLINE is set .* must lie in ${home}/hub, some are`,
    );
    await assert.rejects(fetchModel("hf:test/tiny", parseConfig), sentence);
  }));

Deno.test("the token goes to the hub and to no other host", () =>
  withHub(async ({ server }) => {
    server.faults.push({ match: /hub GET .*\/tree\//, redirect: `${server.storage}/elsewhere` });
    server.faults.push({ match: /elsewhere/, body: "[]" });
    await assert.rejects(fetchModel("hf:test/tiny", parseConfig), /must hold config.json/);
    await fetchModel("hf:test/tiny", parseConfig);
    const tokens = (side: string) =>
      new Set(server.seen.filter((seen) => seen.side === side).map(({ token }) => token));
    assert.deepEqual(tokens("hub"), new Set([`Bearer ${KNOWN}`]));
    assert.deepEqual(tokens("cdn"), new Set([null]));
    assert.ok(server.seen.some(({ side, path }) => side === "cdn" && path === "/elsewhere"));
  }, { variables: { HF_TOKEN: KNOWN } }));

Deno.test("the token may lie in the file that a login leaves", () =>
  withHub(async ({ server, home }) => {
    await Deno.writeTextFile(join(home, "token"), `${KNOWN}\n`);
    await fetchModel("hf:test/tiny", parseConfig);
    assert.equal(server.seen[0].token, `Bearer ${KNOWN}`);
  }));

Deno.test("a sharded model comes with all shards that its index names, and opens", async () => {
  const directory = new URL("../golden/gemma2/shards/", import.meta.url),
    files: Record<string, Uint8Array<ArrayBuffer>> = {};
  for (const { name } of Deno.readDirSync(directory)) files[name] = await Deno.readFile(new URL(name, directory));
  files["model-00004-of-00003.safetensors"] = new Uint8Array(5);
  await withHub(async ({ server }) => {
    const model = await openModel("hf:test/shards");
    await model.weights.close();
    assert.equal(model.name, "shards");
    assert.match(model.path!, /^hf:test\/shards@[0-9a-f]{40}$/);
    assert.equal(server.take("cdn").length, 3);
  }, { repos: [{ kind: "model", name: "test/shards", files }] });
});

Deno.test("a chat template that is a file of its own comes too", async () => {
  const template = new TextEncoder().encode("{{ messages[0].content }}");
  await withHub(async () => {
    const model = await openModel("hf:test/chatty");
    await model.weights.close();
    assert.deepEqual(model.chatTemplate, template);
  }, { repos: [{ kind: "model", name: "test/chatty", files: { ...TINY_FILES, "chat_template.jinja": template } }] });
});

Deno.test("another architecture is refused before its weights are fetched", async () => {
  const config = new TextEncoder().encode('{"model_type": "llama"}');
  const files = { "config.json": config, "tokenizer.json": config, "model.safetensors": WEIGHTS };
  await withHub(async ({ server }) => {
    await assert.rejects(fetchModel("hf:test/llama", parseConfig), /hf:test\/llama\/config.json.*Gemma-2/);
    assert.deepEqual(server.take("cdn"), []);
  }, { repos: [{ kind: "model", name: "test/llama", files }] });
});

Deno.test("without symbolic links, snapshots hold the bytes themselves", () =>
  withHub(async ({ cached, tiny, server }) => {
    const { directory } = await fetchModel("hf:test/tiny", parseConfig);
    for (const file of NEEDED) assert.ok((await Deno.lstat(join(directory, file))).isFile);
    assert.equal(cached().filter((path) => path.includes("/blobs/")).length, 0);
    assert.equal((await fetchModel(`hf:test/tiny@${server.commitOf(tiny)}`, parseConfig)).directory, directory);
  }, { variables: { HF_HUB_DISABLE_SYMLINKS: "1" } }));

Deno.test("a download that was killed goes on where it was", () =>
  withHub(async ({ server, cached }) => {
    server.faults.push({ match: isCdn, slow: 20 });
    const killed = fetchInProcess("hf:test/tiny");
    const part = () => cached().find((path) => path.endsWith(".incomplete"));
    const size = () => {
      const path = part();
      return path === undefined ? 0 : Deno.statSync(join(Deno.env.get("HF_HOME")!, "hub", path)).size;
    };
    while (size() < 1 << 20) await new Promise((resolve) => setTimeout(resolve, 10));
    killed.kill("SIGKILL");
    await killed.output();
    const have = size();
    assert.ok(have >= 1 << 20 && have < WEIGHTS.length, `${have}`);
    server.faults.splice(0);
    server.take("cdn");
    const { directory } = await fetchModel("hf:test/tiny", parseConfig);
    assert.deepEqual(server.take("cdn").map((request) => request.split(" ")[2]), [
      `bytes=${have}-${WEIGHTS.length - 1}`,
    ]);
    assert.deepEqual(await Deno.readFile(join(directory, "model.safetensors")), WEIGHTS);
    assert.equal(part(), undefined);
  }));

Deno.test("programs at once fetch each file once, and say what they wait for", () =>
  withHub(async ({ server }) => {
    server.faults.push({ match: isCdn, slow: 20 });
    const others = [1, 2].map(() => fetchInProcess("hf:test/tiny").output());
    while (!server.seen.some(({ side }) => side === "cdn")) await new Promise((resolve) => setTimeout(resolve, 5));
    const waits = new Set<string>();
    const { directory } = await fetchModel("hf:test/tiny", parseConfig, ({ waiting }) => waits.add(waiting));
    for (const { success, stdout, stderr } of await Promise.all(others)) {
      assert.ok(success, new TextDecoder().decode(stderr));
      assert.equal(new TextDecoder().decode(stdout), `${directory}\n`);
    }
    assert.ok(waits.has("another program is downloading it"));
    assert.equal(server.take("cdn").length, 1);
    assert.deepEqual(await Deno.readFile(join(directory, "model.safetensors")), WEIGHTS);
  }));
