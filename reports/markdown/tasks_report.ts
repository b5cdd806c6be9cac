/**
 * sweep_tasks.md: the tasks of sweeps, what each setting gives over its seeds, and the two tables behind it as CSV. Of the same runs it has
 * the same bytes, whoever trained them, when and in whatever order: it tells no times and no machines.
 * @module
 */
import { csvFormatRows } from "d3-dsv";
import type { SeedMean } from "../../core/analysis/growth.ts";
import { stableShare } from "../../core/analysis/stability.ts";
import type { Fleet, FleetSetting, FleetTask } from "../../core/runs/fleet.ts";
import { TASK_FILES } from "../file_names.ts";
import { counted, decimal, fileSize, integer, interval, percent, setting } from "../format.ts";
import { bullets, code, type Column, document, numeric, plain, table } from "./markdown.ts";

/** Rows that a page shows of a table; all of them stand in the CSV. */
const MOST_ROWS = 400;

/** How a standing is said, in the order in which they are counted. */
const WORDS: Readonly<Record<FleetTask["standing"], string>> = {
  done: "done",
  finishing: "measuring what was trained",
  training: "in training",
  harvesting: "harvesting",
  starting: "starting",
  stopped: "stopped, saved",
  left: "left without a word",
  failed: "failed",
  damaged: "done, but damaged",
  waiting: "not started",
};

/** Shows as many rows as a page takes. */
function shown<T>(rows: readonly T[], draw: (rows: readonly T[]) => string, file: string): string[] {
  const rest = rows.length - MOST_ROWS;
  const more = rest > 0 ? `${integer(rest)} more stand in [${file}](${file}).` : "";
  return rows.length === 0 ? [] : [draw(rows.slice(0, MOST_ROWS)), more];
}

function tasksTable(tasks: readonly FleetTask[]): string {
  return table(
    [numeric("Task"), "Plan", "Run", "Stands", numeric("Step"), "Why"],
    tasks.map(({ plan, number, run, standing, step, steps, reason }) => [
      ...[integer(number), code(plan), code(run), WORDS[standing]],
      ...[standing === "waiting" ? "–" : `${integer(step)} of ${integer(steps)}`, plain(reason)],
    ]),
  );
}

/** What a setting is called: what it maps, and what of its settings is not the same for all. */
function namesOf(settings: readonly FleetSetting[]): string[] {
  const differs = (of: (one: FleetSetting["of"]) => unknown) =>
    new Set(settings.map(({ of: one }) => of(one))).size > 1;
  const groups = new Set(settings.map(({ of: { features, groups } }) => `${features} ${groups.length}`)).size >
    new Set(settings.map(({ of: { features } }) => features)).size;
  const rates = differs(({ learningRate }) => learningRate), models = differs(({ model }) => model);
  return settings.map(({ of: { mapping, features, k, groups: sizes, learningRate, skip, model } }) =>
    [
      ...[code(mapping), counted(features, "feature"), `k ${integer(k)}`],
      ...groups ? [counted(sizes.length, "group")] : [],
      ...skip ? ["skip connection"] : [],
      ...rates ? [`rate ${setting(learningRate)}`] : [],
      ...models ? [plain(model)] : [],
    ].join(", ")
  );
}

function spread({ mean, std }: SeedMean, digits: number): string {
  return Number.isFinite(std) ? `${decimal(mean, digits)} ± ${decimal(std, digits)}` : decimal(mean, digits);
}

function settingsTable(settings: readonly FleetSetting[], names: readonly string[]): string {
  const hasLoss = settings.some(({ recovered }) => recovered !== null);
  const isStable = settings.some(({ stability }) => stability !== null);
  const columns: Column[] = ["Setting", ...["Seeds", "FVU", "95 % CI of the mean", "L0", "Dead"].map(numeric)];
  if (hasLoss) columns.push(numeric("Loss recovered, of zeros"));
  if (isStable) columns.push(numeric("Features found in another seed"), numeric("Random directions"));
  return table(
    [...columns, "Front"],
    settings.map(({ members, fvu, l0, dead, recovered, stability, isOnFront }, i) => {
      const stable = stability && stableShare(stability);
      return [
        ...[names[i], integer(members.length), spread(fvu, 4), interval(fvu.ci95, 4), spread(l0, 1), decimal(dead, 1)],
        ...hasLoss ? [recovered === null ? "–" : percent(recovered)] : [],
        ...isStable ? stable ? [percent(stable.share), percent(stable.random)] : ["–", "–"] : [],
        isOnFront ? "yes" : "",
      ];
    }),
  );
}

