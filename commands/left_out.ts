/**
 * What is said where a finished run's text has records without text: what is measured then is measured on the rest.
 * @module
 */

import { printable } from "../core/errors.ts";
import { onLeftOut } from "../core/text/source.ts";
import { leftOutRecords } from "../reports/held_out.ts";

/** What was said already: a text may be opened several times. */
const said = new Set<string>();

/** Says on stderr, once, how many records are left out and what the first is. */
export function sayLeftOut(): void {
  onLeftOut(({ records, first }) => {
    const { where, requirement, found } = first!;
    const line = printable(`${where}: ${requirement}, ${found}`),
      told = `${leftOutRecords(records)}; the first is ${line}`;
    if (!said.has(told)) console.error(`mtc: left out of the text ${told}`);
    said.add(told);
  });
}
