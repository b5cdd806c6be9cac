import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = new URL("../", import.meta.url);

interface Edge {
  from: string;
  to: string;
  isTypeOnly: boolean;
  isDynamic: boolean;
}

interface ModuleGraph {
  modules: {
    specifier: string;
    dependencies?: { code?: { specifier: string }; type?: { specifier: string }; isDynamic?: boolean }[];
  }[];
}

/** The import edges between the project's own files, tests aside, paths relative to the root. */
async function importEdges(): Promise<Edge[]> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  const files = await Array.fromAsync(
    glob("{main.ts,{commands,core,reports,wgsl}/**/*.ts}", { cwd: fileURLToPath(ROOT) }),
  );
  assert.ok(files.includes("main.ts") && files.length > 10, `found only ${files}`);
  await Deno.writeTextFile(
    entry,
    files.map((file) => `import ${JSON.stringify(new URL(file, ROOT).href)};`).join("\n"),
  );
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--config", fileURLToPath(new URL("deno.json", ROOT)), entry],
  }).output();
  await Deno.remove(entry);
  assert.ok(success, new TextDecoder().decode(stderr));
  const { modules }: ModuleGraph = JSON.parse(new TextDecoder().decode(stdout));
  const relative = (specifier: string) => specifier.slice(ROOT.href.length);
  return modules
    .filter(({ specifier }) => specifier.startsWith(ROOT.href) && specifier !== pathToFileURL(entry).href)
    .flatMap(({ specifier, dependencies = [] }) =>
      dependencies.flatMap(({ code, type, isDynamic = false }) => {
        const target = (code ?? type)?.specifier;
        return target?.startsWith(ROOT.href)
          ? [{ from: relative(specifier), to: relative(target), isTypeOnly: !code, isDynamic }]
          : [];
      })
    );
}

/** The room of a file. `core` means the files right in it, which belong to all of core; `deno.json` is a room of its own. */
function roomOf(file: string): string {
  const [top, second, third] = file.split("/");
  if (top === "core" && third !== undefined) return `core/${second}`;
  return second === undefined ? file : top;
}

/** The rooms that a room may import; `core/*` stands for every room of core. */
const MAY_IMPORT: Record<string, string[]> = {
  "main.ts": ["commands", "core", "deno.json"],
  commands: ["commands", "reports", "core", "core/*", "deno.json"],
  reports: ["reports"],
  "core/analysis": ["core/analysis", "core"],
  "core/*": ["core/*", "core", "wgsl", "deno.json"],
  core: ["core"],
  wgsl: ["wgsl"],
};

/** What a room may import besides when only types are meant. */
const MAY_IMPORT_TYPES: Record<string, string[]> = {
  reports: ["core/analysis", "core/runs"],
};

function complaint({ from, to, isTypeOnly, isDynamic }: Edge): string | null {
  const room = roomOf(from);
  const key = room in MAY_IMPORT ? room : "core/*";
  const allowed = [...MAY_IMPORT[key], ...(isTypeOnly ? MAY_IMPORT_TYPES[key] ?? [] : [])];
  const target = roomOf(to);
  const isAllowed = allowed.includes(target) || (target.startsWith("core/") && allowed.includes("core/*"));
  if (!isAllowed) return `${from} -> ${to}: ${room} may import ${allowed.join(", ")}`;
  if (room === "main.ts" && target === "commands" && !isDynamic) {
    return `${from} -> ${to}: commands are imported lazily`;
  }
  return null;
}

Deno.test("imports run one way: main -> commands -> reports, core -> wgsl", async () => {
  const complaints = (await importEdges()).map(complaint).filter((text) => text !== null);
  assert.deepEqual(complaints, []);
});

Deno.test("the rule refuses edges against the stream", () => {
  const edge = (from: string, to: string, isTypeOnly = false, isDynamic = false) =>
    complaint({ from, to, isTypeOnly, isDynamic });
  assert.match(edge("wgsl/kernel.ts", "core/gpu/run.ts")!, /wgsl may import wgsl/);
  assert.match(edge("core/gpu/run.ts", "reports/markdown.ts")!, /core\/gpu may import/);
  assert.match(edge("reports/a.ts", "core/analysis/b.ts")!, /reports may import/);
  assert.equal(edge("reports/a.ts", "core/analysis/b.ts", true), null);
  assert.match(edge("core/analysis/a.ts", "core/files/b.ts")!, /core\/analysis may import/);
  assert.match(edge("core/analysis/a.ts", "core/files/b.ts", true)!, /core\/analysis may import/);
  assert.equal(edge("reports/a.ts", "core/runs/b.ts", true), null);
  assert.match(edge("core/analysis/a.ts", "wgsl/kernel.ts", true)!, /core\/analysis may import/);
  assert.match(edge("main.ts", "commands/train.ts")!, /lazily/);
  assert.equal(edge("main.ts", "commands/train.ts", false, true), null);
});
