/// <reference lib="dom" />
/** `mtc browse --export`: the file in a real web browser, offline, and what is refused. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { accessibilityFaults, CHROMIUM, launch, watch } from "./chromium.ts";
import { inDirectory, mtc } from "../../cli/tiny_run.ts";
import { writeSyntheticRun } from "../synthetic_run.ts";
import { HOSTILE, writeRecordedRun } from "./recorded_run.ts";

const SIZES = { groups: [24, 48, 24], dIn: 16, dOut: 16, tokens: 6000, active: 6 };

/** Exports two layers that share a text, and one without a record. */
async function exported(directory: string): Promise<string> {
  const run = join(directory, "runs", "first"), file = join(directory, "features.html");
  await writeRecordedRun(join(directory, "runs"), "first", { ...SIZES, layer: 2 });
  await writeRecordedRun(join(directory, "runs"), "first", { ...SIZES, layer: 4, seed: 2 });
  await writeSyntheticRun(join(directory, "runs"), "first", {
    layer: 5,
    groups: [8],
    dIn: 16,
    dOut: 16,
    samplesPerFeature: 5,
  });
  const { code, stderr, stdout } = await mtc("browse", "--export", file, run);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /features\.html: 3 transcoders, [\d.]+ [kM]B$/);
  return file;
}

/** The headings of all views, by address. */
const VIEWS: Readonly<Record<string, RegExp>> = {
  "": /^Transcoders$/,
  "layer2": /^Features of layer 2$/,
  "layer2/3": /^Layer 2\s+Feature 3\s+0$/,
  "layer2/95": /^Layer 2\s+Feature 95\s+2$/,
  "layer5/1": /^Layer 5\s+Feature 1\s+0$/,
  "map/layer2": /^Map of layer 2$/,
  "map/layer4?by=cluster": /^Map of layer 4$/,
  "tree/layer2": /^Tree of layer 2$/,
  "match/layer2/layer4": /^Layer 2 and layer 4$/,
  "about/layer2": /^About layer 2$/,
  "help": /^Keys and help$/,
  "layer9": /^Not here$/,
  "layer2/96": /^Not here$/,
};

async function open(page: Page, file: string, address: string): Promise<void> {
  await page.goto(`${pathToFileURL(file)}#${address}`);
  await page.locator("h1").waitFor();
  // The same document with another address is drawn anew.
  await page.waitForFunction((address) => document.querySelector("main")!.dataset.address === address, address);
}

