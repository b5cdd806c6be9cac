import assert from "node:assert/strict";
import { join } from "node:path";
import { UsageError } from "../../core/errors.ts";
import { isHubReference, parseReference, writeReference } from "../../core/hub/reference.ts";
import { hubSettings } from "../../core/hub/settings.ts";
import { withVariables } from "./environment.ts";

Deno.test("references: what they mean and how they are written", () => {
  const cases: [text: string, repo: string, revision: string, path: string, written?: string][] = [
    ["hf:google/gemma-2-2b", "google/gemma-2-2b", "main", ""],
    ["hf:google/gemma-2-2b@v1.0", "google/gemma-2-2b", "v1.0", ""],
    ["hf:a/b/c d/e.txt", "a/b", "main", "c d/e.txt"],
    ["hf:a/b@main/c/", "a/b", "main", "c", "hf:a/b/c"],
    ["hf:a/b@refs/pr/12/c", "a/b", "refs/pr/12", "c"],
    ["hf:a/b@refs/convert/parquet", "a/b", "refs/convert/parquet", ""],
    ["hf:a/b/x@y", "a/b", "main", "x@y"],
  ];
  for (const [text, repo, revision, path, written = text] of cases) {
    const reference = parseReference(text, "dataset");
    assert.deepEqual(reference, { kind: "dataset", repo, revision, path });
    assert.equal(writeReference(reference), written);
    assert.ok(isHubReference(text));
  }
  assert.equal(isHubReference("models/hf:a/b"), false);
});

Deno.test("references that lead nowhere, or out of the cache, are refused", () => {
  for (
    const text of [
      ...[
        "hf:",
        "hf:gemma",
        "hf:/a/b",
        "hf:../b",
        "hf:a/..",
        "hf:a/b@",
        "hf:a/b@x y",
        "hf:a--b/c",
        "hf:.a/b",
        "hf:a/b@../x",
      ],
      ...["hf:a/b@..", "hf:a/b/../../c", "hf:a b/c"],
    ]
  ) assert.throws(() => parseReference(text, "dataset"), UsageError, text);
  assert.throws(
    () => parseReference("hf:a/b/c", "model"),
    /Cannot look for "hf:a\/b\/c": a model is a whole repository, "c" is/,
  );
  assert.throws(
    () => parseReference("hf:gemma", "model"),
    /is named hf:OWNER\/NAME or hf:OWNER\/NAME@REVISION, this is not; write/,
  );
});

const NAMES = [
  ...["HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"],
  ...["HOME", "USERPROFILE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_SYMLINKS"],
];

/** What the environment says when it holds these names and no others that count. */
function settings(variables: Record<string, string>) {
  return withVariables(NAMES, variables, hubSettings);
}

Deno.test("settings: the cache is where Hugging Face's library would look", async () => {
  const HOME = "/home/u";
  assert.equal((await settings({ HOME })).cache, "/home/u/.cache/huggingface/hub");
  assert.equal((await settings({ HOME, XDG_CACHE_HOME: "/x" })).cache, "/x/huggingface/hub");
  assert.equal((await settings({ HOME, XDG_CACHE_HOME: "/x", HF_HOME: "~/hf" })).cache, "/home/u/hf/hub");
  assert.equal((await settings({ HOME, HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" })).cache, "/old");
  assert.equal(
    (await settings({ HOME, HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/c" })).cache,
    "/c",
  );
  assert.equal((await settings({ USERPROFILE: "/users/u" })).cache, "/users/u/.cache/huggingface/hub");
});

Deno.test("settings: endpoint, token and switches", async () => {
  const plain = { endpoint: "https://huggingface.co", token: null, isOffline: false, mayLink: true };
  const { cache: _cache, ...rest } = await settings({ HOME: "/nowhere", HF_HUB_OFFLINE: "0", HF_TOKEN: " " });
  assert.deepEqual(rest, plain);
  const set = await settings({ HF_ENDPOINT: "https://hf-mirror.com/", HF_TOKEN: "hf_a\n", HF_HUB_OFFLINE: "1" });
  assert.deepEqual([set.endpoint, set.token, set.isOffline], ["https://hf-mirror.com", "hf_a", true]);
  assert.equal((await settings({ HF_HUB_DISABLE_SYMLINKS: "YES" })).mayLink, false);
  await assert.rejects(() => settings({ HF_ENDPOINT: "file:///x" }), UsageError);
  const home = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(home, "token"), "hf_file\n");
    assert.equal((await settings({ HF_HOME: home })).token, "hf_file");
    assert.equal((await settings({ HF_HOME: "/nowhere", HF_TOKEN_PATH: join(home, "token") })).token, "hf_file");
    assert.equal((await settings({ HF_HOME: home, HF_TOKEN: "hf_set" })).token, "hf_set");
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
