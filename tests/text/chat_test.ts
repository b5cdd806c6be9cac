/** Chats: what counts as one, and what text the tokenizer's template, or its absence, makes of it. */

import assert from "node:assert/strict";
import { Template } from "@huggingface/jinja";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { textLines } from "../../commands/train/text_lines.ts";
import { UserError } from "../../core/errors.ts";
import { openModel } from "../../core/model/files.ts";
import { type ChatWriter, chatWriter, isChat } from "../../core/text/chat.ts";
import { openCorpus } from "../../core/text/corpus.ts";
import { openTokenSource } from "../../core/text/source.ts";
import { assertRefused, bytesOf, tokenizer, tokenizerFiles, withFiles } from "./corpora.ts";

/** In the manner of instruction-tuned Gemma models: with a BOS, a role of its own for the assistant, and none for the system. */
const LINES = [
  "{{ bos_token }}",
  "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}",
  "{% for message in messages %}",
  "    {%- set role = 'model' if message.role == 'assistant' else message['role'] -%}",
  "    {{ '<turn>' + role + '\\n' }}{{ message['content'] | trim }}{{ '<end>\\n' }}",
  "{% endfor %}",
  "{% if add_generation_prompt %}{{ '<turn>model\\n' }}{% endif %}",
];
const TEMPLATE = LINES.join("");
const WRITTEN = "<turn>user\nHow many?<end>\n<turn>model\n50 states.<end>\n";
const OPENAI = [{ role: "user", content: " How many?" }, { role: "assistant", content: "50 states. " }];
const SHAREGPT = [{ from: "human", value: "How many?" }, { from: "gpt", value: "50 states." }];

const writer = (more: Record<string, unknown>, chatTemplate?: string) =>
  chatWriter({
    tokenizerJson: new Uint8Array(),
    tokenizerConfig: bytesOf(JSON.stringify({ bos_token: "<bos>", eos_token: { content: "<eos>" }, ...more })),
    ...chatTemplate !== undefined && { chatTemplate: bytesOf(chatTemplate) },
  });

Deno.test("a chat is written by the template, wherever it stands and whatever its roles are called; its BOS is not doubled", () => {
  const named = [{ name: "tool_use", template: "x" }, { name: "default", template: TEMPLATE }];
  const own = writer({ chat_template: TEMPLATE });
  for (const chats of [own, writer({ chat_template: named }), writer({ chat_template: "other" }, TEMPLATE)]) {
    assert.deepEqual([chats.form, chats.fingerprint, chats.written], ["template", own.fingerprint, chats.written]);
    for (const chat of [OPENAI, SHAREGPT]) assert.equal(chats.write(chat, "a"), WRITTEN);
  }
  assert.equal(own.written, 2);
  // What Jinja2 3.1.6 makes of it with trim_blocks and lstrip_blocks, as transformers sets it up.
  assert.equal(writer({}, LINES.join("\n")).write(OPENAI, "a"), `\n${WRITTEN.replaceAll("<end>\n", "<end>\n\n")}`);
  const system = own.write([{ role: "system", content: "Be brief." }], "a.jsonl line 3");
  assert.ok(typeof system === "object");
  assert.deepEqual([system.where, system.found], ["a.jsonl line 3", "it says: no system here"]);
  assert.equal(own.written, 2, "what is refused is not counted");
});

Deno.test("a template that is none is told of when the first chat comes", () => {
  const chats = writer({ chat_template: "{% for %}" });
  assert.throws(
    () => chats.write(OPENAI, "a"),
    (error) =>
      error instanceof UserError &&
      /^Cannot read the tokenizer's chat template: it must be a Jinja template, /.test(error.message),
  );
});

Deno.test("without a template roles stand in front of the messages", () => {
  for (const chats of [writer({}), writer({ chat_template: [{ name: "rag", template: "x" }] })]) {
    assert.deepEqual([chats.form, chats.fingerprint], ["marks", ""]);
    assert.equal(chats.write(SHAREGPT, "a"), "user: How many?\nassistant: 50 states.\n");
  }
  const parts = [{
    role: "user",
    content: [{ type: "text", text: "How" }, { type: "image" }, { type: "text", text: "?" }],
  }];
  assert.equal(writer({}).write(parts, "a"), "user: How?\n");
  assert.equal(writer({}).write([{ role: "assistant", content: null }], "a"), "assistant: \n");
});

Deno.test("what is no chat", () => {
  for (const value of [OPENAI, SHAREGPT]) assert.ok(isChat(value));
  for (const value of [[], "x", null, {}, ["x"], [{ role: "user" }], [{ content: "x" }], [...OPENAI, null]]) {
    assert.ok(!isChat(value), JSON.stringify(value));
  }
});

const CHATS = Array.from(
  { length: 45 },
  (_, i) => [{ role: "user", content: `${i}?` }, { role: "assistant", content: `${i}.` }],
);
const textOf = (_: unknown, i: number) => `<turn>user\n${i}?<end>\n<turn>model\n${i}.<end>\n`;

