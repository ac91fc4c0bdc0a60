import {
  isBuiltInEntityType,
  keyPrefixOf,
  type AnyEntityType,
} from './entity-type.js';
import { patternOf, type Invalidation } from './invalidation.js';
import { escapePattern, MAX_PATTERN_LENGTH } from './pattern.js';

/*
 * A message is exact if its action and its entity type are known here and it
 * names entries. Any other message is widened.
 */

/** The entity type of patterns and batches, which name no single type. @internal */
export function nameOf(action: string): string | null {
  if (action === 'Pattern') return 'pattern';
  return action === 'Batch' ? 'batch' : null;
}

/** An entity type with cache keys on this instance; `null` for any other. @internal */
export function readEntityType(wireType: unknown): AnyEntityType | null {
  if (typeof wireType === 'string') {
    return isBuiltInEntityType(wireType) ? wireType : null;
  }
  const custom = (wireType as { Custom?: string }).Custom;
  // {"Custom":"User"} has keys of its own, `User:1`, and no type here.
  return custom === undefined || isBuiltInEntityType(custom) ? null : custom;
}

/** Whether a message names its entries in a way known here. @internal */
export function isExact(
  action: string,
  entityType: AnyEntityType | null,
  entityId: string | null,
  pattern: string | null,
  entityIds: readonly string[] | null,
): boolean {
  switch (action) {
    case 'Delete':
    case 'Update':
      return entityType !== null && isGiven(entityId);
    case 'Pattern':
      return isGiven(pattern) && pattern.length <= MAX_PATTERN_LENGTH;
    case 'Batch':
      // No cache has bare ids for keys.
      return (
        entityIds !== null && entityIds.every((key) => key.indexOf(':') > 0)
      );
    default:
      return false;
  }
}

// Some languages write "" for an absent field.
function isGiven(text: string | null): text is string {
  return text !== null && text !== '';
}

/** Covers a message that is not exact: its entity type, or everything. @internal */
export function coarser(entityType: AnyEntityType | null): Invalidation {
  const unusable =
    entityType === null || /^(pattern|batch|)$|:/.test(entityType);
  return patternOf(
    unusable ? '*' : `${escapePattern(keyPrefixOf(entityType))}:*`,
  );
}
