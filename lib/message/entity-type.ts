/**
 * Declare your own entity types here by interface merging, and every place that
 * takes an entity type is checked at compile time. Until then any string goes.
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

/** What a program may name. @publicApi */
export type EntityType =
  | BuiltInEntityType
  | ([keyof CacheEntityTypes] extends [never]
      ? string & {}
      : Extract<keyof CacheEntityTypes, string>);

/** What may arrive: other services know types that this one does not. @publicApi */
export type AnyEntityType = BuiltInEntityType | (string & {});

const PREFIX_OF_BUILT_IN = new Map<string, string>([
  ['User', 'user'],
  ['Post', 'post'],
  ['Comment', 'comment'],
  ['Notification', 'notification'],
  ['Feed', 'feed'],
]);

const BUILT_IN_OF_PREFIX = new Map(
  [...PREFIX_OF_BUILT_IN].map(([type, prefix]) => [prefix, type]),
);

/** @internal */
export function isBuiltInEntityType(type: string): type is BuiltInEntityType {
  return PREFIX_OF_BUILT_IN.has(type);
}

/** What a type's cache keys begin with, without the colon. @internal */
export function keyPrefixOf(type: string): string {
  return PREFIX_OF_BUILT_IN.get(type) ?? type;
}

/** The type whose cache keys begin with `prefix`. @internal */
export function entityTypeOf(prefix: string): AnyEntityType {
  return BUILT_IN_OF_PREFIX.get(prefix) ?? prefix;
}
