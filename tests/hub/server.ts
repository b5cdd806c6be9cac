/**
 * A server that speaks the Hugging Face hub's protocol: the API, the resolve endpoint with its redirects, and a second server
 * that stands for the storage behind it, on another origin. Faults can be ordered.
 *
 * `deno run -A tests/hub/server.ts PORT` serves the embedded model as hf:test/tiny until it is stopped.
 */
import { createHash } from "node:crypto";
import { type Content, type Fault, send } from "./bodies.ts";

export const GATED_OK = "hf_accepted";
export const KNOWN = "hf_known";

/** A repository: one commit, with files by path. */
export interface Repo {
  kind: "model" | "dataset";
  name: string;
  files: Record<string, Uint8Array<ArrayBuffer>>;
  gated?: boolean;
  /** Makes the commit differ for the same files. */
  version?: number;
}

export interface Seen {
  side: "hub" | "cdn";
  method: string;
  path: string;
  range: string | null;
  token: string | null;
}

interface StoredFile {
  path: string;
  bytes: Uint8Array<ArrayBuffer>;
  oid: string;
  sha256: string;
  isLarge: boolean;
}

const hex = (algorithm: string, ...parts: (string | Uint8Array)[]) =>
  parts.reduce<ReturnType<typeof createHash>>((hash, part) => hash.update(part), createHash(algorithm)).digest("hex");

/** Large files go to storage and are known by their SHA-256, small ones by Git's hash. */
function store(path: string, bytes: Uint8Array<ArrayBuffer>): StoredFile {
  const sha256 = hex("sha256", bytes);
  return {
    path,
    bytes,
    sha256,
    oid: hex("sha1", `blob ${bytes.length}\0`, bytes),
    isLarge: /\.(safetensors|parquet|gz|zst|bin|gguf)$/.test(path) || bytes.length > 10_000_000,
  };
}

export class HubServer {
  readonly seen: Seen[] = [];
  readonly faults: Fault[] = [];
  pageSize = 1000;
  /** Storage forgets its signed addresses when this changes. */
  signature = 1;
  readonly #repos: Repo[];
  readonly #hub: Deno.HttpServer<Deno.NetAddr>;
  readonly #cdn: Deno.HttpServer<Deno.NetAddr>;

  constructor(repos: Repo[], port = 0) {
    this.#repos = repos;
    const options = { hostname: "127.0.0.1", onListen() {} };
    this.#hub = Deno.serve({ ...options, port }, (request) => this.#serve("hub", request));
    this.#cdn = Deno.serve({ ...options, port: 0 }, (request) => this.#serve("cdn", request));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#hub.addr.port}`;
  }

  get storage(): string {
    return `http://127.0.0.1:${this.#cdn.addr.port}`;
  }

  async stop(): Promise<void> {
    await this.#hub.shutdown();
    await this.#cdn.shutdown();
  }

  commitOf(repo: Repo): string {
    return hex("sha1", JSON.stringify([repo.name, repo.version, Object.keys(repo.files)]));
  }

  /** The requests so far, shortly: "GET /path range"; forgets them. */
  take(side: Seen["side"]): string[] {
    const taken = this.seen.filter((request) => request.side === side);
    this.seen.splice(0, this.seen.length, ...this.seen.filter((request) => request.side !== side));
    return taken.map(({ method, path, range }) => `${method} ${path}${range === null ? "" : ` ${range}`}`);
  }

