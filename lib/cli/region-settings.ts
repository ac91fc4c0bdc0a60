import { Option } from 'commander';
import { isRegion } from '../message/index.js';
import { collected, type ConnectionValues } from './command.js';
import { targetFrom, type Target } from './target.js';
import { UsageError } from './usage.error.js';

/** Options of regions. @internal */
export interface RegionValues {
  readonly region?: string;
  readonly source?: readonly string[];
  readonly transit?: readonly string[];
}

/** Another region, whose messages this one takes over. @internal */
export interface SourceSettings {
  readonly name: string;
  /** Whether messages that were born in a third region are taken over, too. */
  readonly transit: boolean;
  readonly target: Target;
}

/** @internal */
export interface RegionSettings {
  /** The name of this region. */
  readonly local: string;
  /** At least one. */
  readonly sources: readonly SourceSettings[];
}

const NAME_ADVICE =
  'Give up to 32 letters, digits, dots, dashes and underscores.';

/** @internal */
export const regionOptions = (): Option[] =>
  [
    new Option(
      '--region <name>',
      'this region, that of --url ($CACHE_INVALIDATION_REGION)',
    ),
    new Option(
      '--source <name=url>',
      'another region, and its Redis; may be repeated ($CACHE_INVALIDATION_SOURCES, with spaces between)',
    ).argParser(collected),
    new Option(
      '--transit <name>',
      'take over from this source what was born elsewhere, too; may be repeated',
    ).argParser(collected),
  ].map((option) => option.helpGroup('Regions:'));

/**
 * Reads the regions from the command line and the environment. Channel, TLS, the time
 * limit and `--cluster` are the same for all of them; a source has no Sentinels.
 *
 * @returns `null` if none are given
 * @throws UsageError that names the wrong option; it shows no URL
 * @internal
 */
export function regionsFrom(
  values: RegionValues & ConnectionValues,
  env: NodeJS.ProcessEnv,
): RegionSettings | null {
  const local = values.region ?? (env['CACHE_INVALIDATION_REGION'] || null);
  const given = values.source ?? wordsIn(env['CACHE_INVALIDATION_SOURCES']);
  const transit = values.transit ?? [];
  if (local === null && given.length + transit.length === 0) return null;
  if (local === null || given.length === 0) {
    throw new UsageError(
      '--region and --source belong together.',
      'Give both, such as --region eu --source us=redis://host:port.',
    );
  }
  if (!isRegion(local)) {
    throw new UsageError('--region is not the name of one.', NAME_ADVICE);
  }
  const sources = given.map((text) => sourceFrom(text, values, env));
  const names = sources.map(({ name }) => name);
  if (names.includes(local) || new Set(names).size < names.length) {
    throw new UsageError(
      '--source has this region, or one region twice.',
      'Give each other region once.',
    );
  }
  if (!transit.every((name) => names.includes(name))) {
    throw new UsageError(
      '--transit names no source.',
      'Give the name of a --source.',
    );
  }
  return {
    local,
    sources: sources.map((source) => ({
      ...source,
      transit: transit.includes(source.name),
    })),
  };
}

function sourceFrom(
  text: string,
  values: ConnectionValues,
  env: NodeJS.ProcessEnv,
): Omit<SourceSettings, 'transit'> {
  const [, name, url] = /^([^=]*)=(.+)$/.exec(text) ?? [];
  if (url === undefined) {
    throw new UsageError(
      '--source is not name=url.',
      'Give one, such as --source us=redis://host:port.',
    );
  }
  if (!isRegion(name)) {
    throw new UsageError('--source does not name a region.', NAME_ADVICE);
  }
  const alone = { ...values, url, sentinel: undefined, name: undefined };
  return { name, target: targetFrom(alone, env) };
}

function wordsIn(text = ''): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
