import { filter, type MonoTypeOperatorFunction } from 'rxjs';
import {
  affects,
  concerns,
  type EntityType,
  type InvalidationMessage,
} from '../message/index.js';

/**
 * Only messages that may touch an entity of these types: their own messages,
 * batches with one of their keys, and patterns that may match one.
 *
 * @example invalidations$.pipe(ofEntity('User', 'Post'))
 * @publicApi
 */
export function ofEntity(
  ...types: EntityType[]
): MonoTypeOperatorFunction<InvalidationMessage> {
  return filter<InvalidationMessage>(concerns(types));
}

/**
 * Only messages that evict the entry of this cache key.
 *
 * @example invalidations$.pipe(affecting('user:123'))
 * @publicApi
 */
export function affecting(
  key: string,
): MonoTypeOperatorFunction<InvalidationMessage> {
  return filter((message) => affects(message, key));
}

/**
 * Only messages of other instances, those of the same service included. Messages that
 * this instance widened stand for others' messages, and pass.
 *
 * @example invalidations$.pipe(fromOthers())
 * @publicApi
 */
export function fromOthers(): MonoTypeOperatorFunction<InvalidationMessage> {
  return filter((message) => !message.own || message.widened !== null);
}
