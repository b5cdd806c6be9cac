/**
 * Fuzzing: cases by the thousand, each the same wherever and whenever it is run, and a table of what became of them.
 * @module
 */

import type { Told } from "./case.ts";
import { READERS } from "./readers.ts";
import type { Asked } from "./worker.ts";

/** Seconds without an end after which a case counts as one that never ends. */
const PATIENCE_S = 20;

/** What a case came to, when it never ended too. */
export type Ending = Told["outcome"] | "hang";

/** A case that must not end as it did. */
export interface Fault {
  readonly reader: string;
  /** The number that names it: `deno task fuzz --reader NAME --case SEED`. */
  readonly seed: number;
  readonly ending: Ending;
  readonly what: string;
  readonly message: string;
}

/** What became of a reader's cases. */
export interface Row {
  readonly reader: string;
  readonly endings: Readonly<Record<Ending, number>>;
}

/** A run of the fuzzer. */
export interface Fuzzed {
  readonly rows: readonly Row[];
  readonly faults: readonly Fault[];
}

const FAULTY: readonly Ending[] = ["damaged", "crash", "memory", "hang"];

/** A thread that runs one case after the other. */
class Runner {
  #worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });

  /** Runs a case; null when it does not end. */
  run(asked: Asked): Promise<Told | null> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      this.#worker.onmessage = ({ data }: MessageEvent<Told | "ready">) => {
        if (data === "ready") {
          timer = setTimeout(() => {
            this.close();
            this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
            resolve(null);
          }, 1000 * PATIENCE_S);
          return;
        }
        clearTimeout(timer);
        resolve(data);
      };
      this.#worker.onerror = (event) => {
        event.preventDefault();
        clearTimeout(timer);
        reject(new Error(`The thread of ${asked.reader} failed: ${event.message}`));
      };
      this.#worker.postMessage(asked);
    });
  }

  close(): void {
    this.#worker.terminate();
  }
}

/**
 * Fuzzes readers.
 *
 * @param cases How many cases each has.
 * @param seed Names the first; those that follow count up from it.
 * @param readers Which; all if left out.
 * @param onFault Told of each fault at once.
 * @returns What became of the cases.
 */
export async function fuzz(
  cases: number,
  seed: number,
  readers: readonly string[] = Object.keys(READERS),
  onFault: (fault: Fault) => void = () => {},
): Promise<Fuzzed> {
  const rows: Row[] = [], faults: Fault[] = [], runner = new Runner();
  try {
    for (const reader of readers) {
      const endings: Record<Ending, number> = {
        refused: 0,
        same: 0,
        other: 0,
        damaged: 0,
        crash: 0,
        memory: 0,
        hang: 0,
      };
      for (let n = 0; n < cases; n++) {
        const told = await runner.run({ reader, seed: seed + n }), ending: Ending = told?.outcome ?? "hang";
        endings[ending]++;
        if (!FAULTY.includes(ending)) continue;
        const fault = { reader, seed: seed + n, ending, what: told?.what ?? "", message: told?.message ?? "" };
        faults.push(fault);
        onFault(fault);
      }
      rows.push({ reader, endings });
    }
  } finally {
    runner.close();
  }
  return { rows, faults };
}

const COLUMNS: readonly [title: string, count: (endings: Row["endings"]) => number][] = [
  ["cases", (endings) => Object.values(endings).reduce((a, b) => a + b, 0)],
  ["refused, one UserError", ({ refused }) => refused],
  ["read as before", ({ same }) => same],
  ["read, other values", ({ other }) => other],
  ["read, though damaged", ({ damaged }) => damaged],
  ["crash", ({ crash }) => crash],
  [`hang > ${PATIENCE_S} s`, ({ hang }) => hang],
  ["memory > 1 GiB", ({ memory }) => memory],
];

/**
 * Writes the table of a run.
 *
 * @param rows What became of the cases.
 * @returns Markdown, with a row for each reader and one for their sum.
 */
export function fuzzTable(rows: readonly Row[]): string {
  const sum = Object.fromEntries(
    Object.keys(rows[0].endings).map((
      ending,
    ) => [ending, rows.reduce((sum, { endings }) => sum + endings[ending as Ending], 0)]),
  ) as Row["endings"];
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [
    line(["reader", ...COLUMNS.map(([title]) => title)]),
    line(["---", ...COLUMNS.map(() => "---:")]),
    ...rows.map(({ reader, endings }) => line([reader, ...COLUMNS.map(([, count]) => count(endings))])),
    line(["**sum**", ...COLUMNS.map(([, count]) => `**${count(sum)}**`)]),
  ].join("\n");
}
