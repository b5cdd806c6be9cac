/**
 * Who may ask the server of `mtc browse` for what: browsers of this machine that show its own page, and nobody else.
 *
 * A page from elsewhere can make a browser of this machine send requests here. Its own name in Host gives it away where it had that name
 * resolved to this machine (DNS rebinding), its Origin or Sec-Fetch-Site where it asks across origins.
 * @module
 */

/** What the page need not say of itself: it is in no frame, and no text becomes code; lit-html makes its templates, which hold nothing from outside. */
const POLICY = "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html";
/** What is no page loads nothing. */
const BARE = "default-src 'none'; base-uri 'none'; form-action 'none'";

/** Headers of every answer. */
const HEADERS: Readonly<Record<string, string>> = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cache-control": "no-store",
};

/** Names that this machine has for itself. */
const OWN_NAMES = ["127.0.0.1", "localhost"];

/**
 * Why a request is not answered.
 *
 * @param request The request.
 * @param port The server's port.
 * @returns A status and a sentence; null where it may be answered.
 */
export function refusal(request: Request, port: number): { readonly status: number; readonly text: string } | null {
  const { method, headers } = request, hosts = OWN_NAMES.map((name) => `${name}:${port}`);
  const host = headers.get("host")?.toLowerCase() ?? "";
  if (!hosts.includes(host)) {
    return { status: 421, text: `Open http://${hosts[0]}/ itself: this server answers to no other name.` };
  }
  const origin = headers.get("origin"), site = headers.get("sec-fetch-site");
  const isForeign = (origin !== null && origin !== `http://${host}`) || site === "cross-site" || site === "same-site";
  // A link from elsewhere may lead to the page itself, which gives nothing away to where it was.
  const isVisit = method === "GET" && origin === null && headers.get("sec-fetch-mode") === "navigate" &&
    headers.get("sec-fetch-dest") === "document";
  if (isForeign && !isVisit) return { status: 403, text: "Another page may not ask this server for anything." };
  if (method === "GET") return null;
  if (method !== "POST") return { status: 405, text: "Only GET and POST are answered." };
  if (origin === null) return { status: 403, text: "A request that has something computed must come from the page." };
  if (headers.get("content-type") !== "application/json") return { status: 415, text: "The request must be JSON." };
  return null;
}

/**
 * Makes an answer.
 *
 * @param body Its content.
 * @param type Its type.
 * @param status Its status.
 * @param policy What it may load, if it is a page.
 * @returns The answer, with all that keeps it from being used elsewhere.
 */
export function answer(body: BodyInit | null, type: string, status = 200, policy: string = BARE): Response {
  const headers = { ...HEADERS, "content-type": type, "content-security-policy": `${policy}; ${POLICY}` };
  return new Response(body, { status, headers });
}

/**
 * An answer in words.
 *
 * @param text A sentence.
 * @param status Its status.
 * @returns The answer.
 */
export function sentence(text: string, status: number): Response {
  return answer(`${text}\n`, "text/plain; charset=utf-8", status);
}

/**
 * An answer in JSON.
 *
 * @param value What it says; numbers that are none become null.
 * @returns The answer.
 */
export function json(value: unknown): Response {
  return answer(JSON.stringify(value), "application/json");
}
