import type { Point } from './trend.js';

export interface Plotted {
  readonly name: string;
  readonly unit: string;
  readonly points: readonly Point[];
}

const WIDTH = 380;
const HEIGHT = 120;
const COLUMNS = 3;
const GAP = 24;
const TITLE = 20;

/** Small multiples, one per series, from zero up; the warm-up is shaded. Pure. @returns an SVG document. */
export function renderPlot(series: readonly Plotted[], warmUpEnds: number): string {
  const rows = Math.ceil(series.length / COLUMNS);
  const width = COLUMNS * (WIDTH + GAP) + GAP;
  const height = rows * (HEIGHT + TITLE + GAP) + GAP;
  const charts = series.map((one, index) => {
    const x = GAP + (index % COLUMNS) * (WIDTH + GAP);
    const y = GAP + Math.floor(index / COLUMNS) * (HEIGHT + TITLE + GAP);
    return `<g transform="translate(${x},${y})">${chart(one, warmUpEnds)}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...charts,
    '</svg>\n',
  ].join('\n');
}

function chart({ name, unit, points }: Plotted, warmUpEnds: number): string {
  const end = Math.max(1, ...points.map(({ at }) => at));
  const most = Math.max(1, ...points.map(({ value }) => value));
  const x = (at: number): number => (at / end) * WIDTH;
  const y = (value: number): number => HEIGHT - (value / most) * HEIGHT;
  // More points than pixels show nothing more.
  const step = Math.ceil(points.length / (WIDTH / 3));
  const line = points
    .filter((_, index) => index % step === 0)
    .map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`)
    .join(' ');
  const label = `${name}: 0 to ${most < 10 ? most.toFixed(1) : Math.round(most)} ${unit}, ${Math.round(end)} s`;
  return [
    `<text y="12">${label}</text>`,
    `<g transform="translate(0,${TITLE})">`,
    `<rect width="${x(Math.min(warmUpEnds, end)).toFixed(1)}" height="${HEIGHT}" fill="#eee"/>`,
    `<path d="M0 0V${HEIGHT}H${WIDTH}" fill="none" stroke="#999"/>`,
    `<polyline points="${line}" fill="none" stroke="#0b62a4" stroke-width="1.5"/>`,
    '</g>',
  ].join('');
}
