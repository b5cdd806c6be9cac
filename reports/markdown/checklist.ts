/**
 * The checklist of the plan for layer 17, ticked from what the runs hold and what was found in them.
 *
 * A tick says that what is asked is there for every transcoder and holds. An open box says for which ones not, and what would tick it.
 * @module
 */
import { hierarchyVerdict } from "../../core/analysis/hierarchy.ts";
import { residualSum } from "../../core/model/residual.ts";
import { otherLayers } from "../../core/runs/other_layers.ts";
import { isTrainedHere, type TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { learning, successChecks, verdict } from "../checks.ts";
import { filesOf, pairFiles } from "../file_names.ts";
import { contextDifference } from "../findings/composition.ts";
import type { ReportedPair } from "../compared.ts";
import { counted, integer, list, percent } from "../format.ts";
import { missingAnalyses } from "./missing.ts";
import { code, plain } from "./markdown.ts";

/** What the checklist is about. */
export interface ChecklistInput {
  /** The transcoders. */
  readonly transcoders: readonly TranscoderAnalysis[];
  /** Those of their pairs that are compared. */
  readonly comparisons: readonly ReportedPair[];
}

/** An item of the checklist. */
export interface Item {
  /** What is asked. */
  readonly task: string;
  /** Whether it is there and holds; null where only a reader can tell. */
  readonly ticked: boolean | null;
  /** What was found, or what would tick it: Markdown, without a full stop. */
  readonly found: string;
}

/** The items of a stretch of time behind training, as the plan has them. */
export interface Phase {
  /** Its heading. */
  readonly title: string;
  /** Its items. */
  readonly items: readonly Item[];
}

/** Of so many transcoders an open item says what they lack. */
const TOLD = 4;

/** An item that holds for all transcoders or is open for some of them. */
function ofEach(
  task: string,
  transcoders: readonly TranscoderAnalysis[],
  { lacks, found }: {
    /** What keeps it from being ticked, as a clause; empty where it holds. */
    readonly lacks: (transcoder: TranscoderAnalysis) => string;
    /** What to say where it holds for all. */
    readonly found: string;
  },
): Item {
  const open = transcoders.map((transcoder) => [transcoder.name.phrase, lacks(transcoder)] as const)
    .filter(([, lack]) => lack !== "");
  const ticked = transcoders.length > 0 && open.length === 0, told = open.slice(0, TOLD);
  const more = open.length > TOLD ? `; and ${integer(open.length - TOLD)} more` : "";
  return { task, ticked, found: ticked ? found : told.map(([name, lack]) => `${name}: ${lack}`).join("; ") + more };
}

const link = (text: string, file: string) => `[${text}](${file})`;

/** A link for each transcoder to one of its files. */
function links(transcoders: readonly TranscoderAnalysis[], file: keyof ReturnType<typeof filesOf>): string {
  return list(transcoders.map(({ name }) => link(name.phrase, filesOf(name)[file])));
}

function completion(transcoders: readonly TranscoderAnalysis[]): Item {
  return ofEach("Check training completion and success", transcoders, {
    lacks: (transcoder) => {
      const failed = successChecks(transcoder).filter(({ passed, decisive }) => decisive && !passed);
      return failed.map(({ requirement, found }) => `${requirement}: ${found}`).join(", ");
    },
    found: `no success metric that decides is missed; ${
      transcoders.filter((one) => verdict(one).level === "good").length
    } of ${counted(transcoders.length, "transcoder")} meet every one; see ${links(transcoders, "summary")}`,
  });
}

function curves(transcoders: readonly TranscoderAnalysis[]): Item {
  return ofEach("Review metrics and curves", transcoders, {
    lacks: (transcoder) => {
      const { path, config: { steps } } = transcoder;
      switch (learning(transcoder)) {
        case "level":
        case "untold":
        case "elsewhere":
          return "";
        case "improving":
          return `still improving; ${code(`mtc train --start-from ${path} --more-steps ${steps}`)} goes on`;
        case "unknown":
          return "the curve does not tell whether more steps would help; train longer or log more often";
        default:
          return "the loss rose or is not a number";
      }
    },
    found: `learning has levelled off where it can be told; see ${links(transcoders.filter(isTrainedHere), "curves")}`,
  });
}

/** An item about trainings, of those that are known here. */
function ofTrained(
  item: (transcoders: readonly TranscoderAnalysis[]) => Item,
  transcoders: readonly TranscoderAnalysis[],
): Item {
  const trained = transcoders.filter(isTrainedHere), imported = transcoders.length - trained.length;
  const asked = item(trained);
  if (imported === 0) return asked;
  const told = `${counted(imported, "transcoder")} ${imported === 1 ? "was" : "were"} imported, ${
    imported === 1 ? "its" : "their"
  } training is not known here`;
  return trained.length === 0
    ? { ...asked, ticked: null, found: told }
    : { ...asked, found: `${asked.found}; ${told}` };
}

function sampling(transcoders: readonly TranscoderAnalysis[]): Item {
  const samples = transcoders.reduce((sum, { statistics }) => sum + statistics.samples, 0);
  return ofEach("Verify activation samples collection", transcoders, {
    lacks: ({ statistics: { alive, withSamples } }) =>
      alive > 0 && withSamples === alive
        ? ""
        : `${integer(alive - withSamples)} of ${counted(alive, "living feature")} have no sample`,
    found: `${integer(samples)} samples, at least one of every feature that fired in the final pass`,
  });
}

function checkpoints(transcoders: readonly TranscoderAnalysis[]): Item {
  return ofEach("Check checkpoint saving", transcoders, {
    lacks: ({ checkpoints: [last], config: { steps } }) =>
      last === undefined
        ? "no checkpoint lies in the run, which can be neither gone on with nor mended"
        : last === steps
        ? ""
        : `the newest checkpoint is of step ${integer(last)}, the last step was ${integer(steps)}`,
    found: "each run holds the checkpoint of its last step",
  });
}

/** Open where one of these analyses is missing. */
function made(
  task: string,
  transcoders: readonly TranscoderAnalysis[],
  commands: readonly string[],
  found: string,
): Item {
  return ofEach(task, transcoders, {
    lacks: (transcoder) =>
      missingAnalyses(transcoder).filter(({ command }) => commands.some((name) => command.startsWith(name)))
        .map(({ command }) => code(command)).join(", "),
    found,
  });
}

function strongest(transcoders: readonly TranscoderAnalysis[]): Item {
  return ofEach("Analyze top activating features", transcoders, {
    lacks: ({ samples: { examples }, statistics: { alive } }) =>
      alive === 0
        ? "no feature fires"
        : [...examples.values()].some(({ top }) => top.length > 0)
        ? ""
        : "none of the strongest features has a sample",

    found: `the strongest with their contexts in ${links(transcoders, "report")}`,
  });
}

const depths = ({ a, b }: ReportedPair) => [a, b].map(({ config: { targets } }) => targets[0].layer);

/** Pairs of different layers that were compared. */
function ofLayers(comparisons: readonly ReportedPair[]): ReportedPair[] {
  return comparisons.filter((pair) => depths(pair)[0] !== depths(pair)[1]);
}

const pairLinks = (pairs: readonly ReportedPair[]) =>
  list(pairs.map(({ a, b }) => link(`${a.name.phrase} and ${b.name.phrase}`, pairFiles(a.name, b.name).comparison)));

function comparedLayers(task: string, comparisons: readonly ReportedPair[]): Item {
  const pairs = ofLayers(comparisons);
  return {
    task,
    ticked: pairs.length > 0,
    found: pairs.length > 0
      ? pairLinks(pairs)
      : `there are no transcoders of two layers; ${code("mtc train --layers A,B")} makes them`,
  };
}

/** Whether the features of two layers were held against each other on the same tokens. */
function matchedLayers(comparisons: readonly ReportedPair[]): Item {
  const task = "Layer comparison analysis", pairs = ofLayers(comparisons);
  const untold = pairs.filter(({ told }) => told === undefined);
  if (pairs.length === 0 || untold.length === 0) return comparedLayers(task, pairs);
  const told = untold.slice(0, TOLD).map(({ a, b, why }) =>
    `${a.name.phrase} and ${b.name.phrase}: ${plain(why ?? "")}`
  );
  return { task, ticked: false, found: told.join("; ") };
}

/** Whether firing has a shape that chance does not give: clusters, or more of parents in earlier groups than frequency gives any dictionary. */
function patterns(transcoders: readonly TranscoderAnalysis[]): Item {
  return ofEach("Identified interesting feature patterns", transcoders, {
    lacks: ({ recorded, path }) => {
      if (!recorded) return code(`mtc analyze features --run ${path}`);
      const { patterns: { clusters }, hierarchy } = recorded;
      const { silhouette, silhouette_by_chance, silhouette_error } = clusters;
      const hasClusters = silhouette - silhouette_by_chance > 1.96 * silhouette_error;
      const { beyond_chance, beyond_density } = hierarchy !== null && hierarchy.nested.judged > 0
        ? hierarchyVerdict(hierarchy, null)
        : { beyond_chance: "no", beyond_density: "no" };
      return hasClusters || (beyond_chance === "yes" && beyond_density === "yes")
        ? ""
        : "neither clusters beyond chance nor parents beyond what frequency gives";
    },
    found: `features fire in clusters beyond chance, or have parents beyond what frequency gives; see ${
      links(transcoders, "features")
    }`,
  });
}

/** The least share of features without match that counts as a layer's own, a convention; chance alone lets one in a hundred seem to have one. */
const OWN_SHARE = 0.01;

/** Whether a layer differs from the nearest other one: by features without a match there, or in how far tokens tell its features. */
function ownBehaviours(transcoders: readonly TranscoderAnalysis[]): Item {
  return ofEach("Found layer-specific behaviors", transcoders, {
    lacks: (transcoder) => {
      const { recorded, path } = transcoder;
      if (!recorded) return code(`mtc analyze features --run ${path}`);
      const [nearest] = recorded.layer.others;
      if (nearest === undefined) return "there is no other layer to hold it against";
      if (nearest.judged === 0) return "no feature fires often enough to be judged";
      const [other] = otherLayers<TranscoderAnalysis>(transcoder, transcoders).flatMap(({ recorded }) =>
        recorded ?? []
      );
      const depth = other && contextDifference(recorded.layer, other.layer), { unique, judged } = nearest;
      return unique / judged > OWN_SHARE || (depth && (depth.ci95[0] > 0 || depth.ci95[1] < 0))
        ? ""
        : `${
          percent(unique / judged)
        } of its features have no match in the nearest other layer, whose features tokens tell as well`;
    },
    found:
      `each layer has features without a match in the nearest other one, or features that tokens tell better or worse; see ${
        links(transcoders, "interpretability")
      }`,
  });
}

function insightful(transcoders: readonly TranscoderAnalysis[]): Item {
  return ofEach("Generated interpretable insights", transcoders, {
    lacks: ({ recorded, path }) =>
      !recorded
        ? code(`mtc analyze features --run ${path}`)
        : recorded.layer.features.length > 0
        ? ""
        : "no feature fires often enough to be judged",
    found: `findings, each with what would show it wrong, in ${links(transcoders, "interpretability")}`,
  });
}

const reader = (task: string, found: string): Item => ({ task, ticked: null, found });

/**
 * The plan's checklist.
 *
 * @param input The transcoders and their comparisons.
 * @returns Its phases, in their order.
 */
export function checklist({ transcoders, comparisons }: ChecklistInput): Phase[] {
  const recorded = ["mtc analyze features"], deep = ["mtc analyze importance", "mtc analyze attribution"];
  const sourcesOf = transcoders.filter(({ config: { source } }) => residualSum(source) !== null).length;
  return [
    {
      title: "Immediate",
      items: [
        completion(transcoders),
        ofTrained(curves, transcoders),
        sampling(transcoders),
        ofTrained(checkpoints, transcoders),
      ],
    },
    {
      title: "Short-term",
      items: [
        made("Run basic feature analysis", transcoders, recorded, links(transcoders, "features")),
        strongest(transcoders),
        comparedLayers("Compare with another layer", comparisons),
        made(
          "Generate interpretability reports",
          transcoders,
          [...recorded, "mtc analyze coherence"],
          links(transcoders, "interpretability"),
        ),
      ],
    },
    {
      title: "Medium-term",
      items: [
        made(
          "Deep dive feature analysis",
          transcoders,
          deep,
          `importance to the model's predictions of ${counted(transcoders.length, "transcoder")}, attribution of ${
            integer(sourcesOf)
          }, which read what is a sum of what components wrote`,
        ),
        matchedLayers(comparisons),
        made(
          "Advanced pattern analysis",
          transcoders,
          recorded,
          `hierarchy and patterns in ${links(transcoders, "features")}`,
        ),
        made(
          "Generate comprehensive report",
          transcoders,
          ["mtc"],
          "all that `mtc report` makes is there, loss recovered included",
        ),
      ],
    },
    {
      title: "Long-term",
      items: [
        reader("Publish findings and insights", "yours to judge"),
        reader(
          "Plan follow-up experiments",
          `each report ends with what it recommends: ${links(transcoders, "report")}`,
        ),
        reader("Document lessons learned", "yours to write"),
        reader("Update analysis tools", "yours to say what is missing"),
      ],
    },
    {
      title: "Analysis success",
      items: [
        patterns(transcoders),
        ownBehaviours(transcoders),
        insightful(transcoders),
        reader(
          "Created actionable findings for future research",
          "what would show each finding of the interpretability reports wrong is an experiment",
        ),
      ],
    },
  ];
}

/** A line of a checklist, which Markdown readers show with a box. */
export function itemLine({ task, ticked, found }: Item): string {
  return `[${ticked ? "x" : " "}] ${task}${ticked === null ? " (no program can)" : ""}: ${found}`;
}
