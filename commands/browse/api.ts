/**
 * What the server of `mtc browse` answers to, by path.
 *
 * | path | answer |
 * |---|---|
 * | `/` | the page |
 * | `GET /api/parts/NAME` | a part of the explorer, reports/browser/data.ts |
 * | `GET /api/progress` | what is being made of them at this moment |
 * | `GET /api/runs` | all runs with their verdicts, and the reports |
 * | `GET /api/metrics?transcoder&generation&rows&from&to` | what a run has logged behind so many rows |
 * | `GET /api/page?report&file`, `GET /api/picture?report&file` | a page of a report, a picture of one |
 * | `POST /api/encode`, `POST /api/change`, `POST /api/effects` | lines of how the work stands, the outcome in the last one |
 *
 * @module
 */

import { readWholeNumber } from "../options.ts";
import { isPacked } from "../../reports/browser/data.ts";
import type { ServedRuns } from "../../reports/browser/served.ts";
import { UserError } from "../../core/errors.ts";
import type { PageContent } from "../../reports/browser/page.ts";
import { PAGE_END, pageStart, securityPolicy } from "../../reports/browser/page.ts";
import type { Clerk } from "./clerk.ts";
import type { ModelDesk } from "./desk.ts";
import { answer, json } from "./guard.ts";
import { loggedBy } from "./live.ts";
import type { ServedPart, ServedParts } from "./parts.ts";
import type { BrowsedReports } from "./reports.ts";
import { readChangeRequest, readEffectsRequest, readEncodeRequest } from "./requests.ts";
import type { BrowsedRuns, FoundTranscoder } from "./runs.ts";
import type { Handler } from "./serve.ts";
import { working } from "./work.ts";

const PARTS = "/api/parts/";

/** What there is behind the server. */
export interface Browsed {
  /** The version of mtc. */
  readonly version: string;
  /** The page, */
  readonly content: PageContent;
  /** what makes its parts, */
  readonly parts: ServedParts;
  /** and where that is done; */
  readonly clerk: Clerk;
  /** the runs, */
  readonly runs: BrowsedRuns;
  /** their reports, */
  readonly reports: BrowsedReports;
  /** and their model. */
  readonly desk: ModelDesk;
}

/**
 * Answers by path.
 *
 * @param browsed What there is.
 * @returns What answers.
 */
export function api(browsed: Browsed): Handler {
  const { content, parts, clerk, runs, reports, desk } = browsed;
  const page = pageStart(content) + PAGE_END, policy = securityPolicy(content);
  return async (request, path, query) => {
    if (request.method === "GET" && path.startsWith(PARTS)) {
      const name = decoded(path.slice(PARTS.length)), part = name === null ? null : await parts.part(name);
      return part && partAnswer(name!, part);
    }
    const wanted = (name: string) => query.get(name) ?? "";
    switch (`${request.method} ${path}`) {
      case "GET /":
        return answer(page, "text/html; charset=utf-8", 200, policy);
      case "GET /api/progress":
        return json(clerk.progress);
      case "GET /api/runs":
        return json(await listed(browsed));
      case "GET /api/metrics": {
        const count = (name: string, value: number) =>
          query.has(name) ? readWholeNumber(name, wanted(name), { least: 0 }) : value;
        const known = { generation: count("generation", 0), rows: count("rows", 0), from: count("from", 0) };
        const to = count("to", Number.MAX_SAFE_INTEGER - 1);
        return json(await loggedBy(runs, await runs.find(wanted("transcoder")), { ...known, to }));
      }
      case "GET /api/page":
        return json(await reports.page(wanted("report"), wanted("file")));
      case "GET /api/picture":
        return answer(await reports.picture(wanted("report"), wanted("file")), "image/png");
      case "POST /api/encode": {
        const { transcoder, text } = await readEncodeRequest(request), one = await finished(runs, transcoder);
        const among = await runs.look();
        return working((tell, signal) => desk.encode(one, among, { text }, tell, signal));
      }
      case "POST /api/change": {
        const { transcoder, ...change } = await readChangeRequest(request), one = await finished(runs, transcoder);
        const among = await runs.look();
        return working((tell, signal) => desk.change(one, among, change, tell, signal));
      }
      case "POST /api/effects": {
        const { transcoder, ...wanted } = await readEffectsRequest(request), one = await finished(runs, transcoder);
        const among = await runs.look();
        return working((tell, signal) => desk.effects(one, among, wanted, tell, signal));
      }
      default:
        return null;
    }
  };
}

/** As it is kept: browsers unpack what is gzipped by themselves. */
function partAnswer(name: string, { bytes, isGzipped }: ServedPart): Response {
  const response = answer(bytes, isPacked(name) ? "application/octet-stream" : "application/json");
  if (isGzipped) response.headers.set("content-encoding", "gzip");
  return response;
}

async function listed({ version, runs, reports }: Browsed): Promise<ServedRuns> {
  const { reports: directories, reportOf } = await reports.list();
  const transcoders = await runs.list(reportOf);
  return { version, problems: runs.problems, transcoders, reports: directories };
}

async function finished(runs: BrowsedRuns, key: string): Promise<FoundTranscoder> {
  const found = await runs.find(key), { path, state, detail } = found;
  if (state === "finished") return found;
  throw new UserError({ action: `use ${path}`, requirement: "it must be finished", found: detail });
}

function decoded(name: string): string | null {
  try {
    return decodeURIComponent(name);
  } catch {
    return null; // no name is written so
  }
}
