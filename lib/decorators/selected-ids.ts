import {
  batch,
  buildCacheKey,
  entity,
  notAnEntityId,
  type EntityId,
  type EntityType,
  type Invalidation,
} from '../message/index.js';
import { NO_ANSWER } from './answers.js';
import type { Selected } from './selected-invalidation.js';

/** One id, several (which leave as one batch), or none. @publicApi */
export type SelectedIds =
  EntityId | null | undefined | readonly (EntityId | null | undefined)[];

/** Missing values that were converted to text. */
const TEXTS_OF_NOTHING = new Set([
  '',
  'undefined',
  'null',
  'NaN',
  '[object Object]',
]);

/**
 * Invalidations of the entities that a selector named before the call or after it: an
 * entity may lose its id or get another one meanwhile.
 *
 * @param whole covers all entities of the type
 * @throws InvalidMessageError if a selected value is no id
 * @internal
 */
export function entitiesOf(
  type: EntityType,
  action: 'Delete' | 'Update' | undefined,
  { before, after, metadata, metadataBefore }: Selected<SelectedIds>,
  whole: Invalidation,
  failed: (cause: unknown) => void,
): readonly Invalidation[] {
  // Fast path: one id, which did not change.
  if (before === after && isId(after) && isNamed(after)) {
    return [entity(type, after, { action, metadata })];
  }
  const earlier = before === NO_ANSWER ? [] : named(before);
  const later = named(after);
  const cause = unnamed(earlier, later);
  if (Array.isArray(before) || Array.isArray(after)) {
    const { made, complete } = keysOf(type, [...earlier, ...later], failed);
    if (cause !== null) failed(cause);
    const keys = made.length === 0 ? [] : [batch(made, metadata)];
    return complete && cause === null ? keys : [...keys, whole];
  }
  if (cause !== null) throw cause;
  const [now] = later.filter(isNamed);
  const gone = earlier.filter((id) => isNamed(id) && `${id}` !== `${now}`);
  return [
    ...gone.map((id) => entity(type, id, { action, metadata: metadataBefore })),
    ...(now === undefined ? [] : [entity(type, now, { action, metadata })]),
  ];
}

function named(ids: SelectedIds): EntityId[] {
  const list = Array.isArray(ids) ? ids : [ids as EntityId | null | undefined];
  return list.filter((id) => id !== null && id !== undefined);
}

function isId(id: SelectedIds): id is EntityId {
  return typeof id === 'string' || typeof id === 'number';
}

function isNamed(id: EntityId): boolean {
  return typeof id === 'string' ? !TEXTS_OF_NOTHING.has(id) : !Number.isNaN(id);
}

/**
 * The error of an entity without an id, or `null`. An id is missing before an insert and
 * after a removal; the entity is known if its id is known at one of the two times.
 */
function unnamed(
  earlier: readonly EntityId[],
  later: readonly EntityId[],
): Error | null {
  const known = Math.max(
    earlier.filter(isNamed).length,
    later.filter(isNamed).length,
  );
  if (known >= Math.max(earlier.length, later.length)) return null;
  return notAnEntityId([...later, ...earlier].find((id) => !isNamed(id)));
}

function keysOf(
  type: EntityType,
  ids: readonly EntityId[],
  failed: (cause: unknown) => void,
): { made: string[]; complete: boolean } {
  const made = new Set<string>();
  const wrong = new Set<unknown>();
  for (const id of ids.filter(isNamed)) {
    try {
      made.add(buildCacheKey(type, id));
    } catch (cause) {
      // An id that is selected before and after the call is reported once.
      if (!wrong.has(id)) failed(cause);
      wrong.add(id);
    }
  }
  return { made: [...made], complete: wrong.size === 0 };
}
