/**
 * - `connecting`: not live yet, since the start
 * - `live`: subscribed; messages are delivered as they come
 * - `catching-up`: what may have been missed is read from the journal
 * - `disconnected`: the subscription was lost; it is being restored
 * - `stopped`: switched off, or shut down
 *
 * @publicApi
 */
export type SubscriptionState =
  'connecting' | 'live' | 'catching-up' | 'disconnected' | 'stopped';

/** How the subscription is, since when, and why. @publicApi */
export interface SubscriptionStatus {
  readonly state: SubscriptionState;
  /** When this state began. */
  readonly since: Date;
  /** Why, where there is a reason to give. */
  readonly reason: string | null;
}
