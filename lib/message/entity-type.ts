/**
 * Declare your own entity types here by interface merging, and every
 * parameter for an entity type is checked at compile time. Until then any string is
 * accepted.
 *
 * @example
 * ```ts
 * declare module 'nestjs-cache-invalidation' {
 *   interface CacheEntityTypes {
 *     Order: true;
 *   }
 * }
 * ```
 * @publicApi
 */
// oxlint-disable-next-line typescript/no-empty-object-type -- filled by merging
export interface CacheEntityTypes {}

/**
 * The types every service on the channel knows by name; on the wire a plain
 * string. Others travel as `{"Custom":"session"}`.
 *
 * @publicApi
 */
export type BuiltInEntityType =
  'User' | 'Post' | 'Comment' | 'Notification' | 'Feed';

/** The entity types that a program may name. @publicApi */
export type EntityType =
  | BuiltInEntityType
  | ([keyof CacheEntityTypes] extends [never]
      ? string & {}
      : Extract<keyof CacheEntityTypes, string>);

/** Entity types that may arrive: other services know types that this one does not. @publicApi */
export type AnyEntityType = BuiltInEntityType | (string & {});

/** @internal */
export function isBuiltInEntityType(type: string): type is BuiltInEntityType {
  return builtInPrefix(type) !== null;
}

/** The beginning of a type's cache keys, without the colon. @internal */
export function keyPrefixOf(type: string): string {
  return builtInPrefix(type) ?? type;
}

// A switch and no Map: hashing a text that was just parsed costs more.
function builtInPrefix(type: string): string | null {
  switch (type) {
    case 'User':
      return 'user';
    case 'Post':
      return 'post';
    case 'Comment':
      return 'comment';
    case 'Notification':
      return 'notification';
    case 'Feed':
      return 'feed';
    default:
      return null;
  }
}

/** The type whose cache keys begin with `prefix`. @internal */
export function entityTypeOf(prefix: string): AnyEntityType {
  const name = prefix.charAt(0).toUpperCase() + prefix.slice(1);
  return builtInPrefix(name) === prefix ? name : prefix;
}
