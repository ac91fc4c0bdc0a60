/** @internal */
export type Method = (this: unknown, ...args: unknown[]) => unknown;

/** Guards, pipes, swagger and the rest keep what they know of the method. @internal */
export function imitate(wrapped: Method, original: Method): void {
  for (const property of ['name', 'length'] as const) {
    Object.defineProperty(wrapped, property, {
      value: original[property],
      configurable: true,
    });
  }
  for (const key of Reflect.getMetadataKeys(original)) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, original), wrapped);
  }
}
