import { SetMetadata } from '@nestjs/common';
import { ON_INVALIDATION } from '../cache-invalidation.constants.js';
import { needsModule } from '../handlers/index.js';
import {
  concerns,
  show,
  type EntityType,
  type InvalidationMessage,
} from '../message/index.js';
import { methodUnder, refuseStatic } from './decorated-member.js';
import type { InvalidationCondition } from '../stream/index.js';

/** Options of `@OnInvalidation()`. @publicApi */
export interface OnInvalidationOptions {
  /** Only messages for which this is true. What it throws counts as true. */
  readonly when?: InvalidationCondition;
}

/**
 * Calls the method with every invalidation message, or with those that may touch
 * an entity of the given types. Messages come one after the other: the next waits for a
 * returned promise, so evict before you await anything. Errors are logged and counted.
 *
 * For providers, controllers, and the interceptors, guards, pipes and filters that
 * controllers name; not for request-scoped ones, which do not exist when a message
 * arrives.
 *
 * @throws InvalidMessageError for an impossible entity type, TypeError for an impossible
 * condition
 * @example
 * ```ts
 * @OnInvalidation('User')
 * async regenerate(message: InvalidationMessage) {}
 * ```
 * @publicApi
 */
export function OnInvalidation(
  types: EntityType | readonly EntityType[] = [],
  { when }: OnInvalidationOptions = {},
) {
  const list = Array.isArray(types) ? types : [types];
  // Checked where the method is defined: no message would ever match.
  concerns(list);
  if (when !== undefined && typeof when !== 'function') {
    throw new TypeError(
      `${show(when)} is not a condition: give as \`when\` a function of the message.`,
    );
  }
  const mark = SetMetadata(ON_INVALIDATION, { types: list, when });
  return <M extends (message: InvalidationMessage) => unknown>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<M>,
  ): void => {
    refuseStatic(target, key, '@OnInvalidation()');
    methodUnder(target, key, descriptor, '@OnInvalidation()');
    mark(target, key, descriptor);
    needsModule(target, key);
  };
}
