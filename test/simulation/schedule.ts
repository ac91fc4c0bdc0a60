import type { Random } from './random.js';
import type { Line } from './simulated.network.js';

/** A fault of a schedule. Times are in milliseconds. */
export type Trouble =
  | { kind: 'cut'; node: number; line: Line }
  | { kind: 'cut-subscriptions' }
  | {
      kind: 'swallow';
      node: number;
      line: Line | 'all';
      way: 'up' | 'down' | 'both';
      lasts: number;
    }
  | {
      kind: 'stall' | 'refuse';
      node: number;
      line: Line | 'all';
      lasts: number;
    }
  | { kind: 'slow'; node: number; by: number; lasts: number }
  | { kind: 'lose-announcements'; node: number; share: number; lasts: number }
  | { kind: 'repeat-announcements'; node: number; share: number; lasts: number }
  | { kind: 'stop-server'; lasts: number }
  | {
      kind: 'restart-server';
      /** Number of entries that are lost at the journal's end. */
      lost: number;
      lasts: number;
      loading: number;
    }
  | { kind: 'refuse-publishes'; with: string; lasts: number }
  | {
      kind: 'failover';
      lost: number;
      skew: number;
      /** Nodes that the old master serves for that long. */
      misled: number[];
      lasts: number;
    }
  | { kind: 'server-clock'; skew: number }
  | { kind: 'wall-clock'; shift: number }
  | { kind: 'remove-journal' }
  | { kind: 'trim-journal'; keep: number }
  | { kind: 'noise'; what: number }
  | { kind: 'forge'; times: number; every: number }
  | {
      kind: 'forge-entry';
      keep: number | null;
      /**
       * Time between the cut of all subscriptions and the forged entry; `null`
       * without a cut.
       */
      cutBefore: number | null;
      times: number;
    }
  | { kind: 'kill-node'; node: number }
  | { kind: 'join-node' };

export type TroubleKind = Trouble['kind'];

export interface Schedule {
  readonly nodes: number;
  readonly heartbeatInterval: number;
  readonly heartbeatTimeout: number;
  readonly outboxLimit: number;
  readonly maxLength: number;
  readonly maxStaleness: number;
  readonly durable: boolean;
  readonly foreign: boolean;
  /** Delay of the start of Redis. */
  readonly bootDelay: number;
  readonly writeEvery: number;
  readonly readEvery: number;
  /** Time at which everything heals. */
  readonly lasts: number;
  readonly troubles: readonly { readonly at: number; readonly what: Trouble }[];
}

/** Troubles under which every message arrives, and not much later. */
export const HARMLESS: readonly TroubleKind[] = [
  'server-clock',
  'wall-clock',
  'remove-journal',
  'trim-journal',
  'repeat-announcements',
  'noise',
  'join-node',
];

const LINES: readonly (Line | 'all')[] = ['commands', 'subscription', 'all'];
const WAYS = ['up', 'down', 'both'] as const;
const REFUSALS = [
  "OOM command not allowed when used memory > 'maxmemory'.",
  "READONLY You can't write against a read only replica.",
  'MISCONF Redis is configured to save RDB snapshots.',
  'CLUSTERDOWN The cluster is down',
];

/** Draws a schedule, which depends only on the seed. */
export function scheduleFrom(random: Random): Schedule {
  const nodes = random.whole(2, 3);
  const durable = random.chance(0.2);
  const foreign = random.chance(0.2);
  const lasts = random.whole(3_000, 18_000);
  const heartbeatInterval = random.pick([1_000, 2_000, 5_000]);
  const heartbeatTimeout = random.pick([500, 1_000, 3_000]);
  const makers = makersFor(random, nodes);
  const kinds = Object.keys(makers).filter((kind) =>
    isPossible(kind as TroubleKind, durable, foreign),
  );
  // Some schedules have faults of one kind or family, to test it separately as
  // well.
  const dice = random.next();
  const among =
    dice < 0.25
      ? [random.pick(kinds)]
      : dice < 0.4
        ? kinds.filter((kind) => HARMLESS.includes(kind as TroubleKind))
        : kinds;
  const troubles = Array.from({ length: random.whole(1, 7) }, () => ({
    at: random.whole(500, lasts - 200),
    what: makers[random.pick(among) as TroubleKind](),
  })).toSorted((a, b) => a.at - b.at);
  return {
    nodes,
    heartbeatInterval,
    heartbeatTimeout,
    outboxLimit: random.pick([3, 30, 10_000]),
    maxLength: random.pick([20, 10_000]),
    maxStaleness: random.chance(0.3)
      ? heartbeatInterval + heartbeatTimeout + 500
      : 0,
    durable,
    foreign,
    bootDelay: random.chance(0.15) ? random.whole(100, 4_000) : 0,
    writeEvery: random.pick([80, 200, 600, 2_000]),
    readEvery: random.pick([60, 150]),
    lasts,
    troubles,
  };
}

