/** The server of `mtc browse`, asked without a web browser: whom it answers, what it says of runs, and what it computes. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { startServer } from "../../commands/browse/server.ts";
import { writeFileAtomic } from "../../core/files/atomic.ts";
import { readConfig } from "../../core/runs/config.ts";
import { lockRun } from "../../core/runs/lock.ts";
import { writeRecord } from "../../core/runs/record.ts";
import { readTranscoder } from "../../core/runs/transcoder.ts";
import type { FeatureTable } from "../../reports/browser/data.ts";
import { unpack } from "../../reports/browser/packed.ts";
import type { MeasuredEffects, ServedMetrics, ServedPage, ServedRuns, WorkLine } from "../../reports/browser/served.ts";
import { writeSyntheticRun } from "../reports/synthetic_run.ts";
import { MAIN } from "../cli/small_train.ts";
import { CONTEXT, inDirectory, mtc, writeTinyLayer } from "../cli/tiny_run.ts";

interface Asked {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Sends a request as it is written, as no client would. */
async function raw(address: string, lines: readonly string[], body = ""): Promise<Asked> {
  const { hostname, port } = new URL(address);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(new TextEncoder().encode([...lines, "Connection: close", "", body].join("\r\n")));
  const text = await new Response(connection.readable).text(), end = text.indexOf("\r\n\r\n");
  const [first, ...rest] = text.slice(0, end).split("\r\n");
  const headers = new Map(rest.map((line) => [line.split(":", 1)[0].toLowerCase(), line.slice(line.indexOf(":") + 2)]));
  return { status: Number(first.split(" ")[1]), headers, body: text.slice(end + 4) };
}

/** Serves a directory of runs and one of reports. */
async function served(
  { runs, reports, model }: { runs: string; reports?: string; model?: string },
  use: (address: string) => Promise<void>,
): Promise<void> {
  const server = await startServer({ roots: [runs], reports: reports ? [reports] : [], model, port: 0 });
  try {
    await use(server.address);
  } finally {
    await server.close();
  }
}

async function got<T>(address: string): Promise<T> {
  const response = await fetch(address), text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text);
}

