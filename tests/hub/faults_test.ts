/** What networks, hubs and disks do to a download, and what a user is told. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { PassingFailure } from "../../core/hub/http.ts";
import { type DownloadProgress, fetchModel } from "../../core/hub/models.ts";
import { parseConfig } from "../../core/model/config.ts";
import { Patience } from "../../core/hub/patience.ts";
import type { Fault } from "./bodies.ts";
import { GATED_OK, KNOWN, type Repo } from "./server.ts";
import { FETCH, TINY_FILES, WEIGHTS, withHub } from "./with_hub.ts";

const isCdn = /^cdn GET/;
const LAST = WEIGHTS.length - 1;

async function assertWhole(directory: string): Promise<void> {
  assert.deepEqual(await Deno.readFile(join(directory, "model.safetensors")), WEIGHTS);
}

/** Leaves the first bytes of the weights as a killed download does. */
async function leavePart(home: string, bytes: Uint8Array): Promise<void> {
  const { createHash } = await import("node:crypto");
  const blobs = join(home, "hub", "models--test--tiny", "blobs");
  await Deno.mkdir(blobs, { recursive: true });
  await Deno.writeFile(join(blobs, `${createHash("sha256").update(WEIGHTS).digest("hex")}.incomplete`), bytes);
}

Deno.test("a body that breaks off is gone on with, as often as something arrives", () =>
  withHub(async ({ server }) => {
    for (let i = 0; i < 7; i++) server.faults.push({ match: isCdn, dropAfter: 512 << 10 });
    const { directory } = await fetchModel("hf:test/tiny", parseConfig);
    await assertWhole(directory);
    const ranges = server.take("cdn").map((request) => /bytes=(\d+)-(\d+)/.exec(request)!.slice(1).map(Number));
    assert.equal(ranges.length, 8);
    assert.ok(ranges.every(([first, last], i) => last === LAST && (i === 0 || first > ranges[i - 1][0])), `${ranges}`);
  }));

