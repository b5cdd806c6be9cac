/**
 * `mtc ablate`: features of a transcoder switched off inside of the model, and what that does to its predictions.
 *
 * Off means f' = 0: at every counted token the target gets the sum over the features of -f W_dec[i], f being the feature's activation by
 * threshold inference. The rest of the target, the transcoder's error included, stays as the model computes it.
 * @module
 */

import { Command } from "commander";
import { type ChangeOptions, withChangeOptions } from "./change/options.ts";

async function ablate(options: ChangeOptions): Promise<void> {
  const { runChange } = await import("./change/run.ts");
  await runChange("ablate", options, { kind: "scale", factor: 0 });
}

/** The command `mtc ablate`. */
export function ablateCommand(): Command {
  const command = new Command("ablate").description(
    "Switches features of a transcoder off inside of the model, and shows what that does to its next-token predictions. At every token " +
      "but BOS and others that are left out, the target loses f_i W_dec[i] of each feature i; the rest of it, the transcoder's error " +
      "included, stays.",
  );
  return withChangeOptions(command)
    .addHelpText(
      "after",
      '\nExamples:\n  mtc ablate --run runs/first/layer4 --features 12,77 --text "The state of the union is strong." --generate 20\n' +
        "  mtc ablate --run runs/first --layer 4 --group 2 --tokens 8192\n" +
        "  mtc ablate --run runs/first/layer4 --prefix 128 --split validation --json | jq .held_out.changed",
    )
    .action(ablate);
}
