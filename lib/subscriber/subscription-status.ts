/**
 * - `connecting`: not live yet, since the start
 * - `live`: subscribed; messages are delivered as they come
 * - `disconnected`: the subscription was lost; it is being restored
 * - `stopped`: switched off, or shut down
 *
 * @publicApi
 */
export type SubscriptionState =
  'connecting' | 'live' | 'disconnected' | 'stopped';

/** @publicApi */
export interface SubscriptionStatus {
  readonly state: SubscriptionState;
  /** When this state began. */
  readonly since: Date;
  /** Why, where there is a reason to give. */
  readonly reason: string | null;
}
