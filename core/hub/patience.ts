/**
 * How long failures that may pass are waited out, and what is said when they do not.
 * @module
 */

import type { Reason } from "../errors.ts";
import { PassingFailure } from "./http.ts";
import { HubError } from "./refusal.ts";
import type { HubSettings } from "./settings.ts";

/** Tries in a row that bring nothing before it is given up: within ten seconds for a hub that was never reached, ... */
const FIRST_TRIES = 5;
/** ... and after three minutes once something has arrived, so that an outage does not end a run that reads for days. */
const LATER_TRIES = 10;
/** Seconds before the second try; each further one waits twice as long, up to the longest. */
const FIRST_WAIT_S = 0.5;
const LONGEST_OWN_WAIT_S = 60;
/** Nobody waits longer than this for a server that asks for it. */
const LONGEST_WAIT_S = 300;

/** Told why nothing comes, and how long it may take. */
export type OnWait = (reason: string) => void;

/** Counts the failures of one undertaking. */
export class Patience {
  #failures = 0;
  #tries: number;

  /**
   * Begins with no failures.
   *
   * @param hub Where the requests go.
   * @param subject What is fetched, for messages: `hf:owner/name/file`.
   * @param tries Tries in a row before it is given up, as long as nothing has arrived.
   * @param onWait Told of each wait.
   */
  constructor(
    readonly hub: HubSettings,
    readonly subject: string,
    tries: number = FIRST_TRIES,
    readonly onWait: OnWait = () => {},
  ) {
    this.#tries = tries;
  }

  /** Something arrived: the count starts anew, and goes further. */
  renew(): void {
    this.#failures = 0;
    this.#tries = LATER_TRIES;
  }

  /**
   * Waits after a failure until the next try.
   *
   * @param error What was thrown.
   * @throws {HubError} When it has failed too often, or is to wait too long.
   * @throws What was thrown, when it will not pass.
   */
  async endure(error: unknown): Promise<void> {
    if (!(error instanceof PassingFailure)) throw error;
    this.#failures++;
    const seconds = error.seconds ?? Math.min(LONGEST_OWN_WAIT_S, FIRST_WAIT_S * 2 ** (this.#failures - 1));
    if (this.#failures >= this.#tries || seconds > LONGEST_WAIT_S) throw this.#end(error);
    this.onWait(`${error.message}, next try in ${Math.ceil(seconds)} s`);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }

  /**
   * Runs a task until it succeeds.
   *
   * @param task What to try.
   * @returns Its result.
   * @throws {HubError} When it has failed too often.
   */
  async outlast<T>(task: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await task();
      } catch (error) {
        await this.endure(error);
      }
    }
  }

  #end({ status, seconds, message }: PassingFailure): HubError {
    const { endpoint, cache, token } = this.hub, times = this.#failures === 1 ? "" : ` ${this.#failures} times`;
    const unreachable = (parts: Omit<Reason, "action">) =>
      new HubError("unreachable", { action: `fetch ${this.subject}`, ...parts });
    if (status === 429) {
      const asked = seconds === null ? "" : ` and to wait ${Math.ceil(seconds)} s`;
      const remedy = token === null ? "set HF_TOKEN, which raises the limit, or retry later" : "retry later";
      const found = `it asked${times} for fewer requests${asked} (429)`;
      return unreachable({ requirement: `${endpoint} must answer`, found, remedy });
    }
    if (status !== null) {
      return unreachable({
        requirement: `${endpoint} must answer`,
        found: `it failed${times} with status ${status}`,
        remedy: "retry later, what has arrived is kept",
      });
    }
    return unreachable({
      requirement: `a connection to ${endpoint} is needed`,
      found: `it failed${times} (${message})`,
      remedy: "check the network and HF_ENDPOINT, or give a model or text that lies on this machine " +
        `(downloads are kept in ${cache})`,
    });
  }
}
