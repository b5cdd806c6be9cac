/**
 * What the hub says when it does not give something, as sentences that a user can act on.
 * @module
 */

import { type Reason, UserError } from "../errors.ts";
import { type HubReference, writeReference } from "./reference.ts";
import type { HubSettings } from "./settings.ts";

/** Why nothing came: what was asked for does not exist, the hub refuses, or it cannot be reached. */
export type HubErrorReason = "missing" | "refused" | "unreachable";

/** The hub did not give what was asked for. */
export class HubError extends UserError {
  /** Why; see the constructor. */
  readonly reason: HubErrorReason;

  /**
   * Says why, for the program and for its user.
   *
   * @param reason Why; what is kept here already may serve instead unless it is "missing".
   * @param parts The same for the user.
   */
  constructor(reason: HubErrorReason, parts: Reason) {
    super(parts);
    this.reason = reason;
  }
}

/**
 * Puts a refusal into words. The hub explains itself in X-Error-Code, and answers 401 for what does not exist when nobody
 * is logged in, so as not to tell what is private.
 *
 * @param hub The endpoint, and whether a token was sent.
 * @param reference The repository.
 * @param file The file asked for, "" for the repository itself.
 * @param response An answer with a status of 400 or more that will not pass; its body is dropped.
 * @returns The error to throw.
 */
export async function refusal(
  hub: HubSettings,
  reference: HubReference,
  file: string,
  response: Response,
): Promise<HubError> {
  await response.body?.cancel();
  const { status } = response, code = response.headers.get("x-error-code");
  const page = `${hub.endpoint}/${pagePath(reference)}`;
  const action = `fetch ${writeReference(reference, file)}`;
  const token = hub.token === null ? "no token is set" : "the token that is set was refused";
  if (code === "GatedRepo") {
    const renew = hub.token === null
      ? "set HF_TOKEN to a token of that account"
      : "check that HF_TOKEN is of that account";
    return new HubError("refused", {
      action,
      requirement: `an account must have accepted the terms of this ${reference.kind}`,
      found: `${token} (${status})`,
      remedy: `accept them at ${page}, then ${renew}`,
    });
  }
  if (code === "RevisionNotFound") {
    return new HubError("missing", {
      action,
      requirement: `the repository must have the revision "${reference.revision}"`,
      found: `it has none of that name (${status})`,
      remedy: `see ${page}/tree/main for its branches and tags`,
    });
  }
  if (code === "EntryNotFound") return missingFile(hub, reference, file, status);
  if (status === 401 || status === 403 || code === "RepoNotFound") {
    return new HubError("refused", {
      action,
      requirement: `the hub must have a ${reference.kind} of that name and let you read it`,
      found: `${token} and it answered ${status}`,
      remedy: `check the name at ${page}, or set HF_TOKEN if it is private`,
    });
  }
  if (status === 404) return missingFile(hub, reference, file, status);
  const said = response.headers.get("x-error-message") ?? response.statusText;
  return new HubError("unreachable", {
    action,
    requirement: `${hub.endpoint} must give it`,
    found: `it answered ${status} ${said}`,
    remedy: "check HF_ENDPOINT, or retry later",
  });
}

/**
 * The sentence about a file that a repository does not have.
 *
 * @param hub The endpoint.
 * @param reference The repository.
 * @param file The file or folder.
 * @param status What the hub answered; 404 when it was not asked.
 * @returns The error to throw.
 */
export function missingFile(hub: HubSettings, reference: HubReference, file: string, status = 404): HubError {
  const what = file === "" ? "this" : file;
  return new HubError("missing", {
    action: `fetch ${writeReference(reference, file)}`,
    requirement: `the repository must hold ${what}`,
    found: `it does not (${status})`,
    remedy: `see ${hub.endpoint}/${pagePath(reference)}/tree/${reference.revision} for what it holds`,
  });
}

/** Where a repository's page and files lie under the endpoint. */
export function pagePath({ kind, repo }: HubReference): string {
  return kind === "dataset" ? `datasets/${repo}` : repo;
}
