import type { Announcement } from './announcement.js';
import { DecoratedCall, type DecoratedMethod } from './decorated-call.js';
import {
  addDecoration,
  memberName,
  methodUnder,
  refuseStatic,
  type Decoration,
} from './decorated-member.js';
import { copyMethod, type Method } from './copy-method.js';
import { injected } from './injected.js';
import { InvalidationAnnouncer } from './invalidation-announcer.js';
import { observe } from './outcome.js';

const DECORATOR = '@InvalidatesCache() or @InvalidatesCachePattern()';

/** A wrapped method that is still to be decorated. */
interface Stack extends DecoratedMethod {
  readonly target: object;
  readonly property: symbol;
  readonly announcements: Announcement[];
  readonly subjects: string[];
}

/** Stacks by wrapper, so that stacked decorators share one. */
const stacks = new WeakMap<Method, Stack>();

/**
 * Makes the method publish invalidations after it succeeded. Its own result or error
 * passes through unchanged. Stacked decorators share one wrapper, and publish in one
 * pipeline.
 *
 * @internal
 */
export function announceAfter(
  target: object,
  key: string | symbol,
  descriptor: PropertyDescriptor | undefined,
  announcement: Announcement,
  decoration: Omit<Decoration, 'property'>,
): void {
  refuseStatic(target, key, DECORATOR);
  const original = methodUnder(target, key, descriptor, DECORATOR);
  const name = memberName(target, key);
  const subject = decoration.what;
  const stacked = stacks.get(original);
  // A subclass gets a wrapper of its own; that of its base class stays unchanged.
  if (stacked?.target === target && stacked.name === name) {
    // Decorators apply from the bottom up; publish in the order they are written.
    stacked.announcements.unshift(announcement);
    stacked.subjects.unshift(subject);
    addDecoration(target, key, { ...decoration, property: stacked.property });
    return;
  }
  const { find, property } = injected(
    InvalidationAnnouncer,
    target,
    key,
    'invalidates nothing',
  );
  addDecoration(target, key, { ...decoration, property });
  const stack = {
    target,
    name,
    property,
    announcements: [announcement],
    subjects: [subject],
  };
  const wrapped = wrap(original, stack, find);
  stacks.set(wrapped, stack);
  copyMethod(wrapped, original);
  descriptor!.value = wrapped;
}

function wrap(
  original: Method,
  method: DecoratedMethod,
  find: (instance: unknown) => InvalidationAnnouncer | null,
): Method {
  return function (this: unknown, ...args: unknown[]): unknown {
    const announcer = find(this);
    if (announcer === null || !announcer.enabled) {
      return original.apply(this, args);
    }
    const call = new DecoratedCall(announcer, method, this, args);
    let result: unknown;
    try {
      result = original.apply(this, args);
    } catch (error) {
      void call.failed({ wait: false });
      throw error;
    }
    return observe(result, call);
  };
}
