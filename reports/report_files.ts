/**
 * All files of a report, made one after the other.
 * @module
 */
import { isTrainedHere } from "../core/runs/analysed.ts";
import { analysisReport } from "./markdown/analysis_report.ts";
import { comparisonReport } from "./markdown/comparison_report.ts";
import { featureAnalysisPage, featureSections, hasRecord } from "./markdown/feature_analysis.ts";
import { filesOf, pairFiles, SWEEP_FILES } from "./file_names.ts";
import { attributionFigure } from "./plots/attribution.ts";
import { importanceFigure } from "./plots/importance.ts";
import { indexPage, type ReportInput } from "./markdown/index_page.ts";
import { interpretabilityPlot, interpretabilityReport, knownLayer } from "./markdown/interpretability_report.ts";
import { comparisonFigure } from "./plots/comparison.ts";
import { curvesFigure } from "./plots/curves.ts";
import { matchingFigure } from "./plots/matching.ts";
import { overviewFigure, scatterFigure } from "./plots/overview.ts";
import { prefixFigure } from "./plots/prefixes.ts";
import { sweepFigure } from "./plots/sweep.ts";
import type { Spec } from "./plots/theme.ts";
import { sweepReport } from "./markdown/sweep_report.ts";
import { featureToken, visibleToken } from "./tokens.ts";
import { trainingSoFar } from "./markdown/training_so_far.ts";
import { trainingSummary } from "./markdown/training_summary.ts";

/** A file to be written. */
export interface ReportFile {
  /** Name in the output directory. */
  name: string;
  /** Text or PNG bytes. */
  content: string | Uint8Array;
}

/** Draws a figure: gives the bytes of a PNG file. */
export type Draw = (figure: Spec) => Promise<Uint8Array>;

/** Files that are made ahead of the one that is written: figures in memory, drawn beside each other. */
const AHEAD = 16;

/**
 * Makes the files, plots before the page that shows them, the index last.
 *
 * @param input What they are about.
 * @param draw Draws the figures, several at once where it can.
 * @returns Each file once it is made.
 */
export async function* reportFiles(input: ReportInput, draw: Draw): AsyncGenerator<ReportFile> {
  const ahead: { readonly name: string; readonly content: Promise<string | Uint8Array> }[] = [];
  const first = async (): Promise<ReportFile> => {
    const { name, content } = ahead.shift()!;
    return { name, content: await content };
  };
  for (const { name, content } of plannedFiles(input)) {
    const made = typeof content === "string" ? Promise.resolve(content) : draw(content);
    // It is waited for in its turn; what fails before that is not unheard of.
    made.catch(() => {});
    ahead.push({ name, content: made });
    if (ahead.length === AHEAD) yield await first();
  }
  while (ahead.length > 0) yield await first();
}

/** A file whose figure is still to be drawn. */
interface PlannedFile {
  readonly name: string;
  readonly content: string | Spec;
}

function* plannedFiles(
  { transcoders, unfinished = [], comparisons, sweeps, notes, hasTasks, generated }: ReportInput,
): Generator<PlannedFile> {
  for (const transcoder of transcoders) {
    const names = filesOf(transcoder.name);
    yield { name: names.overview, content: overviewFigure(transcoder) };
    yield { name: names.scatter, content: scatterFigure(transcoder) };
    if (isTrainedHere(transcoder)) yield { name: names.curves, content: curvesFigure(transcoder) };
    const { loss } = transcoder.evaluation;
    if (loss) yield { name: names.prefixes, content: prefixFigure(transcoder, loss) };
    const { importance, attribution, features } = transcoder;
    if (importance) {
      yield { name: names.importance, content: importanceFigure(transcoder.name, importance) };
    }
    if (attribution) {
      const token = (feature: number) => featureToken(features[feature], visibleToken) ?? "";
      yield {
        name: names.attribution,
        content: attributionFigure(transcoder.name, attribution, token),
      };
    }
    const sections = featureSections(transcoder);
    for (const { figures } of sections) {
      for (const { file, spec } of figures) yield { name: file, content: spec };
    }
    if (sections.length > 0) {
      yield { name: names.features, content: featureAnalysisPage(transcoder, sections, generated) };
    }
    if (hasRecord(transcoder)) {
      const known = knownLayer(transcoder, transcoders), figure = interpretabilityPlot(known);
      yield { name: figure.file, content: figure.spec };
      yield {
        name: names.interpretability,
        content: interpretabilityReport(transcoder, known, figure, generated),
      };
    }
    yield { name: names.report, content: analysisReport(transcoder, generated) };
    yield { name: names.summary, content: trainingSummary(transcoder, generated) };
  }
  for (const transcoder of unfinished) {
    const names = filesOf(transcoder.name);
    yield { name: names.curvesSoFar, content: curvesFigure(transcoder) };
    yield { name: names.soFar, content: trainingSoFar(transcoder, generated) };
  }
  for (const comparison of comparisons) {
    const names = pairFiles(comparison.a.name, comparison.b.name);
    yield { name: names.plot, content: comparisonFigure(comparison) };
    const { told, a, b } = comparison;
    if (told) {
      yield { name: names.matching, content: matchingFigure(told, [a.name.phrase, b.name.phrase]) };
    }
    yield { name: names.comparison, content: comparisonReport(comparison, generated) };
  }
  if (sweeps.length > 0) {
    yield { name: SWEEP_FILES.plot, content: sweepFigure(sweeps) };
    yield { name: SWEEP_FILES.report, content: sweepReport(sweeps, generated) };
  }
  yield {
    name: "index.md",
    content: indexPage({ transcoders, unfinished, comparisons, sweeps, notes, hasTasks, generated }),
  };
}