  async #serve(side: Seen["side"], request: Request): Promise<Response> {
    const { pathname: path } = new URL(request.url), { method } = request;
    const token = request.headers.get("authorization"), range = request.headers.get("range");
    this.seen.push({ side, method, path, range, token });
    const fault = this.#fault(`${side} ${method} ${path}`);
    if (fault?.redirect !== undefined) {
      return new Response(null, { status: 302, headers: { location: fault.redirect } });
    }
    if (fault?.status !== undefined || fault?.body !== undefined) {
      await request.body?.cancel();
      return new Response(fault.body ?? "no", { status: fault.status ?? 200, headers: fault.headers });
    }
    const answer = side === "hub" ? await this.#hubAnswer(request) : this.#cdnAnswer(request);
    return answer instanceof Response ? answer : send(answer, request, fault);
  }

  #fault(request: string): Fault | undefined {
    const at = this.faults.findIndex(({ match }) => match.test(request));
    if (at < 0) return undefined;
    const fault = this.faults[at];
    fault.times = (fault.times ?? 1) - 1;
    if (fault.times <= 0) this.faults.splice(at, 1);
    return fault;
  }

  async #hubAnswer(request: Request): Promise<Response | Content> {
    const url = new URL(request.url), { kind, name, verb, revision, path } = parse(url.pathname);
    const repo = this.#repos.find((repo) => repo.kind === kind && repo.name === name);
    const token = request.headers.get("authorization")?.replace("Bearer ", "");
    if (token !== undefined && ![KNOWN, GATED_OK].includes(token)) {
      return refuse(401, "", "Invalid credentials in Authorization header");
    }
    if (repo === undefined) {
      return token === undefined
        ? refuse(401, "RepoNotFound", "Invalid username or password.")
        : refuse(404, "RepoNotFound", "Repository not found");
    }
    const commit = this.commitOf(repo), files = Object.entries(repo.files).map(([path, bytes]) => store(path, bytes));
    if (!["main", "HEAD", commit].includes(revision)) {
      return refuse(404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    }
    if (verb === "resolve-cache") return small(files, commit, path);
    if (verb === "tree") return this.#tree(files, path, url);
    if (verb === "paths-info") return Response.json(await pathsInfo(files, request));
    if (verb === "resolve") return this.#resolve(repo, files, path, token);
    return Response.json({
      _id: "1",
      id: name,
      sha: commit,
      private: false,
      gated: repo.gated ? "manual" : false,
      downloads: 0,
      likes: 0,
      tags: [],
      lastModified: "2024-08-07T00:00:00.000Z",
      siblings: files.map(({ path }) => ({ rfilename: path })),
    });
  }

  #tree(files: StoredFile[], folder: string, url: URL): Response {
    const within = files.filter(({ path }) => folder === "" || path.startsWith(`${folder}/`));
    if (within.length === 0) return refuse(404, "EntryNotFound", `${folder} does not exist`);
    const start = folder === "" ? 0 : folder.length + 1,
      recursive = /^true$/i.test(url.searchParams.get("recursive") ?? "");
    const folders = new Set(within.flatMap(({ path }) => foldersOf(path, start, recursive)));
    const entries = [
      ...[...folders].map((path) => ({ type: "directory", oid: hex("sha1", path), size: 0, path })),
      ...within.filter(({ path }) => recursive || !path.slice(start).includes("/")).map(entryOf),
    ];
    const cursor = Number(url.searchParams.get("cursor") ?? 0), next = cursor + this.pageSize;
    const headers: Record<string, string> = {};
    if (next < entries.length) {
      url.searchParams.set("cursor", String(next));
      headers.link = `<${url.href}>; rel="next"`;
    }
    return Response.json(entries.slice(cursor, next), { headers });
  }

  #resolve(repo: Repo, files: StoredFile[], path: string, token: string | undefined): Response {
    if (repo.gated && token !== GATED_OK) {
      return refuse(token === undefined ? 401 : 403, "GatedRepo", "Access to this repository is restricted.");
    }
    const file = files.find((file) => file.path === path), commit = this.commitOf(repo);
    if (file === undefined) return refuse(404, "EntryNotFound", "Entry not found", { "x-repo-commit": commit });
    const api = `/api/resolve-cache/${repo.kind}s/${repo.name}/${commit}/${
      path.split("/").map(encodeURIComponent).join("/")
    }`;
    return new Response(null, {
      status: file.isLarge ? 302 : 307,
      headers: {
        "x-repo-commit": commit,
        "accept-ranges": "bytes",
        "x-linked-size": String(file.bytes.length),
        "x-linked-etag": `"${file.isLarge ? file.sha256 : file.oid}"`,
        location: file.isLarge ? `${this.storage}/${file.sha256}?signature=${this.signature}` : api,
      },
    });
  }

  /** Like a bucket with signed addresses: a second credential beside the signature is an error. */
  #cdnAnswer(request: Request): Response | Content {
    const url = new URL(request.url);
    if (request.headers.has("authorization")) return refuse(400, "", "Only one auth mechanism allowed");
    if (url.searchParams.get("signature") !== String(this.signature)) return refuse(403, "", "Request has expired");
    const files = this.#repos.flatMap(({ files }) => Object.entries(files).map(([path, bytes]) => store(path, bytes)));
    const file = files.find(({ sha256 }) => url.pathname === `/${sha256}`);
    if (file === undefined) return refuse(404, "", "NoSuchKey");
    return { bytes: file.bytes, headers: { etag: `"${hex("sha256", "another", file.sha256)}"` } };
  }
}

