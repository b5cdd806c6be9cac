/** Text of a dataset on the hub: the same stream as from files on this machine, whatever happens to connections. */

import assert from "node:assert/strict";
import { openTokenSource } from "../../core/text/source.ts";
import { pinPaths } from "../../core/text/files.ts";
import type { Repo } from "../hub/server.ts";
import { withHub } from "../hub/with_hub.ts";
import { assertRefused, bytesOf, inEveryFormat, openStream, readEpochs, tokenizerFiles, withFiles } from "./corpora.ts";

const TEXTS = Array.from({ length: 200 }, (_, i) => `Text ${i}: ${"the state of the Union is strong ".repeat(i % 17)}`);
const FILES: Repo["files"] = {
  ...inEveryFormat(TEXTS) as Repo["files"],
  "speech.txt": bytesOf("a line of a speech\n".repeat(500)),
};
const DATASET: Repo = {
  kind: "dataset",
  name: "validation/text",
  files: {
    "README.md": bytesOf("# Text"),
    ...Object.fromEntries(Object.entries(FILES).map(([name, bytes]) => [`data/${name}`, bytes])),
  },
};

Deno.test("hf: the same batches as from the files themselves, when connections drop too", () =>
  withHub(({ server }) =>
    withFiles(FILES, async (folder) => {
      const local = await readEpochs(await openStream([folder]), 2);
      server.faults.push({ match: /cdn GET/, times: 9, dropAfter: 1000 });
      const opened = await openStream(["hf:validation/text/data"]);
      assert.ok(opened.isStreamed);
      assert.deepEqual(await readEpochs(opened, 2), local);
      const row = Math.floor(local.positions.length * 0.7);
      const { stream } = await openStream(["hf:validation/text"], { start: local.positions[row] });
      assert.deepEqual([...(await stream.next(5)).batch.ids], local.ids.slice((row + 1) * 16, (row + 6) * 16));
    }), { repos: [DATASET] }));

Deno.test("hf: through the Worker, from one commit; a reference is recorded with it", () =>
  withHub(async ({ server }) => {
    const [pinned] = await pinPaths(["hf:validation/text/data/part.parquet"]);
    assert.equal(pinned, `hf:validation/text@${server.commitOf(DATASET)}/data/part.parquet`);
    const source = await openTokenSource({
      tokenizer: tokenizerFiles,
      data: [pinned],
      split: "test",
      context: 16,
      seed: null,
    });
    try {
      const { batch } = await source.next(4);
      assert.equal(batch.contexts, 4);
      assert.equal(source.documentName(batch.document[1]), "part.parquet:1");
      assert.deepEqual([source.summary.documents, source.summary.bytes], [200, FILES["part.parquet"].length]);
    } finally {
      await source.close();
    }
    const options = { tokenizer: tokenizerFiles, context: 16, seed: 1 };
    const absent = openTokenSource({ ...options, data: ["hf:validation/absent"], split: "train" });
    await assertRefused(absent, /hf:validation\/absent/);
  }, { repos: [DATASET] }));
