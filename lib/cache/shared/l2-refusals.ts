import { InvalidationConfigurationError } from '../../errors/index.js';
import type { EntityType } from '../../message/index.js';

/*
 * Reasons why a cache has no second tier: errors for caches that the application
 * creates itself, warnings for caches of decorated methods.
 */

const KEY_ADVICE = 'Give the option `signing`.';

/** @internal */
export function journalMissing(): InvalidationConfigurationError {
  return misuse('l2', 'it takes the journal.', 'Give the option `journal`.');
}

/** @internal */
export function keyMissing(): InvalidationConfigurationError {
  return misuse('l2.encrypt', 'there is no key.', KEY_ADVICE);
}

/** @internal */
export function prefixTaken(
  entityType: EntityType,
  prefix: string,
): InvalidationConfigurationError {
  return misuse(
    'l2.keyPrefix',
    `another cache of ${entityType} has "${prefix}".`,
    'Give each cache one of its own.',
  );
}

/** @internal */
export function journalMissingWarning(owner: string): string {
  return `${owner} shares nothing in Redis (option l2), since there is no journal: give the option journal.`;
}

/** @internal */
export function keyMissingWarning(owner: string): string {
  return `${owner} shares nothing in Redis, since there is no key to encrypt with (option l2.encrypt). ${KEY_ADVICE}`;
}

/** @internal */
export function twoOwnersWarning(owner: string): string {
  return `${owner} of two classes of one name cannot be told apart in Redis, so neither shares anything there: give each an l2.keyPrefix of its own.`;
}

function misuse(
  field: string,
  problem: string,
  fix: string,
): InvalidationConfigurationError {
  return new InvalidationConfigurationError('A near cache cannot be made:', [
    { field, problem, fix },
  ]);
}
