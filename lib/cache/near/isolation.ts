import { types } from 'node:util';
import { InvalidationSerializationError } from '../../errors/index.js';

/** Keeps readers from changing values that others read. @internal */
export interface Isolation {
  /** Prepares a loaded value, once. */
  keep<V>(value: V): V;
  /** Prepares a value for each reader; `null` where all may share it. */
  readonly give: (<V>(value: V) => V) | null;
}

/** Values of the option `isolate`, but for `false`. @internal */
export const ISOLATIONS: Record<'freeze' | 'clone', Isolation> = {
  freeze: { keep: deepFreeze, give: null },
  clone: { keep: clone, give: clone },
};

/** @returns `null` for readers that share one object @internal */
export function isolationBy(
  isolate: keyof typeof ISOLATIONS | false,
): Isolation | null {
  return isolate === false ? null : ISOLATIONS[isolate];
}

/** Methods that change objects of these classes though they are frozen. */
const MUTATORS = /^(?:set|add|delete|clear)/;
const MUTABLE: readonly [is: (value: object) => boolean, prototype: object][] =
  [
    [types.isDate, Date.prototype],
    [types.isMap, Map.prototype],
    [types.isSet, Set.prototype],
  ];

function clone<V>(value: V): V {
  try {
    return structuredClone(value);
  } catch {
    // The error would tell the text of a function.
    throw new InvalidationSerializationError(
      'A loaded value cannot be cloned: it holds a function, or something else that is no data.',
      "Return data without functions, or give the near cache isolate: 'freeze'.",
    );
  }
}

/** Without recursion, since data may be nested deeply and hold cycles. */
function deepFreeze<V>(value: V): V {
  const seen = new Set<object>();
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next !== 'object' || next === null || seen.has(next)) continue;
    seen.add(next);
    open.push(...partsOf(next));
    freeze(next);
  }
  return value;
}

function partsOf(value: object): unknown[] {
  // A getter is not called: it may load something.
  const parts: unknown[] = Object.values(
    Object.getOwnPropertyDescriptors(value),
  ).map((property: PropertyDescriptor) => property.value as unknown);
  if (types.isMap(value)) {
    for (const [key, one] of value) parts.push(key, one);
  } else if (types.isSet(value)) {
    for (const one of value) parts.push(one);
  }
  return parts;
}

function freeze(value: object): void {
  if (types.isArrayBufferView(value) || types.isAnyArrayBuffer(value)) {
    throw new InvalidationSerializationError(
      'A loaded value holds bytes, which cannot be frozen.',
      "Give the near cache isolate: 'clone'.",
    );
  }
  if (Object.isFrozen(value)) return;
  for (const [is, prototype] of MUTABLE) {
    if (is(value)) refuseChanges(value, prototype);
  }
  Object.freeze(value);
}

function refuseChanges(value: object, prototype: object): void {
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (!MUTATORS.test(name)) continue;
    Object.defineProperty(value, name, { value: refuseChange });
  }
}

function refuseChange(): never {
  throw new TypeError('A near cache has frozen this value: change a copy.');
}
