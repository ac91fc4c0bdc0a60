import type { Duration } from '../common/index.js';
import { inMilliseconds, LONGEST_TIMER_MS } from '../common/index.js';
import { isRegion, type InvalidationMessage } from '../message/index.js';
import { isConnection, type RedisConnection } from '../transport/index.js';

/** Another region, whose invalidations this one takes over. @publicApi */
export interface RegionSource {
  /**
   * The Redis of that region, as in the option `connection`; a user with the rights of a
   * subscriber is enough. Without it another process relays this source, such as
   * `npx nestjs-cache-invalidation relay`, and this instance only watches how it gets on.
   */
  readonly connection?: RedisConnection;
  /** The channel in that region. @default the option `channel` */
  readonly channel?: string;
  /**
   * Whether to take over what was born in other regions as well: for a spoke whose
   * source is a hub.
   *
   * @default false
   */
  readonly transit?: boolean;
  /**
   * Milliseconds, or a time such as `'500ms'`, after which each message is repeated once:
   * longer than this region's replica of the database is behind. With `held`, how long
   * a message is held at most.
   *
   * @default no repetition; 2000 with `held`
   */
  readonly delay?: Duration;
  /**
   * Holds a message back until this region's replica of the database has its row. A
   * message that is not released within `delay` is published all the same, and
   * repeated after another `delay`.
   */
  readonly held?: (message: InvalidationMessage) => Promise<unknown>;
}

/** Regions, each with a Redis of its own. @publicApi */
export interface RegionsOptions {
  /** This region: up to 32 letters, digits, dots, dashes and underscores. */
  readonly local: string;
  /** Regions whose invalidations reach this one, by their names. */
  readonly sources: Readonly<Record<string, RegionSource>>;
}

/** The fix of wrong regions. @internal */
export const REGIONS_ADVICE =
  'Give { local: "eu", sources: { us: { connection } } }: names of up to 32 letters, digits, dots, dashes and underscores, the local one not among the sources, with a connection or without, and channel, transit, delay and held where they are needed. (In the environment CACHE_INVALIDATION_REGION=eu and CACHE_INVALIDATION_SOURCES="us=redis://host:port …".)';

/** Milliseconds that a message is held at most, unless `delay` says otherwise. */
const HELD_MS = 2_000;

/** The check of each field of a source. */
const SOURCE_FIELDS: Record<keyof RegionSource, (value: unknown) => boolean> = {
  connection: isConnection,
  channel: (value) => typeof value === 'string' && /\S/.test(value),
  transit: (value) => typeof value === 'boolean',
  delay: (value) => isDelay(inMilliseconds(value)),
  held: (value) => typeof value === 'function',
};

/**
 * The first wrong field of the option, such as `regions.sources.us.delay`; `null` if it
 * is right. A name that is no region's is not shown: it may be a URL with a password.
 *
 * @internal
 */
export function wrongInRegions(value: unknown): string | null {
  if (!isObject(value)) return 'regions';
  const { local, sources, ...others } = value;
  if (!isRegion(local)) return 'regions.local';
  if (!isObject(sources)) return 'regions.sources';
  for (const [name, source] of Object.entries(sources)) {
    if (!isRegion(name)) return 'regions.sources';
    const path = `regions.sources.${name}`;
    if (name === local || !isObject(source)) return path;
    const wrong = Object.entries(source).find(([f, v]) => !isSourceField(f, v));
    if (wrong !== undefined) return `${path}.${wrong[0]}`;
  }
  const [unknown] = Object.keys(others);
  return unknown === undefined ? null : `regions.${unknown}`;
}

function isSourceField(name: string, value: unknown): boolean {
  if (!Object.hasOwn(SOURCE_FIELDS, name)) return false;
  return (
    value === undefined || SOURCE_FIELDS[name as keyof RegionSource](value)
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isDelay(value: unknown): boolean {
  return (
    Number.isInteger(value) &&
    (value as number) >= 1 &&
    (value as number) <= LONGEST_TIMER_MS
  );
}

/** Milliseconds of a source's `delay`; `null` where nothing is held or repeated. @internal */
export function delayOf({ delay, held }: RegionSource): number | null {
  if (delay !== undefined) return inMilliseconds(delay) as number;
  return held === undefined ? null : HELD_MS;
}

/**
 * Reads the option from the environment: the name of this region, and `name=url` for each
 * source, with spaces between. Returns another text for what cannot be read, so that the
 * check names the option.
 *
 * @internal
 */
export function regionsFrom(
  region: unknown,
  sources: unknown,
): RegionsOptions | string | undefined {
  const local = typeof region === 'string' ? region.trim() : '';
  const words = typeof sources === 'string' ? sources.trim().split(/\s+/) : [];
  const given = words.filter((word) => word !== '');
  if (local === '') return given.length === 0 ? undefined : 'without a region';
  const pairs = given.map((word) => /^([^=]+)=(.+)$/.exec(word));
  const names = new Set(pairs.map((pair) => pair?.[1]));
  if (pairs.includes(null) || names.size < pairs.length) return 'unreadable';
  return {
    local,
    sources: Object.fromEntries(
      pairs.map((pair) => [pair![1]!, { connection: pair![2]! }]),
    ),
  };
}
