/**
 * What `mtc encode` prints for a reader.
 * @module
 */
import { counted, significant } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";
import { visibleToken } from "./tokens.ts";

/** A feature that is active on a token. */
export interface ActiveFeature {
  /** Index in the dictionary. */
  feature: number;
  /** Its activation. */
  value: number;
  /** The most frequent token among its top samples; null when the run has no features.csv or it never fired. */
  top_token: string | null;
}

/** A token of the text, or the BOS in front of a context. */
export interface EncodedToken {
  /** Which context of the text, from 0. */
  context: number;
  /** Place in that context; BOS is 0. */
  position: number;
  /** Its id. */
  token_id: number;
  /** Its text. */
  token: string;
  /** True for a BOS that the transcoder was not trained on: it is not encoded. */
  excluded: boolean;
  /** How many features are active. */
  active: number;
  /** The strongest of them, strongest first. */
  features: ActiveFeature[];
}

function cell({ feature, value, top_token }: ActiveFeature): string {
  return `#${feature}${top_token === null ? "" : ` ${visibleToken(top_token)}`} ${significant(value, 3)}`;
}

/** A row per token: its strongest features, each with its index, the token it is strongest on, and its activation. */
export function encodingTable(tokens: EncodedToken[]): string {
  const contexts = tokens.length > 0 ? tokens[tokens.length - 1].context + 1 : 0;
  const most = Math.max(1, ...tokens.map(({ features }) => features.length));
  const columns = [
    ...(contexts > 1 ? [numeric("context")] : []),
    numeric("position"),
    "token",
    numeric("active"),
    `strongest ${counted(most, "feature")}`,
  ];
  return table(
    columns,
    tokens.map(({ context, position, token, excluded, active, features }) => [
      ...(contexts > 1 ? [String(context)] : []),
      String(position),
      visibleToken(token),
      excluded ? "-" : String(active),
      excluded ? "(excluded)" : features.map(cell).join("  ·  "),
    ]),
  );
}