Deno.test(
  "an exported file in Chromium, offline",
  { ignore: CHROMIUM === null },
  (t) =>
    inDirectory(async (directory) => {
      const file = await exported(directory), url = pathToFileURL(file).href;
      await using browser = await launch();
      const context = await browser.newContext({ offline: true, viewport: { width: 1280, height: 900 } });
      const page = await context.newPage(), { complaints } = watch(page, (asked) => asked.startsWith(url));
      const rows = () => page.locator("table.features tbody tr");

      await t.step("every kind of page is drawn, without a complaint", async () => {
        for (const [address, heading] of Object.entries(VIEWS)) {
          await open(page, file, address);
          assert.match((await page.locator("h1").innerText()).trim(), heading, address);
          assert.ok((await page.title()).endsWith(" · mtc browse"));
        }
        assert.deepEqual(complaints, []);
      });

      await t.step("texts that are HTML, scripts or control characters are text", async () => {
        for (
          const address of ["layer2", "layer2/0", "layer2/1", "about/layer2", "tree/layer2", "match/layer2/layer4"]
        ) {
          await open(page, file, address);
          assert.equal(await page.evaluate("typeof hacked"), "undefined");
          assert.equal(await page.locator("main img, main script, main b").count(), 0, address);
          const text = await page.locator("body").innerText();
          // deno-lint-ignore no-control-regex
          assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\u200b\u2028\u202e\u2066]/, address);
        }
        await open(page, file, "layer2/0");
        const text = await page.locator("main").innerText();
        for (const seen of ["<img src=x onerror=hacked=1>", "<U+202E>gnidda", "<0x00>", "<U+D800>", "&lt;b&gt;"]) {
          assert.ok(text.includes(seen), seen);
        }
        const tips = new Set<string>();
        for (const peak of await page.locator(".peak").all()) {
          await peak.hover();
          tips.add((await page.locator(".tip p").nth(1).innerText()).split(",")[0]);
        }
        assert.deepEqual([...tips].sort(), ["<U+202E>c.txt", "<b>address</b>.txt", "b.txt"], "names of documents too");
        await page.locator(".peak").first().hover();
        assert.match(
          await page.locator(".tip").innerText(),
          /activation .*, 100 % of its largest\n+(<b>address<\/b>|b|<U\+202E>c)\.txt, token/,
        );
      });

      await t.step("a search by number, token and text, filters and order", async () => {
        await open(page, file, "layer2");
        assert.equal(await rows().count(), 40);
        await page.keyboard.press("/");
        await page.keyboard.type("17");
        assert.equal(await rows().count(), 1);
        assert.match(await rows().innerText(), /^17\b/);
        await page.locator("input[type=search]").fill("treaty");
        const found = await rows().count();
        assert.ok(found > 0 && found < 40, `${found} rows`);
        assert.match(await rows().first().innerText(), /treaty/);
        assert.match(page.url(), /#layer2\?q=treaty$/);
        await page.locator("input[type=search]").fill(HOSTILE[0]);
        assert.ok(await rows().count() > 0);
        await page.locator("input[type=search]").fill("no such text");
        assert.equal(await rows().count(), 0);
        await open(page, file, "layer2?group=2&density=~0.05&sort=density&order=up");
        const densities = await page.locator("tbody tr td:nth-child(3)").allInnerTexts();
        const numbers = densities.map((text) => parseFloat(text));
        assert.ok(
          numbers.length > 0 && numbers.every((one, i) => one <= 5 && (i === 0 || one >= numbers[i - 1])),
          densities.join(),
        );
        assert.deepEqual([...new Set(await page.locator("tbody .badge").allInnerTexts())], ["2"]);
        await page.getByRole("button", { name: "Strength" }).click();
        assert.equal(await page.locator("th[aria-sort]").innerText(), "Strength ↓");
        assert.deepEqual(complaints, []);
      });

      await t.step("by keys alone: along the list, into a feature, on to the next, back", async () => {
        await open(page, file, "layer2?sort=strength");
        const numbers = await page.locator("tbody th a").allInnerTexts();
        await page.keyboard.press("j");
        await page.keyboard.press("j");
        await page.keyboard.press("Enter");
        await page.locator("h1", { hasText: `Feature ${numbers[1]}` }).waitFor();
        await page.keyboard.press("n");
        await page.locator("h1", { hasText: `Feature ${numbers[2]}` }).waitFor();
        await page.keyboard.press("[");
        const first = page.locator(".slider input[type=number]");
        assert.equal(await first.inputValue(), "72");
        await page.keyboard.press("[");
        assert.equal(await first.inputValue(), "24");
        const isPart = Number(numbers[2]) < 24;
        assert.equal(await page.locator(".slider strong").count(), isPart ? 0 : 1);
        assert.equal(await page.locator(".t.a9").count() > 0, isPart);
        // Any number will do; between two prefixes nothing was measured, which is said.
        const number = Number(numbers[2]);
        for (
          const [count, line] of [[number + 1, null], [Math.max(1, number), null], [23, /was not measured/], [
            50,
            /first 24 leave/,
          ]] as const
        ) {
          await first.fill(String(count));
          await first.press("Enter");
          assert.equal(await page.locator(".slider strong").count(), number < count ? 0 : 1, `first ${count}`);
          assert.equal(await page.locator(".t.a9").count() > 0, number < count, `first ${count}`);
          if (line) assert.match(await page.locator(".slider p").innerText(), line);
          assert.equal(await page.locator(".t.u").count() > 0, count >= 24);
        }
        await page.locator("h1").focus();
        await page.keyboard.press("[");
        assert.equal(await first.inputValue(), "24");
        await page.keyboard.press("u");
        await page.locator("h1", { hasText: "Features of layer 2" }).waitFor();
        assert.match(page.url(), /sort=strength/);
        await page.keyboard.press("?");
        await page.locator("h1", { hasText: "Keys and help" }).waitFor();
        await page.getByLabel("Single keys do something").uncheck();
        await page.goBack();
        await page.locator("h1", { hasText: "Features of layer 2" }).waitFor();
        await page.keyboard.press("?");
        assert.match(await page.locator("h1").innerText(), /Features/);
        assert.deepEqual(complaints, []);
      });

      await t.step("an address that leads nowhere says so, and whatever it holds is only text", async () => {
        const nowhere = [
          "__proto__",
          "constructor/1",
          "toString",
          "hasOwnProperty",
          "layer2/__proto__",
          "map",
          "match/a/b",
        ];
        for (const address of [...nowhere, "match/layer2/layer2", "layer2/-1"]) {
          await open(page, file, address);
          assert.match(
            await page.locator("main").innerText(),
            /^Not here\s+(There is no transcoder|The address names no|Layer 2 has no|.* they are the same\.)/,
            address,
          );
        }
        for (const query of ["sort=__proto__", "sort=constructor", "page=-1", "page=1e9", "page=none", "page=1.5"]) {
          await open(page, file, `layer2?${query}`);
          const count = await rows().count();
          assert.ok(count > 0 && count <= 40, `${query}: ${count} rows`);
        }
        assert.deepEqual(complaints, []);
      });

      await t.step("a map is gone along by keys, and a point opened", async () => {
        await open(page, file, "map/layer2");
        await page.locator("canvas").focus();
        await page.keyboard.press("ArrowRight");
        const number = (await page.locator(".pointed a").innerText()).trim();
        await page.keyboard.press("Enter");
        await page.locator("h1", { hasText: `Feature ${number}` }).waitFor();
        assert.deepEqual(complaints, []);
      });

      await t.step("nothing leaves the file, whatever a script asks for", async () => {
        let asked = 0;
        await using server = Deno.serve({ port: 0, onListen() {} }, () => {
          asked++;
          return new Response("here");
        });
        await context.setOffline(false);
        const { port } = server.addr as Deno.NetAddr;
        const refused = await page.evaluate(async (address) => {
          const image = new Image();
          image.src = address;
          document.body.append(image);
          return await fetch(address).then(() => "answered", () => "refused");
        }, `http://127.0.0.1:${port}/`);
        assert.equal(refused, "refused");
        assert.equal(asked, 0);
        await context.setOffline(true);
      });

      await t.step("a file that was damaged on its way says so", async () => {
        const damaged = join(directory, "damaged.html"), text = await Deno.readTextFile(file);
        const changed = text.replace(/(data-part="layer2\/table">.{200})./, "$1*")
          .replace(/(data-part="layer4\/table">.{200}).{4}/, "$1");
        await Deno.writeTextFile(damaged, changed);
        const own = await context.newPage();
        for (const address of ["layer2", "layer4"]) {
          await open(own, damaged, address);
          assert.match(await own.locator("main").innerText(), /^Not here\s+This file is damaged/);
        }
        await own.close();
      });

      await t.step(
        "light and dark, wide and at 360 pixels: no fault that axe knows, nothing wider than the screen",
        async () => {
          for (const [colorScheme, width] of [["light", 1280], ["dark", 360]] as const) {
            const own = await browser.newContext({ offline: true, colorScheme, viewport: { width, height: 800 } });
            const page = await own.newPage();
            // One of a kind: axe takes half a second for a page on an idle core.
            const kinds = Object.keys(VIEWS).filter((address) => !/^layer2\/9|^map\/layer4/.test(address));
            for (const address of kinds) {
              await open(page, file, address);
              assert.deepEqual(await accessibilityFaults(page), [], `${address}, ${colorScheme}`);
              // However long the names of transcoders are, as of seeds that were trained apart.
              await page.evaluate(() =>
                document.querySelector("header option")!.append(" (groups 128 + 256 + 128, k 32, seed 0)")
              );
              const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
              assert.ok(wide <= 0, `${address} is ${wide} pixels too wide`);
            }
            await own.close();
          }
        },
      );
    }),
);
