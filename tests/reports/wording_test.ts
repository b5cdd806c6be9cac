import assert from "node:assert/strict";
import {
  confidence,
  counted,
  decimal,
  duration,
  fileSize,
  integer,
  list,
  percent,
  setting,
  significant,
  thresholdText,
} from "../../reports/format.ts";
import { code, numeric, plain, table } from "../../reports/markdown/markdown.ts";
import { contextBlock, contextLines, tokenCode, visibleToken } from "../../reports/tokens.ts";

Deno.test("numbers have thousands separators and sensible digits", () => {
  assert.equal(integer(4608), "4,608");
  assert.equal(decimal(1234.567, 2), "1,234.57");
  assert.equal(decimal(-0.00001, 2), "0.00");
  assert.equal(decimal(5.276e20, 3), "5.276e20");
  assert.equal(significant(44.2512), "44.25");
  assert.equal(significant(0.000412345, 3), "0.000412");
  assert.equal(significant(0.0000412, 3), "4.12e-5");
  assert.equal(significant(0), "0");
  assert.equal(setting(0.0003), "0.0003");
  assert.equal(setting(1e-8), "1e-8");
  assert.equal(setting(15000), "15,000");
  assert.equal(decimal(NaN, 2), "NaN");
});

Deno.test("a threshold that all features share is a number; those that differ are a median and a range", () => {
  assert.equal(thresholdText({ threshold: 0.8125 }), "0.8125");
  assert.equal(thresholdText({ threshold: 1.5, threshold_range: [0.25, 40] }), "1.500 (median; 0.2500 to 40.00)");
  assert.equal(thresholdText({ threshold: 1.5, threshold_range: [0.25, 40] }, setting), "1.5 (median; 0.25 to 40)");
});

Deno.test("shares never round to all or nothing when they are neither", () => {
  assert.equal(percent(0), "0.0 %");
  assert.equal(percent(0.0001), "< 0.1 %");
  assert.equal(percent(0.99999), "> 99.9 %");
  assert.equal(percent(1), "100.0 %");
  assert.equal(percent(0.123), "12.3 %");
});

Deno.test("durations, counts, lists, intervals", () => {
  assert.deepEqual([45, 113, 7860, NaN].map(duration), ["45 s", "1 min 53 s", "2 h 11 min", "not recorded"]);
  assert.equal(counted(1, "feature"), "1 feature");
  assert.deepEqual([1, 812, 10_807_464, 27.5e9, 5.4e15].map(fileSize), [
    "1 byte",
    "812 bytes",
    "10.8 MB",
    "27.5 GB",
    "5,400 TB",
  ]);
  assert.equal(counted(2000, "feature"), "2,000 features");
  assert.equal(list(["a", "b", "c"]), "a, b and c");
  assert.equal(confidence([0.1, 0.2], 2), " (95 % CI 0.10 to 0.20)");
  assert.equal(confidence([NaN, NaN], 2), "");
});

Deno.test("nothing in a token is invisible", () => {
  assert.equal(visibleToken(" the"), "␣the");
  assert.equal(visibleToken("\n\n\t\r"), "⏎⏎⇥␍");
  assert.equal(visibleToken("\x07"), "<0x07>");
  assert.equal(visibleToken("a\u200b\u00a0"), "a<U+200B><U+00A0>");
  assert.equal(visibleToken("<0xE2>"), "<0xE2>");
  assert.equal(visibleToken("\ud800"), "<U+D800>");
  assert.equal(visibleToken("𝒳"), "𝒳");
  assert.equal(visibleToken(""), "(empty)");
});

Deno.test("tokens survive Markdown, in tables too", () => {
  assert.equal(tokenCode(" *"), "`␣*`");
  assert.equal(tokenCode("<b>"), "`<b>`");
  assert.equal(tokenCode("|"), "<code>&#124;</code>");
  assert.equal(tokenCode("`<`"), "<code>&#96;&lt;&#96;</code>");
  assert.equal(tokenCode("\\|"), "<code>&#92;&#124;</code>");
});

Deno.test("contexts stand with their active tokens under each other", () => {
  const sample = (before: string, token: string, after: string) => ({
    activation: 1,
    token_id: 1,
    token,
    before,
    after,
    document: "d",
    position: 0,
  });
  const lines = contextLines([
    { label: "9.00", sample: sample("of the", " United", " States") },
    { label: "typical 3.00", sample: sample("x".repeat(60), "\n", "y".repeat(60)) },
  ]);
  const columns = lines.map((line) => [...line].indexOf("⟦"));
  assert.equal(columns[0], columns[1]);
  assert.match(lines[0], /^ +9\.00 +of the⟦␣United⟧ States$/);
  assert.match(lines[1], /…x+⟦⏎⟧y+…$/);
});

Deno.test("a block's fence is longer than any backticks in it", () => {
  assert.equal(contextBlock(["a ```` b"]), "`````text\na ```` b\n`````");
});

Deno.test("tables are padded, numbers stand at the right", () => {
  assert.equal(
    table(["Name", numeric("N")], [["a", "1,000"]]),
    "| Name |     N |\n|------|------:|\n| a    | 1,000 |",
  );
});

Deno.test("names from outside are plain words", () => {
  assert.equal(plain("a_b *c* <d> `e`"), "a_b \\*c\\* \\<d> \\`e\\`");
  assert.equal(plain("_x_\ny"), "\\_x\\_ y");
  assert.equal(plain("a|b \x1b[2J &lt; R&D"), "a\\|b \\<0x1B>\\[2J \\&lt; R&D");
  assert.equal(plain("<img src=x onerror=alert(1)>\n# heading"), "\\<img src=x onerror=alert(1)> \\# heading");
});

Deno.test("names from outside do not leave their code span, nor a table's cell", () => {
  assert.equal(code("runs/first"), "`runs/first`");
  assert.equal(code("a\nb\x07"), "`a b<0x07>`");
  assert.equal(code("a`<b>"), "<code>a&#96;&#60;b&#62;</code>");
  assert.equal(code("a|b"), "<code>a&#124;b</code>");
});
