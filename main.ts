/**
 * `mtc`: one lazily imported command per invocation. This is the only place that prints an error and decides the exit code.
 * @module
 */

import { Command, CommanderError } from "commander";
import { endAll, listenForSignals, stoppedCode } from "./core/ending.ts";
import { Interrupted, printable, UsageError, UserError } from "./core/errors.ts";
import configuration from "./deno.json" with { type: "json" };

interface Entry {
  readonly summary: string;
  readonly load: (args: readonly string[]) => Promise<Command>;
  /** True for a command to which `--adapter` means nothing. */
  readonly opensNoGpu?: true;
}

/** Importing every command to print `--help` would take most of a second, so the summaries stand here. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  train: {
    summary: "train one transcoder per layer from a single forward pass",
    load: async () => (await import("./commands/train/command.ts")).trainCommand(),
  },
  sweep: {
    summary: "train a transcoder for every combination of sizes, k, learning rates, seeds and sites",
    load: async () => (await import("./commands/sweep/command.ts")).sweepCommand(),
  },
  report: {
    summary: "write the reports and plots of the runs it finds",
    load: async () => (await import("./commands/report.ts")).reportCommand(),
  },
  browse: {
    summary: "look at runs, reports and features in a web browser",
    load: async () => (await import("./commands/browse.ts")).browseCommand(),
  },
  evaluate: {
    summary: "measure a finished transcoder on held-out text",
    load: async () => (await import("./commands/evaluate.ts")).evaluateCommand(),
  },
  analyze: {
    summary: "analyse the features of finished transcoders",
    load: async (args) => await (await import("./commands/analyze/command.ts")).analyzeCommand(args),
  },
  encode: {
    summary: "show the features of a text, token by token",
    load: async () => (await import("./commands/encode.ts")).encodeCommand(),
  },
  ablate: {
    summary: "switch features off inside of the model and show what that changes",
    load: async () => (await import("./commands/ablate.ts")).ablateCommand(),
  },
  steer: {
    summary: "scale, set or add to features inside of the model and show what that changes",
    load: async () => (await import("./commands/steer.ts")).steerCommand(),
  },
  import: {
    summary: "make a run of transcoders that other tools trained",
    load: async () => (await import("./commands/import/command.ts")).importCommand(),
  },
  harvest: {
    summary: "write a model's activations to safetensors shards",
    load: async () => (await import("./commands/harvest.ts")).harvestCommand(),
  },
  export: {
    summary: "write finished transcoders as SAELens, circuit-tracer and other tools read them",
    load: async () => (await import("./commands/export/command.ts")).exportCommand(),
  },
  bench: {
    summary: "time every kernel against the roofline of this machine",
    load: async () => (await import("./commands/bench.ts")).benchCommand(),
  },
  doctor: {
    summary: "show what this machine offers and what is missing",
    load: async () => (await import("./commands/doctor.ts")).doctorCommand(),
  },
  completions: {
    summary: "print a script that makes bash, zsh, fish or PowerShell complete the command line",
    load: async () => (await import("./commands/completions/command.ts")).completionsCommand(wholeProgram),
    opensNoGpu: true,
  },
  man: {
    summary: "print the manual page",
    load: async () => (await import("./commands/man.ts")).manCommand(wholeProgram),
    opensNoGpu: true,
  },
};

/** Commander must throw instead of exiting, in every nested command, and say what is wrong as mtc does. */
function prepare(command: Command): Command {
  command.exitOverride().configureOutput({
    writeOut: (text) => console.log(text.replace(/\n$/, "")),
    outputError: (text) =>
      console.error(`mtc: ${printable(text.replace(/^error: /, "").trim().replaceAll("\n", " "))}`),
  });
  requireLast(command);
  command.hook("preAction", () => refuseEmpty(command));
  if (command.commands.length === 0 && !COMMANDS[command.name()]?.opensNoGpu) takeAdapter(command);
  command.commands.forEach(prepare);
  return command;
}

/** Commander asks for required options before it looks at unknown ones; `--rum x` would be answered by "--run is missing". */
function requireLast(command: Command): void {
  const required = command.options.filter((option) => option.mandatory);
  for (const option of required) option.mandatory = false;
  command.hook("preAction", () => {
    const missing = required.find((option) => command.getOptionValue(option.attributeName()) === undefined);
    if (missing) command.error(`error: option '${missing.flags}' is required`);
  });
}

