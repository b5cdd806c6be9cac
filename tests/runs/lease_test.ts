/** Leases on a file system that several machines share: one holds, a lost one is followed by one, and nobody's clock counts. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryPath } from "../../core/files/temporary.ts";
import {
  describeHolder,
  type Lease,
  type LeaseHolder,
  leaseHolder,
  type LeaseOptions,
  removeLeases,
  takeLease,
} from "../../core/runs/lease.ts";
import { inDirectory } from "../cli/tiny_run.ts";

/** Seconds that leases last here. */
const LASTS = 0.4;
const ASKED: LeaseOptions = { lasts: LASTS, isLocked: false };

/** What a process of another machine wrote that was never heard of again. */
function strange(changes: Record<string, unknown> = {}): string {
  const machine = "11111111-2222-3333-4444-555555555555";
  return JSON.stringify({
    ...{
      host: "node7",
      process: 4711,
      job: "slurm 12_3",
      machine,
      token: "t",
      beat: 5,
      lasts_s: LASTS,
      released: false,
      locked: true,
    },
    ...changes,
  });
}

async function taken(run: string, options: LeaseOptions = ASKED): Promise<Lease> {
  const lease = await takeLease(run, options);
  assert.ok(!("heldBy" in lease), "it is held");
  return lease;
}

const names = (directory: string) => [...Deno.readDirSync(directory)].map(({ name }) => name).sort();

Deno.test("a lease that is held is refused as soon as its holder is heard of, and given when it was given back", () =>
  inDirectory(async (runs) => {
    const run = join(runs, "first"), lease = await taken(run, { ...ASKED, job: "slurm 9" });
    assert.deepEqual(await takeLease(run, ASKED), {
      heldBy: { host: Deno.hostname(), process: Deno.pid, job: "slurm 9" },
    });
    assert.equal(describeHolder((await leaseHolder(run))!), `process ${Deno.pid} on ${Deno.hostname()} (slurm 9)`);
    await lease.release();
    assert.equal(await leaseHolder(run), null);
    const next = await taken(run);
    assert.deepEqual(names(runs), [".first.lease-2"]);
    await next.release();
    // Killed while it wrote, a process leaves a temporary file; and a number beyond all counting is no lease's.
    await Deno.writeTextFile(temporaryPath(join(runs, ".first.lease-2")), "");
    await Deno.writeTextFile(join(runs, ".first.lease-99999999999999999999"), "");
    await (await taken(run)).release();
    assert.ok(names(runs).includes(".first.lease-3"));
    await removeLeases(run);
    assert.deepEqual(names(runs), []);
  }));

Deno.test("a holder of another machine counts as lost after its time, whatever the clocks of both say", () =>
  inDirectory(async (runs) => {
    for (const [i, skew] of [-86_400, 0, 86_400].entries()) {
      const run = join(runs, `run${i}`), path = join(runs, `.run${i}.lease-7`), heard: unknown[] = [];
      await Deno.writeTextFile(path, strange());
      const time = Date.now() / 1000 + skew;
      await Deno.utime(path, time, time);
      const started = performance.now(), onTakeover = (holder: LeaseHolder) => heard.push(holder.host);
      const lease = await taken(run, { ...ASKED, onTakeover, onWaiting: (_, seconds) => heard.push(seconds) });
      assert.ok(performance.now() - started >= 1000 * LASTS, "its time was over");
      assert.deepEqual(heard, [LASTS, "node7"]);
      assert.ok(names(runs).includes(`.run${i}.lease-8`) && !names(runs).includes(`.run${i}.lease-7`));
      await lease.release();
    }
  }));

Deno.test("its own longer time counts, and so does a beat in it", () =>
  inDirectory(async (runs) => {
    const run = join(runs, "first"), path = join(runs, ".first.lease-1");
    await Deno.writeTextFile(path, strange({ lasts_s: 4 * LASTS }));
    const timer = setTimeout(
      () => Deno.writeTextFileSync(path, strange({ lasts_s: 4 * LASTS, beat: 6 })),
      2500 * LASTS,
    );
    const answer = await takeLease(run, ASKED);
    clearTimeout(timer);
    assert.deepEqual(answer, { heldBy: { host: "node7", process: 4711, job: "slurm 12_3" } });
  }));

