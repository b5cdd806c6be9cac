/** Datasets of the hub: which files count, and how few requests reading them takes. */

import assert from "node:assert/strict";
import { listDataset, pinDataset } from "../../core/hub/datasets.ts";
import type { ByteSource } from "../../core/files/byte_source.ts";
import { type TestHub, withHub } from "./with_hub.ts";
import type { Repo } from "./server.ts";

const MB = 1 << 20;
/** Bytes that differ everywhere. */
const BIG = new Uint8Array(24 * MB);
for (let i = 0; i < BIG.length; i += 4) new DataView(BIG.buffer).setUint32(i, i);

const few = (text: string) => new TextEncoder().encode(text);
const FILES: Repo["files"] = {
  "README.md": few("# Text"),
  "sample/10BT/b.parquet": BIG,
  "sample/10BT/a.parquet": few("PAR1"),
  "sample/notes.txt": few("some notes"),
  "more/x.jsonl": few('{"text": "x"}\n'),
  "more/y y.jsonl.gz": few("gz"),
  "more/z.jsonl.zst": few("zst"),
  "data.csv": few("a,b"),
};

const withDataset = (work: (hub: TestHub, dataset: Repo) => Promise<void>, variables = {}) => {
  const dataset: Repo = { kind: "dataset", name: "test/text", files: { ...FILES } };
  return withHub((hub) => work(hub, dataset), { repos: [dataset], variables });
};

async function openBig(): Promise<ByteSource> {
  const { files: [file] } = await listDataset("hf:test/text/sample/10BT/b.parquet");
  assert.equal(file.size, BIG.length);
  return await file.open();
}

/** The ranges that storage was asked for. */
const ranges = ({ server }: TestHub) => server.take("cdn").map((request) => request.split("=")[1]);

Deno.test("a dataset's text files are listed by path, page by page; other files do not count", () =>
  withDataset(async ({ server }) => {
    server.pageSize = 3;
    const { files, others } = await listDataset("hf:test/text");
    assert.deepEqual(others.toSorted(), ["README.md", "data.csv"]);
    assert.deepEqual(files.map(({ path, size }) => [path, size]), [
      ["more/x.jsonl", 14],
      ["more/y y.jsonl.gz", 2],
      ["more/z.jsonl.zst", 3],
      ["sample/10BT/a.parquet", 4],
      ["sample/10BT/b.parquet", BIG.length],
      ["sample/notes.txt", 10],
    ]);
    assert.ok(server.take("hub").filter((request) => request.includes("/tree/")).length > 3);
    for (const { path, size, open } of files.slice(0, 4)) {
      const source = await open();
      assert.equal(source.name, `hf:test/text/${path}`);
      assert.deepEqual(await source.read(0, size), FILES[path]);
    }
  }));

Deno.test("a folder or one file of a dataset, at a branch, a commit or the parquet branch", () =>
  withDataset(async ({ server }, dataset) => {
    const paths = async (reference: string) => (await listDataset(reference)).files.map(({ path }) => path);
    const tenBT = ["sample/10BT/a.parquet", "sample/10BT/b.parquet"], commit = server.commitOf(dataset);
    assert.deepEqual(await paths("hf:test/text/sample/10BT/"), tenBT);
    assert.deepEqual(await paths(`hf:test/text@${commit}/sample/10BT`), tenBT);
    assert.deepEqual(await paths("hf:test/text@main/more/y y.jsonl.gz"), ["more/y y.jsonl.gz"]);
    await assert.rejects(paths("hf:test/text@refs/convert/parquet"), /the revision "refs\/convert\/parquet"/);
    await assert.rejects(paths("hf:test/text/nothing"), /hf:test\/text\/nothing: the repository must hold nothing, it/);
    assert.deepEqual(await paths("hf:test/text/data.csv"), ["data.csv"], "where it is named itself");
    await assert.rejects(
      paths("hf:test/text/README.md"),
      /text files end in \.txt, .* or \.tsv, this one does not; give/,
    );
    await assert.rejects(paths("hf:test/other"), /must have a dataset of that name/);
  }));

