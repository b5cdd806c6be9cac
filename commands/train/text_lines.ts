/**
 * What `mtc train` and `mtc harvest` say of their text before it starts.
 * @module
 */

import { describeChats, describePassedOver } from "../../core/runs/passed_over.ts";
import type { TextSummary } from "../../core/text/summary.ts";
import { counted, fileSize, integer } from "../../reports/format.ts";
import { leftOutRecords } from "../../reports/held_out.ts";

/**
 * The lines about a text that is none of the embedded one: how much of it is read, and what beside it is not.
 *
 * @param name What it is called.
 * @param text What is known of it.
 * @returns Lines for the header of a run.
 */
export function textLines(name: string, text: TextSummary): string[] {
  const { documents, train_documents, file_count, bytes, passed_over, column, chat, left_out } = text;
  if (file_count === 0) return [];
  const files = `${counted(file_count, "file")} of ${fileSize(bytes)}`;
  const read = documents === null
    ? `${files}, read as a stream`
    : `${counted(documents, "document")}, ${integer(train_documents!)} of them to train on, in ${files}`;
  const passed = describePassedOver(passed_over);
  const more = [
    ...column === undefined ? [] : [`text is what stands under "${column}"`],
    ...chat === undefined ? [] : [describeChats(chat)],
    ...passed === "" ? [] : [passed],
    ...left_out === undefined ? [] : [`left out ${leftOutRecords(left_out)}`],
  ];
  return [`  text    ${name}: ${read}`, ...more.map((line) => `          ${line}`)];
}
