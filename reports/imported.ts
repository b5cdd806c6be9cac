/**
 * What `mtc import` prints for a reader.
 * @module
 */
import type { Evaluation } from "../core/analysis/evaluation.ts";
import { tapName } from "../core/model/sites.ts";
import type { TranscoderConfig } from "../core/runs/config.ts";
import { confidence, counted, decimal, integer, thresholdText } from "./format.ts";

/** A transcoder that was imported. */
export interface ToldImport {
  /** Its directory. */
  readonly run: string;
  /** Its config.json. */
  readonly config: TranscoderConfig;
  /** Its evaluation.json. */
  readonly evaluation: Evaluation;
}

/** What is kept of a token's activations, in words. */
export function activationText(
  { imported, k }: Pick<TranscoderConfig, "imported" | "k">,
  evaluation: Pick<Evaluation, "threshold" | "threshold_range">,
): string {
  switch (imported!.activation) {
    case "jump-relu":
      return `jump-ReLU, each feature above its threshold (${thresholdText(evaluation)})`;
    case "relu":
      return "ReLU, whatever is above 0";
    case "top-k":
      return `the ${k} largest of each token`;
  }
}

function lines({ run, config, evaluation }: ToldImport): string[] {
  const { imported, source, targets: [target], features, groups, d_in, d_out, skip, model } = config;
  const { fvu, fvu_ci95, l0, dead_features, tokens } = evaluation;
  const nested = groups.length > 1 ? ` in groups of ${groups.map(integer).join(", ")}` : "";
  return [
    `${run}: ${imported!.tool}, ${imported!.from}, SHA-256 ${imported!.fingerprint.slice(0, 12)}`,
    `  maps      ${tapName(source)} -> ${tapName(target)} of ${model.name}, ${d_in} -> ${d_out}${
      skip ? ", with a skip connection" : ""
    }`,
    ...imported!.unfolded_gain
      ? ["            its encoder is divided by the gain of the norm, which it reads in front of"]
      : [],
    `  features  ${integer(features)}${nested}; ${activationText(config, evaluation)}`,
    `  held out  FVU ${decimal(fvu, 4)}${confidence(fvu_ci95, 4)}, L0 ${decimal(l0, 1)}, ${
      counted(dead_features, "dead feature")
    } on ${counted(tokens, "token")} of ${config.data.name}`,
    ...imported!.remarks.map((remark) => `  note      ${remark}`),
  ];
}

/**
 * Says what was imported, and what can be done with it.
 *
 * @param out The run.
 * @param imported Its transcoders.
 * @returns Lines.
 */
export function importedText(out: string, imported: readonly ToldImport[]): string {
  const next = [`mtc report --runs ${out} --out results`, `mtc evaluate --run ${out} --loss`];
  return [...imported.flatMap(lines), `Go on with: ${next.join("   or   ")}`].join("\n");
}
