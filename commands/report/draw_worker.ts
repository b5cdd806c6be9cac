/**
 * The Worker that draws figures; drawing.ts is the other end.
 * @module
 */

import { answerTasks } from "../../core/workers.ts";
import { renderPng } from "../../reports/plots/render.ts";
import type { Spec } from "../../reports/plots/theme.ts";

answerTasks((figure: Spec) => renderPng(figure));