Deno.test("a process of this machine that is gone is followed at once, by whoever has the lock", () =>
  inDirectory(async (runs) => {
    const run = join(runs, "first"), script = join(runs, "holder.ts");
    const lease = new URL("../../core/runs/lease.ts", import.meta.url).href;
    await Deno.writeTextFile(
      script,
      `import { takeLease } from ${JSON.stringify(lease)};\n` +
        `await takeLease(${JSON.stringify(run)}, { lasts: 600, isLocked: true });\nDeno.kill(Deno.pid, "SIGKILL");`,
    );
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const args = ["run", "--no-check", "-A", "--config", config, script];
    const { success } = await new Deno.Command(Deno.execPath(), { args }).output();
    assert.ok(!success && names(runs).includes(".first.lease-1"));
    const started = performance.now();
    await (await taken(run, { ...ASKED, isLocked: true })).release();
    assert.ok(performance.now() - started < 5000, "nobody waits for ten minutes");
  }));

Deno.test("of many that ask for the lease of a lost process one gets it", () =>
  inDirectory(async (runs) => {
    const run = join(runs, "first");
    // Long enough that a machine which stands still for a moment does not look like a second lost process.
    const asked = { ...ASKED, lasts: 2 };
    for (let round = 0; round < 3; round++) {
      await removeLeases(run);
      await Deno.writeTextFile(join(runs, ".first.lease-3"), strange());
      const answers = await Promise.all(Array.from({ length: 12 }, () => takeLease(run, asked)));
      const given = answers.filter((answer) => !("heldBy" in answer));
      assert.equal(given.length, 1);
      await (given[0] as Lease).release();
    }
  }));

Deno.test("who was slow and is followed hears of it, writes no beat more and gives nothing back", () =>
  inDirectory(async (runs) => {
    const run = join(runs, "first"), lease = await taken(run);
    assert.equal(await lease.takenBy(), null);
    await Deno.writeTextFile(join(runs, ".first.lease-2"), strange());
    assert.equal((await lease.takenBy())?.host, "node7");
    // Its own timer does not keep a process alive.
    while (!lease.lost.aborted) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(lease.lost.reason, "process 4711 on node7 (slurm 12_3) has taken over");
    await lease.release();
    assert.equal(await Deno.readTextFile(join(runs, ".first.lease-2")), strange());
  }));

Deno.test("a lease that is cut off, or nothing at all, holds no longer than any", () =>
  inDirectory(async (runs) => {
    for (const [i, text] of ["", strange().slice(0, 40), "[]", "\0".repeat(100)].entries()) {
      const run = join(runs, `run${i}`);
      await Deno.writeTextFile(join(runs, `.run${i}.lease-1`), text);
      await (await taken(run)).release();
    }
  }));

Deno.test("a pipe in the place of a lease is refused in a sentence, and not waited for", {
  ignore: Deno.build.os === "windows",
}, () =>
  inDirectory(async (runs) => {
    await new Deno.Command("mkfifo", { args: [join(runs, ".first.lease-1")] }).output();
    const refused = /Cannot read .*\.first\.lease-1: it must be an ordinary file, it is a device, a pipe or a socket; /;
    await assert.rejects(takeLease(join(runs, "first"), ASKED), refused);
    assert.equal(await leaseHolder(join(runs, "first")), null);
  }));

Deno.test("a holder whose own lease is cut off for a moment keeps it, and not where that lasts", () =>
  inDirectory(async (runs) => {
    const lease = await taken(join(runs, "first"), { ...ASKED, lasts: 60 }), path = join(runs, ".first.lease-1");
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, "");
    const asked = lease.takenBy();
    await new Promise((resolve) => setTimeout(resolve, 150));
    await Deno.writeTextFile(path, text);
    assert.equal(await asked, null);
    await Deno.writeTextFile(path, "");
    assert.equal((await lease.takenBy())?.host, "another machine");
    await lease.release();
  }));
