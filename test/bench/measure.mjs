export function percentile(values, p) {
  const sorted = Float64Array.from(values).toSorted();
  return sorted[
    Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))
  ];
}

export const median = (values) => percentile(values, 50);

/** Spread of the quartiles, relative to the median, above which a machine is busy. */
const BUSY_SPREAD = 0.2;

export const spreadOf = (values) =>
  (percentile(values, 75) - percentile(values, 25)) / median(values);

/** A spread as text, with a warning if it is too large to trust the figure. */
export const spreadText = (spread) =>
  `${Math.round(spread * 100)} %${spread > BUSY_SPREAD ? ' (busy)' : ''}`;

let largest = 0;

/** The largest spread of a contestant's first figure, since the last call. */
export function takeLargestSpread() {
  const spread = largest;
  largest = 0;
  return spread;
}

/**
 * Runs the contestants in turn, round after round, so that other load on the
 * machine affects all of them.
 *
 * @param contestants name -> async function that runs once and returns a number
 * or an object of numbers
 * @returns name -> medians, in the shape of the returned values
 */
export async function interleaved(rounds, contestants) {
  const results = Object.fromEntries(
    Object.keys(contestants).map((name) => [name, []]),
  );
  for (let round = -1; round < rounds; round++) {
    for (const [name, run] of Object.entries(contestants)) {
      const result = await run();
      if (round >= 0) results[name].push(result); // the first round warms up
    }
  }
  for (const each of Object.values(results)) {
    const first = each.map(
      (result) => Object.values(Object(result))[0] ?? result,
    );
    largest = Math.max(largest, spreadOf(first));
  }
  return Object.fromEntries(
    Object.entries(results).map(([name, each]) => [name, medians(each)]),
  );
}

function medians(results) {
  if (typeof results[0] === 'number') return median(results);
  return Object.fromEntries(
    Object.keys(results[0]).map((key) => [
      key,
      median(results.map((r) => r[key])),
    ]),
  );
}

/** Keeps `width` calls of `step` in flight until `total` are done. */
export async function inFlight(total, width, step) {
  let next = 0;
  const lane = async () => {
    while (next < total) await step(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

export const ms = (value) => `${value.toFixed(3)} ms`;
export const us = (value) => `${value.toFixed(1)} µs`;
export const perSecond = (value) => Math.round(value).toLocaleString('en-US');
export const ratio = (value, base) => (value / base).toFixed(2);
