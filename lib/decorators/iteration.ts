import { isGenerator, isPromiseLike } from '../stream/index.js';
import { NO_ANSWER } from './answers.js';
import type { DecoratedCall } from './decorated-call.js';
import type { Method } from './copy-method.js';
import { withMethods } from './thenable.js';

type Step = IteratorResult<unknown>;
type AnyIterator = Partial<
  Record<'next' | 'return' | 'throw', (...args: unknown[]) => unknown>
>;

/**
 * Watches an async iterable, or a generator's result: the call ends when an iteration has
 * ended, by itself or because its reader has stopped. A generator does nothing before it
 * is read; any other iterable may have begun, so its call ends at once too.
 *
 * @internal
 */
export function watchIteration(target: object, call: DecoratedCall): unknown {
  if (!isGenerator(target)) void call.succeeded(NO_ANSWER, { wait: false });
  if (target instanceof ReadableStream) {
    return ReadableStream.from(watched(target, call) as AsyncIterable<unknown>);
  }
  return watched(target, call);
}

function watched(target: object, call: DecoratedCall): unknown {
  const own = new WatchedIterator(target, call);
  const proxy: unknown = withMethods(target, (key, method, args) => {
    if (key === Symbol.asyncIterator || key === Symbol.iterator) {
      const iterator = Reflect.apply(method, target, args) as AnyIterator;
      return iterator === target ? proxy : new WatchedIterator(iterator, call);
    }
    return key === 'next' || key === 'return' || key === 'throw'
      ? own.step(key, method, args)
      : // A helper of a generator's (`toArray`) reads it: by the proxy, then.
        Reflect.apply(method, isGenerator(target) ? proxy : target, args);
  });
  return proxy;
}

/** One iteration, synchronous or not. */
class WatchedIterator {
  #state: 'new' | 'begun' | 'ended' = 'new';
  #last: unknown = NO_ANSWER;

  constructor(
    private readonly iterator: AnyIterator,
    private readonly call: DecoratedCall,
  ) {}

  next(...args: unknown[]): unknown {
    return this.step('next', this.iterator.next, args);
  }

  /** A reader that stops: `break` in a loop. */
  return(...args: unknown[]): unknown {
    return this.step('return', this.iterator.return, args);
  }

  throw(...args: unknown[]): unknown {
    return this.step('throw', this.iterator.throw, args);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.iterator](): this {
    return this;
  }

  /** @param method of the iterator; optional but for `next` */
  step(key: string, method: Method | undefined, args: unknown[]): unknown {
    if (key === 'next' && this.#state === 'new') this.#begin();
    if (method === undefined) return this.#without(key, args[0]);
    try {
      const step = Reflect.apply(method, this.iterator, args);
      if (isPromiseLike(step)) return this.#later(step, key);
      if (this.#isEnd(step as Step)) this.#succeeded(key);
      return step;
    } catch (error) {
      this.#failed();
      throw error;
    }
  }

  async #later(pending: PromiseLike<unknown>, key: string): Promise<unknown> {
    try {
      const step = (await pending) as Step;
      if (this.#isEnd(step)) {
        // Set before the wait: the reader may have asked for several steps at once.
        this.#state = 'ended';
        const told = this.call.succeeded(this.#resultAt(key), { wait: true });
        if (told !== null) await told;
        this.call.end();
      }
      return step;
    } catch (error) {
      this.#failed();
      throw error;
    }
  }

  #without(key: string, value: unknown): unknown {
    if (this.#state === 'begun') this.#succeeded(key);
    if (key === 'throw') throw value;
    return Promise.resolve({ done: true, value });
  }

  /** Notes the value; an iteration that never began has changed nothing. */
  #isEnd(step: Step): boolean {
    if (step.done !== true) this.#last = step.value;
    return step.done === true && this.#state === 'begun';
  }

  /** Last value, unknown if the reader stopped before the first one. */
  #resultAt(key: string): unknown {
    return this.#last === NO_ANSWER && key === 'next' ? undefined : this.#last;
  }

  #begin(): void {
    this.#state = 'begun';
    this.call.begin();
  }

  #succeeded(key: string): void {
    void this.call.succeeded(this.#resultAt(key), { wait: false });
    this.#end();
  }

  #failed(): void {
    if (this.#state !== 'begun') return;
    void this.call.failed({ wait: false });
    this.#end();
  }

  #end(): void {
    this.#state = 'ended';
    this.call.end();
  }
}
