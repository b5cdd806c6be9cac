/**
 * Checks the tests' hub and the cache against Hugging Face's own Python library: it downloads from the tests' server without
 * complaint, finds what mtc downloaded, and mtc finds what it downloaded, neither over the network.
 *
 *     deno run -A tests/reference/check_hub.ts PYTHON       # a Python with huggingface_hub
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fetchModel } from "../../core/hub/models.ts";
import { parseConfig } from "../../core/model/config.ts";
import { GATED_OK, KNOWN, type Repo } from "../hub/server.ts";
import { TINY_FILES, WEIGHTS, withHub } from "../hub/with_hub.ts";

async function python(code: string, variables: Record<string, string> = {}): Promise<string> {
  const env = {
    HF_HUB_DISABLE_XET: "1",
    HF_HUB_DISABLE_PROGRESS_BARS: "1",
    HF_HUB_DISABLE_TELEMETRY: "1",
    ...variables,
  };
  const output = await new Deno.Command(Deno.args[0], { args: ["-c", code], env }).output();
  assert.ok(output.success, new TextDecoder().decode(output.stderr));
  return new TextDecoder().decode(output.stdout).trim();
}

const gated: Repo = { kind: "model", name: "test/gated", files: TINY_FILES, gated: true };
const text: Repo = {
  kind: "dataset",
  name: "test/text",
  files: { "a/b c.parquet": WEIGHTS, "a.txt": new Uint8Array(9) },
};

await withHub(async ({ server, home }) => {
  const { directory, pinned } = await fetchModel("hf:test/tiny", parseConfig);
  server.take("hub"), server.take("cdn");
  const ours =
    `from huggingface_hub import snapshot_download; print(snapshot_download("test/tiny", local_files_only=True))`;
  assert.equal(await python(ours), directory);
  assert.equal(
    await python("import huggingface_hub as h; print(h.hf_hub_download('test/tiny', 'config.json'))"),
    `${directory}/config.json`,
  );
  assert.deepEqual(server.take("cdn"), [], "Python asked for the file's metadata and took the cached bytes");

  const theirHome = join(home, "theirs"), at = { HF_HOME: theirHome };
  const get =
    `from huggingface_hub import snapshot_download; print(snapshot_download("test/tiny", ignore_patterns="*.bin"))`;
  const theirs = await python(get, at);
  assert.deepEqual(await Deno.readFile(join(theirs, "model.safetensors")), WEIGHTS);
  server.take("hub"), server.take("cdn");
  Deno.env.set("HF_HOME", theirHome);
  assert.equal((await fetchModel(pinned, parseConfig)).directory, theirs);
  Deno.env.set("HF_HUB_OFFLINE", "1");
  assert.equal((await fetchModel("hf:test/tiny", parseConfig)).directory, theirs);
  assert.deepEqual(server.seen, []);
  Deno.env.delete("HF_HUB_OFFLINE");

  const errors = `
import huggingface_hub as h
for repo, file, token, revision in [("test/none", "a", None, None), ("test/none", "a", "${KNOWN}", None), ("test/tiny", "a", None, None),
    ("test/tiny", "config.json", None, "v9"), ("test/gated", "config.json", None, None), ("test/gated", "config.json", "${KNOWN}", None)]:
    try:
        h.hf_hub_download(repo, file, token=token, revision=revision, force_download=True)
        print("none")
    except Exception as error:
        print(type(error.__cause__ if type(error) is ValueError else error).__name__.replace("Remote", ""))
print(h.hf_hub_download("test/gated", "model.safetensors", token="${GATED_OK}") and "got it")
api = h.HfApi()
print(sorted(f.path for f in api.list_repo_tree("test/text", repo_type="dataset", recursive=True)))
print([f.size for f in api.get_paths_info("test/text", ["a/b c.parquet"], repo_type="dataset")])
with h.HfFileSystem().open("datasets/test/text/a/b c.parquet", block_size=2**20) as f:
    f.seek(${1 << 21}); print(len(f.read(1000)))
`;
  assert.deepEqual((await python(errors, { HF_HOME: join(home, "third") })).split("\n"), [
    ...["RepositoryNotFoundError", "RepositoryNotFoundError", "EntryNotFoundError", "RevisionNotFoundError"],
    ...["GatedRepoError", "GatedRepoError", "got it", "['a', 'a.txt', 'a/b c.parquet']", `[${WEIGHTS.length}]`, "1000"],
  ]);
  const version = await python("import huggingface_hub as h; print(h.__version__)");
  console.log(`huggingface_hub ${version} and mtc share a cache; the tests' server is a hub to it`);
}, { repos: [gated, text] });
