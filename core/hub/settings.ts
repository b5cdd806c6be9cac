/**
 * Where the hub is, who asks, and where its files are kept: the environment that Hugging Face's own libraries read.
 * @module
 */

import { join } from "node:path";
import { UsageError } from "../errors.ts";

/** The environment's answer. */
export interface HubSettings {
  /** The hub's address, without a slash at the end. */
  readonly endpoint: string;
  /** The user's token, null when there is none. */
  readonly token: string | null;
  /** The directory that holds `models--owner--name`. */
  readonly cache: string;
  /** Whether the network must not be used. */
  readonly isOffline: boolean;
  /** Whether snapshots may point into `blobs` by symbolic links. */
  readonly mayLink: boolean;
}

const HUB = "https://huggingface.co";

/**
 * Reads HF_ENDPOINT, HF_TOKEN (or the file that `hf auth login` writes), HF_HOME, HF_HUB_CACHE, XDG_CACHE_HOME, HF_HUB_OFFLINE and
 * HF_HUB_DISABLE_SYMLINKS as Hugging Face's Python library does.
 *
 * @returns What they say.
 * @throws {UsageError} When HF_ENDPOINT is no address.
 */
export function hubSettings(): HubSettings {
  const home = path("HF_HOME") ?? join(path("XDG_CACHE_HOME") ?? join(userHome(), ".cache"), "huggingface");
  return {
    endpoint: checkEndpoint(variable("HF_ENDPOINT") ?? HUB),
    token: variable("HF_TOKEN") ?? tokenIn(path("HF_TOKEN_PATH") ?? join(home, "token")),
    cache: path("HF_HUB_CACHE") ?? path("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"),
    isOffline: isSet("HF_HUB_OFFLINE"),
    mayLink: !isSet("HF_HUB_DISABLE_SYMLINKS"),
  };
}

/** A variable's value; an empty one counts as unset. */
function variable(name: string): string | null {
  return Deno.env.get(name)?.trim() || null;
}

function isSet(name: string): boolean {
  return ["1", "on", "yes", "true"].includes(variable(name)?.toLowerCase() ?? "");
}

function path(name: string): string | null {
  return variable(name)?.replace(/^~(?=[/\\]|$)/, userHome) ?? null;
}

function userHome(): string {
  return variable("HOME") ?? variable("USERPROFILE") ?? ".";
}

function checkEndpoint(address: string): string {
  const isAddress = URL.canParse(address) && /^https?:$/.test(new URL(address).protocol);
  if (isAddress) return address.replace(/\/+$/, "");
  throw new UsageError({
    action: "reach the hub",
    requirement: `HF_ENDPOINT must be an address like ${HUB}`,
    found: `it is "${address}"`,
    remedy: "change it or unset it",
  });
}

function tokenIn(file: string): string | null {
  try {
    return Deno.readTextFileSync(file).trim() || null;
  } catch {
    return null; // nobody has logged in here, which most models do not ask for
  }
}
