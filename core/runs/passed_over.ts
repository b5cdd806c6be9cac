/**
 * What is told of a text, in words: what of its folders was not read, and how its chats became texts.
 * @module
 */

import { NAMED_ALONE } from "../files/text_formats.ts";
import type { ChatForm } from "../text/chat_forms.ts";
import type { PassedOver } from "../text/files.ts";

/** The most reasons that are told one by one. */
const MOST_REASONS = 6;

/**
 * Says what was passed over.
 *
 * @param passedOver The counts.
 * @returns For example `passed over 4 files: 3 .csv, 1 hidden`; "" when there is nothing.
 */
export function describePassedOver(passedOver: PassedOver = {}): string {
  const counts = Object.entries(passedOver), all = counts.reduce((sum, [, count]) => sum + count, 0);
  if (all === 0) return "";
  const told = counts.slice(0, MOST_REASONS), rest = counts.slice(MOST_REASONS);
  const others = rest.reduce((sum, [, count]) => sum + count, 0);
  const list = [...told.map(([reason, count]) => `${count} ${reason}`), ...others > 0 ? [`${others} others`] : []];
  const isRead = counts.some(([reason]) => NAMED_ALONE.includes(reason));
  const hint = isRead ? `; ${NAMED_ALONE.join(", ")} are read where they are named themselves` : "";
  return `passed over ${all} ${all === 1 ? "file" : "files"}: ${list.join(", ")}${hint}`;
}

/**
 * Says how chats became texts.
 *
 * @param form The way.
 * @returns Half a sentence.
 */
export function describeChats(form: ChatForm): string {
  return form === "template"
    ? "chats are written by the tokenizer's own template"
    : 'chats are written with the role in front of each message ("user: ..."), as the tokenizer has no template';
}
