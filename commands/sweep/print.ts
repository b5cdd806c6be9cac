/**
 * `mtc sweep plan.json --print`: files that have the tasks of a plan done by an engine. They are beginnings: what a site calls its
 * partitions, images and buckets is for their reader to fill in.
 * @module
 */

import { basename, resolve } from "node:path";
import { printable } from "../../core/errors.ts";
import type { TaskList } from "../../core/runs/task_list.ts";
import configuration from "../../deno.json" with { type: "json" };
import { counted } from "../../reports/format.ts";
import type { Engine } from "./engines.ts";
import type { SweepPlan } from "./plan.ts";

/** The tasks of an array, as most sites allow them: Slurm's own limit is 1,001. */
const MOST_IN_ARRAY = 1000;

/**
 * Prints a file for an engine.
 *
 * @param engine Which.
 * @param plan The plan.
 * @param list Its tasks.
 */
export function printFor(engine: Engine, plan: SweepPlan, list: TaskList): void {
  console.log({ slurm, kubernetes, skypilot }[engine](plan, list));
}

function slurm({ path, harvest, runs }: SweepPlan, { plan, tasks }: TaskList): string {
  const place = quoted(resolve(path)),
    last = Math.min(tasks.length, MOST_IN_ARRAY) - 1,
    script = printable(quoted(`${basename(path, ".json")}.sh`));
  const more = Array.from({ length: Math.ceil(tasks.length / MOST_IN_ARRAY) - 1 }, (_, i) => {
    const first = (i + 1) * MOST_IN_ARRAY, left = Math.min(tasks.length - first, MOST_IN_ARRAY) - 1;
    return `#   sbatch --array=0-${left} --export=ALL,MTC_FIRST=${first} ${script}`;
  });
  return [
    "#!/bin/bash",
    `# The ${counted(tasks.length, "task")} of ${printable(path)}, runs in ${printable(runs)}.`,
    ...harvest === null ? [`#   sbatch ${script}`] : [
      "# What they share is harvested before; without that, the first of them does it and the others wait, each with its GPU.",
      `#   harvest=$(sbatch --parsable --gres=gpu:1 --time=24:00:00 --wrap ${
        printable(quoted(`\${MTC:-mtc} sweep ${place} --harvest`), Infinity)
      })`,
      `#   sbatch --dependency=afterok:$harvest ${script}`,
    ],
    ...more,
    "# Add what your site asks for (--partition, --account, --mem), and %8 behind the array for eight at a time.",
    `#SBATCH --job-name=mtc-${plan}`,
    `#SBATCH --array=0-${last}`,
    "#SBATCH --gres=gpu:1",
    "#SBATCH --cpus-per-task=4",
    "#SBATCH --time=24:00:00",
    "#SBATCH --signal=B:TERM@120",
    "#SBATCH --requeue",
    "#SBATCH --open-mode=append",
    "#SBATCH --output=%x-%a.log",
    "",
    `job() { scontrol show job "$SLURM_JOB_ID" | sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" | head -n 1; }`,
    "# Older than Slurm 23, it does not say when the job ends.",
    'export SLURM_JOB_END_TIME=${SLURM_JOB_END_TIME:-$(date -d "$(job EndTime)" +%s 2>/dev/null)}',
    "task=$((${MTC_FIRST:-0} + SLURM_ARRAY_TASK_ID))",
    `\${MTC:-mtc} sweep ${place} --task "$task" &`,
    "mtc=$!",
    "# The shell hears the signals of the time limit, and hands them on.",
    `trap 'kill -TERM "$mtc" 2>/dev/null' TERM`,
    'wait "$mtc"',
    "code=$?",
    'while kill -0 "$mtc" 2>/dev/null; do',
    '  wait "$mtc"',
    "  code=$?",
    "done",
    "# 75: stopped with everything saved, or another process works on the task; above 128: killed. The same command goes on, so the job",
    "# is queued again, unless that has happened already, as after a node was lost.",
    "restarts=${SLURM_RESTART_COUNT:-0}",
    'if [ "$code" = 75 ] || { [ "$code" -gt 128 ] && [ "$restarts" -lt 3 ]; }; then',
    '  [ "$(job Restarts)" = "$restarts" ] && scontrol requeue "$SLURM_JOB_ID" && sleep 60',
    "fi",
    'exit "$code"',
  ].join("\n");
}

