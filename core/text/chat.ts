/**
 * Chats: lists of messages, each of a role, and the one text that the model's own template makes of them. The roles and contents may be
 * called as OpenAI does (`role`, `content`) or as ShareGPT does (`from`, `value`; its `human` and `gpt` are the user and the assistant).
 * @module
 */

import { Template } from "@huggingface/jinja";
import { createHash } from "node:crypto";
import { UserError } from "../errors.ts";
import type { ChatForm } from "./chat_forms.ts";
import type { NoText } from "./no_text.ts";
import { contentOf, parseJson, type TokenizerFiles } from "./tokenizer.ts";
import { duringChat } from "./watched.ts";

/** Makes texts of chats. */
export interface ChatWriter {
  /** How. */
  readonly form: ChatForm;
  /** Tells the template from others; "" where there is none. */
  readonly fingerprint: string;
  /** How many chats it has written so far. */
  readonly written: number;
  /**
   * Writes a chat.
   *
   * @param chat What {@link isChat}.
   * @param where The file, and the record, for messages.
   * @returns The text, without the BOS that the template may begin it with; or why the template refuses it.
   * @throws {UserError} When the template is none.
   */
  write(chat: readonly Message[], where: string): string | NoText;
}

/** A message of a chat, as it lies in a file. */
export type Message = Readonly<Record<string, unknown>>;

/** What ShareGPT calls the roles of others. */
const ROLES: Readonly<Record<string, string>> = { human: "user", gpt: "assistant" };

/**
 * Whether a value is a chat.
 *
 * @param value What a record holds.
 * @returns True for a list of messages with roles and contents, one at least.
 */
export function isChat(value: unknown): value is readonly Message[] {
  return Array.isArray(value) && value.length > 0 && value.every(isMessage);
}

function isMessage(value: unknown): value is Message {
  return typeof value === "object" && value !== null && ("role" in value || "from" in value) &&
    ("content" in value || "value" in value);
}

/**
 * A writer of chats for a model.
 *
 * @param files The model's tokenizer.
 * @returns The writer; the template is read when the first chat comes.
 */
export function chatWriter(files: TokenizerFiles): ChatWriter {
  const config = parseJson(files.tokenizerConfig, "tokenizer_config.json"), source = templateOf(files, config);
  const bos = contentOf(config, "bos_token") ?? "", eos = contentOf(config, "eos_token") ?? "";
  let template: Template | undefined, written = 0;
  const render = (messages: readonly Message[]) => {
    template ??= parsed(source!);
    const text = template.render({
      messages,
      bos_token: bos,
      eos_token: eos,
      add_generation_prompt: false,
      limited_range: range,
    });
    return bos !== "" && text.startsWith(bos) ? text.slice(bos.length) : text;
  };
  return {
    form: source === undefined ? "marks" : "template",
    fingerprint: source === undefined ? "" : createHash("sha256").update(source).digest("hex"),
    get written() {
      return written;
    },
    write: (chat, where) => {
      const messages = chat.map(named);
      try {
        const text = source === undefined ? marked(messages) : duringChat(() => render(messages));
        written++;
        return text;
      } catch (error) {
        if (error instanceof UserError) throw error;
        return {
          where,
          requirement: "the tokenizer's chat template must take it",
          found: `it says: ${(error as Error).message}`,
          remedy: "mend or remove the record",
        };
      }
    },
  };
}

/** No chat has as many messages as this. */
const MOST_IN_RANGE = 1_000_000;

/** Stands in front of a template. The library's own range fills the memory with whatever it is asked for, and cannot be given anew. */
const PROLOGUE = '{% set range = limited_range %}{{ "" }}';

/** Jinja's `range`. */
function range(start: number, stop?: number, step = 1): number[] {
  const [first, end] = stop === undefined ? [0, start] : [start, stop], length = Math.ceil((end - first) / step);
  if (!(length <= MOST_IN_RANGE)) throw new RangeError(`its range has more than ${MOST_IN_RANGE} numbers`);
  return Array.from({ length: Math.max(0, length) }, (_, i) => first + i * step);
}

/** The template, if there is one: a file of its own counts before what tokenizer_config.json has, as it does in Python. */
function templateOf({ chatTemplate }: TokenizerFiles, config: Record<string, unknown>): string | undefined {
  if (chatTemplate !== undefined) return new TextDecoder().decode(chatTemplate);
  const { chat_template: given } = config;
  if (typeof given === "string") return given;
  if (!Array.isArray(given)) return undefined;
  const { template } = given.find((entry) => entry?.name === "default") ?? {};
  return typeof template === "string" ? template : undefined;
}

function parsed(source: string): Template {
  try {
    return new Template(PROLOGUE + source);
  } catch (error) {
    throw new UserError({
      action: "read the tokenizer's chat template",
      requirement: "it must be a Jinja template",
      found: `${(error as Error).message}`,
      remedy: "take chat_template.jinja or tokenizer_config.json from the model's own directory",
    });
  }
}

/** A message as templates know it; what else it has stays. */
function named(message: Message): Message {
  const role = message.role ?? message.from;
  return {
    ...message,
    role: typeof role === "string" ? ROLES[role] ?? role : role,
    content: message.content ?? message.value ?? "",
  };
}

/** A chat with its roles in front of the messages: `user: Hello\n`. */
function marked(messages: readonly Message[]): string {
  return messages.map(({ role, content }) => `${role}: ${plain(content)}\n`).join("");
}

/** The text of a content, which may have several parts. */
function plain(content: unknown): string {
  if (typeof content === "string") return content;
  return Array.isArray(content) ? content.map((part) => part?.text ?? "").join("") : JSON.stringify(content);
}
