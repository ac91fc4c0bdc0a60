import { InvalidMessageError } from '../errors/index.js';
import { show } from './cache-key.js';
import { isBuiltInEntityType, type EntityType } from './entity-type.js';
import { batchOf, patternOf, type Invalidation } from './invalidation.js';
import { MAX_PATTERN_LENGTH } from './pattern.js';
import { isText, isWireKey } from './wire-rules.js';

/**
 * Checks an invalidation before it is published. One made by a factory passes
 * unchanged; an object written in plain JavaScript passes only if it names
 * entries, without the fields that do not belong to its action.
 *
 * @throws InvalidMessageError if it names nothing that can be invalidated.
 * @internal
 */
export function checkInvalidation(given: Invalidation): Invalidation {
  const { action, entityType, entityId, entityIds, metadata, ...rest } =
    (given as Partial<Invalidation> | undefined) ?? {};
  const glob = rest.pattern;
  if (action === 'Batch') {
    // The rule of decoding: a received batch is not refused for a foreign key.
    return batchOf(entityIds, metadata ?? null, isWireKey);
  }
  if (
    action === 'Pattern' &&
    isName(glob) &&
    glob.length <= MAX_PATTERN_LENGTH
  ) {
    return patternOf(glob, metadata ?? null);
  }
  if (
    (action === 'Delete' || action === 'Update') &&
    isName(entityType) &&
    isName(entityId)
  ) {
    return {
      action,
      entityType,
      entityId,
      pattern: null,
      entityIds: null,
      metadata: metadata ?? null,
    };
  }
  throw new InvalidMessageError(
    'This is no invalidation.',
    'Publish what entity(), batch(), pattern() or everything() made, or a message that was received.',
  );
}

function isName(value: unknown): value is string {
  return isText(value) && value !== '';
}

/**
 * Checks the name of a custom entity type.
 *
 * @throws InvalidMessageError if the name is a built-in type's.
 * @internal
 */
export function checkCustomType(type: EntityType): EntityType {
  if (isBuiltInEntityType(type)) {
    throw new InvalidMessageError(
      `${show(type)} is a built-in entity type.`,
      `Call invalidate(${show(type)}, id) instead.`,
      'entity_type',
    );
  }
  return type;
}