function kubernetes({ path, harvest }: SweepPlan, { plan, tasks }: TaskList): string {
  // What looks like a variable is one in `args`, unless its sign is doubled.
  const file = `/shared/${basename(path)}`, argument = scalar(file.replaceAll("$(", "$$$$("));
  return `# The ${counted(tasks.length, "task")} of ${printable(path)}. Copy it to the volume first, as ${
    printable(file)
  }; its paths are meant from there.
${
    harvest === null
      ? ""
      : "# The first pods harvest what the tasks share, the others wait for it; a Job with [sweep, " +
        `${argument}, --harvest] before saves their GPUs.\n`
  }# Needs Kubernetes 1.29 or newer (backoffLimitPerIndex), and a claim "mtc" that all nodes can write (ReadWriteMany).
apiVersion: batch/v1
kind: Job
metadata:
  name: mtc-${plan}
spec:
  completionMode: Indexed
  completions: ${tasks.length}
  parallelism: ${Math.min(tasks.length, 8)}
  backoffLimitPerIndex: 4
  maxFailedIndexes: ${tasks.length}
  podFailurePolicy:
    rules:
      # A wrong command line or plan is wrong the next time, too.
      - action: FailIndex
        onExitCodes:
          containerName: mtc
          operator: In
          values: [2]
      # Stopped with everything saved, or a node was lost: no failure of the task's.
      - action: Ignore
        onExitCodes:
          containerName: mtc
          operator: In
          values: [75]
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 120
      securityContext:
        # The image's user, who writes to the volume; one that does not heed this, as NFS, must be made that user's.
        runAsUser: 1000
        fsGroup: 1000
      containers:
        - name: mtc
          image: mtc:${configuration.version}
          command: [mtc]
          args: [sweep, ${argument}, --log, json]
          resources:
            limits:
              nvidia.com/gpu: 1
          volumeMounts:
            - name: shared
              mountPath: /shared
      volumes:
        - name: shared
          persistentVolumeClaim:
            claimName: mtc`;
}

function skypilot({ path }: SweepPlan, { plan, tasks }: TaskList): string {
  const last = tasks.length - 1, yaml = printable(quoted(`${basename(path, ".json")}.yaml`));
  return `# One of the ${counted(tasks.length, "task")} of ${
    printable(path)
  }. Copy it to the bucket first; its paths are meant from there. Then, for all of them:
#   for n in $(seq 0 ${last}); do sky jobs launch -y -d -n mtc-$n --env MTC_TASK=$n ${yaml}; done
name: mtc-${plan}

resources:
  accelerators: H100:1
  use_spot: true
  job_recovery:
    # What fails is tried again so often; that a spot machine was taken away, or that the task was saved and stopped, does not count.
    max_restarts_on_errors: 3
    recover_on_exit_codes: [75]

envs:
  MTC_TASK: "0"

file_mounts:
  # Runs are renamed and appended to, which a bucket by itself does not know: this mode keeps a cache on the machine's disk that does.
  /shared:
    source: s3://your-bucket
    mode: MOUNT_CACHED
  /usr/local/bin/mtc: ./mtc

run: ${scalar(`mtc sweep ${quoted(`/shared/${basename(path)}`)}`)}`;
}

/** A text as one scalar of YAML, in a list too: JSON is YAML where it cannot stand by itself. */
function scalar(text: string): string {
  return /^[\w/][\w ./@+-]*$/.test(text) ? text : JSON.stringify(text);
}

/** A text as one word of a shell. */
function quoted(path: string): string {
  return /^[\w./:@+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
