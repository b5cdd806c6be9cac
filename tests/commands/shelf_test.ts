/** Where the explorer's parts are kept: made once, found again, and made anew once anything they rest on is another. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { startServer } from "../../commands/browse/server.ts";
import { keep, Shelf, type Subject } from "../../commands/browse/shelf.ts";
import { MOST_BY_LOOP } from "../../commands/report/dictionary.ts";
import { loopedCosines, loopedMoment } from "../../core/analysis/looped_products.ts";
import { UserError } from "../../core/errors.ts";
import { EXPLORER_FILE } from "../../core/runs/stored_parts.ts";
import type { BrowserIndex, FeatureDetail, MatchPart } from "../../reports/browser/data.ts";
import { inDirectory } from "../cli/tiny_run.ts";
import { writeRecordedRun } from "../reports/browser/recorded_run.ts";

const SIZES = { groups: [8, 16], dIn: 8, dOut: 8, tokens: 900, active: 4 };

const multiplier = () =>
  Promise.resolve({
    moment: (...rows: Parameters<typeof loopedMoment>) => Promise.resolve(loopedMoment(...rows)),
    cosines: (...rows: Parameters<typeof loopedCosines>) => Promise.resolve(loopedCosines(...rows)),
    ...{ most: MOST_BY_LOOP, phrase: "without a GPU", [Symbol.dispose]() {} },
  });

function named(path: string, layer: number): Subject[0] {
  return { path, name: { file: `layer${layer}`, title: `Layer ${layer}`, phrase: `layer ${layer}` } };
}

/** A shelf that counts how often it makes something; each is what a process has of its own. */
function counting(): { readonly shelf: Shelf; readonly made: () => number } & AsyncDisposable {
  let made = 0;
  const shelf = new Shelf((subject, spare) => {
    made++;
    return keep(subject, spare, multiplier);
  });
  return { shelf, made: () => made, [Symbol.asyncDispose]: () => shelf.close() };
}

function valueOf<T>(part: Uint8Array | null): T {
  return JSON.parse(gunzipSync(part!).toString());
}

Deno.test("parts are made once, by whoever asks first, and found by the next process with the same bytes", () =>
  inDirectory(async (directory) => {
    const path = await writeRecordedRun(directory, "run", { ...SIZES, layer: 2 }), subject: Subject = [named(path, 2)];
    await using first = counting(), second = counting();
    const asked = await Promise.all(["about", "table", "features/0"].map((name) => first.shelf.read(subject, name)));
    assert.equal(first.made(), 1);
    assert.deepEqual(valueOf<FeatureDetail[]>(asked[2]).map(({ feature }) => feature), [...Array(24).keys()]);
    assert.equal(await first.shelf.read(subject, "features/1"), null);
    const relative: Subject = [{ ...subject[0], path: join(path, "..", "layer2") }];
    assert.deepEqual(await second.shelf.read(relative, "features/0"), asked[2]);
    assert.equal(second.made(), 0);
    const names = ["about", "table", "tokens", "examples", "map", "features/0"];
    assert.deepEqual(await second.shelf.names(subject), names);
  }));

Deno.test("a damaged file, one cut off, another mtc's and changed sources: the parts are made anew", async (t) => {
  await inDirectory(async (directory) => {
    const path = await writeRecordedRun(directory, "run", { ...SIZES, layer: 2 }), subject: Subject = [named(path, 2)];
    const file = join(path, EXPLORER_FILE);
    await using before = counting();
    const page = await before.shelf.read(subject, "features/0"), sound = await Deno.readFile(file);
    const header = Number(new DataView(sound.buffer).getBigUint64(0, true));
    const flipped = (at: number) => sound.map((byte, i) => i === at ? byte ^ 1 : byte);
    const faults: [what: string, make: () => Promise<void>][] = [
      ["a bit of a part", () => Deno.writeFile(file, flipped(sound.length - 9))],
      ["a bit of the header", () => Deno.writeFile(file, flipped(8 + header - 40))],
      ["its end", () => Deno.truncate(file, sound.length - 100)],
      ["nothing of it left", () => Deno.writeFile(file, new Uint8Array())],
      ["other sources", () => Deno.utime(join(path, "importance.json"), new Date(0), new Date(0))],
    ];
    for (const [what, make] of faults) {
      await t.step(what, async () => {
        await make();
        await using after = counting();
        assert.deepEqual(await after.shelf.read(subject, "features/0"), page);
        assert.equal(after.made(), 1);
        await using later = counting();
        assert.deepEqual(await later.shelf.read(subject, "features/0"), page);
        assert.equal(later.made(), 0);
      });
    }
    await t.step("while it is open: what it was made of, and it itself", async () => {
      await using open = counting();
      await open.shelf.read(subject, "about");
      await Deno.utime(join(path, "coherence.json"), new Date(0), new Date(0));
      assert.deepEqual(await open.shelf.read(subject, "features/0"), page);
      assert.equal(open.made(), 1);
      await Deno.truncate(file, 3000);
      assert.deepEqual(await open.shelf.read(subject, "features/0"), page);
      assert.equal(open.made(), 2);
    });
  });
});

