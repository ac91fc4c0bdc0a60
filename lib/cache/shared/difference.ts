import { isDeepStrictEqual, types } from 'node:util';

/** A part of a value that differs in its copy. @internal */
export interface Difference {
  /** Its place, such as `posts[0].author`; '' for the value itself. */
  readonly path: string;
  /** Its class, such as `User`, or its type. */
  readonly kind: string;
}

/** Keys that are shown; others may be data, such as e-mail addresses. */
const NAME = /^[A-Za-z_$][\w$]{0,39}$/;

/**
 * Compares a value with a copy of it: prototypes, properties, and the content of
 * built-in objects. A property that is `undefined` may be absent in the copy.
 *
 * @returns the first part that differs; `null` if none does
 * @internal
 */
export function differenceOf(value: unknown, copy: unknown): Difference | null {
  return new Comparison().compare(value, copy);
}

class Comparison {
  /** Copies of the objects compared so far, since values may hold cycles. */
  readonly #copies = new Map<object, object>();

  compare(value: unknown, copy: unknown): Difference | null {
    if (Object.is(value, copy)) return null;
    if (!isObject(value) || !isObject(copy)) return differing(value);
    if (this.#copies.get(value) === copy) return null;
    this.#copies.set(value, copy);
    if (!isOfOneClass(value, copy)) return differing(value);
    if (Array.isArray(value)) return this.#inArray(value, copy);
    if (!isBuiltIn(value)) return this.#inObject(value, copy);
    return this.#isSameBuiltIn(value, copy) ? null : differing(value);
  }

  #isSameBuiltIn(value: object, copy: object): boolean {
    if (isCollection(value)) {
      return (
        isCollection(copy) &&
        Object.keys(value).length === Object.keys(copy).length &&
        this.#inArray([...value], [...copy]) === null
      );
    }
    // Faster and stricter, but never true for objects of two realms.
    if (prototypeOf(value) === prototypeOf(copy)) {
      return isDeepStrictEqual(value, copy);
    }
    return this.compare(contentOf(value), contentOf(copy)) === null;
  }

  #inArray(value: unknown[], copy: object): Difference | null {
    const copied = copy as unknown[];
    // Holes and properties beside the elements change the number of keys.
    const isSame =
      value.length === copied.length &&
      Object.keys(value).length === Object.keys(copied).length;
    if (!isSame) return differing(value);
    for (const [at, one] of value.entries()) {
      const found = this.compare(one, copied[at]);
      if (found !== null) return below(`[${at}]`, found);
    }
    return null;
  }

  #inObject(
    value: Record<string, unknown>,
    copy: Record<string, unknown>,
  ): Difference | null {
    if (hasSymbols(value)) return differing(value);
    let common = 0;
    for (const key of Object.keys(value)) {
      const one = value[key];
      const found = this.compare(one, copy[key]);
      if (found !== null) return below(NAME.test(key) ? key : '[…]', found);
      if (one !== undefined || Object.hasOwn(copy, key)) common++;
    }
    const keys = Object.keys(copy);
    if (keys.length === common) return null;
    const isAdded = (key: string): boolean =>
      copy[key] !== undefined && !Object.hasOwn(value, key);
    return keys.some(isAdded) ? differing(value) : null;
  }
}

function differing(value: unknown): Difference {
  return { path: '', kind: kindOf(value) };
}

function below(name: string, { path, kind }: Difference): Difference {
  const isJoined = path === '' || path.startsWith('[');
  return { path: isJoined ? name + path : `${name}.${path}`, kind };
}

function hasSymbols(value: object): boolean {
  const symbols = Object.getOwnPropertySymbols(value);
  return symbols.some((symbol) =>
    Object.prototype.propertyIsEnumerable.call(value, symbol),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Objects whose content is not in their properties. */
function isBuiltIn(value: object): boolean {
  return (
    types.isDate(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    types.isBoxedPrimitive(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isArrayBufferView(value)
  );
}

/** Objects without a prototype count as plain ones. */
function prototypeOf(value: object): object {
  return (Object.getPrototypeOf(value) ?? Object.prototype) as object;
}

/**
 * Whether both have one prototype. Jest runs tests in a realm of their own, and Node
 * deserializes into another one: built-in classes are compared by their names.
 */
function isOfOneClass(value: object, copy: object): boolean {
  const one = prototypeOf(value);
  const other = prototypeOf(copy);
  if (one === other) return true;
  const name = nativeNameOf(one);
  return name !== null && name === nativeNameOf(other);
}

/** The name of the built-in class of a prototype, of any realm; `null` for others. */
function nativeNameOf(prototype: object): string | null {
  const value: unknown = Object.getOwnPropertyDescriptor(
    prototype,
    'constructor',
  )?.value;
  if (typeof value !== 'function') return null;
  const type = value as { readonly name: string; readonly prototype?: unknown };
  const isNative =
    type.prototype === prototype &&
    Function.prototype.toString.call(type).endsWith('{ [native code] }');
  return isNative ? type.name : null;
}

function isCollection(
  value: object,
): value is Map<unknown, unknown> | Set<unknown> {
  return types.isMap(value) || types.isSet(value);
}

/** The content of a built-in object that is no collection, as comparable values. */
function contentOf(value: object): unknown {
  if (types.isAnyArrayBuffer(value)) return Buffer.from(value);
  if (types.isArrayBufferView(value)) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  const own = { ...value };
  if (types.isRegExp(value)) {
    return [own, value.source, value.flags, value.lastIndex];
  }
  if (types.isNativeError(value)) {
    return [own, value.name, value.message, value.stack, value.cause];
  }
  return [own, value.valueOf()];
}

function kindOf(value: unknown): string {
  if (Object.is(value, -0)) return '-0';
  // NaN and Infinity; other numbers may be personal data.
  if (typeof value === 'number' && !Number.isFinite(value)) return `${value}`;
  if (!isObject(value)) return typeof value;
  const { constructor } = value as { readonly constructor?: unknown };
  return typeof constructor === 'function' ? constructor.name : 'object';
}
