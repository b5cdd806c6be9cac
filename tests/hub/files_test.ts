/** Single files and folders of the hub: what is fetched, and by which name it is known afterwards. */

import assert from "node:assert/strict";
import { fetchPath } from "../../core/hub/files.ts";
import { isForeignFile } from "../../core/transcoder/formats/foreign.ts";
import type { Repo } from "./server.ts";
import { withHub } from "./with_hub.ts";

const few = (text: string) => new TextEncoder().encode(text);
const scope: Repo = {
  kind: "model",
  name: "test/scope",
  files: {
    "README.md": few("# Transcoders"),
    "layer_4/width_32/params.npz": few("npz"),
    "layer_4/width_32/notes.txt": few("notes"),
    "set/config.yaml": few("model_kind: transcoder_set"),
    "set/layer_0.safetensors": few("zero"),
    "set/layer_1.safetensors": few("one"),
  },
};

Deno.test("a folder comes with the weights in it and what says what they are; of a set, the layer that is asked for", () =>
  withHub(async ({ server, cached }) => {
    const commit = server.commitOf(scope), snapshots = () => cached().filter((path) => path.includes("/snapshots/"));
    const { path, reference } = await fetchPath(
      "hf:test/scope/layer_4/width_32",
      (name) => isForeignFile(name, undefined),
    );
    assert.deepEqual(await Deno.readFile(`${path}/params.npz`), few("npz"));
    assert.equal(reference(`${path}/params.npz`), `hf:test/scope@${commit}/layer_4/width_32/params.npz`);
    assert.equal(snapshots().length, 1);
    const set = await fetchPath("hf:test/scope/set", (name) => isForeignFile(name, 1));
    assert.deepEqual([...Deno.readDirSync(set.path)].map(({ name }) => name).toSorted(), [
      "config.yaml",
      "layer_1.safetensors",
    ]);
    const file = await fetchPath(
      `hf:test/scope@${commit}/set/layer_0.safetensors`,
      (name) => isForeignFile(name, undefined),
    );
    assert.deepEqual(await Deno.readFile(file.path), few("zero"));
    for (const nowhere of ["hf:test/scope/layer_5", "hf:test/scope"]) {
      await assert.rejects(fetchPath(nowhere, (name) => isForeignFile(name, undefined)), /hf:test\/scope/);
    }
  }, { repos: [scope] }));

Deno.test("what was fetched serves without the hub", () =>
  withHub(async () => {
    const isWanted = (name: string) => isForeignFile(name, undefined);
    const { path } = await fetchPath("hf:test/scope/layer_4/width_32", isWanted);
    Deno.env.set("HF_HUB_OFFLINE", "1");
    assert.equal((await fetchPath("hf:test/scope/layer_4/width_32", isWanted)).path, path);
    await assert.rejects(fetchPath("hf:test/scope/layer_5", isWanted), /HF_HUB_OFFLINE is set/);
  }, { repos: [scope] }));