Deno.test("chats are read from every format that can hold them, and recorded and told as such", async () => {
  const shareGpt = CHATS.map((chat) =>
    chat.map(({ role, content }) => ({ from: role === "user" ? "human" : "gpt", value: content }))
  );
  const message = ["role", "content"].map((name) => ({
    name,
    type: "BYTE_ARRAY",
    converted_type: "UTF8",
    repetition_type: "OPTIONAL",
  }));
  const files = {
    "a.jsonl": CHATS.map((messages) => JSON.stringify({ id: 1, messages }) + "\n").join(""),
    "b.jsonl": shareGpt.map((messages) => JSON.stringify({ messages }) + "\n").join(""),
    "c.json": JSON.stringify(CHATS.map((messages) => ({ messages }))),
    "d.parquet": new Uint8Array(parquetWriteBuffer({
      schema: [
        { name: "root", num_children: 1 },
        { name: "messages", num_children: 1, converted_type: "LIST", repetition_type: "OPTIONAL" },
        { name: "list", num_children: 1, repetition_type: "REPEATED" },
        { name: "element", num_children: 2, repetition_type: "OPTIONAL" },
        ...message,
      ] as never,
      columnData: [{ name: "messages", data: CHATS }],
      rowGroupSize: 20,
    })),
  };
  await withFiles(files, async (folder) => {
    const open = (name: string, column: string, chats?: ChatWriter, characters = 1e9) =>
      openCorpus([join(folder, name)], "train", characters, { column, badLines: 0, chats });
    for (const name of Object.keys(files)) {
      const { read, summary } = await open(name, "messages", writer({ chat_template: TEMPLATE }));
      const { documents } = await read(0, { file: 0, record: 0, byte: 0 });
      assert.deepEqual(documents.map(({ text }) => text), CHATS.map(textOf).filter((_, i) => i % 20 !== 0), name);
      assert.deepEqual([summary.chat, summary.column], ["template", "messages"]);
      await assertRefused(open(name, "text", writer({})), /; name what holds the text: --text-column messages$/, name);
    }
    const { summary } = await open("a.jsonl", "messages", writer({}));
    assert.ok(textLines("a", summary).some((line) => line.includes("the role in front of each message")));
    const streamed = await Promise.all(
      [TEMPLATE, TEMPLATE + " "].map(async (template) =>
        (await open("a.jsonl", "messages", writer({ chat_template: template }), 2000)).summary
      ),
    );
    assert.notEqual(streamed[0].fingerprint, streamed[1].fingerprint, "another template makes another text");
  });
});

Deno.test("what a template spells as a special token is one, once in front; a model's directory may hold it as a file", () =>
  withFiles({ "a.jsonl": CHATS.map((messages) => JSON.stringify({ messages }) + "\n").join("") }, async (folder) => {
    const template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}";
    const source = await openTokenSource({
      tokenizer: { ...tokenizerFiles, chatTemplate: bytesOf(template) },
      data: [join(folder, "a.jsonl")],
      reading: { column: "messages", badLines: 0 },
      ...{ split: "train", context: 16, seed: null },
    });
    try {
      assert.equal(source.summary.chat, "template");
      const { batch: { ids } } = await source.next(1), { bosId, eosId, encode } = tokenizer;
      const first = [...encode("1?"), eosId, ...encode("1."), eosId, eosId, ...encode("2?"), eosId];
      assert.deepEqual([...ids.subarray(0, first.length + 1)], [bosId, ...first]);
    } finally {
      await source.close();
    }
    const golden = new URL("../golden/gemma2/shards/", import.meta.url).pathname, model = join(folder, "model");
    await Deno.mkdir(model);
    for await (const { name } of Deno.readDir(golden)) await Deno.copyFile(join(golden, name), join(model, name));
    await Deno.writeTextFile(join(model, "chat_template.jinja"), template);
    const { chatTemplate, weights } = await openModel(model);
    await weights.close();
    assert.equal(new TextDecoder().decode(chatTemplate), template);
  }));

Deno.test("a template that does not end, or asks for more numbers than memory holds, ends in a sentence", () => {
  const chat = JSON.stringify({ messages: [{ role: "user", content: "The state of the Union." }] }) + "\n";
  return withFiles({ "a.jsonl": chat.repeat(60) }, async (folder) => {
    const common = { reading: { column: "messages", badLines: 0 }, split: "train", context: 16, seed: 1 } as const;
    const open = (template: string) => {
      const tokenizer = { ...tokenizerFiles, chatTemplate: bytesOf(template) };
      return openTokenSource({ ...common, tokenizer, data: [join(folder, "a.jsonl")] }, 1);
    };
    const endless = "{% for a in range(1000000) %}".repeat(3) + "{% endfor %}".repeat(3);
    await assertRefused(
      open(endless),
      /^Cannot write a chat of the text: .* within 1 s and .* does not come to an end; take/,
    );
    await assertRefused(
      open("{% for a in range(1000000000) %}{% endfor %}"),
      /range has more than 1000000 numbers; mend or/,
    );
  });
});

Deno.test("a template's ranges are Jinja's", () => {
  const template =
    "\n{% for i in range(2) %}{{ i }}{% endfor %}{% for i in range(5, 1, -2) %}{{ i }}{% endfor %}{{ range(3, 1) }}";
  const written = writer({ chat_template: template }).write([{ role: "user", content: "x" }], "a");
  assert.equal(written, new Template(template).render({ messages: [] }));
});
