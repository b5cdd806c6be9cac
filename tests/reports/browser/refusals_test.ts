/** `mtc browse --export` on runs that are not whole: one sentence, or a page that says what is missing and what makes it. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  type BrowserIndex,
  type FeatureDetail,
  type FeatureTable,
  HERE,
  isPacked,
  type TranscoderAbout,
} from "../../../reports/browser/data.ts";
import { unpack } from "../../../reports/browser/packed.ts";
import { inDirectory, mtc, writeTinyLayer } from "../../cli/tiny_run.ts";
import { writeSyntheticRun } from "../synthetic_run.ts";
import { writeRecordedRun } from "./recorded_run.ts";

const SIZES = { groups: [8, 8], dIn: 8, dOut: 8, tokens: 800, active: 4 };

/** A part of an exported file. */
async function partOf<T>(file: string, name: string): Promise<T> {
  const text = await Deno.readTextFile(file), [, base64] = text.match(new RegExp(`data-part="${name}">([^<]*)<`))!;
  const bytes = new Uint8Array(gunzipSync(Uint8Array.from(atob(base64), (one) => one.charCodeAt(0))));
  return isPacked(name) ? unpack(bytes.buffer) : JSON.parse(new TextDecoder().decode(bytes));
}

Deno.test("a run without a record: its table and samples, and the commands that make the rest", () =>
  inDirectory(async (directory) => {
    const run = await writeSyntheticRun(directory, "old", { ...SIZES, layer: 3, samplesPerFeature: 12 });
    const file = join(directory, "old.html");
    const { code, stderr } = await mtc("browse", "--export", file, run);
    assert.equal(code, 0, stderr);
    const { transcoders: [{ key, directory: told }] } = await partOf<BrowserIndex>(file, "index");
    assert.deepEqual([key, told], ["layer3", run]);
    const { missing, has } = await partOf<TranscoderAbout>(file, "layer3/about");
    assert.equal(has.tokens, false);
    assert.deepEqual(missing.map(({ command }) => command), [
      `mtc analyze features --run ${HERE}`,
      `mtc analyze attribution --run ${HERE}`,
      `mtc analyze importance --run ${HERE}`,
      `mtc analyze coherence --run ${HERE}`,
    ]);
    const { strength, fvu_rise } = await partOf<FeatureTable>(file, "layer3/table");
    assert.ok(strength.every((value) => value > 0) && fvu_rise.every(Number.isNaN));
    const details = await partOf<FeatureDetail[]>(file, "layer3/features/0");
    assert.deepEqual(
      details.map(({ feature, samples, examples }) => [feature, samples.length > 0, examples.length]),
      Array.from({ length: 16 }, (_, feature) => [feature, true, 0]),
    );
  }));

Deno.test("no more than weights, as of an import: a page for each feature all the same", () =>
  inDirectory(async (directory) => {
    const run = await writeTinyLayer(directory, 2), file = join(directory, "bare.html");
    const { code } = await mtc("browse", "--export", file, run);
    assert.equal(code, 0);
    const { missing } = await partOf<TranscoderAbout>(file, "layer2/about");
    assert.ok(missing.some(({ command }) => command === `mtc evaluate --run ${HERE}`));
    assert.equal((await partOf<FeatureDetail[]>(file, "layer2/features/0")).length, 32);
  }));

Deno.test("what is damaged is told in its place, with what makes it anew", () =>
  inDirectory(async (directory) => {
    const run = await writeRecordedRun(directory, "run", { ...SIZES, layer: 2 }), file = join(directory, "run.html");
    await Deno.writeTextFile(join(run, "importance.json"), "{");
    await Deno.truncate(join(run, "record.safetensors"), 3000);
    const { code } = await mtc("browse", "--export", file, run);
    assert.equal(code, 0);
    const { missing, has } = await partOf<TranscoderAbout>(file, "layer2/about");
    assert.equal(has.tokens, false);
    const told = new Map(missing.map(({ what, command }) => [command, what]));
    assert.match(
      told.get(`mtc analyze features --run ${HERE}`)!,
      /^Its record: .* \(Cannot read .*record\.safetensors: .*\)$/,
    );
    assert.match(told.get(`mtc analyze importance --run ${HERE}`)!, /\(Cannot read .*importance\.json: .*\)$/);
  }));

Deno.test("runs that are not finished are skipped, and told in the file; none but these is one sentence", () =>
  inDirectory(async (directory) => {
    const runs = join(directory, "runs"), file = join(directory, "runs.html");
    const begun = await writeSyntheticRun(runs, "begun", { ...SIZES, layer: 2, samplesPerFeature: 1 });
    await Deno.remove(join(begun, "transcoder.safetensors"));
    const alone = await mtc("browse", "--export", file, runs);
    assert.equal(alone.code, 1);
    assert.match(
      alone.stderr,
      /^mtc: Cannot .*begun\/layer2.*transcoder\.safetensors is missing; finish it with `mtc train --resume .*begun`$/,
    );
    await writeSyntheticRun(runs, "done", { ...SIZES, layer: 4, samplesPerFeature: 1 });
    const damaged = await writeSyntheticRun(runs, "other", { ...SIZES, layer: 5, samplesPerFeature: 1 });
    await Deno.writeTextFile(join(damaged, "config.json"), "{}");
    const { code, stderr } = await mtc("browse", "--export", file, runs);
    assert.equal(code, 0, stderr);
    const { transcoders, notes } = await partOf<BrowserIndex>(file, "index");
    assert.deepEqual(transcoders.map(({ key }) => key), ["layer4"]);
    assert.equal(notes.length, 2);
    assert.deepEqual(notes.map((note) => /begun|other/.exec(note)![0]).sort(), ["begun", "other"]);
    assert.deepEqual(stderr.split("\n"), notes.map((note) => `mtc: ${note}`));
  }));

Deno.test("damaged weights, and a file that cannot be written, are one sentence each and leave nothing", () =>
  inDirectory(async (directory) => {
    const run = await writeSyntheticRun(directory, "run", { ...SIZES, layer: 2, samplesPerFeature: 1 });
    const refused = async (file: string, what: RegExp) => {
      const { code, stderr } = await mtc("browse", "--export", file, run);
      assert.equal(code, 1);
      assert.match(stderr, what);
      assert.equal(stderr.split("\n").length, 1, stderr);
    };
    await refused(
      join(directory, "none", "a.html"),
      /^mtc: Cannot write .*a\.html: there is no such file or directory; check the path$/,
    );
    await refused(directory, /^mtc: Cannot write .*: it is a directory, not a file; choose another path$/);
    await Deno.truncate(join(run, "transcoder.safetensors"), 500);
    await refused(join(directory, "a.html"), /^mtc: Cannot read .*transcoder\.safetensors: /);
    const left = Array.from(Deno.readDirSync(directory), ({ name }) => name);
    assert.deepEqual(left, ["run"]);
  }));
