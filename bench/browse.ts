/**
 * Measures the explorer of a large dictionary in a real web browser, as one exported file and as it is served:
 *
 *     deno run -A bench/browse.ts [--features 4608] [--tokens 131072] [--keep DIRECTORY]
 *
 * The run is made up (tests/reports/browser/recorded_run.ts), with k 48 and all that analyses keep; a DIRECTORY that has it already is taken as it is.
 * What is measured is how long the parts take to be made, the export, and its size; then of both the time to the first paint and to the first
 * page, of many clicks, the best of three each, and the memory of the tab and of the server.
 * @module
 */

import { Command, Option } from "commander";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { wholeNumberOption } from "../commands/options.ts";
import { exists } from "../core/files/exists.ts";
import { main } from "../main.ts";
import { decimal, fileSize } from "../reports/format.ts";
import { CHROMIUM, launch } from "../tests/reports/browser/chromium.ts";
import { writeRecordedRun } from "../tests/reports/browser/recorded_run.ts";
import { describeMachine } from "./machine.ts";

interface Options {
  features: number;
  tokens: number;
  keep?: string;
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

/** Each click is made so often; the first time is that of a reader, whose page has not that part yet. */
const ROUNDS = 3;

async function measure({ features, tokens, keep, look }: Options): Promise<void> {
  if (CHROMIUM === null) throw new Error("chromium must be on PATH");
  if (look !== undefined) return await lookAt(pathToFileURL(look).href, features);
  const directory = keep ?? await Deno.makeTempDir(), file = join(directory, "features.html");
  const runs = join(directory, "runs"), groups = [features / 4, features / 2, features / 4];
  const sizes = { groups, dIn: 256, dOut: 256, tokens, active: 48, more: 20_000, layer: 2 };
  if (!await exists(runs)) await writeRecordedRun(directory, "runs", sizes);
  await served(runs, "first", features);
  await served(runs, "again", features);
  const began = performance.now();
  if (await main(["browse", "--export", file, runs]) !== 0) Deno.exit(1);
  console.log(`exported in ${seconds(began)}: ${fileSize((await Deno.stat(file)).size)}`);
  await lookAt(pathToFileURL(file).href, features);
  if (keep === undefined) await Deno.remove(directory, { recursive: true });
}

function seconds(began: number): string {
  return `${decimal((performance.now() - began) / 1000, 1)} s`;
}

/** Serves the runs, waits until the explorer's parts are made, and measures the page. */
async function served(runs: string, which: string, features: number): Promise<void> {
  const main = fileURLToPath(new URL("../main.ts", import.meta.url));
  const server = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", main, "browse", runs],
    ...{ stdout: "piped", stderr: "null" },
  }).spawn();
  try {
    const [line] = await server.stdout.pipeThrough(new TextDecoderStream()).getReader().read().then((
      { value },
    ) => [value!]);
    const began = performance.now(), address = line.trim();
    await (await fetch(`${address}api/parts/layer2/about`)).body?.cancel();
    console.log(
      `served for the ${which} time, parts after ${seconds(began)}; the server's peak ${await memory(
        server.pid,
        "VmHWM",
      )}`,
    );
    await lookAt(address, features);
    console.log(`the server afterwards: ${await memory(server.pid, "VmRSS")}`);
  } finally {
    server.kill();
    await server.status;
  }
}

/** What a process has in memory, or has had at most. */
async function memory(pid: number, kind: "VmRSS" | "VmHWM"): Promise<string> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return fileSize(1024 * Number(status.match(new RegExp(`${kind}:\\s+(\\d+)`))![1]));
}

/** Measures a page in the browser. */
async function lookAt(address: string, features: number): Promise<void> {
  await using browser = await launch();
  const page = await browser.newPage(), session = await page.context().newCDPSession(page);
  await page.goto(`${address}#layer2`, { waitUntil: "commit" });
  await page.locator("table.features").waitFor();
  const paint = await page.evaluate(`[
    performance.getEntriesByName("first-contentful-paint")[0].startTime, performance.now(),
    performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd]`) as number[];
  console.log(`  first paint after ${paint[0].toFixed(0)} ms, the table at the latest after ${paint[1].toFixed(0)} ms`);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return 1000 * metrics.find(({ name }) => name === "TaskDuration")!.value;
  };
  const times = new Map<string, [ms: number, busyMs: number][]>();
  for (let again = 0; again < ROUNDS; again++) {
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
      times.set(address, [...times.get(address) ?? [], [ms, await busy() - before]]);
    }
  }
  for (const [address, all] of times) {
    const told = (values: number[]) =>
      `${values[0].toFixed(0)} (${values.slice(1).map((ms) => ms.toFixed(0)).join(", ")})`;
    console.log(
      `  #${address}: ${told(all.map(([ms]) => ms))} ms, the page's own thread ${told(all.map(([, ms]) => ms))} ms`,
    );
  }
  const { usedSize, totalSize } = await session.send("Runtime.getHeapUsage");
  const { processInfo } = await browser.newBrowserCDPSession().then((own) => own.send("SystemInfo.getProcessInfo"));
  const residents = await Promise.all(
    processInfo.filter(({ type }) => type === "renderer").map(async ({ id }) => {
      const status = await Deno.readTextFile(`/proc/${id}/status`);
      return 1024 * Number(status.match(/VmRSS:\s+(\d+)/)![1]);
    }),
  );
  console.log(
    `  JavaScript's heap ${fileSize(usedSize)} of ${fileSize(totalSize)}; resident, the tab's process: ${
      fileSize(Math.max(...residents))
    }`,
  );
  console.log(`  load ${Deno.loadavg().map((one) => one.toFixed(1)).join(", ")}; ${await describeMachine("no GPU")}`);
}

await new Command("browse")
  .addOption(wholeNumberOption("--features <n>", "features, a multiple of 4", { value: 4608 }))
  .addOption(wholeNumberOption("--tokens <n>", "tokens of the reading set", { value: 131_072 }))
  .addOption(new Option("--look <file>", "measure this file, which was written before"))
  .addOption(new Option("--keep <dir>", "where run and file are kept"))
  .action(measure)
  .parseAsync(Deno.args, { from: "user" });
