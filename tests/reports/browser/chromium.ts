/// <reference lib="dom" />
/**
 * A real web browser for tests, where the machine has one.
 * @module
 */

import axe from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";

/** Where Chromium lies; null where the machine has none, which `./run test` installs as root on Debian and Ubuntu. */
export const CHROMIUM: string | null = await findChromium();

async function findChromium(): Promise<string | null> {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    for (const name of names) {
      if ((await Deno.stat(`${directory}/${name}`).catch(() => null))?.isFile) return `${directory}/${name}`;
    }
  }
  console.error(
    "no chromium on PATH: tests in a web browser are passed over; as root on Debian, `./run test` installs it",
  );
  return null;
}

/** Starts the browser; as root it has no sandbox of its own. */
export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM!, args: ["--no-sandbox"] });
}

/** What a page did that it must not do: errors, warnings, and requests to anywhere but its own file or server. */
export interface Watched {
  readonly complaints: string[];
}

/** Listens to a page from now on. */
export function watch(page: Page, isOwn: (url: string) => boolean): Watched {
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!isOwn(url) && !url.startsWith("data:")) complaints.push(`request: ${url}`);
  });
  return { complaints };
}

/** The rules of WCAG 2.2 AA that a page breaks, with the elements that do, as axe-core finds them. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  // Rows are like each other, and axe looks at each element for long.
  await page.evaluate(() => {
    const more = "ol.examples li:nth-child(n+2), tbody tr:nth-child(n+4), ul.roots > li:nth-child(n+4)";
    document.querySelectorAll(more).forEach((one) => one.remove());
  });
  // Through the debugger's own world, which the page's security policy does not bind.
  await page.evaluate(axe.source);
  const found = await page.evaluate(`axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    resultTypes: ["violations"],
  }).then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => [id, html, failureSummary].join(" "))))`);
  return found as string[];
}
