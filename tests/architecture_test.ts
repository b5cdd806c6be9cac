/** The house: which room may import which, and that nothing goes round in circles. */

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

/** The room of a file. `core` means the files right in it, which every room of core may use; `deno.json` is a room of its own. */
function roomOf(file: string): string {
  const [top, second, third] = file.split("/");
  if (top === "core" && third !== undefined) return `core/${second}`;
  return second === undefined ? file : top;
}

/** What the rooms that deal with runs all stand on. */
const GROUND: string[] = "core core/analysis core/files core/text core/gpu core/model core/transcoder wgsl".split(" ");

/** Whom a room imports, itself aside. `core` means errors and random numbers; the rooms of core are in their order. */
const MAY_IMPORT: Record<string, string[]> = {
  "main.ts": ["commands", "core", "deno.json"],
  commands: ["reports", "core", "core/*", "deno.json"],
  reports: ["core/analysis", "core/runs", "core/transcoder", "core/model"],
  wgsl: [],
  core: [],
  "core/analysis": ["core"],
  "core/files": ["core"],
  "core/builtin": ["core", "core/files"],
  "core/hub": ["core", "core/files"],
  "core/text": ["core", "core/files", "core/builtin", "core/hub"],
  "core/gpu": ["core", "core/files", "wgsl"],
  "core/model": ["core", "core/files", "core/builtin", "core/hub", "core/text", "core/gpu", "wgsl"],
  "core/transcoder": ["core", "core/files", "core/gpu", "core/model", "wgsl"],
  "core/runs": GROUND,
  "core/passes": [...GROUND, "core/runs"],
  "core/training": [...GROUND, "core/runs", "core/passes"],
  "core/estimate": ["core", "core/*", "wgsl"],
  "core/bench": ["core", "core/*", "wgsl"],
};

/** Rooms that nobody in core imports, though they import all of it. */
const ROOFS = ["core/estimate", "core/bench"];

function complaint({ from, to, isDynamic }: Edge): string | null {
  const room = roomOf(from), target = roomOf(to), allowed = MAY_IMPORT[room];
  if (allowed === undefined) return `${from}: no rule names the room ${room}`;
  const isInCore = room.startsWith("core");
  const isAllowed = room === target || allowed.includes(target) ||
    (allowed.includes("core/*") && target.startsWith("core/") && !(isInCore && ROOFS.includes(target)));
  if (!isAllowed) return `${from} -> ${to}: ${room} may import ${allowed.join(", ") || "nothing"}`;
  if (room === "main.ts" && target === "commands" && !isDynamic) {
    return `${from} -> ${to}: commands are imported lazily`;
  }
  return null;
}

/** The circles in a graph: each set of nodes, more than one, that can all be reached from each other (Tarjan 1972). */
function circles(edges: readonly { from: string; to: string }[]): string[][] {
  const targets = new Map<string, Set<string>>();
  for (const { from, to } of edges) {
    if (from !== to) targets.set(from, (targets.get(from) ?? new Set()).add(to));
  }
  const order = new Map<string, number>(), lowest = new Map<string, number>(), stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string) => {
    order.set(node, order.size);
    lowest.set(node, order.get(node)!);
    stack.push(node);
    for (const next of targets.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) lowest.set(node, Math.min(lowest.get(node)!, lowest.get(next)!));
    }
    if (lowest.get(node) !== order.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1) found.push(circle.sort());
  };
  for (const node of targets.keys()) if (!order.has(node)) visit(node);
  return found;
}

const edges = await importEdges();

Deno.test("imports run one way: main -> commands -> reports, core -> wgsl, and inside core from the roof to the ground", () => {
  assert.deepEqual(edges.map(complaint).filter((text) => text !== null), []);
});

Deno.test("neither files nor rooms import each other in a circle, types included", () => {
  assert.deepEqual(circles(edges), []);
  assert.deepEqual(circles(edges.map(({ from, to }) => ({ from: roomOf(from), to: roomOf(to) }))), []);
});

Deno.test("every room that a rule names is there", () => {
  const rooms = new Set(edges.flatMap(({ from, to }) => [roomOf(from), roomOf(to)]));
  assert.deepEqual(Object.keys(MAY_IMPORT).filter((room) => !rooms.has(room)), []);
});

Deno.test("the rule refuses edges against the stream", () => {
  const edge = (from: string, to: string, isDynamic = false) => complaint({ from, to, isTypeOnly: false, isDynamic });
  assert.match(edge("wgsl/kernel.ts", "core/gpu/run.ts")!, /wgsl may import nothing/);
  assert.match(edge("core/gpu/run.ts", "reports/markdown.ts")!, /core\/gpu may import/);
  assert.match(edge("core/gpu/run.ts", "core/model/forward.ts")!, /core\/gpu may import/);
  assert.match(edge("core/passes/samples.ts", "core/training/step.ts")!, /core\/passes may import/);
  assert.match(edge("core/bench/costs.ts", "core/estimate/ledger.ts")!, /core\/bench may import/);
  assert.match(edge("core/analysis/a.ts", "core/files/b.ts")!, /core\/analysis may import core$/);
  assert.match(edge("reports/a.ts", "core/gpu/b.ts")!, /reports may import/);
  assert.match(edge("core/attic/a.ts", "core/errors.ts")!, /no rule names the room core\/attic/);
  assert.match(edge("main.ts", "commands/train.ts")!, /lazily/);
  assert.equal(edge("main.ts", "commands/train.ts", true), null);
  assert.equal(edge("core/training/session.ts", "core/passes/samples.ts"), null);
});

Deno.test("circles are found, of two and of more", () => {
  const graph = (...pairs: string[]) => circles(pairs.map((pair) => ({ from: pair[0], to: pair[1] })));
  assert.deepEqual(graph("ab", "bc", "ac", "aa"), []);
  assert.deepEqual(graph("ab", "ba", "bc"), [["a", "b"]]);
  assert.deepEqual(graph("ab", "bc", "cd", "db", "ea").flat(), ["b", "c", "d"]);
});
