import type { RegionsOptions } from '../../lib/regions/index.js';
import type { Random } from './random.js';
import { gatesFrom, type Gate } from './regions.gates.js';
import {
  HARMLESS,
  isPossible,
  makersFor,
  type Schedule,
  type Trouble,
  type TroubleKind,
} from './schedule.js';

/** A fault of one region's Redis, or of what connects to it. */
interface RegionTrouble {
  readonly at: number;
  readonly region: string;
  readonly what: Trouble;
}

type Shared =
  | 'heartbeatInterval'
  | 'heartbeatTimeout'
  | 'outboxLimit'
  | 'maxLength'
  | 'maxStaleness'
  | 'durable'
  | 'writeEvery'
  | 'readEvery'
  | 'lasts';

export interface RegionSchedule extends Pick<Schedule, Shared> {
  readonly topology: 'mesh' | 'hub';
  /** The number of nodes of each region; the first region is the hub. */
  readonly nodes: Readonly<Record<string, number>>;
  /** Milliseconds that a packet takes to another region. */
  readonly latency: number;
  /** Regions with a service that publishes without a journal. */
  readonly foreign: readonly string[];
  /** The gates of regions that have one. */
  readonly gates: Readonly<Record<string, Gate>>;
  readonly troubles: readonly RegionTrouble[];
}

/** Never opened: the networks connect regions by their names. */
const CONNECTION = 'redis://simulated';
const NAMES = ['eu', 'us', 'ap'];

/** Troubles that the journal of a source covers: its relays need not widen. */
const COVERED: readonly TroubleKind[] = [
  'cut',
  'cut-subscriptions',
  'swallow',
  'stall',
  'refuse',
  'slow',
  'lose-announcements',
  'repeat-announcements',
  'stop-server',
  'refuse-publishes',
  'kill-node',
  'join-node',
];

const KINDS: readonly TroubleKind[] = [
  ...COVERED,
  'restart-server',
  'failover',
  'server-clock',
  'wall-clock',
  'trim-journal',
];

/**
 * Draws a schedule, which depends only on the seed.
 *
 * @param others draws what not every schedule has: the rest stays as it is without
 */
export function regionScheduleFrom(
  random: Random,
  others: Random,
): RegionSchedule {
  const topology = random.chance(0.25) ? 'hub' : 'mesh';
  const names = NAMES.slice(0, topology === 'hub' ? 3 : random.whole(2, 3));
  const nodes = Object.fromEntries(
    names.map((name) => [name, random.whole(1, 2)]),
  );
  const durable = random.chance(0.3);
  const lasts = random.whole(4_000, 18_000);
  const heartbeatInterval = random.pick([1_000, 2_000, 5_000]);
  const heartbeatTimeout = random.pick([500, 1_000, 3_000]);
  const isForeign = others.chance(0.4);
  const foreign = names.filter(() => isForeign && others.chance(0.6));
  const kinds = KINDS.filter(
    (kind) => kind === 'kill-node' || isPossible(kind, durable, false),
  );
  const dice = random.next();
  const among =
    dice < 0.2
      ? [random.pick(kinds)]
      : dice < 0.5
        ? kinds.filter((kind) => COVERED.includes(kind))
        : kinds;
  // Nodes and links in one row.
  const connected = Object.values(nodes).reduce((sum, each) => sum + each);
  const makers = makersFor(random, connected);
  const troubles = Array.from({ length: random.whole(1, 8) }, () => {
    const at = random.whole(500, lasts - 200);
    const region = random.pick(names);
    const kind = random.pick(among);
    // Only a journal reveals what is lost silently.
    const isHidden = kind === 'lose-announcements' && foreign.includes(region);
    return { at, region, what: makers[isHidden ? 'cut' : kind]() };
  }).toSorted((a, b) => a.at - b.at);
  return {
    topology,
    nodes,
    latency: 40,
    heartbeatInterval,
    heartbeatTimeout,
    outboxLimit: random.pick([3, 30, 10_000]),
    maxLength: dice < 0.5 ? 10_000 : random.pick([20, 10_000]),
    maxStaleness: random.chance(0.2)
      ? 3 * heartbeatInterval + heartbeatTimeout + 500
      : 0,
    durable,
    writeEvery: random.pick([80, 200, 600, 2_000]),
    readEvery: random.pick([60, 150]),
    lasts,
    foreign,
    gates: gatesFrom(others, names),
    troubles,
  };
}

/** The sources of a region. */
export function sourcesOf(
  { topology, nodes }: RegionSchedule,
  local: string,
): RegionsOptions['sources'] {
  const [hub, ...spokes] = Object.keys(nodes);
  if (topology === 'hub' && local !== hub)
    return { [hub!]: { connection: CONNECTION, transit: true } };
  const others = [hub!, ...spokes].filter((name) => name !== local);
  return Object.fromEntries(
    others.map((name) => [name, { connection: CONNECTION }]),
  );
}

/** Whether a region's journal keeps everything that relays may have to read. */
export function isCovered(
  { maxLength, troubles }: RegionSchedule,
  region: string,
): boolean {
  const own = troubles.filter((trouble) => trouble.region === region);
  return maxLength > 1_000 && own.every(({ what }) => keeps(what));
}

/** Whether a region's Redis never takes back what it has. */
export function isLasting(
  { troubles }: RegionSchedule,
  region: string,
): boolean {
  return !troubles.some(
    ({ region: where, what: { kind } }) =>
      where === region && (kind === 'failover' || kind === 'restart-server'),
  );
}

/** Whether every message of a region arrives at once. */
export function isPrompt(
  { troubles }: RegionSchedule,
  names: readonly string[],
): boolean {
  return troubles.every(
    ({ region, what: { kind } }) =>
      !names.includes(region) || HARMLESS.includes(kind),
  );
}

/** Whether no announcement of a region comes a second time. */
export function announcesOnce(
  { troubles }: RegionSchedule,
  region: string,
): boolean {
  return !troubles.some(
    ({ region: where, what: { kind } }) =>
      where === region && kind === 'repeat-announcements',
  );
}

/** Whether a region's journal loses entries only at its end. */
export function keepsEntries(
  { maxLength, troubles }: RegionSchedule,
  region: string,
): boolean {
  return (
    maxLength > 1_000 &&
    !troubles.some(
      ({ region: where, what: { kind } }) =>
        where === region && kind === 'trim-journal',
    )
  );
}

function keeps({ kind }: Trouble): boolean {
  return !['failover', 'restart-server', 'trim-journal'].includes(kind);
}
