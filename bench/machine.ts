/**
 * What a benchmark ran on, in one line, for tables and files.
 * @module
 */

/**
 * Describes the machine.
 *
 * @param adapter The WebGPU adapter.
 * @returns For example `2026-11-22, 2 cores of Intel Xeon at 2.10GHz, llvmpipe (LLVM 15), Deno 2.9.6`.
 */
export async function describeMachine(adapter: string): Promise<string> {
  const date = new Date().toISOString().slice(0, 10), cores = navigator.hardwareConcurrency;
  return `${date}, ${cores} cores of ${await processor()}, ${adapter}, Deno ${Deno.version.deno}`;
}

/** Only Linux says it in a file. */
async function processor(): Promise<string> {
  const text = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  return /^model name\s*:\s*(.*)$/m.exec(text)?.[1].replace(/\((R|TM)\)/g, "").replace(/\s+/g, " ") ?? Deno.build.arch;
}
