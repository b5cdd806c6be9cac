/// <reference lib="dom" />
/**
 * What keys do, and how a page is read.
 * @module
 */

import { html } from "lit-html";
import type { Page, View } from "../app.ts";

/** Where the browser remembers whether single keys do something. */
const STORED = "mtc-browse-shortcuts";

/** Whether single keys do something: they do, until the reader says otherwise. */
export function readShortcuts(): boolean {
  try {
    return localStorage.getItem(STORED) !== "off";
  } catch {
    return true; // a page from a file may have no storage
  }
}

function storeShortcuts(areOn: boolean): void {
  try {
    localStorage.setItem(STORED, areOn ? "on" : "off");
  } catch {
    // As above: it then holds until the page is closed.
  }
}

const KEYS: readonly (readonly [keys: readonly string[], text: string])[] = [
  [["/"], "search"],
  [["↓", "j"], "the next row of a list"],
  [["↑", "k"], "the row before"],
  [["Enter"], "open it"],
  [["n", "→"], "on a feature's page: the next feature of the list that you came from, or of the dictionary"],
  [["p", "←"], "the one before"],
  [["u"], "back up to the list"],
  [["["], "only a shorter prefix of the dictionary: the slider over the examples, which takes any number"],
  [["]"], "a longer one"],
  [["+", "−", "0"], "on a map: nearer, farther, all of it"],
  [["?"], "this page"],
];

/** `#help`. */
export const help: View = (_, app): Promise<Page> =>
  Promise.resolve({
    title: "Keys and help",
    draw: () =>
      html`
        <h1 tabindex="-1">Keys and help</h1>
        <table class="plain">
          <caption>What keys do</caption>
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">Does</th>
            </tr>
          </thead>
          <tbody>${KEYS.map(([keys, text]) =>
            html`
              <tr>
                <td>${keys.map((key) =>
                  html`
                    <kbd>${key}</kbd>
                  `
                )}</td>
                <td>${text}</td>
              </tr>
            `
          )}</tbody>
        </table>
        <p><label><input type="checkbox" .checked=${app.shortcuts} @change=${(event: Event) => {
          app.shortcuts = (event.target as HTMLInputElement).checked;
          storeShortcuts(app.shortcuts);
        }}> Single keys do something</label></p>
        <h2>How to read it</h2>
        <p>A feature is known by the tokens that it fires on more than the text would have it, each with its share of the feature's firings. Its
          badge is its Matryoshka group: the first group works without the others, each further one adds to those before it.</p>
        <p>In a token, <span class="token">␣</span> is a space, <span class="token">⏎</span> a line's end, <span class="token">⇥</span> a tab, and
          <span class="token">&lt;U+200B&gt;</span> a character that would not be seen.</p>
        <p>The address of a page can be passed on: it names the transcoder, the feature, and what was searched for.</p>
      `,
  });