/**
 * Leaves out combinations that hit known limits: a publisher that dies together
 * with the master that acknowledged its message takes the message with it, and
 * only the journal reveals a message that is silently lost inside a cluster.
 */
export function isPossible(
  kind: TroubleKind,
  durable: boolean,
  foreign: boolean,
): boolean {
  if (kind === 'kill-node') return durable;
  if (kind === 'failover' || kind === 'restart-server') return !durable;
  if (kind === 'lose-announcements') return !foreign;
  return true;
}

export function makersFor(
  random: Random,
  nodes: number,
): { readonly [K in TroubleKind]: () => Trouble } {
  const node = (): number => random.whole(0, nodes - 1);
  const lasts = (): number =>
    random.pick([
      random.whole(20, 400),
      random.whole(400, 3_000),
      random.whole(3_000, 12_000),
    ]);
  const share = (): number => random.pick([0.1, 0.5, 1]);
  return {
    cut: () => ({
      kind: 'cut',
      node: node(),
      line: random.pick(['commands', 'subscription']),
    }),
    'cut-subscriptions': () => ({ kind: 'cut-subscriptions' }),
    swallow: () => ({
      kind: 'swallow',
      node: node(),
      line: random.pick(LINES),
      way: random.pick(WAYS),
      lasts: lasts(),
    }),
    stall: () => ({
      kind: 'stall',
      node: node(),
      line: random.pick(LINES),
      lasts: lasts(),
    }),
    refuse: () => ({
      kind: 'refuse',
      node: node(),
      line: random.pick(LINES),
      lasts: lasts(),
    }),
    slow: () => ({
      kind: 'slow',
      node: node(),
      by: random.pick([20, 200, 2_000]),
      lasts: lasts(),
    }),
    'lose-announcements': () => ({
      kind: 'lose-announcements',
      node: node(),
      share: share(),
      lasts: lasts(),
    }),
    'repeat-announcements': () => ({
      kind: 'repeat-announcements',
      node: node(),
      share: share(),
      lasts: lasts(),
    }),
    'stop-server': () => ({ kind: 'stop-server', lasts: lasts() }),
    'restart-server': () => ({
      kind: 'restart-server',
      lost: random.pick([0, random.whole(1, 5), 1_000_000]),
      lasts: lasts(),
      loading: random.pick([0, 0, random.whole(10, 1_000)]),
    }),
    'refuse-publishes': () => ({
      kind: 'refuse-publishes',
      with: random.pick(REFUSALS),
      lasts: lasts(),
    }),
    failover: () => ({
      kind: 'failover',
      lost: random.pick([0, random.whole(1, 3), random.whole(1, 20)]),
      skew: random.pick([0, 0, -500, -10_000, 10_000]),
      misled: Array.from({ length: nodes }, (_, index) => index).filter(() =>
        random.chance(0.3),
      ),
      lasts: lasts(),
    }),
    'server-clock': () => ({
      kind: 'server-clock',
      skew: random.pick([-3_600_000, -200, 3_600_000]),
    }),
    'wall-clock': () => ({
      kind: 'wall-clock',
      shift: random.pick([-3_600_000, 3_600_000]),
    }),
    'remove-journal': () => ({ kind: 'remove-journal' }),
    'trim-journal': () => ({
      kind: 'trim-journal',
      keep: random.pick([0, 1, random.whole(2, 20)]),
    }),
    noise: () => ({ kind: 'noise', what: random.whole(0, 2) }),
    forge: () => ({
      kind: 'forge',
      times: random.whole(1, 40),
      every: random.pick([1, 20, 300]),
    }),
    'forge-entry': () => ({
      kind: 'forge-entry',
      keep: random.pick([null, 1, random.whole(1, 5)]),
      cutBefore: random.pick([null, random.whole(1, 40), random.whole(1, 40)]),
      times: random.whole(1, 10),
    }),
    'kill-node': () => ({ kind: 'kill-node', node: node() }),
    'join-node': () => ({ kind: 'join-node' }),
  };
}

/** A complete description for people. */
export function describeSchedule({
  troubles,
  ...rest
}: Pick<Schedule, 'troubles' | 'lasts'>): string {
  return [
    JSON.stringify(rest),
    ...troubles.map(
      ({ at, what: { kind, ...how }, ...where }) =>
        `${String(at).padStart(6)} ms  ${Object.values(where).join('')} ${kind} ${JSON.stringify(how)}`,
    ),
    `${String(rest.lasts).padStart(6)} ms  everything heals`,
  ].join('\n');
}
