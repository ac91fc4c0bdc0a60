export function percentile(values, p) {
  const sorted = Float64Array.from(values).toSorted();
  return sorted[
    Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))
  ];
}

export const median = (values) => percentile(values, 50);

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
