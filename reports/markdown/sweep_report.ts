/**
 * sweep_report.md: transcoders of one target beside each other, what each setting gives and how far seeds scatter.
 * @module
 */
import type { Growth, SeedMean } from "../../core/analysis/growth.ts";
import { SAME_FEATURE } from "../../core/analysis/matching.ts";
import { type StableShare, stableShare } from "../../core/analysis/stability.ts";
import { moments } from "../../core/analysis/statistics.ts";
import { tapName } from "../../core/model/sites.ts";
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import type { Sweep, SweepSetting } from "../../core/runs/sweeps.ts";
import { bracketed, withInterval } from "../evaluation_table.ts";
import { filesOf, SWEEP_FILES } from "../file_names.ts";
import { confidence, counted, decimal, integer, interval, list, percent, significant, timestamp } from "../format.ts";
import { thresholds } from "../thresholds.ts";
import { bullets, type Column, document, numeric, plain, table } from "./markdown.ts";

function recovered({ evaluation: { loss } }: TranscoderAnalysis): string {
  const whole = loss?.per_prefix.at(-1);
  return whole ? bracketed(whole.recovered_zero, whole.recovered_zero_ci95, percent) : "–";
}

function membersTable({ members, front }: Sweep): string {
  const hasLoss = members.some(({ evaluation }) => evaluation.loss !== undefined);
  const columns: Column[] = ["Transcoder", ...["FVU [95 % CI]", "L0", "Dead", "Best linear map"].map(numeric)];
  if (hasLoss) columns.push(numeric("Loss recovered, of zeros"));
  return table(
    [...columns, "Front"],
    members.map((member) => {
      const { name, evaluation } = member, { fvu, fvu_ci95, l0, dead_features, dead_fraction, linear_map } = evaluation;
      return [
        `[${name.phrase}](${filesOf(name).report})`,
        withInterval(fvu, fvu_ci95, 4),
        decimal(l0, 1),
        `${integer(dead_features)} (${percent(dead_fraction)})`,
        linear_map ? decimal(linear_map.fvu, 4) : "–",
        ...(hasLoss ? [recovered(member)] : []),
        front.has(member) ? "yes" : "",
      ];
    }),
  );
}

function seedsTable({ settings }: Sweep): string {
  const figure = ({ mean, std }: SeedMean, digits: number) =>
    Number.isFinite(std) ? `${decimal(mean, digits)} ± ${decimal(std, digits)}` : decimal(mean, digits);
  return table(
    ["Setting", ...["Seeds", "FVU", "95 % CI of the mean", "L0"].map(numeric)],
    settings.map((setting) => [
      settingName(setting),
      integer(setting.members.length),
      figure(setting.fvu, 4),
      interval(setting.fvu.ci95, 4),
      figure(setting.l0, 1),
    ]),
  );
}

/** Says what a setting's single member began with, where that was not random weights. */
function settingName({ name, members: [{ config: { parent } }] }: SweepSetting): string {
  return parent ? `${name.phrase}, started from ${plain(parent.name)}` : name.phrase;
}

/** What a doubling of the setting does to FVU, as the exponent says. */
function doubling({ exponent }: Growth): string {
  const share = 2 ** exponent - 1;
  return `twice as much ${share < 0 ? "takes away" : "adds"} ${percent(Math.abs(share))} of it`;
}

function growthSentence(found: Growth | null, what: string): string {
  if (found === null) return "";
  const { exponent, ci95, seeds } = found, [low, high] = ci95;
  const figures = `exponent ${significant(exponent, 2)}${confidence(ci95, 3, `, ${counted(seeds, "seed")}`)}`;
  if (seeds === 1) {
    return `**One seed gives no interval:** FVU goes with ${what} by an exponent of ${significant(exponent, 2)}; ${
      doubling(found)
    }, and how far seeds scatter is not known.`;
  }
  if (high < 0) return `**FVU falls with** ${what}: ${figures}; ${doubling(found)}.`;
  if (low > 0) return `**FVU rises with** ${what}: ${figures}; ${doubling(found)}.`;
  return `**FVU shows no clear growth with** ${what}: ${figures}.`;
}

/** How FVU goes with the settings, as sentences. */
export function growthSentences({ withFeatures, withK }: Sweep): string[] {
  return [growthSentence(withFeatures, "the size of the dictionary"), growthSentence(withK, "k")]
    .filter((sentence) => sentence !== "");
}

