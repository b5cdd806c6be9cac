/**
 * The table of bench/gpu.sh, from what its parts left in a folder: parts.tsv, and NAME.out, NAME.err, NAME.memory of each.
 *
 *     deno run -A bench/gpu/table.ts FOLDER full|small
 *
 * @module
 */

import { join } from "node:path";
import { bytes } from "../../commands/bytes.ts";
import { PUBLISHED } from "../../commands/train/settings.ts";
import { duration, integer, percent, significant } from "../../reports/format.ts";
import type { ProductsPart, WorkloadPart } from "./measure.ts";

/** How a part went, and what it left. */
export interface Part {
  readonly name: string;
  /** Its exit code; `timeout` gives 124, or 137 for what had to be killed; null when it was skipped. */
  readonly code: number | null;
  readonly seconds: number;
  readonly allowed: number;
  /** Why it was skipped. */
  readonly reason: string;
  readonly out: string;
  readonly err: string;
  /** MiB in use on the GPU, sampled from just before the part began; empty where nothing tells. */
  readonly memory: readonly number[];
}

type Row = readonly [what: string, wanted: string, measured: string];

const TOKENS = PUBLISHED.steps * PUBLISHED.batch_tokens;
const HEADINGS = ["on one GPU", "wanted", "measured"];
/** A message longer than this would be the whole table. */
const LONGEST = 240;

/** What `mtc doctor --json` says, as far as the table tells it. */
interface Doctor {
  readonly adapter: {
    readonly name: string;
    readonly features: Readonly<Record<string, boolean>>;
    readonly subgroup_lanes: readonly [least: number, most: number] | null;
    readonly gflops: number | null;
    readonly copy_gbytes_per_s: number | null;
  } | null;
  readonly problems: readonly { readonly what: string }[];
}

/** What `bench/peers/main.ts --json` says, as far as the table tells it. */
interface Peers {
  readonly comparisons: readonly {
    readonly what: string;
    readonly milliseconds: readonly { readonly name: string; readonly median: number }[];
  }[];
}

/** Text in a cell: one line, and no end of the cell before its own. */
function cell(text: string): string {
  const line = text.replace(/\s+/g, " ").replaceAll("|", "\\|").trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}...` : line;
}

/** The first line that begins as errors of mtc, Deno and Python do, without what Deno puts before an error's own words; else the last one. */
function errorLine(text: string): string {
  const lines = text.trimEnd().split("\n");
  const line = lines.find((line) => /^(mtc|error|[\w.]*Error): /.test(line)) ?? lines.at(-1)!;
  return line.replace(/^error: (Uncaught (\(in promise\) )?)?/, "");
}

/** Why a part has no figures; null when it went well. */
function failure({ code, reason, seconds, allowed, out, err }: Part): string | null {
  if (code === 0) return null;
  if (code === null) return `skipped, ${reason}`;
  if (code === 124 || code === 137) return `not done after the ${allowed} s it had`;
  return `${errorLine(err) || errorLine(out) || `exit code ${code}, without a word, after ${seconds} s`}`;
}

/** The same as a cell says it. */
function failureCell(part: Part): string | null {
  const why = failure(part);
  return why === null || part.code === null ? why : `failed: ${why}`;
}

/** The rows of a part that prints JSON; where it failed, one that says so. */
function rowsOf<T>(part: Part, what: string, wanted: string, render: (found: T) => Row[]): Row[] {
  const failed = failureCell(part);
  if (failed !== null) return [[what, wanted, failed]];
  try {
    return render(JSON.parse(part.out) as T);
  } catch (error) {
    return [[what, wanted, `failed: what it printed cannot be read: ${(error as Error).message}`]];
  }
}

/** What is missing is a finding, although doctor's exit code is 1 then. */
function doctorRows(part: Part): Row[] {
  const read = part.code === 1 && part.out.startsWith("{") ? { ...part, code: 0 } : part;
  return rowsOf<Doctor>(read, "`mtc doctor`", "nothing missing", ({ adapter, problems }) => {
    const missing = problems.map(({ what }) => what).join("; ");
    if (!adapter) return [["`mtc doctor`", "nothing missing", `failed: ${missing}`]];
    const { features, subgroup_lanes, gflops, copy_gbytes_per_s } = adapter;
    const lanes = subgroup_lanes && ` of ${[...new Set(subgroup_lanes)].join(" to ")} lanes`;
    const has = Object.keys(features).filter((name) => features[name])
      .map((name) => name === "subgroups" ? name + (lanes ?? "") : name);
    const speed = gflops === null
      ? ""
      : `; product ${flops(1e9 * gflops)}, copy ${significant(copy_gbytes_per_s!, 3)} GB/s`;
    return [[
      "`mtc doctor`",
      "nothing missing",
      `${missing ? `failed: ${missing}` : "nothing missing"}; has ${has.join(", ")}${speed}`,
    ]];
  });
}

/** Deno's last line is `ok | 12 passed (3 steps) | 0 failed | 1 ignored (4s)`; a run that was cut off has none. */
function testRows(part: Part): Row[] {
  const what = "kernels in this adapter's shapes against the oracle", wanted = "0 failed";
  const summary = /^(?:ok|FAILED) \| (\d+ passed.*\| \d+ failed.*)$/m.exec(part.out)?.[1];
  if (summary) return [[what, wanted, summary.replaceAll(" |", ",")]];
  const count = (outcome: string) => part.out.match(new RegExp(` \\.\\.\\. ${outcome} \\(`, "g"))?.length ?? 0;
  const until = part.code === null ? "" : `; ${count("ok")} passed, ${count("FAILED")} failed until then`;
  return [[what, wanted, (failureCell(part) ?? "failed: it printed no summary") + until]];
}

/** The tests that failed, and the files that did not load. */
function failedTests({ out }: Part): string[] {
  // Deno names a file that did not load twice.
  return [
    ...new Set([...out.matchAll(/^(.*?)(?: \.\.\. FAILED \(.*| \(uncaught error\))$/gm)].map(([, name]) => name)),
  ];
}

function flops(perSecond: number): string {
  return perSecond >= 1e12
    ? `${significant(perSecond / 1e12, 3)} TFLOP/s`
    : `${significant(perSecond / 1e9, 3)} GFLOP/s`;
}

function productRows(part: Part, precision: string, wanted: string): Row[] {
  const inputs = precision === "f32" ? "f32" : "inputs rounded to f16";
  return rowsOf<ProductsPart>(
    part,
    `matrix products, ${inputs}`,
    wanted,
    ({ products }) =>
      products.map(({ what, rows, columns, depth, tiles }, i) => [
        `matrix product, ${inputs}, ${what}: ${integer(rows)} × ${integer(depth)} × ${integer(columns)}`,
        i === 0 ? wanted : "-",
        tiles.map(({ tile, flops_per_s }) => `${tile} ${flops(flops_per_s)}`).join(", "),
      ]),
  );
}

function byBothClocks({ wall_ms, kernels_ms }: WorkloadPart): string {
  const clock = kernels_ms === null ? "" : `, ${significant(kernels_ms, 3)} ms by the GPU's clock`;
  return `${significant(wall_ms, 3)} ms${clock}`;
}

