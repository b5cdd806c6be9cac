/**
 * Bundles what runs in the web browser into one ignored file that mtc imports as text: `deno run -A scripts/bundle_client.ts`. `./run` and
 * scripts/compile.ts do it when a source is newer, and a command that finds the file missing does it by itself.
 * @module
 */
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { writeFileAtomic } from "../core/files/atomic.ts";

const ENTRY = new URL("../reports/browser/client/main.ts", import.meta.url);
const BUNDLE = new URL("../reports/browser/generated/client.js", import.meta.url);

const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
  args: ["bundle", "--quiet", "--platform", "browser", "--format", "iife", "--minify", fileURLToPath(ENTRY)],
  cwd: fileURLToPath(new URL("..", import.meta.url)),
}).output();
if (!success) {
  console.error(new TextDecoder().decode(stderr));
  console.error("bundle_client: `deno bundle` failed; its message stands above");
  Deno.exit(1);
}
await mkdir(new URL(".", BUNDLE), { recursive: true });
await writeFileAtomic(fileURLToPath(BUNDLE), stdout);
