import { checkEntityId, type EntityId } from '../../message/index.js';

/**
 * The name of an entry. Untyped callers may pass anything; invalid ids miss here and are
 * refused on load.
 *
 * @internal
 */
export function nameOf(id: EntityId): string {
  if (typeof id === 'string') return id;
  if (Number.isSafeInteger(id)) return String(id);
  try {
    return checkEntityId(id);
  } catch {
    return '';
  }
}
