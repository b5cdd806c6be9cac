/**
 * `mtc browse` without --export: a server for this machine's browsers, until it is stopped.
 * @module
 */

import { stopGently } from "../../core/ending.ts";
import { Interrupted, UserError } from "../../core/errors.ts";
import configuration from "../../deno.json" with { type: "json" };
import { api } from "./api.ts";
import { pageContent } from "./client.ts";
import { Clerk } from "./clerk.ts";
import { ModelDesk } from "./desk.ts";
import { ServedParts } from "./parts.ts";
import { BrowsedReports } from "./reports.ts";
import { BrowsedRuns } from "./runs.ts";
import { listen, type Listening } from "./serve.ts";

/** What is served. */
export interface ServerOptions {
  /** Directories of runs, of transcoders, or that hold runs. */
  readonly roots: readonly string[];
  /** Directories of reports. */
  readonly reports: readonly string[];
  /** Where the runs' model lies now, if not where it lay. */
  readonly model?: string;
  /** The port; 0 for any that is free. */
  readonly port: number;
}

/**
 * Starts a server.
 *
 * @param options What it serves.
 * @returns The server, which answers until it is closed.
 * @throws {UserError} When none of the directories is there, or the port is taken.
 */
export async function startServer({ roots, reports, model, port }: ServerOptions): Promise<Listening> {
  // Verdicts do not wait for what the explorer takes, which may be minutes for a large dictionary.
  const clerk = new Clerk(), judges = new Clerk(), desk = new ModelDesk(model);
  const runs = new BrowsedRuns(roots, (path) => judges.judge(path));
  await runs.look();
  if (runs.problems.length === roots.length) throw nothingThere(runs.problems);
  const content = await pageContent("mtc browse", "'self'"), { version } = configuration;
  const parts = new ServedParts(runs, clerk);
  const handle = api({
    ...{ version, content, parts, clerk, runs, desk },
    reports: new BrowsedReports(reports),
  });
  const server = listen(port, handle);
  return {
    address: server.address,
    ended: server.ended,
    async close() {
      await server.close();
      await Promise.all([clerk.close(), judges.close(), desk.close()]);
      await parts.close();
    },
  };
}

/**
 * Serves until a signal comes.
 *
 * @param options What is served.
 * @throws {UserError} When it cannot be served.
 * @throws {Interrupted} When it was stopped.
 */
export async function serve(options: ServerOptions): Promise<never> {
  const stopped = Promise.withResolvers<void>();
  using _ = stopGently(() => stopped.resolve());
  const server = await startServer(options);
  // A model of the hub is taken from its cache or not at all. What this process might do by a defect, it cannot do over the network any
  // more; requests to it come in all the same.
  Deno.env.set("HF_HUB_OFFLINE", "1");
  await Deno.permissions.revoke({ name: "net" });
  console.log(server.address);
  console.error("mtc: serving this machine's browsers; Ctrl-C ends it");
  try {
    await Promise.race([stopped.promise, server.ended]);
  } finally {
    await server.close();
  }
  throw new Interrupted({ stopped: "serving", remedy: "the same command serves again" });
}

function nothingThere([first]: readonly string[]): UserError {
  return new UserError({ action: "browse" }, first);
}
