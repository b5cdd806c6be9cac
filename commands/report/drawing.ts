/**
 * Drawing figures in Workers, beside each other and beside whatever makes the next ones.
 * @module
 */

import { Workers } from "../../core/workers.ts";
import type { Draw } from "../../reports/report_files.ts";
import type { Spec } from "../../reports/plots/theme.ts";

/** Each Worker holds the plotting libraries, about 100 MB. */
const MOST_WORKERS = 4;

/** Workers that draw. */
export interface Drawing extends AsyncDisposable {
  /** Draws a figure. */
  readonly draw: Draw;
}

/**
 * Opens Workers that draw, as many as there are cores, up to four, each once it is needed.
 *
 * @returns Them; what they draw is the same bytes whichever of them draws it.
 */
export function openDrawing(): Drawing {
  const most = Math.min(MOST_WORKERS, navigator.hardwareConcurrency);
  const workers = new Workers<Spec, Uint8Array>(new URL("./draw_worker.ts", import.meta.url), most);
  return {
    draw: (figure) => workers.ask(figure),
    [Symbol.asyncDispose]: () => workers[Symbol.asyncDispose](),
  };
}