Deno.test("where a run cannot be written, its parts last as long as the process", () =>
  inDirectory(async (directory) => {
    const path = await writeRecordedRun(directory, "run", { ...SIZES, layer: 2 }), subject: Subject = [named(path, 2)];
    await Deno.mkdir(join(path, EXPLORER_FILE)); // a directory cannot be replaced by a file, by whichever user
    const spares: string[] = [];
    const shelf = new Shelf((subject, spare) => {
      spares.push(spare);
      return keep(subject, spare, multiplier);
    });
    assert.ok(await shelf.read(subject, "about"));
    assert.ok(await shelf.read(subject, "table"));
    assert.equal(spares.length, 1);
    assert.equal(Array.from(Deno.readDirSync(spares[0])).length, 1);
    await shelf.close();
    await assert.rejects(Deno.stat(spares[0]), Deno.errors.NotFound);
  }));

Deno.test("two are matched in a file of their own, and are no more once a record belongs to other weights", () =>
  inDirectory(async (directory) => {
    const a = await writeRecordedRun(directory, "run", { ...SIZES, layer: 2 });
    const b = await writeRecordedRun(directory, "other", { ...SIZES, layer: 4, seed: 2 });
    const pair: Subject = [named(a, 2), named(b, 4)];
    await using first = counting(), second = counting();
    const match = await first.shelf.read(pair, "match");
    assert.ok(valueOf<MatchPart>(match).mutual.length > 0);
    assert.deepEqual(await second.shelf.read(pair, "match"), match);
    assert.deepEqual([first.made(), second.made()], [1, 0]);
    await writeRecordedRun(directory, "third", { ...SIZES, layer: 4, seed: 3 });
    await Deno.copyFile(
      join(directory, "third", "layer4", "transcoder.safetensors"),
      join(b, "transcoder.safetensors"),
    );
    await assert.rejects(second.shelf.read(pair, "match"), (error) => {
      return error instanceof UserError &&
        /Cannot match layer 2 and layer 4: .*; make it with `mtc analyze/.test(error.message);
    });
  }));

Deno.test("a served index waits for no parts; those of one transcoder are not made for another's page", () =>
  inDirectory(async (directory) => {
    const first = await writeRecordedRun(directory, "run", { ...SIZES, layer: 2 });
    const second = await writeRecordedRun(directory, "run", { ...SIZES, layer: 4, seed: 2 });
    const server = await startServer({ roots: [directory], reports: [], port: 0 });
    try {
      const get = (name: string) => fetch(`${server.address}api/parts/${name}`);
      const { transcoders, pairs }: BrowserIndex = await (await get("index")).json();
      assert.deepEqual([transcoders.map(({ key }) => key), pairs], [["layer2", "layer4"], [["layer2", "layer4"]]]);
      const areKept = async () =>
        await Promise.all(
          [first, second].map((path) => Deno.stat(join(path, EXPLORER_FILE)).then(() => true, () => false)),
        );
      assert.deepEqual(await areKept(), [false, false]);
      const response = await get("layer4/features/0");
      assert.equal((await response.json()).length, 24);
      assert.deepEqual(await areKept(), [false, true]);
    } finally {
      await server.close();
    }
  }));
