/** One line of the benchmark's table: a figure of KSI beside its baseline's from the same run. */
export interface Result {
  name: string;
  unit: string;
  ksi: number;
  /** What it is compared with; without one the figure stands alone. */
  baseline?: { name: string; value: number };
  /** Of the two, KSI's share of the baseline, or the other way round where less is better. */
  note?: string;
}

const figure = (value: number): string => (value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2));

export function renderTable(results: readonly Result[]): string {
  const rows = [
    ['what', 'KSI', 'baseline', 'ratio', 'compared with'],
    ...results.map((result) => [
      `${result.name} (${result.unit})`,
      figure(result.ksi),
      result.baseline === undefined ? '' : figure(result.baseline.value),
      result.baseline === undefined ? '' : (result.ksi / result.baseline.value).toFixed(2),
      result.baseline?.name ?? result.note ?? '',
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
