import { Inject, Logger } from '@nestjs/common';
import {
  concat,
  defer,
  EMPTY,
  ignoreElements,
  isObservable,
  tap,
  type Observable,
} from 'rxjs';
import { isPromiseLike } from '../stream/index.js';
import type { Announcement } from './announcement.js';
import { imitate, type Method } from './imitate.js';
import { InvalidationAnnouncer } from './invalidation.announcer.js';

/** The announcements of a wrapped method, so that stacked decorators share it. */
const announcementsOf = new WeakMap<Method, Announcement[]>();

/**
 * Makes the method announce after it succeeded. Its own result or error passes
 * through unchanged. Stacked decorators share one wrapper, and what they
 * announce leaves in one pipeline.
 *
 * @internal
 */
export function announceAfter(
  target: object,
  key: string | symbol,
  descriptor: PropertyDescriptor,
  announcement: Announcement,
): void {
  const original = descriptor.value as Method | undefined;
  if (typeof target === 'function') {
    throw new TypeError(
      `${target.name}.${String(key)} is static: Nest makes no instance of it, so it would invalidate nothing. Decorate a method of a provider.`,
    );
  }
  const name = `${target.constructor.name}.${String(key)}`;
  if (typeof original !== 'function') {
    throw new TypeError(
      `${name} is not a method: @InvalidatesCache() and @InvalidatesCachePattern() decorate methods.`,
    );
  }
  const stacked = announcementsOf.get(original);
  if (stacked !== undefined) {
    // Decorators apply from the bottom up; announce in the order they are read.
    stacked.unshift(announcement);
    return;
  }
  if (original.constructor.name.endsWith('GeneratorFunction')) {
    throw new TypeError(
      `${name} is a generator: it returns before its body has run. Decorate the method that consumes it.`,
    );
  }
  const announcements = [announcement];
  const wrapped = wrap(
    original,
    name,
    announcerOf(target, name),
    announcements,
  );
  announcementsOf.set(wrapped, announcements);
  imitate(wrapped, original);
  descriptor.value = wrapped;
}

type AnnouncerOf = (instance: unknown) => InvalidationAnnouncer | undefined;

/**
 * A property dependency: Nest sets it on every instance it makes, whatever its
 * scope, and names the property when the module is missing.
 */
function announcerOf(target: object, name: string): AnnouncerOf {
  const property = Symbol(`${name} (import CacheInvalidationModule)`);
  Inject(InvalidationAnnouncer)(target, property);
  let warned = false;
  return (instance) => {
    const announcer = (
      instance as Record<symbol, InvalidationAnnouncer | undefined> | undefined
    )?.[property];
    if (announcer === undefined && !warned) {
      warned = true;
      new Logger('CacheInvalidation').warn(
        `${name} was called on an instance that Nest did not make: it works, but invalidates nothing.`,
      );
    }
    return announcer;
  };
}

function wrap(
  original: Method,
  name: string,
  find: AnnouncerOf,
  announcements: readonly Announcement[],
): Method {
  return function (this: unknown, ...args: unknown[]): unknown {
    const result = original.apply(this, args);
    const announcer = find(this);
    if (announcer === undefined) return result;
    const kind = kindOf(result);
    if (kind === 'promise') {
      return announceOnResolution(result as PromiseLike<unknown>, (value) =>
        announcer.announce(name, announcements, args, value),
      );
    }
    if (kind === 'observable') {
      return announceOnCompletion(result as Observable<unknown>, (last) =>
        announcer.announce(name, announcements, args, last),
      );
    }
    announcer.announceAtOnce(name, announcements, args, result);
    return result;
  };
}

/** Never throws, as asking a proxy or a getter may: the data has changed. */
function kindOf(result: unknown): 'promise' | 'observable' | 'value' {
  try {
    if (isPromiseLike(result)) return 'promise';
    return isObservable(result) ? 'observable' : 'value';
  } catch {
    return 'value';
  }
}

/** Awaits, and does not chain: a thenable's `then` may return nothing. */
async function announceOnResolution(
  result: PromiseLike<unknown>,
  announce: (value: unknown) => Promise<unknown> | null,
): Promise<unknown> {
  const value = await result;
  const told = announce(value);
  if (told !== null) await told;
  return value;
}

function announceOnCompletion(
  source: Observable<unknown>,
  announce: (last: unknown) => Promise<unknown> | null,
): Observable<unknown> {
  return defer(() => {
    let last: unknown;
    return concat(
      source.pipe(tap((value) => (last = value))),
      defer(() => announce(last) ?? EMPTY).pipe(ignoreElements()),
    );
  });
}
