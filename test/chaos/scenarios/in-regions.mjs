import { checkRegions } from '../region-checks.mjs';
import { regionsBroker } from '../regions.mjs';

/** Changes of all writers during a fault. */
export const LOST = 1_200;
/** A cut is told from the usual age of a proof only if it is longer. */
const CUT_MS = 1_500;
const LONG_CUT_MS = 15_000;

/**
 * More processes than elsewhere share the machine: a round trip between regions, and
 * one within a region, must not count as a fault.
 */
const HEARTBEAT = { heartbeatTimeout: 1_000 };

/** An instance of each kind in two regions. */
const INSTANCES = [
  { name: 'eu-writer', region: 'eu', writes: true },
  { name: 'eu-reader', region: 'eu' },
  { name: 'us-writer', region: 'us', writes: true },
  { name: 'us-reader', region: 'us' },
];

/**
 * A scenario in regions. Its properties beside those of every scenario:
 *
 * - `names` of the regions, by default `eu` and `us`
 * - `servers`: options of `regionsBroker()`
 * - `losses`, `retries`: see `checkRegions()`
 * - `late`: instances that start at the end, by default one in the first region
 * - `evicts`: regions whose own server fails, so that instances there may evict
 * everything by themselves
 */
export function inRegions({
  names = ['eu', 'us'],
  servers,
  late = [{ name: `late-${names[0]}`, region: names[0] }],
  losses,
  retries,
  evicts = [],
  options,
  ...scenario
}) {
  return {
    instances: INSTANCES,
    options: { ...HEARTBEAT, ...options },
    broker: (stage) => regionsBroker(stage, names, { ...servers, late }),
    ...scenario,
    settled: (stage) => stillUnheard(stage),
    async verify(stage) {
      return [
        ...(await checkRegions(stage, { losses, retries })),
        ...(await evictions(stage, evicts)),
      ];
    },
  };
}

/**
 * Cuts ways between regions, and watches that nobody there believes to be up to date.
 *
 * @param pairs `[source, local]` of each way
 * @param cut `link => void`
 */
export async function cutOff(stage, pairs, cut = (link) => link.sever()) {
  const { broker } = stage;
  const since = performance.now();
  for (const [source, local] of pairs) cut(broker.way(source, local));
  await stage.writes(LOST);
  await stage.last(CUT_MS, LONG_CUT_MS);
  for (const [source, local] of pairs) {
    await broker.expectStale(stage, source, local, since);
  }
}

export function heal({ broker }, pairs) {
  for (const [source, local] of pairs) broker.way(source, local).heal();
}

export const BOTH_WAYS = [
  ['us', 'eu'],
  ['eu', 'us'],
];

/** Every source must be proven again, a heartbeat after everything has healed. */
async function stillUnheard(stage) {
  if (stage.broken) return [];
  try {
    await stage.broker.heard(stage);
    return [];
  } catch (error) {
    return [error.message];
  }
}

/** Instances whose own region was well have no reason to evict anything by themselves. */
async function evictions({ applications }, evicts) {
  const problems = [];
  for (const application of applications) {
    const report = await application.report();
    if (report === null || evicts.includes(application.region)) continue;
    const { widenedBy, errors } = report;
    // Redis did not answer it in time, which is no work of a relay.
    if (errors.CACHE_INVALIDATION_TIMEOUT > 0) continue;
    if (Object.keys(widenedBy).length > 0) {
      problems.push(
        `${application.name}: evicted everything by itself: ${JSON.stringify(widenedBy)}`,
      );
    }
  }
  return problems;
}
