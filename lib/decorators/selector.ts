import type { Observable } from 'rxjs';

/* oxlint-disable typescript/no-explicit-any -- a selector is written for one
   method's parameters; only the decorator sees both */

const FROM_RESULT = Symbol('fromResult');

/** A function of the decorated method's result. @publicApi */
export interface ResultSelector<R, V> {
  readonly [FROM_RESULT]: (result: R, ...args: any[]) => V;
}

/**
 * A function of the decorated method's arguments, or with `fromResult()` of its
 * result. It is called on the method's instance: a `function` (not an arrow) may read
 * `this`.
 *
 * @publicApi
 */
export type Selector<V> = ((...args: any[]) => V) | ResultSelector<any, V>;

/**
 * Selects from what the method returned: the value of its promise, or the last
 * value of its Observable or async iterable. The method's arguments follow.
 *
 * @example
 * ```ts
 * @InvalidatesCache('User', fromResult((user: User) => user.id))
 * ```
 * @publicApi
 */
export function fromResult<R, V>(
  selector: (result: R, ...args: any[]) => V,
): ResultSelector<R, V> {
  return { [FROM_RESULT]: selector };
}

/** Whether it can be asked, as plain JavaScript may not see to. @internal */
export function isSelector(value: unknown): value is Selector<unknown> {
  const selector = value as Partial<ResultSelector<any, unknown>> | null;
  return typeof (selector?.[FROM_RESULT] ?? selector) === 'function';
}

/** @internal */
export function select<V>(
  selector: Selector<V>,
  self: unknown,
  args: readonly unknown[],
  result: unknown,
): V {
  return typeof selector === 'function'
    ? selector.apply(self, args as unknown[])
    : selector[FROM_RESULT].call(self, result, ...args);
}

type Method = (...args: any[]) => any;

type Outcome<M extends Method> =
  ReturnType<M> extends PromiseLike<infer T>
    ? T
    : ReturnType<M> extends Observable<infer T>
      ? T
      : ReturnType<M> extends AsyncIterable<infer T>
        ? T
        : ReturnType<M>;

type Misfit<What extends string> = { readonly [K in What]: never };

type Fit<S, M extends Method> =
  S extends ResultSelector<infer R, any>
    ? Outcome<M> extends R
      ? unknown
      : Misfit<'fromResult() does not fit what the method returns'>
    : S extends (...args: Parameters<M>) => unknown
      ? unknown
      : S extends Method
        ? Misfit<'The selector does not fit the parameters of the method'>
        : unknown;

/** A decorator for methods that these selectors fit. @publicApi */
export type SelectingDecorator<S, W> = <M extends Method>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M> & Fit<S, M> & Fit<W, M>,
) => void;
