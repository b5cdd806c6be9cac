/** Numbers on the command line: every option of every command reads them alike, and is told apart by what it may be. */

import assert from "node:assert/strict";
import type { Command, Option } from "commander";
import { readNumber, readWholeNumber, readWholeNumbers } from "../../commands/options.ts";
import { absorptionCommand } from "../../commands/analyze/absorption.ts";
import { attributionCommand } from "../../commands/analyze/attribution.ts";
import { featuresCommand } from "../../commands/analyze/features.ts";
import { importanceCommand } from "../../commands/analyze/importance.ts";
import { ablateCommand } from "../../commands/ablate.ts";
import { benchCommand } from "../../commands/bench.ts";
import { browseCommand } from "../../commands/browse.ts";
import { encodeCommand } from "../../commands/encode.ts";
import { evaluateCommand } from "../../commands/evaluate.ts";
import { exportCommand } from "../../commands/export/command.ts";
import { harvestCommand } from "../../commands/harvest.ts";
import { steerCommand } from "../../commands/steer.ts";
import { sweepCommand } from "../../commands/sweep/command.ts";
import { trainCommand } from "../../commands/train/command.ts";
import { UsageError } from "../../core/errors.ts";
import { mtc } from "../cli/tiny_run.ts";

/** What is no number, and what a reader less strict would take for one that nobody meant. */
const NO_NUMBERS = [
  "",
  " ",
  "x",
  "0x10",
  "1_000",
  " 5",
  "5 ",
  "+5",
  "NaN",
  "Infinity",
  "-Infinity",
  "1e999",
  "1,5",
  "٣",
];
/** Numbers, but not whole ones as they are written. */
const NOT_WHOLE = ["1e3", "5.0", "0.5", ".5", "5.", "-1", "9007199254740992"];

const said = (flag: string, text: string) => (error: unknown) =>
  error instanceof UsageError && error.parts.action === `read ${flag}` && error.parts.found === `it is "${text}"` &&
  error.parts.requirement !== undefined && error.parts.remedy !== undefined;

Deno.test("a whole number is digits alone, and within its bounds", () => {
  assert.deepEqual(["1", "64", "9007199254740991"].map((text) => readWholeNumber("--n", text)), [1, 64, 2 ** 53 - 1]);
  assert.equal(readWholeNumber("--n", "0", { least: 0 }), 0);
  assert.equal(readWholeNumber("--n", "8", { least: 2, most: 8 }), 8);
  for (const text of [...NO_NUMBERS, ...NOT_WHOLE]) {
    assert.throws(() => readWholeNumber("--n", text, { least: 0 }), said("--n", text), `"${text}"`);
  }
});

Deno.test("a number outside of its bounds is told what would do", () => {
  const message = (text: string, least: number, most?: number) => {
    try {
      return String(readWholeNumber("--n", text, { least, most }));
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.equal(
    message("0", 1),
    'Cannot read --n: it must be a whole number above 0, it is "0"; give 1 or more',
  );
  assert.equal(message("1", 2), 'Cannot read --n: it must be a whole number from 2, it is "1"; give 2 or more');
  assert.equal(message("9", 2, 8), 'Cannot read --n: it must be a whole number from 2 to 8, it is "9"; give 8 or less');
  assert.equal(message("-1", 0), 'Cannot read --n: it must be a whole number, it is "-1"; write it in digits alone');
});

Deno.test("a number may have a sign, a fraction and an exponent", () => {
  const texts = ["0", "-1", "3e-4", "1E3", "1e+3", "0.5", ".5", "5.0", "1e60"];
  assert.deepEqual(texts.map((text) => readNumber("--x", text)), [0, -1, 3e-4, 1000, 1000, 0.5, 0.5, 5, 1e60]);
  for (const text of [...NO_NUMBERS, "5.", "1e", "e3", "--1"]) {
    assert.throws(() => readNumber("--x", text), said("--x", text), `"${text}"`);
  }
});

Deno.test("a list is whole numbers with commas and nothing else between them", () => {
  assert.deepEqual(readWholeNumbers("--l", "16,32,16"), [16, 32, 16]);
  assert.deepEqual(readWholeNumbers("--l", "0", 0), [0]);
  for (const text of ["", ",", "1,", ",1", "1, 2", "1;2", "0,5", "1,x", "1,1e3", "1,-2", "1,9007199254740992"]) {
    assert.throws(() => readWholeNumbers("--l", text), said("--l", text), `"${text}"`);
  }
});

const COMMANDS: readonly Command[] = [
  absorptionCommand(),
  ablateCommand(),
  benchCommand(),
  browseCommand(),
  encodeCommand(),
  evaluateCommand(),
  exportCommand(),
  featuresCommand(),
  harvestCommand(),
  attributionCommand(),
  importanceCommand(),
  steerCommand(),
  sweepCommand(),
  trainCommand(),
];
/** Options whose value is a number, by what `--help` calls it. */
const takesNumber = ({ flags }: Option) => /<(n|x|tokens|steps|count)>$/.test(flags);

Deno.test("every number option of every command refuses what is no number, naming itself", () => {
  let options = 0;
  for (const command of COMMANDS) {
    for (const option of command.options.filter(takesNumber)) {
      options++;
      for (const text of NO_NUMBERS) {
        assert.throws(
          () => option.parseArg!(text, undefined),
          said(option.long!, text),
          `${command.name()}: "${text}"`,
        );
      }
    }
  }
  assert.equal(options, 3 + 9 + 4 + 1 + 1 + 2 + 5 + 1 + 3 + 3 + 5 + 12 + 27 + 31);
});

Deno.test("--layers counts from 0 and takes each once", () => {
  for (const command of COMMANDS) {
    const layers = command.options.find(({ long }) => long === "--layers");
    if (layers) assert.deepEqual(layers.parseArg!("4,0,4", undefined), [4, 0]);
  }
});

Deno.test("a bad number ends the program with 2 and its sentence, before anything else is looked at", async () => {
  const { code, stdout, stderr } = await mtc("train", "--model", "/nowhere", "--steps", "1e3");
  assert.deepEqual({ code, stdout, stderr }, {
    code: 2,
    stdout: "",
    stderr: 'mtc: Cannot read --steps: it must be a whole number, it is "1e3"; write it in digits alone',
  });
});

Deno.test("a directory that is empty text is refused, and not taken for the current one", async () => {
  const refused: [flag: string, args: string[]][] = [
    ["--out", ["harvest", "--layers", "0", "--out", ""]],
    ["--out", ["report", "--runs", "/nowhere", "--out", ""]],
    ["--runs", ["report", "--runs", ""]],
    ["--runs", ["train", "--dry-run", "--runs", ""]],
    ["--run", ["evaluate", "--run", ""]],
  ];
  for (const [flag, args] of refused) {
    const { code, stdout, stderr } = await mtc(...args);
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    assert.equal(stderr, `mtc: Cannot read ${flag}: it must be a directory, it is ""; write . for the current one`);
  }
});
