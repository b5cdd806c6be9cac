/**
 * The ways in which chats become texts, apart from what does it: those who read what a run recorded need no templates.
 * @module
 */

/** By the template of the model's tokenizer, or where that has none with the role in front of each message. */
export const CHAT_FORMS = ["template", "marks"] as const;

/** One of them. */
export type ChatForm = typeof CHAT_FORMS[number];
