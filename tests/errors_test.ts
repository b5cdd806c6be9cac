/** Errors: their sentences, and that nobody finds out from a message what a class or a field says. */

import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Interrupted, printable, sentenceOf, SettingError, UsageError, UserError } from "../core/errors.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const STRING_METHODS =
  "split|replace|replaceAll|match|matchAll|startsWith|endsWith|includes|indexOf|lastIndexOf|search|" +
  "slice|substring|substr|charAt|trim|toLowerCase";
/** Ways to ask a message what happened. */
const READINGS = [
  new RegExp(String.raw`\bmessage\)?\s*[?!]?\.\s*(?:${STRING_METHODS})\(`),
  /\.(?:test|exec|match|matchAll)\([^)]*\bmessage\b/,
  /\bmessage\s*[!=]==?/,
  /[!=]==?\s*[\w.()!?]*\.message\b/,
  /\bswitch\s*\([^()]*\bmessage\s*\)/,
  /\bString\(\w*[eE]rror\)\s*\.\s*\w+\(/,
];

/** Messages of others that are shortened for people; nothing is decided by what is cut off. */
const SHORTENED: Readonly<Record<string, string>> = {
  "core/hub/http.ts": "of what Deno's fetch says, the innermost cause is shown",
  "core/runs/files.ts": "valibot's sentence is fitted into ours",
};

/** The lines of a source that read a message, comments aside. */
function readings(source: string): string[] {
  return source.replaceAll(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm, "").split("\n")
    .filter((line) => READINGS.some((reading) => reading.test(line)))
    .map((line) => line.trim());
}

Deno.test("no product code reads an error's message to find out what happened", async () => {
  const files = await Array.fromAsync(glob("{main.ts,{commands,core,reports,wgsl}/**/*.ts}", { cwd: ROOT }));
  assert.ok(files.includes("main.ts") && files.length > 100, `found only ${files}`);
  const found: string[] = [];
  for (const file of files) {
    for (const line of readings(await readFile(`${ROOT}${file}`, "utf8"))) {
      if (!(file in SHORTENED)) found.push(`${file}: ${line}`);
    }
  }
  assert.deepEqual(found, [], "a class or a field must say it");
});

Deno.test("the rule knows the ways to read a message, and lets it be shown", () => {
  const forbidden = [
    "if (/binds at most/.test(error.message)) return;",
    "const [reason] = error.message.split(`; `);",
    "return shortage.message.replace(/; [^;]*$/, ``);",
    "if ((error as Error).message.startsWith(`Cannot`)) return;",
    "if (message.includes(`full`)) return;",
    "if (error?.message === `stopped`) return;",
    "if (`stopped` === error.message) return;",
    "switch (error.message) {",
    "if (String(error).includes(`full`)) return;",
    "const found = /(\\d+) bytes/.exec(String(error.message));",
  ];
  for (const line of forbidden) assert.deepEqual(readings(line), [line], line);
  const allowed = [
    "console.error(`mtc: ${error.message}`);",
    "throw because(error.message, `check the path`);",
    "// error.message.split was how it was done",
    "onmessage.test(reply);",
  ];
  for (const line of allowed) assert.deepEqual(readings(line), [], line);
});

Deno.test("a sentence has the parts that there are, in their order", () => {
  const [action, requirement, found, remedy] = ["read a.txt", "it must hold text", "it is empty", "put text into it"];
  assert.equal(
    sentenceOf({ action, requirement, found, remedy }),
    "Cannot read a.txt: it must hold text, it is empty; put text into it",
  );
  assert.equal(sentenceOf({ action, found, remedy }), "Cannot read a.txt: it is empty; put text into it");
  assert.equal(sentenceOf({ action, requirement }), "Cannot read a.txt: it must hold text");
  assert.equal(sentenceOf({ action, remedy }), "Cannot read a.txt; put text into it");
});

Deno.test("what comes from outside is printed as one line that moves nothing and tells no password", () => {
  const cases: [from: string, to: string][] = [
    ["plain: ü, 日本, 🌍, 50 %", "plain: ü, 日本, 🌍, 50 %"],
    ["\x1b[2Jevil\nmtc: fake line\r\t\x07\x9b", "\\x1b[2Jevil\\nmtc: fake line\\r\\t\\x07\\x9b"],
    ["gpj\u202e.exe \u2028", "gpj\\u202e.exe \\u2028"],
    ["half \ud83d", "half \ufffd"],
    ["GET https://me:p@ss@hub.local:80/a@b failed", "GET https://***@hub.local:80/a@b failed"],
    ["hf:owner/name@main", "hf:owner/name@main"],
  ];
  for (const [from, to] of cases) assert.equal(printable(from), to);
  const long = printable("a".repeat(400) + "b".repeat(600));
  assert.ok(long.length === 500 && long.startsWith("a".repeat(300)) && long.endsWith("b".repeat(100)), long);
  const { message } = new UserError({
    action: `read ${"x".repeat(2000)}`,
    found: "\x1b[31m",
    remedy: "check the path",
  });
  assert.ok(message.length < 600 && message.endsWith(": \\x1b[31m; check the path"), message);
  const { message: stopped } = new Interrupted({ stopped: "after \x1b", remedy: "go on" });
  assert.equal(stopped, "Stopped after \\x1b; go on");
});

Deno.test("an error keeps its parts", () => {
  const parts = { action: "read a.txt", found: "it is empty" };
  assert.deepEqual(new UserError(parts).parts, parts);
  assert.equal(new UserError(parts).message, "Cannot read a.txt: it is empty");
});

Deno.test("an interrupt says where it stopped and what comes next, and is told from other errors", () => {
  const error = new Interrupted({ stopped: "after step 2 of 3", remedy: "go on with: mtc train --resume runs/a" });
  assert.equal(error.message, "Stopped after step 2 of 3; go on with: mtc train --resume runs/a");
  assert.equal(error.parts.remedy, "go on with: mtc train --resume runs/a");
  assert.ok(error instanceof UserError && !(error instanceof UsageError));
});

Deno.test("a setting that cannot be is said in the words of config.json, or in others", () => {
  const bad = {
    setting: "buffer_tokens",
    value: 7,
    requirement: "it must hold a step",
    given: { batch_tokens: 8, passes: 1 },
  };
  const error = new SettingError(bad);
  assert.equal(
    error.message,
    "Cannot train with buffer_tokens = 7: it must hold a step for batch_tokens = 8 and passes = 1",
  );
  assert.deepEqual(error.bad, bad);
  const flags: Record<string, string> = { buffer_tokens: "--buffer", batch_tokens: "--batch", passes: "--passes" };
  assert.equal(
    new SettingError(bad, (setting, value) => `${flags[setting]} ${value}`).message,
    "Cannot train with --buffer 7: it must hold a step for --batch 8 and --passes 1",
  );
  assert.ok(error instanceof UsageError);
});
