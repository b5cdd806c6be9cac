/**
 * What `mtc bench` prints for a reader: a table per workload, at most 100 columns wide.
 * @module
 */

import pc from "picocolors";
import { type BenchmarkFigures, boundOf, shareOfRoofline } from "../core/bench/benchmark.ts";
import type { Cost } from "../core/bench/costs.ts";
import type { KernelFigures, WorkloadFigures } from "../core/bench/measure.ts";
import type { Roofline } from "../core/gpu/roofline.ts";
import { integer, percent, significant } from "../reports/format.ts";

const ALL = "all kernels";
/** Columns of the bar of a kernel's share of the time. */
const BAR = 8;
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** Between the milliseconds and what stands to their right. */
const INDENT = "   ";
/** Widths of the columns behind the kernel's name, whose width is that of the longest. */
const WIDTHS = [6, 9, INDENT.length + BAR + 7, 9, 8, 16] as const;

/** Widths are those of the text without its colours. */
function line(nameWidth: number, [name, ...cells]: readonly string[], paint = (text: string) => text): string {
  const padded = cells.map((cell, i) => i === 2 ? cell.padEnd(WIDTHS[i]) : cell.padStart(WIDTHS[i]));
  return paint(`  ${name.padEnd(nameWidth)}${padded.join("")}`.trimEnd());
}

function bar(share: number): string {
  const eighths = Math.round(8 * BAR * Math.min(1, share));
  return ("█".repeat(eighths >> 3) + EIGHTHS[eighths & 7]).padEnd(BAR);
}

/** Whether rates are shown in TFLOP/s: where the ceiling is above two of them. */
function arithmeticUnit({ flops }: Roofline): { name: string; value: number } {
  return flops >= 2e12 ? { name: "TFLOP/s", value: 1e12 } : { name: "GFLOP/s", value: 1e9 };
}

/** Operations and bytes per second. */
function rates({ flops, bytes }: Cost, milliseconds: number | null, roofline: Roofline): string[] {
  return [flops / arithmeticUnit(roofline).value, bytes / 1e9].map((amount) => {
    if (milliseconds === null || amount === 0) return "-";
    const perSecond = 1000 * amount / milliseconds;
    return perSecond < 0.01 ? "< 0.01" : significant(perSecond, perSecond < 0.1 ? 2 : 3);
  });
}

function roofShare(share: number, by = ""): string {
  return `${percent(share, share < 0.0995 ? 1 : 0)} ${by.padEnd("compute".length)}`;
}

/** A model's products go by what they multiply with: all of them are one kernel or two. */
function nameOf({ kernel, weight }: KernelFigures): string {
  return weight ?? kernel;
}

function kernelRow(figures: KernelFigures, all_ms: number | null, roofline: Roofline): string[] {
  const { dispatches, milliseconds } = figures, rate = rates(figures, milliseconds, roofline), name = nameOf(figures);
  if (milliseconds === null) return [name, integer(dispatches), "-", "", ...rate];
  const { share, by } = boundOf(figures, milliseconds, roofline), part = milliseconds / all_ms!;
  return [
    name,
    integer(dispatches),
    significant(milliseconds, 3),
    `${INDENT}${bar(part)} ${percent(part).padStart(6)}`,
    ...rate,
    roofShare(share, by),
  ];
}

function workloadTable(figures: WorkloadFigures, roofline: Roofline, isShown: (kernel: string) => boolean): string[] {
  const { name, sizes, tokens, wall_ms, wall_range_ms, host_ms, embedding_ms, kernels_ms, total, kernels } = figures;
  const shown = kernels.filter(({ kernel }) => isShown(kernel));
  if (shown.length === 0) return [];
  const [least, most] = wall_range_ms;
  const dispatches = kernels.reduce((sum, kernel) => sum + kernel.dispatches, 0);
  const whole = (milliseconds: number) => [
    ...rates(total, milliseconds, roofline),
    roofShare(shareOfRoofline(kernels, milliseconds, roofline)),
  ];
  const range = `${significant(least, 3)} to ${significant(most, 3)}`;
  const nameWidth = Math.max(ALL.length, ...shown.map((kernel) => nameOf(kernel).length));
  const unit = arithmeticUnit(roofline).name;
  const heading = ["kernel", "calls", "ms", `${INDENT}of the time`, unit, "GB/s", "of roofline   "];
  return [
    "",
    `${pc.bold(name)}: ${sizes}`,
    line(nameWidth, heading, pc.dim),
    ...shown.map((kernel) => line(nameWidth, kernelRow(kernel, kernels_ms, roofline))),
    ...(kernels_ms === null ? [] : [
      line(
        nameWidth,
        [ALL, integer(dispatches), significant(kernels_ms, 4), "", ...whole(kernels_ms)],
        pc.bold,
      ),
    ]),
    line(nameWidth, ["wall clock", "", significant(wall_ms, 4), INDENT + range, ...whole(wall_ms)], pc.bold),
    `  ${integer(1000 * tokens / wall_ms)} tokens/s; the host needs ${significant(host_ms, 2)} ms to record and submit${
      embedding_ms === null ? "" : `, ${significant(embedding_ms, 2)} of them to embed tokens`
    }.`,
    ...productsLine(shown).map((text) => pc.dim(text)),
  ];
}

/** The kernels of the rows that go by a weight. */
function productsLine(shown: readonly KernelFigures[]): string[] {
  const products = new Set(shown.filter(({ weight }) => weight !== null).map(({ kernel }) => kernel));
  return products.size > 0 ? [`  Products: ${[...products].toSorted().join(", ")}.`] : [];
}

/**
 * Draws the tables.
 *
 * @param figures What was measured.
 * @param isShown Which kernels to list.
 * @returns Lines of at most 100 columns.
 */
export function benchTable(figures: BenchmarkFigures, isShown: (kernel: string) => boolean): string {
  const { adapter, is_software, roofline, workloads } = figures, unit = arithmeticUnit(roofline);
  return [
    `${pc.bold(adapter)}${is_software ? " (software, on the CPU)" : ""}`,
    `Roofline, measured in this run: ${
      significant(roofline.flops / unit.value, 3)
    } ${unit.name} in its largest product, ` +
    `${significant(roofline.bytes / 1e9, 3)} GB/s in its largest copy.`,
    ...workloads.flatMap((workload) => workloadTable(workload, roofline, isShown)),
  ].join("\n");
}