Deno.test("a pinned reference means the same files for ever", () =>
  withDataset(async ({ server }, dataset) => {
    const commit = server.commitOf(dataset);
    assert.equal(await pinDataset("hf:test/text/sample"), `hf:test/text@${commit}/sample`);
    server.take("hub");
    assert.equal(await pinDataset(`hf:test/text@${commit}/sample`), `hf:test/text@${commit}/sample`);
    assert.deepEqual(server.seen, []);
  }));

Deno.test("reads that follow each other share requests, columns between them left out or not", () =>
  withDataset(async (hub) => {
    const source = await openBig();
    // As a parquet reader does: the footer, then the text column of one row group after the other.
    assert.deepEqual(await source.read(BIG.length - 1000, 1000), BIG.subarray(-1000));
    for (let at = 100; at + MB < 20 * MB; at += MB) {
      assert.deepEqual(await source.read(at, MB - 5000), BIG.subarray(at, at + MB - 5000));
    }
    assert.deepEqual(ranges(hub), [
      `${BIG.length - 1000}-${BIG.length - 1}`,
      `100-${100 + MB - 5000 - 1}`,
      `${100 + MB}-${100 + 9 * MB - 1}`,
      `${100 + 9 * MB}-${100 + 17 * MB - 1}`,
      `${100 + 17 * MB}-${BIG.length - 1}`,
    ]);
    const asked = hub.server.take("hub").filter((request) => request.includes("/resolve/"));
    assert.equal(asked.length, 1, "storage is asked directly once the hub has said where it is");
    await source.close();
  }));

Deno.test("reads at once come in order, wherever they begin", () =>
  withDataset(async (hub) => {
    const source = await openBig();
    const places = [[0, 10], [10, 20], [5, 3 * MB], [20 * MB, MB], [BIG.length - 8, 8], [7, 0]];
    const read = await Promise.all(places.map(([offset, length]) => source.read(offset, length)));
    places.forEach(([offset, length], i) => assert.deepEqual(read[i], BIG.subarray(offset, offset + length), `${i}`));
    assert.equal(ranges(hub).length, 4);
    await assert.rejects(source.read(BIG.length - 1, 2), RangeError);
  }));

Deno.test("a stream survives drops, 5xx and addresses that expire, byte for byte", () =>
  withDataset(async ({ server }) => {
    const source = await openBig(), received = new Uint8Array(BIG.length);
    server.faults.push({ match: /^cdn/, dropAfter: 100_000 }, { match: /^cdn/, status: 502 });
    let at = 1000;
    for await (const piece of source.stream(1000)) {
      received.set(piece, at);
      at += piece.length;
      if (at > 4 * MB) server.signature = 2;
    }
    assert.equal(at, BIG.length);
    assert.deepEqual(received.subarray(1000), BIG.subarray(1000));
    assert.ok(server.take("hub").filter((request) => request.includes("/resolve/")).length >= 2);
  }));

Deno.test("what cannot be read by parts is said, in one sentence", () =>
  withDataset(async ({ server }) => {
    const source = await openBig();
    server.faults.push({ match: /^cdn/, ignoreRange: true });
    await assert.rejects(
      source.read(5, 10),
      /b.parquet by parts: its server must support byte ranges, it sent the whole/,
    );
    server.faults.push({ match: /^cdn/, times: 9, status: 500, headers: { "retry-after": "0" } });
    await assert.rejects(
      source.read(5, 10),
      /^UserError: Cannot fetch hf:test\/text\/sample.*failed 5 times with status 500/,
    );
    server.faults.splice(0);
    assert.deepEqual(await source.read(5, 10), BIG.slice(5, 15), "a source goes on after a failure");
    Deno.env.set("HF_HUB_OFFLINE", "1");
    await assert.rejects(listDataset("hf:test/text"), /a dataset is read over the network, HF_HUB_OFFLINE is set/);
  }));
