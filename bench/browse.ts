/**
 * Writes an exported file of a large dictionary and measures it in a real web browser:
 *
 *     deno run -A bench/browse.ts [--features 4608] [--tokens 131072] [--out FILE.html]
 *
 * The run is made up (tests/reports/browser/recorded_run.ts), with k 48 and all that analyses keep; what is measured is the size of the file, the time
 * to the first paint and to the first page, the longest of many clicks, and the memory of the tab.
 * @module
 */

import { Command, Option } from "commander";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { wholeNumberOption } from "../commands/options.ts";
import { main } from "../main.ts";
import { decimal, fileSize } from "../reports/format.ts";
import { CHROMIUM, launch } from "../tests/reports/browser/chromium.ts";
import { writeRecordedRun } from "../tests/reports/browser/recorded_run.ts";
import { describeMachine } from "./machine.ts";

interface Options {
  features: number;
  tokens: number;
  out?: string;
  look?: string;
}

/** Clicks: an address and what is there once it is drawn. */
const CLICKS = [
  ...[
    "layer2/1",
    "layer2/700",
    "layer2",
    "layer2?q=w1a",
    "layer2?q=+w1a+w2b",
    "layer2?sort=density",
    "layer2/2000",
    "tree/layer2",
  ],
  ...["map/layer2", "layer2/3000", "about/layer2", "", "layer2/4000", "layer2/4001"],
];

async function measure({ features, tokens, out, look }: Options): Promise<void> {
  if (CHROMIUM === null) throw new Error("chromium must be on PATH");
  if (look !== undefined) return await lookAt(look, features);
  const directory = await Deno.makeTempDir(), file = out ?? join(directory, "features.html");
  const groups = [features / 4, features / 2, features / 4];
  const sizes = { groups, dIn: 256, dOut: 256, tokens, active: 48, more: 20_000, layer: 2 };
  await writeRecordedRun(directory, "runs", sizes);
  const began = performance.now();
  if (await main(["browse", "--export", file, join(directory, "runs")]) !== 0) Deno.exit(1);
  console.log(`made in ${decimal((performance.now() - began) / 1000, 1)} s: ${fileSize((await Deno.stat(file)).size)}`);
  await lookAt(file, features);
  await Deno.remove(directory, { recursive: true });
}

/** Measures a file in the browser. */
async function lookAt(file: string, features: number): Promise<void> {
  await using browser = await launch();
  const page = await browser.newPage(), session = await page.context().newCDPSession(page);
  await page.goto(`${pathToFileURL(file)}#layer2`, { waitUntil: "commit" });
  await page.locator("table.features").waitFor();
  const paint = await page.evaluate(`[
    performance.getEntriesByName("first-contentful-paint")[0].startTime, performance.now(),
    performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd]`) as number[];
  console.log(`first paint after ${paint[0].toFixed(0)} ms, the table at the latest after ${paint[1].toFixed(0)} ms`);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return 1000 * metrics.find(({ name }) => name === "TaskDuration")!.value;
  };
  const times: [address: string, ms: number, busyMs: number][] = [];
  for (const address of CLICKS.filter((one) => features > Number(one.match(/\/(\d+)/)?.[1] ?? 0))) {
    const before = await busy();
    const ms = await page.evaluate(`new Promise((resolve) => {
      const began = performance.now(), main = document.querySelector("main");
      location.hash = ${JSON.stringify(address)};
      const look = () => main.dataset.address === ${JSON.stringify(address)}
        ? requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)))
        : requestAnimationFrame(look);
      look();
    })`) as number;
    times.push([address, ms, await busy() - before]);
  }
  console.log(
    times.map(([address, ms, busyMs]) =>
      `  #${address}: ${ms.toFixed(0)} ms, of which the page's own thread worked ${busyMs.toFixed(0)} ms`
    ).join("\n"),
  );
  const { usedSize, totalSize } = await session.send("Runtime.getHeapUsage");
  const { processInfo } = await browser.newBrowserCDPSession().then((own) => own.send("SystemInfo.getProcessInfo"));
  const residents = await Promise.all(
    processInfo.filter(({ type }) => type === "renderer").map(async ({ id }) => {
      const status = await Deno.readTextFile(`/proc/${id}/status`);
      return 1024 * Number(status.match(/VmRSS:\s+(\d+)/)![1]);
    }),
  );
  console.log(
    `JavaScript's heap ${fileSize(usedSize)} of ${fileSize(totalSize)}; resident, the tab's process: ${
      fileSize(Math.max(...residents))
    }`,
  );
  console.log(`load ${Deno.loadavg().map((one) => one.toFixed(1)).join(", ")}; ${await describeMachine("no GPU")}`);
}

await new Command("browse")
  .addOption(wholeNumberOption("--features <n>", "features, a multiple of 4", { value: 4608 }))
  .addOption(wholeNumberOption("--tokens <n>", "tokens of the reading set", { value: 131_072 }))
  .addOption(new Option("--look <file>", "measure this file, which was written before"))
  .addOption(new Option("--out <file>", "where the file is kept"))
  .action(measure)
  .parseAsync(Deno.args, { from: "user" });
