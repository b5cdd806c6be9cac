/**
 * `mtc analyze`: what is asked of finished transcoders, an analysis per file of this directory.
 *
 * An analysis is a command of its own, which is imported only when it is named. It opens the run, computes plain values with a function of
 * core/analysis, hands them to {@link print} and keeps them in the transcoder's directory, by a writer in core/runs, where `mtc report` finds
 * them.
 * @module
 */

import { Command } from "commander";

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

const ANALYSES: Readonly<Record<string, Entry>> = {
  absorption: {
    summary: "whether features of a letter leave out words that others have taken over, as SAEBench measures it",
    load: async () => (await import("./absorption.ts")).absorptionCommand(),
  },
  attribution: {
    summary: "what features are made of, layer by layer, and the tokens that they read and write",
    load: async () => (await import("./attribution.ts")).attributionCommand(),
  },
  coherence: {
    summary: "whether features stand for more than their tokens: how alike the model is where each fires most",
    load: async () => (await import("./coherence.ts")).coherenceCommand(),
  },
  compare: {
    summary: "which features of one transcoder are found again in another, and which are its own",
    load: async () => (await import("./compare.ts")).compareCommand(),
  },
  features: {
    summary: "all features at a glance: strength, frequency, tokens, and what FVU loses without each",
    load: async () => (await import("./features.ts")).featuresCommand(),
  },
  hierarchy: {
    summary: "whether the nested groups make a hierarchy: parents and children beyond chance, and what nesting adds",
    load: async () => (await import("./hierarchy.ts")).hierarchyCommand(),
  },
  importance: {
    summary: "which features matter, by activation, by reconstruction, and to the model's predictions",
    load: async () => (await import("./importance.ts")).importanceCommand(),
  },
  layer: {
    summary:
      "what is particular about a layer: features told by tokens or made from context, by what, and those that other layers lack",
    load: async () => (await import("./layer.ts")).layerCommand(),
  },
  patterns: {
    summary: "how features fire: in bursts, where in a context, in which documents, in which company",
    load: async () => (await import("./patterns.ts")).patternsCommand(),
  },
  similarity: {
    summary: "which features are alike, by what they read and write and by when they fire",
    load: async () => (await import("./similarity.ts")).similarityCommand(),
  },
  weights: {
    summary: "lengths, biases and directions of each group, beside chance",
    load: async () => (await import("./weights.ts")).weightsCommand(),
  },
};

/**
 * The command `mtc analyze`.
 *
 * @param args The command line, which names the analysis to import; all others are names with a summary.
 * @returns The command.
 */
export async function analyzeCommand(args: readonly string[]): Promise<Command> {
  const command = new Command("analyze")
    .description("Analyses the features of finished transcoders; `mtc report` tells what is kept of it.")
    .addHelpText("after", "\nExample:\n  mtc analyze importance --run runs/first && mtc report");
  for (const [name, { summary, load }] of Object.entries(ANALYSES)) {
    command.addCommand(args.includes(name) ? (await load()).summary(summary) : new Command(name).description(summary));
  }
  return command;
}
