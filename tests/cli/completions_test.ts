/** Completions in real shells, and the manual page, against the commands and options that there are. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { featuresCommand } from "../../commands/analyze/features.ts";
import { mtc } from "./tiny_run.ts";

const folder = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** What stands on the line, the last word begun, and the one word that completes it. */
const COMPLETED: readonly [line: string, word: string][] = [
  ["mtc tr", "train"],
  ["mtc analyze feat", "features"],
  ["mtc analyze features --js", "--json"],
  ["mtc train --precision f1", "f16"],
  ["mtc completions z", "zsh"],
  // A value that is a command's name leads to no command.
  ["mtc train --name report --skip", "--skip"],
];
/** What stands before a path. */
const PATH = "mtc report --runs ";

async function script(shell: string): Promise<string> {
  const path = join(folder, `_mtc.${shell}`);
  const { code, stdout } = await mtc("completions", shell);
  assert.equal(code, 0);
  await Deno.writeTextFile(path, stdout);
  return path;
}

async function run(command: string, args: string[], program?: string): Promise<string> {
  const child = new Deno.Command(command, { args, cwd: folder, stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const input = child.stdin.getWriter();
  if (program !== undefined) await input.write(new TextEncoder().encode(program));
  await input.close();
  const { stdout, stderr } = await child.output();
  assert.equal(new TextDecoder().decode(stderr), "", command);
  return new TextDecoder().decode(stdout);
}

async function isThere(shell: string): Promise<boolean> {
  const found = await new Deno.Command("sh", { args: ["-c", `command -v ${shell}`], stdout: "null" }).output()
    .catch(() => null);
  return found?.success ?? false;
}

const HAS = { bash: await isThere("bash"), zsh: await isThere("zsh"), fish: await isThere("fish") };
for (const [shell, isHere] of Object.entries(HAS)) {
  if (!isHere) console.error(`completions in ${shell} are passed over: it is not installed`);
}

Deno.test("bash completes commands, options and values", { ignore: !HAS.bash }, async () => {
  const path = await script("bash");
  const ask = (line: string) =>
    `COMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _mtc 2>/dev/null; echo "\${COMPREPLY[*]}"\n`;
  const split = [...COMPLETED.map(([line]) => line), "mtc train --precision = f1", "mtc analyze '' "].map(ask);
  const answers = (await run("bash", ["--norc"], `source ${path}\n${split.join("")}`)).trimEnd().split("\n");
  assert.deepEqual(answers.slice(0, -1), [...COMPLETED.map(([, word]) => word), "f16"]);
  assert.deepEqual(answers.at(-1)!.split(" ").slice(0, 3), ["absorption", "attribution", "coherence"]);
});

Deno.test("fish completes commands, options, values and paths", { ignore: !HAS.fish }, async () => {
  const path = await script("fish");
  const ask = (line: string) => `complete -C'${line}'; echo ==\n`;
  const lines = [...COMPLETED.map(([line]) => line), `${PATH}${folder.slice(0, -1)}`];
  const told = await run("fish", ["--no-config"], `source ${path}\n${lines.map(ask).join("")}`);
  const answers = told.split("==\n").slice(0, -1).map((text) =>
    text.trimEnd().split("\n").map((line) => line.split("\t")[0])
  );
  assert.deepEqual(answers.slice(0, -1), COMPLETED.map(([, word]) => [word]));
  assert.ok(answers.at(-1)!.includes(`${folder}/`), String(answers.at(-1)));
});

/** Types lines into an interactive zsh, a tab behind each, and takes what then stands there. */
const TYPE = String.raw`
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; autoload -Uz compinit; compinit -u -d $3/dump; source $1"
zpty -w shell 'keep() { print -r -- "$BUFFER" >> '$2'; BUFFER= }; zle -N keep; bindkey "^X" keep; print ready > '$2
until [[ -s $2 ]]; do sleep 0.05; done
for line in "\${@:4}"; do
  n=$(wc -l < $2)
  zpty -n -w shell "$line"$'\t'$'\x18'
  until (( $(wc -l < $2) > n )); do sleep 0.05; done
done
zpty -d shell
`.replaceAll("\\$", "$");

Deno.test("zsh completes commands, options, values and paths", { ignore: !HAS.zsh }, async () => {
  const path = await script("zsh"), typed = join(folder, "typed"), program = join(folder, "type.zsh");
  await Deno.writeTextFile(program, TYPE);
  const lines = [...COMPLETED.map(([line]) => line), "mtc train --precision=f1", `${PATH}${folder.slice(0, -1)}`];
  await run("zsh", ["-f", program, path, typed, folder, ...lines]);
  const stood = (await Deno.readTextFile(typed)).trimEnd().split("\n").slice(1).map((line) => line.trimEnd());
  const completed = COMPLETED.map(([line, word]) => `${line.slice(0, line.lastIndexOf(" "))} ${word}`);
  assert.deepEqual(stood, [...completed, "mtc train --precision=f16", `${PATH}${folder}/`]);
});

Deno.test("PowerShell's script holds every command, each option once under each of its commands", async () => {
  const { stdout } = await mtc("completions", "powershell");
  assert.match(stdout, /\$words\[''\] = @\(\n {4}'train\|train one /);
  assert.match(stdout, /\$values\['train --precision'\] = @\('f32\|f32', 'f16\|f16'\)/);
  const keys = [...stdout.matchAll(/^ {2}\$(?:words|values)\[(.*?)\] =/gm)].map(([, key]) => key);
  assert.equal(new Set(keys).size, keys.length);
  // Quotes are in pairs: what an option says of itself ends where it should.
  const code = stdout.split("\n").filter((line) => !/^ *#/.test(line));
  for (const line of code) assert.equal([...line.matchAll(/'/g)].length % 2, 0, line);
});

Deno.test("a shell without completions is refused with those that have them", async () => {
  assert.deepEqual(await mtc("completions", "nu"), {
    code: 2,
    stdout: "",
    stderr: "mtc: command-argument value 'nu' is invalid for argument 'shell'. Allowed choices are bash, zsh, fish, " +
      "powershell.",
  });
});

Deno.test("the manual page holds every command with every option of its help", async () => {
  const { stdout: page } = await mtc("man");
  const flags = featuresCommand().options.map(({ flags }) => flags).concat("--adapter <which>", "-h, --help");
  assert.ok(flags.length > 5);
  const start = page.indexOf(".SS mtc analyze features [options]");
  const section = page.slice(start, page.indexOf("\n.SS", start + 1));
  for (const flag of flags) assert.ok(section.includes(`.B ${flag.replaceAll("-", "\\-")}\n`), flag);
  assert.match(section, /^Examples?:$/m);
  for (const name of ["train", "report", "doctor", "analyze weights"]) {
    assert.match(page, new RegExp(`^\\.SS mtc ${name}`, "m"));
  }
  assert.doesNotMatch(page, /^\.(?!TH|SH|SS|TP|B |I |PP|nf|fi)/m);
});
