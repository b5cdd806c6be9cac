/**
 * `mtc steer`: features of a transcoder scaled, set or added to inside of the model, and what that does to its predictions.
 *
 * With f the feature's activation by threshold inference, at every counted token: --scale x makes f' = x f, --set x makes f' = x, --add x
 * makes f' = f + x; the target gets the sum over the features of (f' - f) W_dec[i]. With --where firing, set and add act only where the
 * feature fires; scale changes nothing elsewhere anyway. The rest of the target, the transcoder's error included, stays.
 * @module
 */

import { Command, Option } from "commander";
import { UsageError } from "../core/errors.ts";
import type { ActivationChange, Where } from "../core/passes/feature_change.ts";
import { type ChangeOptions, withChangeOptions } from "./change/options.ts";
import { numberOption } from "./options.ts";

interface SteerOptions extends ChangeOptions {
  readonly scale?: number;
  readonly set?: number;
  readonly add?: number;
  readonly where: Where;
}

function changeOf({ scale, set, add, where }: SteerOptions): ActivationChange {
  const changes: ActivationChange[] = [
    ...scale === undefined ? [] : [{ kind: "scale" as const, factor: scale }],
    ...set === undefined ? [] : [{ kind: "set" as const, value: set, where }],
    ...add === undefined ? [] : [{ kind: "add" as const, value: add, where }],
  ];
  if (changes.length === 1) return changes[0];
  throw new UsageError({
    action: "steer",
    requirement: "one of --scale, --set and --add must say what becomes of the activations",
    found: changes.length === 0 ? "none does" : `there are --${changes.map(({ kind }) => kind).join(" and --")}`,
    remedy: "give one of them",
  });
}

async function steer(options: SteerOptions): Promise<void> {
  const change = changeOf(options);
  const { runChange } = await import("./change/run.ts");
  await runChange("steer", options, change);
}

/** The command `mtc steer`. */
export function steerCommand(): Command {
  const command = new Command("steer").description(
    "Scales, sets or adds to features of a transcoder inside of the model, and shows what that does to its next-token predictions. At every " +
      "token but BOS and others that are left out, the target gets (f' - f) W_dec[i] of each feature i, whose activation f becomes f'; the " +
      "rest of it, the transcoder's error included, stays.",
  )
    .addOption(numberOption("--scale <x>", "f' = x f; 0 switches the features off"))
    .addOption(numberOption("--set <x>", "f' = x"))
    .addOption(numberOption("--add <x>", "f' = f + x"))
    .addOption(
      new Option("--where <place>", "where --set and --add act: at every token, or only where the feature fires")
        .choices(["everywhere", "firing"]).default("everywhere" satisfies Where),
    );
  return withChangeOptions(command)
    .addHelpText(
      "after",
      '\nExamples:\n  mtc steer --run runs/first/layer4 --features 12 --set 8 --text "My fellow citizens" --generate 20\n' +
        '  mtc steer --run runs/first/layer4 --features 12 --add 4 --text "My fellow" --generate 20 --temperature 0.8 --seed 1\n' +
        "  mtc steer --run runs/first/layer4 --features 12,77 --scale 3 --tokens 8192",
    )
    .action(steer);
}