/**
 * The page.
 *
 * @param fleet The tasks and what came of them.
 * @returns Markdown.
 */
export function tasksReport({ tasks, settings, bytes }: Fleet): string {
  const counts = Map.groupBy(tasks, ({ standing }) => standing);
  const order = (Object.keys(WORDS) as FleetTask["standing"][]).filter((standing) => counts.has(standing));
  const plans = new Set(tasks.map(({ plan }) => plan)), undone = tasks.filter(({ standing }) => standing !== "done");
  const trained = settings.reduce((sum, { members }) => sum + members.length, 0), names = namesOf(settings);
  const unstable = settings.some(({ members }) => members.length > 1) && settings.every(({ stability }) => !stability);
  const layers = new Set(settings.map(({ of: { layer } }) => layer)).size;
  return document([
    "# Tasks of a Sweep",
    `${counted(tasks.length, "task")} of ${counted(plans.size, "plan")}: ` +
    order.map((standing) => `${integer(counts.get(standing)!.length)} ${WORDS[standing]}`).join(", ") +
    `. All of them stand in [${TASK_FILES.tasks}](${TASK_FILES.tasks}).`,
    undone.length > 0 && "## Tasks That Are Not Done",
    ...shown(undone, tasksTable, TASK_FILES.tasks),
    undone.length > 0 &&
    bullets([
      "A task that failed, was stopped or was left goes on with the same command: `mtc sweep PLAN --task N`.",
      "One that is in training may be lost all the same; `mtc sweep PLAN --status` tells when it was last heard of.",
    ]),
    settings.length > 0 && "## What Settings Give",
    settings.length > 0 &&
    `${counted(trained, "transcoder")} of ${counted(settings.length, "setting")}, each of them in ` +
      `[${TASK_FILES.transcoders}](${TASK_FILES.transcoders}). ± is the standard deviation over seeds. On the front are the settings that no ` +
      "other of the same mapping beats in mean FVU without more active features.",
    settings.length > 0 && `![FVU against active features of every setting](${TASK_FILES.pareto})`,
    layers > 1 && `![FVU of every layer and setting](${TASK_FILES.layers})`,
    ...shown(settings, (rows) => settingsTable(rows, names), TASK_FILES.transcoders),
    unstable &&
    `Whether seeds find the same features was not looked at: the weights are ${
        fileSize(bytes)
      }. \`mtc report --runs\` on the runs of one ` +
      "setting does.",
    settings.length > 0 &&
    "Each run is one as any other: `mtc report --runs RUN` writes its pages, `mtc export --run RUN` what other tools read. " +
      "`mtc export --to circuit-tracer --runs RUNS` makes one set of all layers.",
  ]);
}

/**
 * All tasks as CSV.
 *
 * @param fleet The tasks.
 * @returns A header and a row for each.
 */
export function tasksCsv({ tasks }: Fleet): string {
  const rows = tasks.map(({ plan, number, run, standing, step, steps, reason }) => [
    ...[plan, String(number), run, standing, String(step), String(steps), reason],
  ]);
  return csvFormatRows([["plan", "task", "run", "stands", "step", "steps", "reason"], ...rows]) + "\n";
}

/**
 * All finished transcoders as CSV.
 *
 * @param fleet What came of the tasks.
 * @returns A header and a row for each.
 */
export function transcodersCsv({ settings }: Fleet): string {
  const header =
    "run,transcoder,layer,mapping,features,groups,k,learning_rate,skip,seed,fvu,l0,dead_features,loss_recovered";
  const rows = settings.flatMap(({ members, isOnFront }) =>
    members.map((
      { run, name, layer, mapping, features, groups, k, learningRate, skip, seed, fvu, l0, dead, recovered },
    ) => [
      ...[run, name, String(layer), mapping, String(features), groups.join(" "), String(k), String(learningRate)],
      ...[
        String(skip),
        String(seed),
        String(fvu),
        String(l0),
        String(dead),
        recovered === null ? "" : String(recovered),
      ],
      isOnFront ? "1" : "0",
    ])
  );
  return csvFormatRows([[...header.split(","), "on_front"], ...rows]) + "\n";
}
