/**
 * The page with the bundled client, for files and for the server.
 * @module
 */

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { UserError } from "../../core/errors.ts";
import type { PageContent } from "../../reports/browser/page.ts";

/** Where scripts/bundle_client.ts writes; the import below must name the same file in a literal, so that bundlers see it. */
const BUNDLE = new URL("../../reports/browser/generated/client.js", import.meta.url);

/**
 * The client's script. From source, where the file is missing, it is bundled first.
 *
 * @returns JavaScript.
 * @throws {UserError} When it cannot be bundled.
 */
async function clientScript(): Promise<string> {
  try {
    return (await import("../../reports/browser/generated/client.js", { with: { type: "text" } })).default;
  } catch {
    console.error("mtc: bundling what runs in the web browser");
    const script = fileURLToPath(new URL("../../scripts/bundle_client.ts", import.meta.url));
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", script] }).output();
    // A module that was missing once stays missing for this process.
    if (success) return await Deno.readTextFile(BUNDLE);
    throw new UserError({
      action: "bundle what runs in the web browser",
      requirement: "`deno bundle` must have its packages",
      found: new TextDecoder().decode(stderr).trim(),
      remedy: "run `deno run -A scripts/bundle_client.ts`",
    });
  }
}

/**
 * What a page is made of.
 *
 * @param title Its title, before the client sets another one.
 * @param connect Whom it may ask: nobody, or the server that it came from.
 * @returns The content for reports/browser/page.ts.
 * @throws {UserError} When the client cannot be bundled.
 */
export async function pageContent(title: string, connect: PageContent["connect"]): Promise<PageContent> {
  const digest = (text: string) => createHash("sha256").update(text).digest("base64");
  return { title, script: await clientScript(), digest, connect };
}
