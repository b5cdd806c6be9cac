/** A run on a damaged text that does not fit into memory at once: streamed, resumed to the same bytes, refused when it has changed, reported. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { bytesOf, jsonl } from "../text/corpora.ts";
import { finishedContent, MAIN, names, SMALL } from "./small_train.ts";
import { inDirectory, mtc } from "./tiny_run.ts";

const speech = (i: number) =>
  `Speech ${i} of many. ${`We ask for ${["peace", "work", "roads"][i % 3]} and trust. `.repeat(900)}`;
const texts = Array.from({ length: 1600 }, (_, i) => speech(i));

async function train(...args: string[]) {
  return await mtc("train", ...args);
}

/** Lines of which every hundredth holds no text, and of which the end is cut off. */
function damaged(lines: readonly string[]): Uint8Array {
  const spoilt = lines.map((text, i) => i % 100 === 50 ? JSON.stringify({ body: text }) + "\n" : jsonl([text]));
  const whole = gzipSync(bytesOf(spoilt.join("")));
  return whole.subarray(0, Math.floor(0.9 * whole.length));
}

Deno.test("a streamed text with bad lines and a damaged file: a killed run ends with the same bytes, from a harvest too; another text is refused, the reports tell its size", () =>
  inDirectory(async (directory) => {
    const data = join(directory, "texts"), first = join(data, "a.jsonl.gz");
    await Deno.mkdir(data);
    await Deno.writeFile(first, damaged(texts.slice(0, 800)));
    await Deno.writeFile(join(data, "b.jsonl.zst"), zstdCompressSync(bytesOf(jsonl(texts.slice(800)))));
    const args = [...SMALL, "--data", data, "--layers", "2", "--bad-lines", "2000", "--runs", directory, "--name"];

    const { code, stderr } = await train(...args, "whole");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /; 1,007 records that hold no text$/m);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "-A", MAIN, "train", ...args, "killed"],
      stdout: "null",
      stderr: "null",
    }).spawn();
    const checkpoints = join(directory, "killed", "layer2", "checkpoints");
    while (!names(checkpoints).includes("step_000010")) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGKILL");
    await child.status;

    const content = await Deno.readFile(first);
    await Deno.writeFile(first, damaged(texts.slice(0, 799)));
    const changed = await train("--resume", join(directory, "killed"));
    assert.equal(changed.code, 1);
    assert.match(
      changed.stderr,
      /Cannot resume: the text's contents must be the 2 files, \d+ bytes, fingerprint \w{12} that the run began with, they are 2 files/,
    );
    await Deno.writeFile(first, content);
    const resumed = await train("--resume", join(directory, "killed"));
    assert.equal(resumed.code, 0, resumed.stderr);
    const finished = (name: string) => finishedContent(join(directory, name, "layer2"));
    assert.deepEqual(await finished("killed"), await finished("whole"));

    const { harvest: { command } } = JSON.parse((await train(...args, "hint", "--dry-run", "--json")).stdout);
    const shards = join(directory, "shards"), [, ...harvest] = command.replace(/ --out .*/, "").split(" ");
    const harvested = await mtc(...harvest, "--out", shards);
    assert.equal(harvested.code, 0, harvested.stderr);
    const settings = [...SMALL.slice(2), "--runs", directory, "--name", "harvested"];
    const fromShards = await train(...settings, "--activations", shards);
    assert.equal(fromShards.code, 0, fromShards.stderr);
    assert.match(fromShards.stderr, /; 1,007 records that hold no text$/m);
    const { "config.json": _, ...files } = await finished("harvested"),
      { "config.json": __, ...others } = await finished("whole");
    assert.deepEqual(files, others);

    const { samples, config } = await readLayer(join(directory, "whole", "layer2"));
    const { documents, train_documents, held_out_documents, file_count } = config.data;
    assert.deepEqual([documents, train_documents, held_out_documents, file_count], [null, null, null, 2]);
    for (const { document, token } of samples) {
      const [, file, line] = /^([ab])\.jsonl\.(?:gz|zst):(\d+)$/.exec(document)!;
      const text = texts[Number(line) - 1 + (file === "a" ? 0 : 800)];
      assert.ok(`${text}<eos>`.includes(token), `${document} does not hold ${JSON.stringify(token)}`);
      assert.notEqual(Number(line) % 20, 1, `${document} is held out`);
    }
    const evaluated = await mtc("evaluate", "--run", join(directory, "whole"), "--tokens", "500");
    assert.equal(evaluated.code, 0, evaluated.stderr);
    assert.match(
      evaluated.stderr,
      /^mtc: left out of the text 1,007 records that hold no text; the first is \S+a\.jsonl\.gz line 51: /m,
    );
    const out = join(directory, "out");
    const reported = await mtc("report", "--quick", "--runs", directory, "--out", out);
    assert.equal(reported.code, 0, reported.stderr);
    const report = await Deno.readTextFile(join(out, names(out).find((name) => name.endsWith("analysis_report.md"))!));
    assert.match(
      report,
      /\*\*Text:\*\* texts \([\d.]+ .?[Bb]\w* in 2 files, read as a stream; every 20th document held out, in turn for validation and test\)/,
    );
  }));

async function readLayer(layer: string) {
  const lines = (await Deno.readTextFile(join(layer, "samples.jsonl"))).trimEnd().split("\n");
  const config = JSON.parse(await Deno.readTextFile(join(layer, "config.json")));
  const samples: { document: string; token: string }[] = lines.flatMap((line) => JSON.parse(line).top);
  assert.ok(samples.length > 100);
  return { samples, config };
}