function stepRows(part: Part, wanted: string): Row[] {
  return rowsOf<WorkloadPart>(part, "training step", wanted, (step) => {
    const share = `${percent(step.share_of_roofline, 0)} of the roofline`;
    return [[`training step, ${step.sizes}`, wanted, `${byBothClocks(step)}; ${share}`]];
  });
}

/** Tokens per second through all layers, or through as many as one that was measured alone. */
function tokensPerSecond({ tokens, wall_ms, layers }: WorkloadPart, all: number): number {
  return 1000 * tokens / wall_ms * layers / all;
}

/** Layers up to the activations of layer 17. */
const LAYERS = 18;

function forwardRows(part: Part, precision: string, wanted: string): Row[] {
  const name = `forward pass to layer ${LAYERS - 1}${precision === "f32" ? "" : ", inputs of products rounded to f16"}`;
  return rowsOf<WorkloadPart>(part, name, wanted, (pass) => {
    const alone = pass.layers < LAYERS ? ` (${LAYERS} times the time of ${pass.layers})` : "";
    const share = `${percent(pass.share_of_roofline, 0)} of the f32 roofline`;
    const speed = `${integer(tokensPerSecond(pass, LAYERS))} tokens/s${alone}`;
    return [[
      precision === "f32" ? `${name}: ${pass.sizes}` : name,
      wanted,
      `${speed}; ${byBothClocks(pass)}; ${share}`,
    ]];
  });
}

/** What both mean for the published recipe's tokens. */
function projectionRows(step: Part, forward: Part, isSmall: boolean): Row[] {
  const what = `${integer(TOKENS)} tokens, harvest and steps, extrapolated`;
  if (isSmall) return [[what, "-", "small sizes tell nothing of it"]];
  if (failure(step) ?? failure(forward)) return [[what, "-", "unknown without both"]];
  return rowsOf<WorkloadPart>(
    step,
    what,
    "-",
    ({ wall_ms, tokens }) =>
      rowsOf<WorkloadPart>(forward, what, "-", (pass) => [[
        what,
        "-",
        `${duration(TOKENS / tokensPerSecond(pass, LAYERS))} and ${duration(TOKENS / tokens * wall_ms / 1000)}`,
      ]]),
  );
}

/** `mtc 1.6 ms; PyTorch 2.13.0, a card: each prefix decoded 3.1 ms, ...`. A peer's name and its variant come as `PEER: VARIANT`. */
function peerRows(part: Part, what: string): Row[] {
  return rowsOf<Peers>(
    part,
    what,
    "-",
    ({ comparisons }) =>
      comparisons.map(({ what, milliseconds: [ours, ...peers] }) => {
        const [peer] = peers[0].name.split(": ");
        const variants = peers.map(({ name, median }) => `${name.slice(peer.length + 2)} ${significant(median, 3)} ms`);
        return [
          `${what}, in turns with PyTorch`,
          "-",
          `${ours.name} ${significant(ours.median, 3)} ms; ${peer}: ${variants.join(", ")}`,
        ];
      }),
  );
}