/** Every command that does something may open a GPU. */
function takeAdapter(command: Command): void {
  command.option(
    "--adapter <which>",
    "the GPU: its number or a part of its name in `mtc doctor` (default: MTC_ADAPTER, or the fastest)",
  );
  command.hook("preAction", async () => {
    const wanted = command.getOptionValue("adapter") ?? Deno.env.get("MTC_ADAPTER");
    if (wanted) await (await import("./commands/adapter.ts")).useAdapter(wanted);
  });
}

/** An empty path would mean the working directory, as a variable of a script that was never set would have it. */
function refuseEmpty(command: Command): void {
  const empty = command.options.find((option) => [command.getOptionValue(option.attributeName())].flat().includes(""));
  if (empty) command.error(`error: option '${empty.flags}' must not be empty`);
}

/** The program without its commands. */
async function bareProgram(args: readonly string[]): Promise<Command> {
  const asksVersion = args[0] === "--version" || args[0] === "-V";
  return new Command("mtc")
    .description("Trains Matryoshka transcoders on layers of Gemma-2 and Gemma-3 and explains what they learned.")
    .version(asksVersion ? await (await import("./commands/version.ts")).versionText() : configuration.version)
    .addHelpText(
      "after",
      "\nExit codes:\n  0 done, 1 the work failed, 2 the command line or a configuration is wrong,\n" +
        "  75 stopped by a signal with everything saved: the same command goes on, 130 the same after Ctrl-C\n" +
        "\nExample:\n  mtc train && mtc report --out analysis_results",
    );
}

/** The program, with the one command that `args` names imported and the others as names with a summary. */
async function programFor(args: readonly string[]): Promise<Command> {
  const operands = args.filter((arg) => !arg.startsWith("-"));
  const chosen = operands[0] === "help" ? operands[1] : operands[0];
  const program = await bareProgram(args);
  for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
    program.addCommand(name === chosen ? (await load(args)).summary(summary) : new Command(name).description(summary));
  }
  return prepare(program);
}

/** The program with all commands imported, and all below them, which are imported by name too. */
async function wholeProgram(): Promise<Command> {
  const program = await bareProgram([]);
  for (const { summary, load } of Object.values(COMMANDS)) {
    const below = (await load([])).commands.map((command) => command.name());
    program.addCommand((await load(below)).summary(summary));
  }
  return prepare(program);
}

/** A reader that left early, as in `mtc encode ... | head`, is no failure to talk about; 141 is what a shell expects then. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof Interrupted) return stoppedCode();
  if (error instanceof Deno.errors.BrokenPipe) return 141;
  return error instanceof UsageError ? 2 : 1;
}

function explain(error: unknown): void {
  if (error instanceof CommanderError || error instanceof Deno.errors.BrokenPipe) return; // the first has said it
  if (error instanceof UserError) {
    console.error(`mtc: ${error.message}`);
  } else {
    const told = error instanceof Error ? error.stack ?? error.message : String(error);
    console.error(told.split("\n").map((line) => printable(line)).join("\n"));
    console.error(
      `mtc: this is a defect of mtc ${configuration.version}, not a mistake of yours; ` +
        "please report it with the command line, the lines above and the output of `mtc doctor`",
    );
  }
}

/**
 * On Linux, WebGPU without Vulkan falls back on OpenGL, whose adapters cannot run every kernel, and graphics libraries complain on stderr where no
 * directory is named for sockets that mtc has none of. For `main` and the scripts of bench/.
 */
export function preferVulkan(): void {
  if (Deno.build.os !== "linux") return;
  const defaults = { DENO_WEBGPU_BACKEND: "vulkan", XDG_RUNTIME_DIR: "/tmp" };
  for (const [name, value] of Object.entries(defaults)) if (!Deno.env.get(name)) Deno.env.set(name, value);
}

/**
 * Runs one command line.
 *
 * @param args The arguments after the program's name.
 * @returns The exit code: 0 done, 1 the work failed, 2 the command line or a configuration is wrong, 75 stopped by a signal with everything
 * saved, 130 the same after Ctrl-C.
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    preferVulkan();
    await (await programFor(args)).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    explain(error);
    return exitCodeOf(error);
  }
}

/** Threads that still run when the C library tidies up could bring the process down. */
async function exit(code: number): Promise<void> {
  await endAll();
  Deno.exit(code);
}

if (import.meta.main) {
  listenForSignals();
  for (const type of ["unhandledrejection", "error"] as const) {
    globalThis.addEventListener(type, (event) => {
      event.preventDefault();
      const error = event instanceof PromiseRejectionEvent ? event.reason : (event as ErrorEvent).error;
      explain(error);
      exit(exitCodeOf(error));
    });
  }
  await exit(await main(Deno.args));
}
