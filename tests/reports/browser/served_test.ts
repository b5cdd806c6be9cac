/// <reference lib="dom" />
/** `mtc browse` with a server, in a real web browser: a run that begins, goes on and ends, its pages, a report, a text and a change. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { exists } from "../../../core/files/exists.ts";
import { startServer } from "../../../commands/browse/server.ts";
import { MAIN, SMALL } from "../../cli/small_train.ts";
import { inDirectory } from "../../cli/tiny_run.ts";
import { accessibilityFaults, CHROMIUM, launch, watch } from "./chromium.ts";

/** Reports as they are committed, with pictures, tables and links. */
const REPORTS = fileURLToPath(new URL("../../../docs/example/", import.meta.url));
/** A page that wants to be more than text. */
const HOSTILE =
  "# <img src=x onerror=hacked=1> title\n\n<script>hacked=1</script>\n\n[x](javascript:hacked=1) ![y](//evil/z.png)\n\n" +
  "| a |\n|---|\n| <code>&#60;b&#62;</code> |\n";
const TEXT = "The receipts of the year were <b>12,450</b>";
/** Steps of the run: enough for the page to see it on its way. */
const STEPS = 90;
/** Milliseconds: a model is loaded, or a run trained, on a machine that does much else. */
const PATIENCE = 60_000;

async function goTo(page: Page, address: string, hash: string): Promise<void> {
  await page.goto(`${address}#${hash}`);
  await page.waitForFunction((hash) => document.querySelector("main")!.dataset.address === hash, hash, {
    timeout: PATIENCE,
  });
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Holds a training most of the time from when its run is there, so that a page that follows once a second sees it on its way. */
async function slowDown(train: Deno.ChildProcess, run: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    if (await exists(run)) {
      try {
        train.kill("SIGSTOP");
      } catch {
        return; // It has ended.
      }
      await pause(400);
      train.kill("SIGCONT");
    }
    await pause(100);
  }
}

/** The step that the page says each run is at. */
const steps = async (page: Page) =>
  (await page.locator("table.standings tbody td:nth-of-type(2)").allInnerTexts()).map((text) => parseInt(text));