/** Whether seeds find the same features, by the mean over the settings; empty where no setting has several seeds. */
export function stabilitySentence({ settings }: Sweep): string {
  const shares = settings.flatMap(({ stability }) => stability ? [stableShare(stability)] : []);
  if (shares.length === 0) return "";
  const mean = (of: (share: StableShare) => number) => moments(shares.map(of)).mean;
  const share = mean((of) => of.share), random = mean((of) => of.random);
  const error = Math.sqrt(mean(({ error }) => error ** 2) / shares.length);
  const figures =
    `${percent(share)} of them are, against ${percent(random)} of random directions (standard error of the ` +
    `difference ${percent(error)}${shares.length > 1 ? `; means over ${counted(shares.length, "setting")}` : ""})`;
  return `${againLead(share, random, 1.96 * error)} ${figures}.`;
}

/** How many are found again, as far as the interval tells. */
function againLead(share: number, random: number, error: number): string {
  if (!(share - random > error)) return "**Features are found again no more than chance:**";
  if (share - error > thresholds.foundAgainMost) return "**Most features are found again in other seeds:**";
  return share + error < thresholds.foundAgainHardly
    ? "**Hardly any feature is found again in other seeds, though more than by chance:**"
    : "**Some features are found again in other seeds:**";
}

function stabilityTable({ settings }: Sweep): string {
  const found = settings.flatMap(({ name, stability }) => stability ? [{ name, stability }] : []);
  const groups = Math.max(...found.map(({ stability }) => stability.groups.length));
  const columns = Array.from({ length: groups }, (_, g) => `Group ${g}`);
  return table(
    ["Setting", ...["Looked for", ...columns, "All", "Random directions"].map(numeric)],
    found.map(({ name, stability }) => {
      const { share, random } = stableShare(stability);
      return [
        name.phrase,
        integer(stability.random.judged),
        ...columns.map((_, g) => {
          const group = stability.groups.at(g);
          return group ? percent(group.found / group.judged) : "–";
        }),
        ...[share, random].map((part) => percent(part)),
      ];
    }),
  );
}

const NO_SEED =
  "A transcoder that began with finished weights is no seed and stands by itself: its features are its parent's.";

function section(sweep: Sweep): string[] {
  const { members } = sweep, { config } = members[0];
  const hasSeeds = sweep.settings.some(({ members: { length } }) => length > 1);
  const isStarted = members.some(({ config: { parent } }) => parent !== undefined);
  const growths = growthSentences(sweep), stability = stabilitySentence(sweep);
  return [
    `## ${counted(members.length, "transcoder")} of ${list(config.targets.map((target) => `\`${tapName(target)}\``))}`,
    `${plain(config.model.name)}, held-out text of ${
      plain(config.data.name)
    }. On the front are those that no other beats ` +
    "in FVU without more active features.",
    membersTable(sweep),
    growths.length > 0 ? "### Growth" : "",
    bullets(growths),
    growths.length > 0
      ? "Exponents are the slopes of log FVU over the setting's logarithm, along transcoders that share all other settings and " +
        "the number of groups; one slope for each seed, and the interval of their mean by Student's t. It tells how seeds " +
        "scatter, not whether a power law holds beyond these sizes."
      : "",
    hasSeeds ? "### Means over Seeds" : "",
    hasSeeds ? seedsTable(sweep) : "",
    hasSeeds
      ? `± is the standard deviation over seeds of one transcoder, not of the mean.${isStarted ? ` ${NO_SEED}` : ""}`
      : "",
    stability && "### Stability over Seeds",
    stability,
    stability && stabilityTable(sweep),
    stability &&
    `A feature is found again when the cosine of its decoder row with one of the other seed's is above ${SAME_FEATURE}; dead ` +
      "features count as well. Each seed is looked for in the next, the last in the first. Random directions are as many, drawn " +
      "with the second moment of the same decoder. Members of a sweep read the text in one order, so that first weights alone " +
      "set them apart. Where groups are too large for all of their features, evenly spaced ones stand for them.",
  ];
}

/** The report on all sweeps. */
export function sweepReport(sweeps: readonly Sweep[], generated: Date): string {
  return document([
    "# Sweep Report",
    `**Generated on:** ${timestamp(generated)}`,
    `![Held-out FVU against active features of every transcoder and prefix](${SWEEP_FILES.plot})`,
    ...sweeps.flatMap(section),
  ]);
}
