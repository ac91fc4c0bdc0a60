import { finished } from 'node:stream';
import {
  catchError,
  concat,
  defer,
  EMPTY,
  finalize,
  ignoreElements,
  isObservable,
  Subject,
  tap,
  throwError,
  type Observable,
} from 'rxjs';
import { currentScope, withinScope } from '../publisher/index.js';
import { isIteration, isPromiseLike, streamOf } from '../stream/index.js';
import { NO_ANSWER } from './answers.js';
import type { DecoratedCall } from './decorated-call.js';
import type { Method } from './copy-method.js';
import { watchIteration } from './iteration.js';
import { isEager, passLazily, withMethods, withPromise } from './thenable.js';

type Pending = PromiseLike<unknown> & object;
type Kind =
  | 'value'
  | 'promise'
  | 'eager'
  | 'lazy'
  | 'observable'
  | 'stream'
  | 'iteration';

/**
 * Watches the result of a decorated method on its way to the caller. The call ends when
 * the work behind the result has ended, not when the method has returned.
 *
 * @internal
 */
export function observe(result: unknown, call: DecoratedCall): unknown {
  const kind = kindOf(result);
  if (kind === 'promise') return settle(result as Pending, call);
  if (kind === 'eager') {
    return withPromise(result as Pending, settle(result as Pending, call));
  }
  if (kind === 'lazy') {
    return passLazily(result as Pending, (begun) => settle(begun, call));
  }
  if (kind !== 'value') return observeWork(kind, result as object, call);
  void call.succeeded(result, { wait: false });
  return result;
}

/** Never throws, as asking a proxy or a getter may: the data has changed. */
function kindOf(result: unknown): Kind {
  if (typeof result !== 'object' || result === null) return 'value';
  try {
    if (isPromiseLike(result)) {
      const isPlain =
        result.constructor === Promise && Object.keys(result).length === 0;
      if (isPlain) return 'promise';
      return isEager(result) ? 'eager' : 'lazy';
    }
    if (isObservable(result)) return 'observable';
    if (streamOf(result) !== null) return 'stream';
    return isIteration(result) ? 'iteration' : 'value';
  } catch {
    return 'value';
  }
}

function observeWork(kind: Kind, result: object, call: DecoratedCall): unknown {
  if (kind === 'observable') {
    return watchObservable(result as Observable<unknown>, call);
  }
  if (kind === 'iteration') return watchIteration(result, call);
  untilFinished(result, call);
  return result;
}

/** Awaits, and does not chain: a thenable's `then` may return nothing. */
async function settle(
  pending: PromiseLike<unknown>,
  call: DecoratedCall,
): Promise<unknown> {
  call.begin();
  let value: unknown;
  try {
    try {
      value = await pending;
    } catch (error) {
      const told = call.failed({ wait: true });
      if (told !== null) await told;
      throw error;
    }
    const told = call.succeeded(value, { wait: true });
    if (told !== null) await told;
    // The method may have written before it returned, and may still be writing.
    const kind = kindOf(value);
    return kind === 'value' ? value : observeWork(kind, value as object, call);
  } finally {
    call.end();
  }
}

/** A Subject keeps its methods; its work goes on with or without subscribers. */
function watchObservable(
  source: Observable<unknown>,
  call: DecoratedCall,
): unknown {
  const watched = duringSubscription(source, call);
  if (!(source instanceof Subject)) return watched;
  void call.succeeded(NO_ANSWER, { wait: false });
  return withMethods(source, (key, method, args) =>
    key === 'subscribe' || key === 'pipe'
      ? Reflect.apply(Reflect.get(watched, key) as Method, watched, args)
      : Reflect.apply(method, source, args),
  );
}

/** Every subscription is a call of its own, and may end before its source does. */
function duringSubscription(
  source: Observable<unknown>,
  call: DecoratedCall,
): Observable<unknown> {
  return defer(() => {
    let last: unknown = NO_ANSWER;
    const scope = currentScope();
    const next = (value: unknown): void => void (last = value);
    // The subscriber may unsubscribe within a scope that is not the method's.
    const unsubscribe = (): void =>
      void withinScope(scope, () => call.succeeded(last, { wait: false }));
    const completed = (): unknown => (last === NO_ANSWER ? undefined : last);
    call.begin();
    return concat(
      source.pipe(
        tap({ next, unsubscribe }),
        catchError((error: unknown) =>
          concat(
            afterwards(() => call.failed({ wait: true })),
            throwError(() => error),
          ),
        ),
      ),
      afterwards(() => call.succeeded(completed(), { wait: true })),
    ).pipe(finalize(() => call.end()));
  });
}

function afterwards(publish: () => Promise<unknown> | null): Observable<never> {
  return defer(() => publish() ?? EMPTY).pipe(ignoreElements());
}

function untilFinished(result: object, call: DecoratedCall): void {
  call.begin();
  finished(streamOf(result)!, (error) => {
    // The client has gone and the stream was broken off: rows may have been written.
    const isBrokenOff = error?.code === 'ERR_STREAM_PREMATURE_CLOSE';
    if (error && !isBrokenOff) void call.failed({ wait: false });
    else void call.succeeded(result, { wait: false });
    call.end();
  });
}
