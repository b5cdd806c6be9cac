/** Reports as trees of elements: what reports are made of comes out as that, all else as text. */

import assert from "node:assert/strict";
import { type PageNode, readPage } from "../../../reports/browser/report_page.ts";
import { tokenCode } from "../../../reports/tokens.ts";

/** A tree as a line: elements as `tag(...)`. */
function written(nodes: readonly PageNode[]): string {
  return nodes.map((node) => {
    if (typeof node === "string") return node;
    const { tag, children, ...more } = node, told = Object.keys(more).length > 0 ? JSON.stringify(more) : "";
    return `${tag}${told}(${written(children)})`;
  }).join("");
}

const page = (markdown: string) => written(readPage(markdown).nodes);

Deno.test("headings, paragraphs, emphasis, code, lists, tables, links and pictures", () => {
  assert.equal(readPage("# Layer 17 `x` **Report**\n\ntext").title, "Layer 17 x Report");
  assert.equal(page("## Two words\n\na **b** *c* `d`"), 'h2{"id":"two-words"}(Two words)p(a strong(b) em(c) code(d))');
  assert.equal(page("- a\n- [x] b\n\n3. c"), 'ul(li(a)li(☑ b))ol{"start":3}(li(c))');
  assert.equal(
    page("| a | b |\n|---|--:|\n| 1 | `x\\|y` |"),
    'table(thead(tr(th(a)th{"isNumber":true}(b)))tbody(tr(td(1)td{"isNumber":true}(code(x|y)))))',
  );
  assert.equal(page("```text\n<b>\n```"), "pre(code(<b>))");
  assert.equal(
    page("[r](layer17_report.md) [f](plot%20a.png) [h](#two-words) [w](https://a.b/c)"),
    'p(a{"to":{"kind":"page","name":"layer17_report.md"}}(r) a{"to":{"kind":"image","name":"plot a.png"}}(f) ' +
      'a{"to":{"kind":"heading","name":"two-words"}}(h) a{"to":{"kind":"web","name":"https://a.b/c"}}(w))',
  );
  assert.equal(page("![the plot](a.png)"), 'p(img{"image":"a.png","alt":"the plot"}())');
});

Deno.test("HTML is text, and so are links and pictures to anywhere else", () => {
  assert.equal(page("<script>alert(1)</script>"), "<script>alert(1)</script>");
  assert.equal(page("a <b onclick=x>b</b> &lt;i&gt; &#60;u&#62;"), "p(a <b onclick=x>b</b> <i> <u>)");
  for (
    const address of [
      "javascript:alert(1)",
      "JavaScript:alert(1)",
      "data:text/html,x",
      "../secret.md",
      "%2e%2e%2fsecret.md",
      "/etc/passwd.md",
      "a/b.md",
      ".hidden.md",
      "a%00.md",
      "file:///x.md",
      "..\\x.md",
      "x.md%",
      "ftp://a.md",
    ]
  ) {
    assert.equal(page(`[x](<${address}>)`), "p(em(x))", address);
    assert.equal(page(`![x](<${address.replace(".md", ".png")}>)`), "p(x)", address);
  }
});

Deno.test("tokens as reports write them come out as they are", () => {
  for (const token of [" the", "a|b", "`", "<script>", "\\", "*x*", "&amp;", "|`<b>`|"]) {
    const cell = page(`| a |\n|---|\n| ${tokenCode(token)} |`);
    const shown = /tbody\(tr\(td\((.*)\)\)\)\)$/s.exec(cell)?.[1];
    assert.equal(shown, `code(${token.replaceAll(" ", "␣")})`, token);
  }
});

Deno.test("a page that is nested without end is no danger", () => {
  for (
    const markdown of [`${">".repeat(5000)}x`, `${"[".repeat(5000)}x`, `${"- ".repeat(2000)}x`, "*".repeat(20_000)]
  ) {
    try {
      readPage(markdown);
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
    }
  }
});
