import { InvalidationSerializationError } from '../../errors/index.js';
import {
  checkInvalidation,
  everything,
  type Invalidation,
} from '../../message/index.js';
import { ChangeSet } from './change-set.js';

/** Characters of an announcement; a longer one is widened. */
const MAX_LENGTH = 262_144;
/** Keys of one entity type in an announcement, and in one that was too long. */
const BULKS = [1_000, 1];

/**
 * Writes what an application announces in a transaction as JSON: an array of invalidations.
 *
 * @throws InvalidMessageError if one is no invalidation, InvalidationSerializationError if
 * its metadata is no JSON
 * @internal
 */
export function encodeAnnounced(
  invalidations: readonly Invalidation[],
): string {
  const checked = invalidations.map((each) => checkInvalidation(each));
  try {
    for (const bulk of BULKS) {
      const changes = new ChangeSet(bulk, () => {});
      for (const each of checked) changes.add(each);
      const text = JSON.stringify(changes.invalidations());
      if (text.length <= MAX_LENGTH) return text;
    }
    return JSON.stringify([everything()]);
  } catch (cause) {
    throw new InvalidationSerializationError(
      'The metadata cannot be written into the transaction.',
      'Give plain JSON: no cycles, bigints or functions.',
      cause,
    );
  }
}

/** Reads what `encodeAnnounced()` has written; `null` for anything else. @internal */
export function decodeAnnounced(text: string): Invalidation[] | null {
  if (text.length > MAX_LENGTH) return null;
  try {
    const list = JSON.parse(text) as Invalidation[];
    return list.map((each) => checkInvalidation(each));
  } catch {
    return null;
  }
}
