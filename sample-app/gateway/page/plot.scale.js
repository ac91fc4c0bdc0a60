/** Lowest value in milliseconds; the scale is logarithmic, so that one slow second does not hide the others. */
export const LEAST = 0.1;
const USUAL = 10;
/** Highest value in milliseconds; higher ones are drawn at the upper edge. */
const MOST = 10_000;

/** Seconds of silence that are drawn; a longer one is shortened to this. */
const PAUSE = 6;
const LEAST_SECONDS = 30;
const MOST_SECONDS = 120;

/** Powers of ten that the values span. */
export function decadesOf(points) {
  const highest = Math.max(USUAL, ...points.map(({ p99 }) => p99 ?? 0));
  return Math.ceil(Math.log10(Math.min(MOST, highest) / LEAST) - 1e-9);
}

/** Position of a value between the lower edge, 0, and the upper one, 1. */
export function heightOf(ms, decades) {
  const power = Math.log10(Math.max(ms, LEAST) / LEAST);
  return Math.min(1, power / decades);
}

/**
 * Places the seconds with messages on an axis that leaves out long silences, so that
 * a flood of an hour ago is still visible.
 *
 * @param points oldest first
 * @returns each point that has room and each silence, with its place between the
 * left edge, 0, and now, 1
 */
export function axisOf(points, now) {
  const shown = [];
  const pauses = [];
  let age = 0;
  let newer = now;
  for (const point of points.toReversed()) {
    const gap = newer - point.second;
    const step = Math.min(gap, PAUSE);
    if (age + step > MOST_SECONDS) break;
    if (gap > PAUSE) pauses.push({ age: age + PAUSE / 2, seconds: gap });
    age += step;
    newer = point.second;
    shown.unshift({ ...point, age });
  }
  const span = Math.max(LEAST_SECONDS, age);
  const placed = (each) => ({ ...each, at: 1 - each.age / span });
  return { shown: shown.map(placed), pauses: pauses.map(placed) };
}
