import assert from "node:assert/strict";
import { join } from "node:path";
import { type DataPaths, readDocuments } from "../../core/text/documents.ts";
import { splitDocuments } from "../../core/text/split.ts";
import { UserError } from "../../core/errors.ts";

/** Runs `test` in a temporary folder with these files (name -> content). */
async function withFiles(files: Record<string, string | Uint8Array>, test: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "mtc-documents-" });
  try {
    for (const [name, content] of Object.entries(files)) {
      await Deno.mkdir(join(folder, name, ".."), { recursive: true });
      await Deno.writeFile(
        join(folder, name),
        typeof content === "string" ? new TextEncoder().encode(content) : content,
      );
    }
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function refuses(data: DataPaths, message: RegExp) {
  await assert.rejects(readDocuments(data), (error: Error) => {
    assert.ok(error instanceof UserError, `${error}`);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"));
    return true;
  });
}

Deno.test("readDocuments: folders, text files and jsonl lines come in one order, each file once", async () => {
  const files = {
    "b.txt": "second\n",
    "a.txt": "\ufefffirst",
    "c.jsonl": '{"text": "third", "id": 1}\n\n{"text": ""}\r\n{"text": "fourth\\n"}',
    "notes.md": "not text for us",
    "inner/z.txt": "a folder inside is not read",
  };
  await withFiles(files, async (folder) => {
    const expected = [
      { name: "a.txt", text: "first" },
      { name: "b.txt", text: "second\n" },
      { name: "c.jsonl:1", text: "third" },
      { name: "c.jsonl:4", text: "fourth\n" },
    ];
    assert.deepEqual(await readDocuments([folder]), expected);
    const given = ["c.jsonl", "b.txt", "a.txt", "b.txt"].map((name) => join(folder, name));
    assert.deepEqual(await readDocuments([...given, folder]), expected);
    const clashing = await readDocuments([
      join(folder, "a.txt"),
      join(folder, "inner"),
      join(folder, "inner/../a.txt"),
    ]);
    assert.deepEqual(clashing.map((document) => document.name), ["a.txt", "z.txt"]);
  });
});

Deno.test("readDocuments: files of one base name are named by their paths", async () => {
  await withFiles({ "x/a.txt": "one", "y/a.txt": "two" }, async (folder) => {
    const documents = await readDocuments([join(folder, "y"), join(folder, "x")]);
    assert.deepEqual(documents.map((document) => document.name), [join(folder, "x/a.txt"), join(folder, "y/a.txt")]);
  });
});

Deno.test("readDocuments: each bad input is named in one sentence", async () => {
  const files = {
    "data.csv": "text\n",
    "empty.txt": "",
    "blank.jsonl": "\n\n",
    "none/readme.md": "",
    "latin1.txt": new Uint8Array([0x67, 0x72, 0xfc, 0xdf, 0x65]),
    "number.jsonl": '{"text": "fine"}\n{"text": 5}\n',
    "missing.jsonl": '{"text": "fine"}\n{"body": "x"}\n',
    "null.jsonl": "null\n",
    "broken.jsonl": '{"text": "fine"}\n{"text": "cut',
    "binary.jsonl": new Uint8Array([0x22, 0xff, 0x22, 0x0a]),
  };
  await withFiles(files, async (folder) => {
    const path = (name: string) => [join(folder, name)];
    await refuses(
      path("absent.txt"),
      /^Cannot read .*absent\.txt: the file must exist, there is none; check the path$/,
    );
    await refuses(path("data.csv"), /data\.csv: text files end in \.txt or \.jsonl, this one ends in "\.csv"/);
    await refuses(path("empty.txt"), /empty\.txt: it must hold text, it is empty/);
    await refuses(path("blank.jsonl"), /blank\.jsonl: it must hold text, it is empty/);
    await refuses(path("none"), /none: the folder must hold \.txt or \.jsonl files, it holds none/);
    await refuses(path("latin1.txt"), /latin1\.txt: text must be valid UTF-8/);
    await refuses(
      path("number.jsonl"),
      /number\.jsonl line 2: each line must have a string under "text", this one has 5/,
    );
    await refuses(path("missing.jsonl"), /missing\.jsonl line 2: .* this one has none/);
    await refuses(path("null.jsonl"), /null\.jsonl line 1: .* this one has none/);
    await refuses(path("broken.jsonl"), /broken\.jsonl line 2: .* not valid JSON/);
    await refuses(path("binary.jsonl"), /binary\.jsonl line 1: text must be valid UTF-8/);
  });
});

Deno.test("the built-in text: 233 addresses, the same held-out ones as in the model's training", async () => {
  const documents = await readDocuments("builtin");
  assert.equal(documents.length, 233);
  const names = documents.map((document) => document.name);
  assert.deepEqual(names, names.toSorted());
  const { train, held_out } = splitDocuments(documents);
  assert.deepEqual([train.length, held_out.length], [221, 12]);
  assert.equal(held_out[0].name, "1790_george_washington_n.txt");
  assert.equal(held_out[1].text, documents[20].text);
  assert.match(documents[0].text, /^Fellow-Citizens of the Senate and House of Representatives/);
});
