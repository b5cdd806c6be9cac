/**
 * Long series with fewer points, for drawing.
 * @module
 */

/**
 * Chooses rows of a long series so that its curve looks as before: of each stretch its first row, and those with the smallest and the largest
 * value, so that no spike is lost.
 *
 * @param values What is drawn, row by row; a stretch's first NaN is kept too.
 * @param from The first row that is looked at.
 * @param most How many rows may be left, 4 at least.
 * @returns Rows, ascending: all from `from` on where they are few enough, else the last one and at most `most` in all.
 */
export function thinnedRows(values: readonly number[], from: number, most: number): number[] {
  const rows = values.length - from;
  if (rows <= most) return Array.from({ length: Math.max(0, rows) }, (_, i) => from + i);
  // Four of each stretch, and the last row.
  const stretches = Math.max(1, Math.floor((most - 1) / 4)), chosen = new Set<number>();
  for (let s = 0; s < stretches; s++) {
    const begin = from + Math.floor(s * rows / stretches), end = from + Math.floor((s + 1) * rows / stretches);
    let least = -1, largest = -1, lost = -1;
    for (let row = begin; row < end; row++) {
      const value = values[row];
      if (Number.isNaN(value)) {
        if (lost < 0) lost = row;
        continue;
      }
      if (least < 0 || value < values[least]) least = row;
      if (largest < 0 || value > values[largest]) largest = row;
    }
    for (const row of [begin, least, largest, lost]) if (row >= 0) chosen.add(row);
  }
  chosen.add(values.length - 1);
  return [...chosen].sort((a, b) => a - b);
}
