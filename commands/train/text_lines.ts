/**
 * What `mtc train` says of its text before it starts.
 * @module
 */

import { describePassedOver } from "../../core/runs/passed_over.ts";
import type { TextSummary } from "../../core/text/summary.ts";
import { counted, fileSize, integer } from "../../reports/format.ts";

/**
 * The lines about a text that is none of the embedded one: how much of it is read, and what beside it is not.
 *
 * @param name What it is called.
 * @param text What is known of it.
 * @returns Lines for the header of a run.
 */
export function textLines(name: string, text: TextSummary): string[] {
  const { documents, train_documents, file_count, bytes, passed_over } = text;
  if (file_count === 0) return [];
  const files = `${counted(file_count, "file")} of ${fileSize(bytes)}`;
  const read = documents === null
    ? `${files}, read as a stream`
    : `${counted(documents, "document")}, ${integer(train_documents!)} of them to train on, in ${files}`;
  const passed = describePassedOver(passed_over);
  return [`  text    ${name}: ${read}`, ...passed === "" ? [] : [`          ${passed}`]];
}
