/**
 * A Slurm of its own, on this machine: a controller and two nodes, with other ports than any that may be there, started and ended by whoever
 * needs it.
 * @module
 */

import { join } from "node:path";

const PLUGINS = ["/usr/lib/x86_64-linux-gnu/slurm-wlm", "/usr/lib/aarch64-linux-gnu/slurm-wlm"];

/** Whether a Slurm can be started here: its programs are there, and this process is root, as whom its nodes run what they are given. */
export async function hasSlurm(): Promise<boolean> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return false;
  const there = await Promise.all(["slurmctld", "slurmd", "sbatch"].map(async (name) => {
    const { success } = await new Deno.Command("sh", { args: ["-c", `command -v ${name}`], stdout: "null" }).output();
    return success;
  }));
  return there.every(Boolean) && pluginsAt() !== undefined;
}

function pluginsAt(): string | undefined {
  return PLUGINS.find((path) => {
    try {
      return Deno.statSync(path).isDirectory;
    } catch {
      return false;
    }
  });
}

/** Ports that nothing listens on at this moment. */
function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map(({ addr }) => (addr as Deno.NetAddr).port);
  for (const listener of listeners) listener.close();
  return ports;
}

/** What became of a command. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A job, as the controller knows it. */
export type Job = Readonly<Record<string, string>>;

/** A running Slurm. */
export class Cluster implements AsyncDisposable {
  readonly #daemons = new Map<string, Deno.ChildProcess>();

  private constructor(readonly root: string, readonly environment: Record<string, string>) {}

  /**
   * Starts one.
   *
   * @param root An empty directory for its configuration, state and logs.
   * @param lostAfter Seconds after which a node that does not answer counts as down.
   * @returns It, once both nodes are idle.
   */
  static async start(root: string, lostAfter = 300): Promise<Cluster> {
    const [controller, ...nodes] = freePorts(3), host = Deno.hostname();
    for (const name of ["state", "log"]) await Deno.mkdir(join(root, name));
    const conf = [
      ...["ClusterName=mtc", `SlurmctldHost=${host}(127.0.0.1)`, `SlurmctldPort=${controller}`],
      ...["AuthType=auth/none", "CredType=cred/none", "CryptoType=crypto/none", `PluginDir=${pluginsAt()}`],
      ...[`StateSaveLocation=${root}/state`, `SlurmdSpoolDir=${root}/spool-%n`, "SlurmUser=root", "SlurmdUser=root"],
      ...[`SlurmctldPidFile=${root}/controller.pid`, `SlurmdPidFile=${root}/%n.pid`],
      ...[`SlurmctldLogFile=${root}/log/controller.log`, `SlurmdLogFile=${root}/log/%n.log`],
      ...["ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "SwitchType=switch/none", "MpiDefault=none"],
      ...["SelectType=select/cons_tres", "SelectTypeParameters=CR_Core", "ReturnToService=2", "KillWait=5"],
      ...[`SlurmdTimeout=${lostAfter}`, "JobRequeue=1", "PreemptMode=REQUEUE", "PreemptType=preempt/partition_prio"],
      ...["SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1", "MinJobAge=36000"],
      ...nodes.map((port, i) => `NodeName=n${i + 1} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${port} CPUs=2`),
      "PartitionName=low Nodes=n1,n2 Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=30",
      "PartitionName=high Nodes=n1,n2 MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF",
    ];
    await Deno.writeTextFile(join(root, "slurm.conf"), conf.join("\n") + "\n");
    const cluster = new Cluster(root, { SLURM_CONF: join(root, "slurm.conf") });
    cluster.#daemon("controller", "slurmctld", ["-D"]);
    for (const node of ["n1", "n2"]) cluster.#daemon(node, "slurmd", ["-D", "-N", node]);
    await cluster.until("both nodes are idle", 60, async () => {
      const { stdout } = await cluster.run("sinfo", ["-h", "-N", "-p", "low", "-o", "%T"]);
      return stdout.split("\n").filter((line) => line === "idle").length === 2;
    });
    return cluster;
  }

  #daemon(name: string, program: string, args: string[]): void {
    const command = new Deno.Command(program, { args, env: this.environment, stdout: "null", stderr: "null" });
    this.#daemons.set(name, command.spawn());
  }

  /** Runs one of Slurm's commands. */
  async run(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
    const command = new Deno.Command(program, { args: [...args], env: { ...this.environment, ...env } });
    const { code, stdout, stderr } = await command.output(), text = new TextDecoder();
    return { code, stdout: text.decode(stdout).trim(), stderr: text.decode(stderr).trim() };
  }

  /** Submits a job; returns its number. */
  async submit(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run("sbatch", ["--parsable", ...args], env);
    if (code !== 0) throw new Error(`sbatch ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** All jobs that the controller remembers. */
  async jobs(): Promise<Job[]> {
    const { stdout } = await this.run("scontrol", ["show", "job", "-o"]);
    return stdout.split("\n").filter((line) => line.startsWith("JobId=")).map((line) =>
      Object.fromEntries([...line.matchAll(/(\w+)=(\S*)/g)].map(([, key, value]) => [key, value]))
    );
  }

  /** The jobs of an array by the numbers of their tasks, as far as they have been started. */
  async array(id: string): Promise<Map<number, Job>> {
    const own = (await this.jobs()).filter(({ ArrayJobId, ArrayTaskId }) =>
      ArrayJobId === id && /^\d+$/.test(ArrayTaskId)
    );
    return new Map(own.map((job) => [Number(job.ArrayTaskId), job]));
  }

  /** A node's daemon, and all that its jobs are made of. */
  async processesOf(node: string): Promise<number[]> {
    const here = (await this.jobs()).filter(({ NodeList, JobState }) => NodeList === node && JobState === "RUNNING");
    const steps = here.map(({ JobId }) => `slurmstepd: [${JobId}.`), children = new Map<number, number[]>();
    const listed = await this.run("ps", ["-e", "-o", "pid=,ppid=,args="]), found = [this.#daemons.get(node)!.pid];
    for (const line of listed.stdout.split("\n")) {
      const [, pid, parent, args] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
      if (pid === undefined) continue;
      children.set(Number(parent), [...children.get(Number(parent)) ?? [], Number(pid)]);
      if (steps.some((step) => args.startsWith(step))) found.push(Number(pid));
    }
    const below = (pid: number): number[] => [pid, ...(children.get(pid) ?? []).flatMap(below)];
    return found.flatMap(below);
  }

  /** Waits until something holds; fails after so many seconds. */
  async until(what: string, seconds: number, holds: () => Promise<boolean> | boolean): Promise<void> {
    const end = performance.now() + 1000 * seconds;
    while (!await holds()) {
      if (performance.now() > end) throw new Error(`it was waited ${seconds} s in vain until ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  /** Ends it, and all that it has started. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("scancel", ["--full", "--signal=KILL", "-p", "low"]);
    await this.run("scancel", ["--user=root"]);
    await this.until("no job runs", 30, async () => (await this.run("squeue", ["-h", "-t", "R,CG"])).stdout === "")
      .catch(() => {});
    for (const daemon of this.#daemons.values()) {
      try {
        daemon.kill("SIGTERM");
      } catch { /* It has ended. */ }
    }
    await Promise.all([...this.#daemons.values()].map(({ status }) => status));
  }
}
