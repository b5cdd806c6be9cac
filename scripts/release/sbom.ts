/**
 * Writes the bill of materials of a release, CycloneDX 1.6, from the lock file: `deno run -A scripts/release/sbom.ts`.
 *
 * Every package of deno.lock is in it with its hash. `scope` tells what is part of the executable (`required`: main.ts imports it, or one of those
 * does) from what only tests and benchmarks take (`excluded`). Licences are those that the packages name themselves.
 * @module
 */

import { Buffer } from "node:buffer";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RELEASE, VERSION } from "./targets.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What deno.lock (version 5) says of a package; dependencies are `name`, or `name@version` where there are several. */
interface Locked {
  readonly integrity: string;
  readonly dependencies?: readonly string[];
  readonly optionalDependencies?: readonly string[];
}

interface Lock {
  readonly version: string;
  readonly npm: Readonly<Record<string, Locked>>;
}

/** A package's place in deno.lock: `@scope/name@1.2.3`, behind `_` also the peers that it was resolved with. */
interface Place {
  readonly name: string;
  readonly version: string;
}

function placeOf(key: string): Place {
  const at = key.indexOf("@", 1);
  return { name: key.slice(0, at), version: key.slice(at + 1).split("_")[0] };
}

/** `pkg:npm/%40scope/name@1.2.3`. */
function purlOf(key: string): string {
  const { name, version } = placeOf(key);
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** The key of a dependency that may be named without its version. */
function keyOf(lock: Lock, dependency: string): string | null {
  if (dependency in lock.npm) return dependency;
  return Object.keys(lock.npm).find((key) => placeOf(key).name === dependency) ?? null;
}

function dependenciesOf(lock: Lock, key: string): string[] {
  const { dependencies = [], optionalDependencies = [] } = lock.npm[key];
  return [...dependencies, ...optionalDependencies].map((name) => keyOf(lock, name)).filter((key) => key !== null);
}

interface ModuleGraph {
  readonly npmPackages: Readonly<Record<string, unknown>>;
  readonly modules: readonly { readonly npmPackage?: string }[];
}

async function deno(...args: string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stderr: "inherit" }).output();
  if (!success) throw new Error(`deno ${args[0]} failed; its message stands above`);
  return new TextDecoder().decode(stdout);
}

/** The packages that the program imports, with all that these depend on. */
async function shippedKeys(lock: Lock): Promise<Set<string>> {
  const { modules }: ModuleGraph = JSON.parse(await deno("info", "--json", "main.ts"));
  const shipped = new Set<string>();
  const visit = (key: string) => {
    if (shipped.has(key)) return;
    shipped.add(key);
    dependenciesOf(lock, key).forEach(visit);
  };
  for (const { npmPackage } of modules) if (npmPackage) visit(npmPackage);
  return shipped;
}

/** What the package's own package.json says, where Deno has it in its cache; null where it does not, or has no expression. */
async function licenceOf(cache: string, key: string): Promise<string | null> {
  const { name, version } = placeOf(key);
  try {
    const { license } = JSON.parse(
      await Deno.readTextFile(join(cache, "registry.npmjs.org", name, version, "package.json")),
    );
    return typeof license === "string" && /^[A-Za-z0-9.+() -]+$/.test(license) && !/^SEE /.test(license)
      ? license
      : null;
  } catch {
    return null;
  }
}

async function component(cache: string, lock: Lock, key: string, isShipped: boolean) {
  const { name, version } = placeOf(key), licence = await licenceOf(cache, key);
  const [algorithm, hash] = lock.npm[key].integrity.split("-");
  const [group, plain] = name.startsWith("@") ? name.split("/") : [undefined, name];
  return {
    type: "library",
    "bom-ref": key,
    ...group === undefined ? {} : { group },
    name: plain,
    version,
    scope: isShipped ? "required" : "excluded",
    hashes: [{
      alg: algorithm.toUpperCase().replace("SHA", "SHA-"),
      content: Buffer.from(hash, "base64").toString("hex"),
    }],
    ...licence === null ? {} : { licenses: [{ expression: licence }] },
    purl: purlOf(key),
  };
}

const lock: Lock = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.lock")));
if (lock.version !== "5") throw new Error(`Cannot read deno.lock: its version must be 5, it is ${lock.version}`);
const shipped = await shippedKeys(lock), keys = Object.keys(lock.npm).sort();
if (shipped.size === 0) throw new Error("Cannot tell what main.ts imports: `deno info --json` names no package of npm");
const { npmCache }: { npmCache: string } = JSON.parse(await deno("info", "--json"));
const program = `mtc@${VERSION}`, runtime = `deno@${Deno.version.deno}`;
const bom = {
  $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  version: 1,
  metadata: {
    lifecycles: [{ phase: "build" }],
    component: {
      type: "application",
      "bom-ref": program,
      name: "mtc",
      version: VERSION,
      licenses: [{ expression: "MIT" }],
    },
  },
  components: [
    // The base executable that `deno compile` puts in front: V8, wgpu and all else of Deno's runtime.
    {
      type: "platform",
      "bom-ref": runtime,
      name: "deno",
      version: Deno.version.deno,
      scope: "required",
      licenses: [{ expression: "MIT" }],
      purl: `pkg:github/denoland/deno@v${Deno.version.deno}`,
    },
    ...await Promise.all(keys.map((key) => component(npmCache, lock, key, shipped.has(key)))),
  ],
  dependencies: [
    { ref: program, dependsOn: [runtime, ...[...shipped].sort()] },
    ...keys.map((ref) => ({ ref, dependsOn: [...new Set(dependenciesOf(lock, ref))].sort() })),
  ],
};
await Deno.mkdir(RELEASE, { recursive: true });
await Deno.writeTextFile(join(RELEASE, "mtc.cdx.json"), `${JSON.stringify(bom, null, 2)}\n`);
const unnamed = bom.components.filter((component) => !("licenses" in component)).length;
console.log(`mtc.cdx.json: ${keys.length} packages, ${shipped.size} in the executable; ${unnamed} name no licence`);