Deno.test(
  "the server's pages in Chromium, from before a run begins until its features are changed",
  { ignore: CHROMIUM === null },
  (t) =>
    inDirectory(async (directory) => {
      const runs = join(directory, "runs"), extra = join(directory, "extra");
      await Promise.all([runs, extra].map((path) => Deno.mkdir(path)));
      await Deno.writeTextFile(join(extra, "hostile.md"), HOSTILE);
      const server = await startServer({ roots: [runs], reports: [REPORTS, extra], port: 0 }), { address } = server;
      await using browser = await launch();
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
      const page = await context.newPage(), { complaints } = watch(page, (url) => url.startsWith(address));
      page.setDefaultTimeout(PATIENCE);
      const pages: [hash: string, selector: string][] = [];
      let loads = 0;
      page.on("load", () => loads++);
      try {
        await t.step(
          "a run that begins later shows up, goes on and ends without the page being loaded again",
          async () => {
            await goTo(page, address, "live");
            await page.getByText("No run has begun yet").waitFor();
            const train = new Deno.Command(Deno.execPath(), {
              args: [
                "run",
                "--no-check",
                "-A",
                MAIN,
                "train",
                "--runs",
                runs,
                "--name",
                "first",
                ...SMALL,
                "--steps",
                `${STEPS}`,
              ],
              ...{ stdin: "null", stdout: "null", stderr: "null" },
            }).spawn();
            const seen = new Set<number>(), enough = new AbortController();
            const slowed = slowDown(train, join(runs, "first"), enough.signal);
            await page.locator("table.standings .state.now").first().waitFor();
            while (Math.max(...seen) < STEPS) {
              for (const step of await steps(page)) seen.add(step);
              if (seen.size > 2) enough.abort();
              await pause(50);
            }
            enough.abort();
            await slowed;
            assert.ok(seen.size > 2, `steps on the way: ${[...seen]}`);
            assert.ok((await train.status).success);
            await page.locator("table.standings .state.plain").nth(1).waitFor();
            assert.equal(loads, 1);
            assert.equal(await page.locator(".chart canvas").count(), 6);
            const label = await page.locator("#chart-fvu").getAttribute("aria-label");
            assert.match(
              label!,
              /Layer 2, first 16 0\.\d+, Layer 2, first 48 0\.\d+, Layer 2, first 64 0\.\d+, Layer 4, first 16/,
            );
            const drawn = await page.evaluate(() =>
              [...document.querySelectorAll<HTMLCanvasElement>(".chart canvas")].map((canvas) =>
                new Set(
                  new Uint32Array(canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height).data.buffer),
                ).size
              )
            );
            assert.ok(drawn.every((colours) => colours > 10), `curves are there: ${drawn}`);
          },
        );

        await t.step("a part of the steps is looked at by dragging, and all of them again", async () => {
          const box = (await page.locator("#chart-loss .u-over").boundingBox())!;
          await page.mouse.move(box.x + box.width / 2, box.y + 50);
          await page.mouse.down();
          await page.mouse.move(box.x + box.width - 2, box.y + 60, { steps: 4 });
          await page.mouse.up();
          await page.getByRole("button", { name: "All steps" }).click();
          await page.getByText("Drag over a chart").waitFor();
        });

        await t.step("a run whose name turns writing round is told by what it holds", async () => {
          const turned = join(runs, "\u202edlo\u2066");
          await Deno.mkdir(join(turned, "layer2"), { recursive: true });
          await Deno.copyFile(join(runs, "first", "layer2", "config.json"), join(turned, "layer2", "config.json"));
          await goTo(page, address, "runs");
          await page.getByRole("heading", { name: "<U+202E>dlo<U+2066>" }).waitFor();
          assert.doesNotMatch(await page.locator("body").innerText(), /[\u202e\u2066]/);
          await Deno.remove(turned, { recursive: true });
        });

        await t.step("the runs with their verdicts, and the way to everything else", async () => {
          await goTo(page, address, "");
          await page.locator(".state.bad, .state.doubtful, .state.good").nth(1).waitFor();
          assert.equal(await page.locator("h1").innerText(), "Runs");
          assert.match(await page.locator(".told-row").first().innerText(), /^(Bad|Good|Usable).* success metrics/);
          await page.getByRole("link", { name: "Features" }).first().click();
          await page.locator("table.features tbody tr").first().waitFor();
          assert.match(page.url(), /#layer2$/);
        });

        await t.step("a report is a page, and one that wants to be more is text", async () => {
          await goTo(page, address, "reports");
          await page.getByRole("link", { name: "Layer 6 Matryoshka Transcoder Analysis Report" }).click();
          await page.locator(".report table").first().waitFor();
          const picture = page.locator(".report img").first();
          await picture.scrollIntoViewIfNeeded();
          await page.waitForFunction(() => document.querySelector<HTMLImageElement>(".report img")!.naturalWidth > 100);
          assert.equal(await page.locator(".report h1").innerText(), "Layer 6 Matryoshka Transcoder Analysis Report");
          await goTo(page, address, "reports/2-extra/hostile.md");
          assert.equal(await page.locator(".report h1").innerText(), "<img src=x onerror=hacked=1> title");
          assert.equal(await page.locator(".report img, .report script, .report a").count(), 0);
          assert.equal(await page.locator(".report td").innerText(), "<b>");
          assert.equal(await page.evaluate(() => (globalThis as { hacked?: number }).hacked), undefined);
        });

        await t.step("a text that is typed is encoded, and a feature of it switched off", async () => {
          await goTo(page, address, "text/layer4");
          await page.locator("textarea").fill(TEXT);
          await page.keyboard.press("Control+Enter");
          await page.locator(".encoded").first().waitFor();
          assert.equal((await page.locator(".encoded").first().innerText()).trim(), `<bos>${TEXT}`);
          await page.locator(".encoded button[aria-pressed=true]").focus();
          const before = await page.locator(".columns h2 .token").innerText();
          await page.keyboard.press("ArrowLeft");
          assert.notEqual(await page.locator(".columns h2 .token").innerText(), before);
          await page.getByRole("button", { name: /^Tint by feature/ }).first().click();
          const [feature] = await page.locator(".columns th[scope=row]").allInnerTexts();
          assert.equal(await page.getByLabel("Their numbers").inputValue(), feature);
          await page.getByLabel("Tokens to go on by").fill("3");
          await page.getByRole("button", { name: "Show what it does" }).click();
          await page.getByRole("heading", { name: `With feature ${feature} switched off` }).waitFor();
          assert.ok(await page.locator(".changed .encoded button:enabled").count() > 3);
          assert.ok(await page.locator(".changed table tbody tr").count() > 4, "next tokens before and after");
          await page.getByLabel("Which").selectOption("group");
          await page.getByLabel(/^Groups, 0 to/).fill("0");
          await page.getByLabel("Are").selectOption("set");
          await page.getByLabel("A number").fill("1.5");
          await page.getByRole("button", { name: "Show what it does" }).click();
          await page.getByRole("heading", { name: /^With group 0 \(\d+ features\) set to 1\.5$/ }).waitFor();
          await page.getByLabel("Which").selectOption("prefix");
          await page.getByLabel("Features that stay").fill("64");
          await page.getByRole("button", { name: "Show what it does" }).click();
          await page.getByText("the prefix must be below the 64 features").waitFor();
        });

        await t.step("nobody is kept out: names, contrast, keys, 360 pixels; in the dark, too", async () => {
          pages.push(["runs", ".state"], ["live/layer2,layer4", "canvas"], ["reports", ".card"], [
            "text/layer4",
            ".changed",
          ]);
          pages.push(["reports/1-example/LAYER6_TRAINING_SUMMARY.md", ".report"]);
          for (const colorScheme of ["light", "dark"] as const) {
            await page.emulateMedia({ colorScheme });
            for (const [hash, selector] of pages) {
              await goTo(page, address, hash);
              await page.locator(selector).first().waitFor();
              assert.deepEqual(await accessibilityFaults(page), [], `${hash}, ${colorScheme}`);
            }
          }
          await page.setViewportSize({ width: 360, height: 700 });
          for (const [hash, selector] of pages) {
            await goTo(page, address, hash);
            await page.locator(selector).first().waitFor();
            const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
            assert.ok(widths[0] <= widths[1], `${hash} is ${widths[0]} wide`);
          }
        });

        await t.step("two browsers at once, and a run that is removed while it is looked at", async () => {
          const other = await browser.newContext(), second = await other.newPage();
          const watched = watch(second, (url) => url.startsWith(address));
          await goTo(second, address, "layer2/3");
          await goTo(page, address, "layer4/3");
          assert.match(await second.locator("h1").innerText(), /Feature 3/);
          assert.match(await page.locator("h1").innerText(), /Feature 3/);
          assert.deepEqual([watched.complaints, complaints], [[], []]);
          await goTo(page, address, "runs");
          await Deno.remove(join(runs, "first"), { recursive: true });
          await page.getByText("There is no run here yet").waitFor();
          assert.deepEqual(complaints, []);
          await other.close();
        });
      } finally {
        await server.close();
      }
    }),
);