/** Has something computed; the lines that the server answers with. */
async function lines<T>(address: string, path: string, wanted: object): Promise<WorkLine<T>[]> {
  const headers = { "content-type": "application/json", origin: new URL(address).origin };
  const response = await fetch(`${address}api/${path}`, { method: "POST", headers, body: JSON.stringify(wanted) });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

Deno.test("other names for this machine, other pages and other methods are refused", (t) =>
  inDirectory((runs) =>
    served({ runs }, async (address) => {
      const { host, origin } = new URL(address), port = host.split(":")[1], own = `Host: ${host}`;
      const json = ["Content-Type: application/json", "Content-Length: 2"];
      const refused: [what: string, lines: string[], status: number][] = [
        ["a rebound name", ["GET /api/runs HTTP/1.1", `Host: evil.example:${port}`], 421],
        ["the address without its port", ["GET / HTTP/1.1", "Host: 127.0.0.1"], 421],
        ["no name", ["GET / HTTP/1.0"], 421],
        ["another page that fetches", ["GET /api/runs HTTP/1.1", own, "Origin: http://evil.example"], 403],
        ["a page of another port", ["GET /api/runs HTTP/1.1", own, `Origin: http://127.0.0.1:1`], 403],
        ["a page in a sandbox", ["GET /api/runs HTTP/1.1", own, "Origin: null"], 403],
        ["a picture on another page", [
          "GET /api/parts/index HTTP/1.1",
          own,
          "Sec-Fetch-Site: cross-site",
          "Sec-Fetch-Mode: no-cors",
          "Sec-Fetch-Dest: image",
        ], 403],
        ["another page that posts", ["POST /api/encode HTTP/1.1", own, "Origin: http://evil.example", ...json], 403],
        ["a post from nowhere", ["POST /api/encode HTTP/1.1", own, ...json], 403],
        ["a form", [
          "POST /api/encode HTTP/1.1",
          own,
          `Origin: ${origin}`,
          "Content-Type: text/plain",
          "Content-Length: 2",
        ], 415],
        ["PUT", ["PUT /api/runs HTTP/1.1", own, `Origin: ${origin}`, "Content-Length: 2"], 405],
        ["DELETE", ["DELETE /api/runs HTTP/1.1", own, `Origin: ${origin}`], 405],
        ["OPTIONS", ["OPTIONS /api/encode HTTP/1.1", own, "Origin: http://evil.example"], 403],
      ];
      for (const [what, lines, status] of refused) {
        await t.step(what, async () => {
          const answer = await raw(address, lines, lines.includes("Content-Length: 2") ? "{}" : "");
          assert.equal(answer.status, status, answer.body);
          assert.ok(!answer.headers.has("access-control-allow-origin"));
        });
      }
      for (const name of [host, `localhost:${port}`, `LOCALHOST:${port}`]) {
        assert.equal((await raw(address, ["GET /api/runs HTTP/1.1", `Host: ${name}`])).status, 200, name);
      }
      const visit = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
      assert.equal((await raw(address, ["GET / HTTP/1.1", own, ...visit])).status, 200, "a link leads here");
    })
  ));

Deno.test("the page asks nobody else, is framed by nobody, and no answer is taken for another type", () =>
  inDirectory((runs) =>
    served({ runs }, async (address) => {
      for (const path of ["", "api/runs", "nowhere"]) {
        const { headers, body } = await fetch(`${address}${path}`);
        await body?.cancel();
        const policy = headers.get("content-security-policy")!;
        assert.match(policy, /default-src 'none'/);
        assert.match(policy, /frame-ancestors 'none'/);
        assert.doesNotMatch(policy, /unsafe|http:|https:|\*/);
        assert.deepEqual(
          ["x-content-type-options", "referrer-policy", "cross-origin-resource-policy"].map((name) =>
            headers.get(name)
          ),
          ["nosniff", "no-referrer", "same-origin"],
        );
      }
    })
  ));

Deno.test("no path leads out of the directories, however it is written", () =>
  inDirectory(async (directory) => {
    const runs = join(directory, "runs"), reports = join(directory, "out");
    await Promise.all([runs, reports].map((path) => Deno.mkdir(path)));
    await Deno.writeTextFile(join(directory, "secret.md"), "# secret");
    await Deno.writeTextFile(join(reports, "index.md"), "# here");
    await Deno.writeTextFile(join(reports, "notes.txt"), "# secret");
    await Deno.symlink(join(directory, "secret.md"), join(reports, "link.md"));
    await Deno.mkdir(join(reports, "folder.md"));
    await served({ runs, reports }, async (address) => {
      const [{ key, pages }] = (await got<ServedRuns>(`${address}api/runs`)).reports;
      assert.deepEqual(pages, [{ file: "index.md", title: "here" }]);
      assert.equal((await got<ServedPage>(`${address}api/page?report=${key}&file=index.md`)).title, "here");
      const { host } = new URL(address);
      const targets = [
        ...[
          "../secret.md",
          "..%2fsecret.md",
          "..%252fsecret.md",
          "%2e%2e/secret.md",
          "link.md",
          "folder.md",
          "notes.txt",
        ],
        ...[`${directory}/secret.md`, "./index.md", "index.md%00.md", "..%5csecret.md", "", "%"],
      ].map((file) => `/api/page?report=${key}&file=${file}`);
      const paths = [
        "/../secret.md",
        "/..%2fsecret.md",
        "/api/parts/../../secret.md",
        "/api/parts/..%2f..%2fsecret.md",
        "/%",
      ];
      for (const target of [...targets, ...paths, `/api/page?report=..&file=secret.md`]) {
        const { status, body } = await raw(address, [`GET ${target} HTTP/1.1`, `Host: ${host}`]);
        assert.ok([400, 404, 409].includes(status), `${target}: ${status}`);
        assert.doesNotMatch(body, /# secret|"secret"/, target);
      }
      for (const key of ["../out", "..%2f..", "/etc", ""]) {
        const response = await fetch(`${address}api/metrics?transcoder=${key}`);
        assert.equal(response.status, 409);
        assert.match(await response.text(), /there is no such transcoder/);
      }
    });
  }));

Deno.test("a port that is taken, and directories that are not there, are a sentence", () =>
  inDirectory((runs) =>
    served({ runs }, async (address) => {
      const { port } = new URL(address);
      const { code, stdout, stderr } = await mtc("browse", runs, "--port", port);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.equal(
        stderr,
        `mtc: Cannot listen at 127.0.0.1:${port}: the port must be free, another program has it; ` +
          "choose another --port, or leave it out for one that is free",
      );
      const nowhere = await mtc("browse", join(runs, "nowhere"));
      assert.equal(nowhere.code, 1);
      assert.match(
        nowhere.stderr,
        /^mtc: Cannot look for runs in .*nowhere: .* it does not exist; run `mtc train` first or name another one$/,
      );
    })
  ));

Deno.test("runs are told as they are: training, stopped, finished, without a record, damaged, of a newer mtc, gone", () =>
  inDirectory(async (directory) => {
    const runs = join(directory, "runs"), first = join(runs, "first");
    await writeSyntheticRun(runs, "first", { layer: 2, groups: [8, 8], dIn: 8, dOut: 8, samplesPerFeature: 3 });
    await writeSyntheticRun(runs, "second", { layer: 2, groups: [8, 8], dIn: 8, dOut: 8, samplesPerFeature: 3 });
    await writeTinyLayer(join(runs, "third"), 4);
    const newer = await writeTinyLayer(join(runs, "newer"), 3), cut = await writeTinyLayer(join(runs, "cut"), 3);
    const config = JSON.parse(await Deno.readTextFile(join(newer, "config.json")));
    await Deno.writeTextFile(
      join(newer, "config.json"),
      JSON.stringify({ ...config, format: 99, mtc_version: "9.9.9" }),
    );
    await Deno.writeTextFile(join(cut, "config.json"), '{ "mtc_version": "0.1.0", "mod');
    const damaged = await writeSyntheticRun(runs, "torn", {
      layer: 5,
      groups: [8],
      dIn: 8,
      dOut: 8,
      samplesPerFeature: 3,
    });
    await Deno.truncate(join(damaged, "transcoder.safetensors"), 100);
    const lock = await lockRun(join(runs, "third")), reports = join(directory, "out");
    await Deno.mkdir(reports);
    const about = `# Layer 2\n\n**Run:** \`elsewhere/runs/second/layer2\`, begun`;
    await Deno.writeTextFile(join(reports, "layer2_analysis_report.md"), about);
    await served({ runs, reports }, async (address) => {
      const list = async () => {
        const { transcoders } = await got<ServedRuns>(`${address}api/runs`);
        return new Map(transcoders.map((one) => [one.run.split("/").at(-1)!, one]));
      };
      const judged = async () => {
        for (;;) {
          const all = await list();
          if ([...all.values()].every(({ state, verdict }) => state !== "finished" || verdict !== null)) return all;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      };
      const all = await judged();
      const states = [...all].map(([run, { state }]) => [run, state]);
      assert.deepEqual(states.sort(), [
        ["cut", "broken"],
        ["first", "finished"],
        ["newer", "broken"],
        ["second", "finished"],
        ["third", "training"],
        ["torn", "broken"],
      ]);
      assert.match(all.get("newer")!.detail, /its format must be \d+ or less, it is 99; use mtc 9\.9\.9/);
      assert.match(all.get("cut")!.detail, /it must be complete JSON/);
      assert.match(all.get("torn")!.detail, /transcoder\.safetensors/);
      assert.match(all.get("third")!.detail, /process \d+ .*trains it, 0 of 10 steps are saved/);
      assert.equal(all.get("first")!.verdict!.level, "good");
      assert.match(
        all.get("first")!.verdict!.sentence,
        /^Good run\. All 4 success metrics are met: held-out FVU 0\.180/,
      );
      assert.deepEqual(all.get("second")!.report, { report: "1-out", file: "layer2_analysis_report.md" });
      assert.equal(all.get("first")!.report, null, "the report is about another one");
      const keys = [...all.values()].map(({ key }) => key);
      assert.equal(new Set(keys).size, keys.length, "each has a key of its own");

      const index = await got<{ transcoders: { key: string; title: string }[]; notes: string[] }>(
        `${address}api/parts/index`,
      );
      assert.deepEqual(index.transcoders.map(({ key }) => key), ["first", "second"].map((run) => all.get(run)!.key));
      assert.deepEqual(index.transcoders.map(({ title }) => title), ["Layer 2, first", "Layer 2, second"]);
      assert.match(index.notes.join(), /transcoder\.safetensors/, "what is damaged keeps the others from nothing");
      const table = await (await fetch(`${address}api/parts/${all.get("second")!.key}/table`)).arrayBuffer();
      assert.equal(unpack<FeatureTable>(table).group.length, 16);
      for (const none of ["index/x", "nowhere/table", `${all.get("first")!.key}/features/9`, "%2e%2e/table"]) {
        assert.equal((await fetch(`${address}api/parts/${none}`)).status, 404, none);
      }

      await lock.release();
      await Deno.remove(first, { recursive: true });
      await writeSyntheticRun(runs, "later", { layer: 2, groups: [8, 8], dIn: 8, dOut: 8, samplesPerFeature: 3 });
      const now = await judged();
      assert.equal(now.get("third")!.state, "unfinished");
      assert.match(now.get("third")!.detail, /metrics\.csv.* are missing; `mtc train --resume/);
      assert.deepEqual([now.has("first"), now.get("second")!.key], [false, all.get("second")!.key], "keys stay");
      const gone = await fetch(`${address}api/metrics?transcoder=${all.get("first")!.key}`);
      assert.deepEqual([gone.status, await gone.text()].length, 2);
      const again = await got<{ transcoders: { title: string }[] }>(`${address}api/parts/index`);
      assert.deepEqual(again.transcoders.map(({ title }) => title), ["Layer 2, later", "Layer 2, second"]);
    });
  }));

Deno.test("curves: rows behind those known, all of them after a resume, thinned when they are many, some steps alone", () =>
  inDirectory(async (runs) => {
    const layer = await writeTinyLayer(join(runs, "first"), 2, { steps: 200_000 }), path = join(layer, "metrics.csv");
    const header = "step,tokens,loss,fvu_prefix_12,fvu_prefix_32,l0,elapsed_s\n";
    const rows = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => `${from + i},${64 * (from + i)},0.5,NaN,0.25,4,${(from + i) / 100}\n`)
        .join("");
    const lock = await lockRun(join(runs, "first"));
    await served({ runs }, async (address) => {
      const ask = (query = "") => got<ServedMetrics>(`${address}api/metrics?transcoder=layer2${query}`);
      const before = await ask();
      assert.deepEqual([before.rows, before.columns, before.progress.state, before.progress.step], [
        0,
        {},
        "training",
        0,
      ]);
      await Deno.writeTextFile(path, header + rows(1, 4));
      const first = await ask();
      assert.deepEqual(first.columns.step, [1, 2, 3]);
      assert.deepEqual([first.columns.fvu_prefix_12, first.columns.fvu_prefix_32], [[null, null, null], [
        0.25,
        0.25,
        0.25,
      ]]);
      await Deno.writeTextFile(path, rows(4, 6), { append: true });
      const more = await ask(`&generation=${first.generation}&rows=${first.rows}`);
      assert.deepEqual([more.columns.step, more.rows, more.generation], [[4, 5], 5, first.generation]);
      assert.ok(Math.abs(more.progress.secondsLeft! - (200_000 - 5) / 100) < 1, `${more.progress.secondsLeft}`);

      await writeFileAtomic(path, header + rows(1, 3));
      const resumed = await ask(`&generation=${more.generation}&rows=${more.rows}`);
      assert.deepEqual([resumed.columns.step, resumed.generation !== more.generation], [[1, 2], true]);

      await writeFileAtomic(path, header + rows(1, 100_001));
      const begun = performance.now(), long = await ask(), took = performance.now() - begun;
      assert.deepEqual([long.rows, long.isThinned, long.columns.step.at(-1)], [100_000, true, 100_000]);
      assert.ok(long.columns.step.length <= 4000 && took < 10_000, `${long.columns.step.length} in ${took} ms`);
      const some = await ask("&from=5000&to=5010");
      assert.deepEqual([some.columns.step, some.isThinned], [Array.from({ length: 11 }, (_, i) => 5000 + i), false]);
      assert.equal((await fetch(`${address}api/metrics?transcoder=layer2&rows=-1`)).status, 409);

      await Deno.writeTextFile(path, "no table\n");
      const refused = await fetch(`${address}api/metrics?transcoder=layer2`);
      assert.equal(refused.status, 409);
      assert.match(await refused.text(), /must name the columns step and loss/);
    });
    await lock.release();
  }));

const TEXT = "Fellow-citizens of the Senate";

/** A transcoder that counts as finished: what it lacks beside its weights is not read here. */
async function finishedLayer(run: string, layer: number): Promise<string> {
  const directory = await writeTinyLayer(run, layer);
  for (const file of ["metrics.csv", "evaluation.json", "samples.jsonl"]) {
    await Deno.writeTextFile(join(directory, file), "");
  }
  const header = "feature,group,fires,density,mean_activation,max_activation,sample_count,encoder_norm,decoder_norm," +
    "encoder_bias,encoder_decoder_cosine,top_token_id,top_token,top_token_share,token_entropy_bits,dead";
  const rows = Array.from({ length: 32 }, (_, i) => `${i},${i < 12 ? 0 : 1},9,0.1,1,2,2,1,1,0,0,300, tok${i},1,0,0`);
  await Deno.writeTextFile(join(directory, "features.csv"), [header, ...rows].join("\n"));
  return directory;
}

/** Writes a record of tokens on which nothing fires. */
async function recordTokens(directory: string, ids: readonly number[], places: readonly number[]): Promise<void> {
  const config = await readConfig(directory), transcoder = await readTranscoder(directory, config), { length } = ids;
  const u32 = (values: Iterable<number>) => Uint32Array.from(values), { groups } = config;
  await writeRecord(directory, transcoder, {
    ...{
      groups,
      context: CONTEXT,
      documents: [{ name: "a", split: "train" }],
      tokenTexts: new Map(ids.map((id) => [id, "a"])),
    },
    ...{ place: u32(places), id: u32(ids), document: new Uint32Array(length), position: u32(ids.keys()) },
    ...{ rowStart: new Uint32Array(length + 1), index: new Uint32Array(), value: new Float32Array() },
    ...{
      targetSquares: new Float32Array(length),
      residualSquares: new Float32Array(length * groups.length),
      targetVariation: 1,
    },
    errorRemoved: new Float32Array(config.features * groups.length),
  });
}

Deno.test("a typed text and a change give what mtc encode, ablate and steer give; two at once wait for each other", () =>
  inDirectory(async (runs) => {
    const layer = await finishedLayer(join(runs, "first"), 2);
    await finishedLayer(join(runs, "first"), 4);
    const cli = async (...args: string[]) => {
      const { code, stdout, stderr } = await mtc(...args, "--run", layer, "--text", TEXT, "--json");
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
    const { tokens } = await cli("encode", "--top", "64"),
      ablated = await cli("ablate", "--prefix", "20", "--generate", "3", "--top", "8");
    const steered = await cli("steer", "--features", "3,5", "--add", "4", "--top", "8");
    // A reading set of the same text, and of one that lacks a token in front of the last ones.
    const ids: number[] = ablated.text.tokens.slice(1).map(({ token_id }: { token_id: number }) => token_id);
    await recordTokens(layer, [...ids, ...ids], [
      ...ids.map((_, i) => 1 + i),
      ...ids.map((_, i) => CONTEXT + (i < 2 ? 1 : 2) + i),
    ]);
    await served({ runs }, async (address) => {
      const common = { transcoder: "layer2", text: TEXT };
      const [encoded, ablation, steering] = await Promise.all([
        lines<{ tokens: unknown; contexts: number }>(address, "encode", common),
        lines<object>(address, "change", {
          ...common,
          which: { prefix: 20 },
          change: { kind: "scale", value: 0 },
          generate: 3,
        }),
        lines<object>(address, "change", {
          ...{ ...common, which: { features: [5, 3, 5] }, change: { kind: "add", value: 4 }, generate: 0 },
        }),
      ]);
      const outcome = <T>(all: WorkLine<T>[]) => {
        const last = all.at(-1)!;
        return last.kind === "done" ? last.answer : assert.fail(JSON.stringify(last));
      };
      assert.deepEqual(outcome(encoded), { tokens, contexts: 1 });
      assert.deepEqual(outcome(ablation), {
        what: "the 12 features beyond the first 20",
        text: ablated.text,
        generation: ablated.generation,
      });
      assert.deepEqual(outcome(steering), { what: "features 3 and 5", text: steered.text });
      const loads = [encoded, ablation, steering].filter((all) =>
        all.some((line) => line.kind === "working" && line.label === "Loading the model")
      );
      assert.equal(loads.length, 1, "the model is loaded once");
      const begin = [encoded, ablation, steering].map(([first]) => first.kind).sort();
      assert.deepEqual(begin, ["waiting", "waiting", "working"]);
      const effects = async (wanted: object) =>
        outcome(await lines<MeasuredEffects>(address, "effects", { transcoder: "layer2", ...wanted })).windows;
      const count = ids.length, told = ablated.text.tokens.slice(1) as { loss_before: number; loss_after: number }[];
      const [whole, cut, second, beyond] = await effects({
        which: { prefix: 20 },
        tokens: [2, count - 1, count + 1, 999],
      });
      for (const window of [whole, cut]) {
        assert.equal(window!.first, 0);
        assert.equal(window!.before.length, count);
        for (const [found, expected] of [[window!.before, "loss_before"], [window!.after, "loss_after"]] as const) {
          found.forEach((loss, i) => {
            if (told[i][expected] === null) return assert.equal(loss, null, "nothing follows the last token");
            assert.ok(Math.abs(loss! - told[i][expected]) < 1e-4, `${expected} ${i}: ${loss}, ${told[i][expected]}`);
          });
        }
      }
      assert.deepEqual([second!.first, second!.before.length, beyond], [count, 2, null], "up to the gap");
      assert.deepEqual(
        await effects({ which: { features: [3] }, tokens: [count + 4] }),
        [null],
        "behind it nobody knows",
      );
      const other = await lines(address, "encode", { ...common, transcoder: "layer4" });
      assert.equal(other.at(-1)!.kind, "done");
      assert.ok(
        other.every((line) => line.kind !== "working" || line.label !== "Loading the model"),
        "nor for another layer",
      );

      // A reader who leaves ends the work, which nobody waits for any more.
      const leaving = new AbortController(), headers = { "content-type": "application/json" };
      const long = { ...common, which: { prefix: 0 }, change: { kind: "scale", value: 1 }, generate: 8 };
      const left = await fetch(`${address}api/change`, {
        ...{ method: "POST", body: JSON.stringify(long), signal: leaving.signal },
        headers: { ...headers, origin: new URL(address).origin },
      });
      await left.body!.getReader().read();
      leaving.abort();
      const next = await lines(address, "encode", common);
      assert.ok(
        next.at(-1)!.kind === "done" &&
          next.every((line) => line.kind !== "working" || line.label !== "Loading the model"),
      );

      const failed = async (wanted: object, message: RegExp) => {
        const last = (await lines(address, "change", {
          ...common,
          which: { features: [1] },
          change: { kind: "set", value: 1 },
          generate: 0,
          ...wanted,
        }))
          .at(-1)!;
        assert.ok(last.kind === "failed" && message.test(last.message), JSON.stringify(last));
      };
      await failed(
        { which: { features: [32] } },
        /the 32 features of layer 2 are counted from 0 to 31, so there is no 32/,
      );
      await failed({ which: { prefix: 32 } }, /the prefix must be below the 32 features/);
      await failed(
        { text: `${TEXT} ${TEXT} ${TEXT}` },
        new RegExp(`must fit into a context of ${CONTEXT} tokens.*; shorten it$`),
      );
      await failed({ text: "\u0000".repeat(3), generate: 200 }, /shorten either$/);
    });
  }));

Deno.test("requests that are none, texts that are too long, and runs that are not finished are refused", () =>
  inDirectory(async (runs) => {
    await writeTinyLayer(join(runs, "first"), 2);
    await served({ runs }, async (address) => {
      const headers = { "content-type": "application/json", origin: new URL(address).origin };
      const refused = async (path: string, body: string, message: RegExp) => {
        const response = await fetch(`${address}api/${path}`, { method: "POST", headers, body });
        assert.equal(response.status, 409);
        assert.match(await response.text(), message);
      };
      const change = {
        transcoder: "layer2",
        text: "a",
        which: { features: [1] },
        change: { kind: "scale", value: 0 },
        generate: 0,
      };
      const changed = (other: object) => JSON.stringify({ ...change, ...other });
      await refused("encode", "{", /complete JSON/);
      await refused("encode", "[]", /Cannot compute that/);
      await refused("encode", JSON.stringify({ transcoder: "layer2", text: "" }), /text: give a text/);
      await refused(
        "encode",
        JSON.stringify({ transcoder: "layer2", text: "a".repeat(20_001) }),
        /text: Invalid length/,
      );
      await refused("encode", " ".repeat(300_000), /at most 262,144 bytes/);
      await refused("encode", JSON.stringify({ transcoder: "../..", text: "a" }), /no such transcoder/);
      await refused("encode", JSON.stringify({ transcoder: "layer2", text: "a" }), /it must be finished/);
      await refused("change", changed({ which: { features: [] } }), /which\.features: /);
      await refused("change", changed({ which: { features: [1], prefix: 3 } }), /which\.features: /);
      await refused("change", changed({ which: { features: [-1] } }), /which\.features\.0: .* received -1/);
      await refused("change", changed({ which: { group: [2 ** 60] } }), /which\.group\.0: /);
      await refused("change", changed({ which: null }), /which: /);
      const effects = { transcoder: "layer2", which: { prefix: 1 }, tokens: [1] };
      await refused("effects", JSON.stringify({ ...effects, tokens: [] }), /tokens/);
      await refused("effects", JSON.stringify({ ...effects, tokens: Array(65).fill(0) }), /tokens/);
      await refused("effects", JSON.stringify({ ...effects, which: { group: [0] } }), /which/);
      await refused("effects", JSON.stringify(effects), /it must be finished/);
      await refused("change", changed({ change: { kind: "scale", value: 1e300 } }), /change\.value/);
      await refused("change", changed({ change: { kind: "burn", value: 1 } }), /change\.kind/);
      await refused("change", changed({ generate: 257 }), /generate/);
      await refused(
        "change",
        JSON.stringify(change).replace('"value":0', '"value":1e999'),
        /change\.value: Invalid finite/,
      );
    });
  }));

Deno.test("a browser that leaves in the middle of its request is no defect, and others are answered", () =>
  inDirectory((runs) =>
    served({ runs }, async (address) => {
      const { host, hostname, port, origin } = new URL(address), said: unknown[] = [], told = console.error;
      console.error = (...parts: unknown[]) => void said.push(...parts);
      try {
        using connection = await Deno.connect({ hostname, port: Number(port) });
        const headers = `Host: ${host}\r\nOrigin: ${origin}\r\nContent-Type: application/json\r\nContent-Length: 1000`;
        await connection.write(new TextEncoder().encode(`POST /api/encode HTTP/1.1\r\n${headers}\r\n\r\n{"text"`));
        await new Promise((resolve) => setTimeout(resolve, 100));
      } finally {
        const answer = await fetch(`${address}api/runs`);
        assert.equal((await answer.json()).transcoders.length, 0);
        await new Promise((resolve) => setTimeout(resolve, 100));
        console.error = told;
      }
      assert.deepEqual(said, []);
    })
  ));

Deno.test({
  name: "more connections than the process may have end it with a sentence",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inDirectory(async (runs) => {
      const command = `ulimit -n 128; exec "${Deno.execPath()}" run --no-check -A "${MAIN}" browse "${runs}"`;
      const process = new Deno.Command("bash", { args: ["-c", command], ...{ stdout: "piped", stderr: "piped" } })
        .spawn();
      const reader = process.stdout.getReader(), { value } = await reader.read();
      reader.releaseLock();
      const { hostname, port } = new URL(new TextDecoder().decode(value).trim()), open: Deno.Conn[] = [];
      for (let i = 0; i < 160; i++) {
        const connection = await Deno.connect({ hostname, port: Number(port) }).catch(() => null);
        if (connection) open.push(connection);
      }
      const { code, stderr } = await process.output();
      open.forEach((connection) => connection.close());
      assert.equal(code, 1);
      assert.match(
        new TextDecoder().decode(stderr),
        /^mtc: serving .*\nmtc: Cannot take more connections: .*Too many open files.*; close .* run the same command again\n$/,
      );
    }),
});

Deno.test("a model that is not where it was is a sentence with what helps", () =>
  inDirectory(async (runs) => {
    await finishedLayer(join(runs, "first"), 2);
    await served({ runs, model: join(runs, "moved") }, async (address) => {
      for (let twice = 0; twice < 2; twice++) {
        const last = (await lines(address, "encode", { transcoder: "layer2", text: TEXT })).at(-1)!;
        assert.ok(last.kind === "failed");
        assert.match(
          last.message,
          /Cannot open the model .*moved: .* no such directory; start `mtc browse` with --model/,
        );
      }
    });
  }));

Deno.test("the process says where it serves, lets no request out, and ends at SIGTERM with 75, at Ctrl-C with 130", async (t) => {
  for (const [signal, code] of [["SIGTERM", 75], ["SIGINT", 130]] as const) {
    await t.step(signal, () =>
      inDirectory(async (runs) => {
        const child = new Deno.Command(Deno.execPath(), {
          args: ["run", "--no-check", "-A", MAIN, "browse", runs],
          ...{ stdin: "null", stdout: "piped", stderr: "piped" },
        }).spawn();
        const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
        const { value: address = "" } = await reader.read();
        assert.match(address, /^http:\/\/127\.0\.0\.1:\d+\/\n$/);
        assert.equal((await got<ServedRuns>(`${address.trim()}api/runs`)).transcoders.length, 0);
        child.kill(signal);
        const { code: found } = await child.status, said = await new Response(child.stderr).text();
        assert.equal(found, code, said);
        assert.match(said, /mtc: Stopped serving; the same command serves again\n$/);
        await reader.cancel();
      }));
  }
});
