import type { ValidationError } from 'class-validator';
import { CacheInvalidationOptions } from './cache-invalidation.options.js';
import { fillIn, type Duration } from './common/index.js';
import {
  InvalidationConfigurationError,
  problemsIn,
  type ConfigurationProblem,
} from './errors/index.js';
import { show } from './message/index.js';
import { wrongInRegions } from './regions/index.js';

/** Options that no single text can give. @internal */
export const OBJECT_OPTIONS = [
  'cascade',
  'durableOutbox',
  'normalizeIds',
  'regions',
  'signing',
] as const;

/** Options that text can give. @internal */
export type ScalarOption = Exclude<
  keyof CacheInvalidationOptions,
  (typeof OBJECT_OPTIONS)[number]
>;

/** Options that are times. */
const TIME_OPTIONS = [
  'startupTimeout',
  'publishTimeout',
  'shutdownTimeout',
  'heartbeatInterval',
  'heartbeatTimeout',
  'maxStaleness',
] as const;

type TimeOption = (typeof TIME_OPTIONS)[number];

/**
 * Options of `forRoot()`. An option that is absent comes from the environment,
 * then from the defaults. Times may be texts, such as `'10s'`.
 *
 * @publicApi
 */
export type CacheInvalidationModuleOptions = {
  [Option in keyof CacheInvalidationOptions]?: Option extends TimeOption
    ? Duration
    : CacheInvalidationOptions[Option];
};

/** For `useClass` and `useExisting`. @publicApi */
export interface CacheInvalidationOptionsFactory {
  /** Called once, at the start. */
  createCacheInvalidationOptions():
    CacheInvalidationModuleOptions | Promise<CacheInvalidationModuleOptions>;
}

/**
 * Fills in the defaults and checks every option.
 *
 * @throws InvalidationConfigurationError that names every bad option
 * @internal
 */
export function resolveOptions(given: unknown): CacheInvalidationOptions {
  const options = new CacheInvalidationOptions();
  fillIn(options, given, TIME_OPTIONS);
  const problems = problemsIn(
    options,
    (fix, error) => describeFault(fix, error, given),
    { whitelist: true, forbidNonWhitelisted: true },
  );
  if (problems.length > 0) {
    throw new InvalidationConfigurationError(
      'CacheInvalidationModule cannot start with these options:',
      problems,
      '\nCorrect them where forRoot() or forRootAsync() gets them.',
    );
  }
  return options;
}

/** The environment variable of an option. @internal */
export function variableOf(option: string): string {
  if (option === 'connection') return 'REDIS_URL';
  const words = option.replace(/[A-Z]/g, (letter) => `_${letter}`);
  return `CACHE_INVALIDATION_${words.toUpperCase()}`;
}

function describeFault(
  fix: string,
  error: ValidationError,
  given: unknown,
): Omit<ConfigurationProblem, 'field'> & Partial<ConfigurationProblem> {
  const { property, constraints = {}, value } = error;
  if ('whitelistValidation' in constraints) {
    const names = Object.keys(new CacheInvalidationOptions()).join(', ');
    return {
      problem: 'there is no such option.',
      fix: `The options are ${names}.`,
    };
  }
  if (property === 'regions') {
    const field = wrongInRegions(value);
    return field === null
      ? { problem: 'they need the journal.', fix }
      : { field, problem: 'it is not valid.', fix };
  }
  return {
    problem: problemWith(error, given),
    fix: OBJECT_OPTIONS.some((option) => option === property)
      ? fix
      : `${fix} (${variableOf(property)} in the environment.)`,
  };
}

function problemWith(
  { property, value }: ValidationError,
  given: unknown,
): string {
  if (value === undefined) return 'it is missing.';
  // A URL holds a password.
  if (property === 'connection') return 'it is no way to reach Redis.';
  if (property === 'signing') return 'it is no ring of keys.';
  // A time is shown as it was written, not in milliseconds.
  const written = (given as Record<string, unknown> | undefined)?.[property];
  return `${show(written ?? value)} is not valid.`;
}