/** From /api/models/o/n/VERB/REVISION/PATH, /o/n/resolve/..., /datasets/o/n/resolve/..., /api/resolve-cache/models/o/n/COMMIT/PATH. */
function parse(pathname: string) {
  const parts = pathname.slice(1).split("/").map(decodeURIComponent);
  if (parts[0] === "api") parts.shift();
  const isCached = parts[0] === "resolve-cache";
  if (isCached) parts.shift();
  const kind = parts[0] === "datasets" ? "dataset" : "model";
  if (["models", "datasets"].includes(parts[0])) parts.shift();
  const [owner, name, ...rest] = parts;
  const [verb, revision = "main", ...path] = isCached ? ["resolve-cache", ...rest] : rest;
  return { kind, name: `${owner}/${name}`, verb, revision, path: path.join("/") };
}

function small(files: StoredFile[], commit: string, path: string): Response | Content {
  const file = files.find((file) => file.path === path);
  if (file === undefined) return refuse(404, "EntryNotFound", "Entry not found", { "x-repo-commit": commit });
  return { bytes: file.bytes, headers: { etag: `"${file.oid}"`, "x-repo-commit": commit } };
}

function refuse(status: number, code: string, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error: message }, {
    status,
    headers: { ...(code === "" ? {} : { "x-error-code": code }), "x-error-message": message, ...headers },
  });
}

function entryOf({ path, bytes, oid, sha256, isLarge }: StoredFile) {
  const lfs = { lfs: { oid: sha256, size: bytes.length, pointerSize: 134 } };
  return { type: "file", oid, size: bytes.length, path, ...(isLarge ? lfs : {}) };
}

function foldersOf(path: string, start: number, recursive: boolean): string[] {
  const parts = path.slice(start).split("/").slice(0, -1);
  const folders = parts.map((_, i) => path.slice(0, start) + parts.slice(0, i + 1).join("/"));
  return recursive ? folders : folders.slice(0, 1);
}

/** JavaScript's client asks by JSON, Python's by a form. */
async function pathsInfo(files: StoredFile[], request: Request): Promise<unknown[]> {
  const isForm = request.headers.get("content-type")?.includes("form") ?? false;
  const paths: string[] = isForm
    ? [...new URLSearchParams(await request.text()).getAll("paths")]
    : (await request.json()).paths;
  return paths.flatMap((path) => {
    const file = files.find((file) => file.path === path);
    if (file) return [entryOf(file)];
    const isFolder = files.some((file) => file.path.startsWith(`${path}/`));
    return isFolder ? [{ type: "directory", oid: hex("sha1", path), size: 0, path }] : [];
  });
}

/** The embedded model's files, and some that nobody needs. */
export async function tinyModel(): Promise<Repo["files"]> {
  const directory = new URL("../../core/builtin/tiny-gemma2/", import.meta.url);
  const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "README.md"];
  const files = await Promise.all(names.map(async (name) => [name, await Deno.readFile(new URL(name, directory))]));
  const useless = {
    "pytorch_model.bin": new Uint8Array(99),
    "tiny.gguf": new Uint8Array(98),
    "onnx/model.onnx": new Uint8Array(97),
  };
  return { ...Object.fromEntries(files), ...useless };
}

if (import.meta.main) {
  const server = new HubServer([{ kind: "model", name: "test/tiny", files: await tinyModel() }], Number(Deno.args[0]));
  console.log(server.endpoint);
}