Deno.test("429 is waited out as long as the server says, visibly; then the rest comes", () =>
  withHub(async ({ server }) => {
    server.faults.push({ match: /resolve\/.*safetensors/, status: 429, headers: { "retry-after": "1" } });
    server.faults.push({ match: /\/tree\//, status: 429, headers: { ratelimit: '"api";r=0;t=1' } });
    server.faults.push({ match: isCdn, status: 503 });
    const waits: DownloadProgress[] = [], started = performance.now();
    const { directory } = await fetchModel(
      "hf:test/tiny",
      parseConfig,
      (progress) => progress.waiting && waits.push(progress),
    );
    assert.ok(performance.now() - started >= 2500);
    assert.deepEqual(waits.map(({ waiting }) => waiting), [
      "the answer was 429, next try in 1 s",
      "the answer was 429, next try in 1 s",
      "the answer was 503, next try in 1 s",
    ]);
    await assertWhole(directory);
  }));

Deno.test("a server that ignores ranges costs the bytes again and spoils nothing", () =>
  withHub(async ({ server, home }) => {
    await leavePart(home, WEIGHTS.slice(0, 1_000_000));
    server.faults.push({ match: isCdn, ignoreRange: true });
    await assertWhole((await fetchModel("hf:test/tiny", parseConfig)).directory);
    assert.deepEqual(server.take("cdn").map((request) => request.split(" ")[2]), [`bytes=1000000-${LAST}`]);
  }));

for (
  const [what, part] of [
    ["wrong", new Uint8Array(1_000_000)],
    ["too long", new Uint8Array(WEIGHTS.length + 1)],
    ["whole and wrong", new Uint8Array(WEIGHTS.length)],
    ["whole", WEIGHTS],
  ] as const
) {
  Deno.test(`a part file that is ${what} does no harm`, () =>
    withHub(async ({ home, server, cached }) => {
      await leavePart(home, part);
      await assertWhole((await fetchModel("hf:test/tiny", parseConfig)).directory);
      assert.equal(server.take("cdn").length, { wrong: 2, "too long": 1, "whole and wrong": 1, whole: 0 }[what]);
      assert.equal(cached().filter((path) => path.endsWith(".incomplete")).length, 0);
    }));
}

Deno.test("a spoilt byte is found, in large files and small ones, and fetched anew", () =>
  withHub(async ({ server }) => {
    server.faults.push({ match: isCdn, corrupt: true }, { match: /resolve-cache.*tokenizer.json/, corrupt: true });
    const { directory } = await fetchModel("hf:test/tiny", parseConfig);
    await assertWhole(directory);
    assert.deepEqual(await Deno.readFile(join(directory, "tokenizer.json")), TINY_FILES["tokenizer.json"]);
  }));

const gated: Repo = { kind: "model", name: "test/gated", files: TINY_FILES, gated: true };
const bare: Repo = { kind: "model", name: "test/bare", files: { "config.json": TINY_FILES["config.json"] } };
const huge = JSON.stringify(
  ["config.json", "tokenizer.json", "model.safetensors"].map((path) => ({
    ...{ type: "file", path, size: 9e15, oid: "0".repeat(40) },
  })),
);

interface Refused {
  what: string;
  /** hf:test/tiny unless told. */
  reference?: string;
  faults?: Fault[];
  variables?: Record<string, string>;
  says: RegExp;
}

const refused: Refused[] = [
  {
    what: "a gated model without a token",
    reference: "hf:test/gated",
    says:
      /^Cannot fetch hf:test\/gated\/config.json: an account must have accepted the terms of this model, no token is set \(401\); accept them at http:.*\/test\/gated, then set HF_TOKEN to a token of that account$/,
  },
  {
    what: "a gated model with a token that has no access",
    reference: "hf:test/gated",
    variables: { HF_TOKEN: KNOWN },
    says: /the token that is set was refused \(403\); accept them at .*, then check that HF_TOKEN is of that account$/,
  },
  {
    what: "a repository that is not there, or private",
    reference: "hf:test/none",
    says:
      /^Cannot fetch hf:test\/none: the hub must have a model of that name and let you read it, no token is set and it answered 401; check the name at http.*\/test\/none, or set HF_TOKEN if it is private$/,
  },
  {
    what: "a repository that is not there for anyone",
    reference: "hf:test/none",
    variables: { HF_TOKEN: KNOWN },
    says: /it answered 404; check the name/,
  },
  {
    what: "a token that nobody knows",
    variables: { HF_TOKEN: "x" },
    says: /the token that is set was refused and it answered 401/,
  },
  {
    what: "a revision that is not there",
    reference: "hf:test/tiny@v9",
    says:
      /^Cannot fetch hf:test\/tiny@v9: the repository must have the revision "v9", it has none of that name \(404\); see http/,
  },
  {
    what: "a commit that is not there",
    reference: `hf:test/tiny@${"0".repeat(40)}`,
    says: /must have the revision "0{40}", it has none of that name/,
  },
  {
    what: "a repository without a tokenizer",
    reference: "hf:test/bare",
    says:
      /^Cannot fetch hf:test\/bare\/tokenizer.json: the repository must hold tokenizer.json, it does not \(404\); see http.*\/test\/bare\/tree\/main for what it holds$/,
  },
  {
    what: "endless 429",
    faults: [{ match: /safetensors/, times: 9, status: 429, headers: { "retry-after": "0" } }],
    says:
      /^Cannot fetch hf:test\/tiny\/model.safetensors: http.* must answer, it asked 5 times for fewer requests and to wait 0 s \(429\); set HF_TOKEN, which raises the limit, or retry later$/,
  },
  {
    what: "429 for an hour",
    faults: [{
      match: /revision/,
      status: 429,
      headers: { "retry-after": new Date(Date.now() + 3600e3).toUTCString() },
    }],
    says: /it asked for fewer requests and to wait 3[56]\d\d s \(429\)/,
  },
  {
    what: "a hub that is down",
    faults: [{ match: /revision/, times: 9, status: 503, headers: { "retry-after": "0" } }],
    says:
      /^Cannot fetch hf:test\/tiny: http.* must answer, it failed 5 times with status 503; retry later, what has arrived is kept$/,
  },
  { what: "a hub that answers strangely", faults: [{ match: /revision/, status: 418 }], says: /it answered 418/ },
  {
    what: "a page that asks for a login",
    faults: [{ match: /revision/, body: "<html>Welcome to our café</html>" }],
    says:
      /must answer as the Hugging Face hub does, it does not \(.*JSON.*\); check HF_ENDPOINT, and whether the network asks for a login$/,
  },
  {
    what: "redirects without an end",
    faults: [{ match: /./, times: 99, redirect: "/again" }],
    says: /its redirects must end within 10 hops at an address, they end nowhere; check HF_ENDPOINT$/,
  },
  {
    what: "bytes that are wrong twice",
    faults: [{ match: isCdn, times: 2, corrupt: true }],
    says:
      /^Cannot keep hf:test\/tiny\/model.safetensors: its SHA-256 must be [0-9a-f]{64}, what arrived has [0-9a-f]{64}, twice; /,
  },
  {
    what: "more than the disk can hold",
    faults: [{ match: /\/tree\//, body: huge }],
    says:
      /^Cannot download hf:test\/tiny: .* must have room for 9000000.00 GB more, it has \d+\.\d\d GB; free some space, or set HF_HUB_CACHE/,
  },
  {
    what: "no connection",
    variables: { HF_ENDPOINT: "http://127.0.0.1:1234" },
    says:
      /^Cannot fetch hf:test\/tiny: a connection to http:\/\/127.0.0.1:1234 is needed, it failed 5 times \(tcp connect error: Connection refused.*\); check the network/,
  },
  {
    what: "no such host",
    variables: { HF_ENDPOINT: "http://hub.invalid" },
    says: /it failed 5 times \(dns error: .*\); check the network/,
  },
  {
    what: "an endpoint that is none",
    variables: { HF_ENDPOINT: "hub" },
    says: /HF_ENDPOINT must be an address like https.* it is "hub"/,
  },
];

for (const { what, reference = "hf:test/tiny", faults = [], variables = {}, says } of refused) {
  Deno.test(`one sentence: ${what}`, () =>
    withHub(async ({ server }) => {
      server.faults.push(...faults);
      await assert.rejects(fetchModel(reference, parseConfig), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, says);
        return true;
      });
    }, { repos: [gated, bare], variables }));
}

Deno.test("a hub that has answered is waited for longer than one that never did", async () => {
  const hub = { endpoint: "http://hub", token: null, cache: "/cache", isOffline: false, mayLink: true };
  const triesOf = async (patience: Patience) => {
    for (let tries = 1;; tries++) {
      try {
        await patience.endure(new PassingFailure("no", 503, 0));
      } catch (error) {
        assert.match(String(error), new RegExp(`it failed ${tries} times with status 503`));
        return tries;
      }
    }
  };
  const patience = new Patience(hub, "hf:a/b");
  assert.equal(await triesOf(patience), 5);
  patience.renew();
  assert.equal(await triesOf(patience), 10);
  await assert.rejects(patience.endure(new RangeError("another")), RangeError);
});

Deno.test("a gated model comes with a token that has access", () =>
  withHub(async () => assertWhole((await fetchModel("hf:test/gated", parseConfig)).directory), {
    repos: [gated],
    variables: { HF_TOKEN: GATED_OK },
  }));

Deno.test("what arrived before a refusal is kept for the next time", () =>
  withHub(async ({ server }) => {
    server.faults.push({ match: isCdn, dropAfter: 1 << 20 }, { match: isCdn, times: 9, status: 418 });
    await assert.rejects(fetchModel("hf:test/tiny", parseConfig), /418/);
    server.faults.splice(0);
    server.take("cdn");
    await assertWhole((await fetchModel("hf:test/tiny", parseConfig)).directory);
    const [range] = server.take("cdn").map((request) => Number(/bytes=(\d+)/.exec(request)![1]));
    assert.ok(range > 0, `${range}`);
  }));

/** Runs a shell script in a mount namespace of its own, where anyone may mount; some containers forbid it. */
const withMounts = (script: string, args: string[]) =>
  new Deno.Command("unshare", { args: ["-rm", "sh", "-c", script, "sh", ...args] }).output();
const canMount = await withMounts("mount -t tmpfs tmpfs /mnt", []).then(({ success }) => success, () => false);

Deno.test({
  name: "a disk that fills up meanwhile is named, and the download goes on when there is room",
  ignore: !canMount,
  fn: () =>
    withHub(async ({ server, home }) => {
      server.faults.push({ match: isCdn, slow: 10 });
      const script = `mount -t tmpfs -o size=5m tmpfs "$1"
        "$2" run --no-check -A "$3" hf:test/tiny & download=$!
        until [ -s "$1"/hub/models--test--tiny/blobs/??????????????????????????????????????????*.incomplete ]; do sleep 0.01; done
        head -c 4m /dev/zero > "$1/other"
        wait $download; echo "code $?"
        rm "$1/other"
        "$2" run --no-check -A "$3" hf:test/tiny && cat "$1"/hub/models--test--tiny/snapshots/*/model.safetensors | wc -c`;
      const { stdout, stderr } = await withMounts(script, [home, Deno.execPath(), FETCH]);
      const said = new TextDecoder().decode(stdout), errors = new TextDecoder().decode(stderr);
      assert.match(errors, /UserError: Cannot write .*\.incomplete: the disk is full; free some space/);
      assert.match(said, new RegExp(`^code 1\n.*/snapshots/.*\n${WEIGHTS.length}\n$`));
      const [first, second] = server.take("cdn").map((request) => Number(/bytes=(\d+)/.exec(request)![1]));
      assert.ok(first === 0 && second > 0, `${first} ${second}`);
    }),
});
