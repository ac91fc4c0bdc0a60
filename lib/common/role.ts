/**
 * - `both`: publishes and receives
 * - `subscriber`: only receives; publishing is refused
 * - `publisher`: only publishes; caches and handlers are refused
 *
 * @publicApi
 */
export type InvalidationRole = 'both' | 'subscriber' | 'publisher';

/** @internal */
export const ROLES = ['both', 'subscriber', 'publisher'] as const;

/** @internal */
export interface RoleOptions {
  /** Whether the module is on: switched off, it refuses nothing. */
  readonly enabled?: boolean;
  /** `both` if absent. */
  readonly role?: InvalidationRole;
}

/** Whether caches and handlers may wait for messages here. @internal */
export function mayReceive({ enabled = true, role }: RoleOptions): boolean {
  return !enabled || role !== 'publisher';
}

/** Whether invalidations may be published here. @internal */
export function mayPublish({ enabled = true, role }: RoleOptions): boolean {
  return !enabled || role !== 'subscriber';
}