/** A script that closes with sentences. */
function spokenRows(part: Part, what: string, wanted: string): Row[] {
  return [[what, wanted, failureCell(part) ?? part.out.trimEnd().split("\n\n").at(-1)!]];
}

function memoryRow(parts: readonly Part[]): Row {
  const told = parts.flatMap(({ name, out, memory }) => {
    const host = /"peak_host_bytes":(\d+)/.exec(out)?.[1];
    const gpu = memory.length > 0 ? Math.max(...memory) - memory[0] : null;
    const both = [
      ...(host === undefined ? [] : [`${bytes(Number(host))} of the host`]),
      ...(gpu === null ? [] : [`${bytes(gpu * 2 ** 20)} of the GPU`]),
    ];
    return both.length === 0 ? [] : [`${name.replaceAll("_", " ")} ${both.join(", ")}`];
  });
  const silent = parts.every(({ memory }) => memory.length === 0) ? ["nvidia-smi tells nothing of the GPU's"] : [];
  return ["peak memory", "-", [...told, ...silent].join("; ")];
}

/**
 * Draws the table.
 *
 * @param parts All parts of the run, in its order.
 * @param card Name, driver and memory of the card in the words of nvidia-smi; empty where there is none.
 * @param isSmall True for sizes that were made for trying the script out: nothing is wanted of them.
 * @returns Markdown: machine, table, what failed.
 */
export function gpuTable(parts: readonly Part[], card: string, isSmall: boolean): string {
  const want = (speed: string) => isSmall ? "-" : speed;
  const find = (name: string): Part =>
    parts.find((part) => part.name === name) ??
      { name, code: null, seconds: 0, allowed: 0, reason: "it was never reached", out: "", err: "", memory: [] };
  const machine = parts.map(({ out }) => /"machine":\s*("(?:[^"\\]|\\.)*")/.exec(out)?.[1]).find((text) => text);
  const rows = [
    ...doctorRows(find("doctor")),
    ...testRows(find("tests")),
    ...productRows(find("products_f32"), "f32", want("at least 22 TFLOP/s on an H100")),
    ...productRows(find("products_f16"), "f16", "-"),
    ...stepRows(find("step"), want("at most 1.7 ms")),
    ...peerRows(find("peers_step"), "training step beside PyTorch"),
    ...forwardRows(find("forward"), "f32", want("at least 7,500 tokens/s")),
    ...forwardRows(find("forward_f16"), "f16", "-"),
    ...peerRows(find("peers_layer"), "one layer of Gemma-2-2B beside PyTorch"),
    ...projectionRows(find("step"), find("forward"), isSmall),
    ...spokenRows(find("two_layers"), "harvesting two layers beside the deeper alone", want("at most 1.15 times")),
    ...spokenRows(find("soak"), "host waits per 100 steps", "at most 1"),
    memoryRow(parts),
  ];
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  const seconds = parts.reduce((sum, part) => sum + part.seconds, 0);
  const failed = [
    ...rows.filter(([, , measured]) => measured.startsWith("failed: "))
      .map(([what, , measured]) => `- ${cell(what)}: ${cell(measured.slice("failed: ".length))}`),
    ...failedTests(find("tests")).map((name) => `- test: ${cell(name)}`),
  ];
  return [
    [
      machine ? JSON.parse(machine) : "a machine that no part could name",
      cell(card),
      isSmall && "small sizes",
      `${seconds} s in all`,
    ].filter(
      Boolean,
    ).join("; "),
    "",
    line(HEADINGS),
    `|${"---|".repeat(HEADINGS.length)}`,
    ...rows.map(line),
    "",
    ...(failed.length === 0 ? ["Nothing failed."] : ["What failed:", "", ...failed]),
  ].join("\n");
}

async function readParts(folder: string): Promise<Part[]> {
  const read = (name: string) => Deno.readTextFile(join(folder, name)).catch(() => "");
  const lines = (await read("parts.tsv")).trimEnd().split("\n").filter(Boolean);
  return await Promise.all(lines.map(async (line) => {
    const [name, code, seconds, allowed, reason] = line.split("\t");
    const samples = (await read(`${name}.memory`)).split("\n").filter(Boolean).map(Number);
    return {
      name,
      code: code === "skipped" ? null : Number(code),
      seconds: Number(seconds),
      allowed: Number(allowed),
      reason,
      out: await read(`${name}.out`),
      err: await read(`${name}.err`),
      memory: samples.filter(Number.isFinite),
    };
  }));
}

if (import.meta.main) {
  const [folder, size] = Deno.args, card = await Deno.readTextFile(join(folder, "card.txt")).catch(() => "");
  console.log(gpuTable(await readParts(folder), card.trim(), size === "small"));
}
